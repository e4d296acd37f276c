// Anomaly maps: levels of one byte a cell, coloured here, as dfsc/inference/overlay.py does.
"use strict";

// The maps of a run: {shapes, levels of each image}; null where it has none.
page.maps = async (category, key) => {
  const packed = await page.load(`maps/maps${page.facts.categories.indexOf(category)}-${key.replace("/", "-")}`);
  if (!packed) return null;
  packed.levels ??= (async () => {
    const bytes = Uint8Array.from(atob(packed.bytes), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const all = new Uint8Array(await new Response(stream).arrayBuffer());
    let end = 0;
    return packed.shapes.map(([height, width]) => all.subarray(end, (end += height * width)));
  })();
  return { shapes: packed.shapes, levels: await packed.levels };
};

// Red, green, blue and opacity of the 256 levels.
page.palette = () => {
  const { colours, opaque } = page.facts;
  const table = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level += 1) {
    const place = level / 255 * (colours.length - 1);
    const [before, part] = [Math.min(Math.floor(place), colours.length - 2), place - Math.min(Math.floor(place), colours.length - 2)];
    for (let channel = 0; channel < 3; channel += 1) {
      table[4 * level + channel] = colours[before][channel] * (1 - part) + colours[before + 1][channel] * part;
    }
    table[4 * level + 3] = 255 * opaque * Math.min(2 * level / 255, 1);
  }
  return table;
};

// Draw the map of the image at `place` into a canvas of as many pixels as the map has cells; the browser enlarges it.
page.paint = (canvas, maps, place) => {
  const [height, width] = maps.shapes[place];
  page.colours ??= page.palette();
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  maps.levels[place].forEach((level, cell) => pixels.data.set(page.colours.subarray(4 * level, 4 * level + 4), 4 * cell));
  canvas.getContext("2d").putImageData(pixels, 0, 0);
};
