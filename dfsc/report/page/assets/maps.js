// Anomaly maps: a level for each cell, coloured here as dfsc/inference/overlay.py does.
"use strict";

// A run's map of an image: {shape, levels}; null where there is none. Maps come in blocks of a few images, all methods.
page.map = async (category, key, place) => {
  const { block: size, categories } = page.facts;
  const [, seed] = key.split("/");
  const packed = await page.load(`maps/maps${categories.indexOf(category)}-${seed}-${Math.floor(place / size)}`);
  if (!packed || !(key in packed.shapes)) return null;
  packed.unpacked ??= page.unpack(packed);
  return (await packed.unpacked)[key][place % size];
};

page.unpack = async (packed) => {
  const bytes = Uint8Array.from(atob(packed.bytes), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const all = new Uint8Array(await new Response(stream).arrayBuffer());
  let end = 0;
  const maps = {};
  for (const [key, shapes] of Object.entries(packed.shapes)) {
    // keys such as "3/0" keep their order
    maps[key] = shapes.map((shape) => ({ shape, levels: all.subarray(end, (end += shape[0] * shape[1])) }));
  }
  return maps;
};

// Red, green, blue and opacity of each level.
page.palette = () => {
  const { colours, opaque, highest } = page.facts;
  const table = new Uint8ClampedArray((highest + 1) * 4);
  for (let level = 0; level <= highest; level += 1) {
    const place = (level / highest) * (colours.length - 1);
    const before = Math.min(Math.floor(place), colours.length - 2);
    const part = place - before;
    for (let channel = 0; channel < 3; channel += 1) {
      table[4 * level + channel] = colours[before][channel] * (1 - part) + colours[before + 1][channel] * part;
    }
    table[4 * level + 3] = 255 * opaque * Math.min((2 * level) / highest, 1);
  }
  return table;
};

// Draw a map into a canvas of as many pixels as it has cells; the browser enlarges it.
page.paint = (canvas, { shape: [height, width], levels }) => {
  page.colours ??= page.palette();
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  levels.forEach((level, cell) => pixels.data.set(page.colours.subarray(4 * level, 4 * level + 4), 4 * cell));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
};
