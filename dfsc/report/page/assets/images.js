// Cards of test images: chosen and sorted by the state, filled when they come into view.
"use strict";

page.file = (entry, ending) => `images/${page.facts.categories.indexOf(entry.category)}/${entry.place}.${ending}`;
page.imageName = (entry) => `${entry.category}/${entry.image.path}`;

// The share of a run's scores of the category that lie below: methods have scores of their own, places they share.
page.places = (data, key) => {
  const run = data.runs[key];
  if (!run) return null;
  run.places ??= (() => {
    const order = run.scores.map((score, place) => [score, place]).sort(([x], [y]) => x - y);
    const places = new Array(order.length);
    for (let start = 0, end; start < order.length; start = end) {
      for (end = start; end < order.length && order[end][0] === order[start][0]; end += 1);
      for (let one = start; one < end; one += 1)
        places[order[one][1]] = (start + end - 1) / 2 / Math.max(order.length - 1, 1);
    }
    return places;
  })();
  return run.places;
};

// All images of the chosen categories: {category, data, image, place}.
page.entries = async () => {
  const categories = page.chosenCategories();
  const datas = await Promise.all(categories.map(page.category));
  return categories.flatMap((category, number) =>
    datas[number].images.map((image, place) => ({ category, data: datas[number], image, place })),
  );
};

page.seedOfImages = () => (page.state.seed === "all" ? String(page.facts.seeds[0]) : page.state.seed);
page.circumstances = () =>
  `seed ${page.seedOfImages()}, ${page.perCent(Number(page.state.rate))} false alarms promised`;
page.judged = (entry, name) =>
  page.right(entry.data, page.key(name, page.seedOfImages()), Number(page.state.rate))?.[entry.place] ?? null;

page.chosenEntries = (entries) => {
  const { a, b, show, defect } = page.state;
  const rights = new Map(); // each run is judged once
  const judged = (entry, name) => {
    const key = `${entry.category} ${name}`;
    if (!rights.has(key))
      rights.set(key, page.right(entry.data, page.key(name, page.seedOfImages()), Number(page.state.rate)));
    return rights.get(key)?.[entry.place] ?? null;
  };
  const all = page.facts.methods.map((method) => method.name);
  const tests = {
    "a-right": (entry) => judged(entry, a) === true && judged(entry, b) === false,
    "a-wrong": (entry) => judged(entry, a) === false && judged(entry, b) === true,
    missed: (entry) =>
      entry.image.folder !== "good" &&
      all.some((name) => judged(entry, name) !== null) &&
      all.every((name) => judged(entry, name) !== true),
    alarms: (entry) => entry.image.folder === "good" && (judged(entry, a) === false || judged(entry, b) === false),
  };
  const fits = tests[show] ?? ((entry) => !show || entry.image.folder === show);
  return entries.filter((entry) => fits(entry) && (!defect || entry.image.defects.includes(defect)));
};

page.sortedEntries = (entries) => {
  const { a, b, sort } = page.state;
  const seed = page.seedOfImages();
  const score = (entry) => entry.data.runs[page.key(a, seed)]?.scores[entry.place] ?? -Infinity;
  const apart = (entry) => {
    const [one, other] = [a, b].map((name) => page.places(entry.data, page.key(name, seed)));
    return one && other ? Math.abs(one[entry.place] - other[entry.place]) : -1;
  };
  const keys = {
    disagreement: (entry) => -apart(entry),
    high: (entry) => -score(entry),
    low: score,
    name: () => 0,
    defect: (entry) => `${page.facts.anomaly_types.indexOf(entry.image.folder)} ${entry.image.defects.join(", ")}`,
  };
  const key = keys[sort] ?? keys.name;
  const ranked = entries.map((entry) => [key(entry), entry]);
  ranked.sort(([x], [y]) => (x < y ? -1 : x > y ? 1 : 0)); // a stable sort: equals stay by name
  return ranked.map(([, entry]) => entry);
};

page.mark = (entry, name) => {
  const key = page.key(name, page.seedOfImages());
  const run = entry.data.runs[key];
  const why = page.whyNone(run, Number(page.state.rate));
  if (why) return page.el("span", { class: "verdict-mark none" }, why);
  const right = page.judged(entry, name);
  const good = entry.image.folder === "good";
  const words = good ? (right ? "accepted ✓" : "false alarm ✗") : right ? "found ✓" : "missed ✗";
  return page.el("span", { class: `verdict-mark ${right ? "right" : "wrong"}` }, words);
};

page.picture = (entry, ending, ...above) => {
  const [width, height] = entry.image.size;
  return page.el("div", { class: "picture", style: `aspect-ratio: ${width} / ${height}` }, ...above);
};
page.photo = (entry, ending, attributes) =>
  page.el("img", { src: page.file(entry, ending), decoding: "async", ...attributes });
page.truth = (entry) =>
  page.state.truth && entry.image.defects.length
    ? page.photo(entry, "truth.png", { class: "truth", alt: "", "aria-hidden": "true" })
    : null;
page.truthWords = (entry) => {
  if (entry.image.folder === "good") return "good";
  const kind = page.facts.headings[entry.image.folder];
  return entry.image.masks ? `${kind}: ${entry.image.defects.join(", ")}` : `${kind}, without masks`;
};

page.tile = (entry, name) => {
  const canvas = page.el("canvas", { role: "img", "aria-label": `Anomaly map of ${page.method(name).label}` });
  const run = entry.data.runs[page.key(name, page.seedOfImages())];
  const made = page.el(
    "figure",
    { class: "tile" },
    page.picture(entry, "webp", page.photo(entry, "webp", { class: "grey", alt: "" }), canvas),
    page.el(
      "figcaption",
      {},
      page.el("b", { title: page.method(name).label }, page.method(name).label),
      page.inactive(name, entry.category) ? page.el("span", { class: "inactive" }, page.facts.inactive_mark) : null,
      run ? `${page.number(run.scores[entry.place])} ` : "",
      page.mark(entry, name),
    ),
  );
  page.map(entry.category, page.key(name, page.seedOfImages()), entry.place).then((map) => {
    if (map) page.paint(canvas, map);
    else canvas.replaceWith(page.el("span", { class: "hint" }, "no map"));
  });
  return made;
};

page.shownMethods = () => {
  const { a, b, both } = page.state;
  const rest = both ? [] : page.facts.methods.map((method) => method.name);
  return [...new Set([a, b, ...rest])];
};

page.fillCard = (card, entry) => {
  const original = page.el(
    "figure",
    { class: "tile" },
    page.picture(
      entry,
      "webp",
      page.photo(entry, "webp", { alt: `Test image ${page.imageName(entry)}` }),
      page.truth(entry),
    ),
    page.el("figcaption", {}, page.truthWords(entry)),
  );
  card.append(
    page.el(
      "div",
      { class: "tiles" },
      original,
      page.shownMethods().map((name) => page.tile(entry, name)),
    ),
  );
};

page.card = (entry) => {
  const kind = page.el(
    "span",
    { class: "kind", style: `--dot: var(--${entry.image.folder})` },
    page.facts.headings[entry.image.folder],
  );
  const open = page.el(
    "button",
    { type: "button", "aria-haspopup": "dialog", onclick: () => page.set({ image: page.imageName(entry) }, true) },
    `${entry.category} / ${entry.image.path.split("/").slice(2).join("/")}`,
  );
  return page.el("article", { class: "card" }, page.el("h3", {}, open, kind));
};

page.showCards = (entries) => {
  page.watcher?.disconnect();
  const of = new WeakMap();
  page.watcher = new IntersectionObserver(
    (seen) => {
      for (const { target, isIntersecting } of seen) {
        if (!isIntersecting) continue;
        page.watcher.unobserve(target);
        page.fillCard(target, of.get(target));
      }
    },
    { rootMargin: "400px 0px" },
  );
  const cards = entries.map((entry) => {
    const card = page.card(entry);
    of.set(card, entry);
    return card;
  });
  const place = document.getElementById("cards");
  place.classList.toggle("every", page.shownMethods().length > 2);
  place.replaceChildren(...cards);
  for (const card of cards) page.watcher.observe(card);
};

page.views.images = async () => {
  page.fillControls(document.querySelector("#images [data-controls]"), false);
  const { state, facts } = page;
  const form = document.getElementById("image-filters");
  for (const name of ["show", "sort"]) form.elements[name].value = state[name];
  for (const name of ["both", "truth"]) form.elements[name].checked = Boolean(state[name]);
  const entries = await page.entries();
  for (const option of form.elements.show.options) {
    const isType = page.facts.anomaly_types.includes(option.value);
    option.hidden = isType && !entries.some((entry) => entry.image.folder === option.value);
  }
  const defects = [...new Set(entries.flatMap((entry) => entry.image.defects))].sort();
  page.options(form.elements.defect, [["", "all"], ...defects.map((name) => [name, name])], state.defect);
  page.shown = page.sortedEntries(page.chosenEntries(entries));
  const seen = JSON.stringify([
    state.category,
    state.a,
    state.b,
    state.seed,
    state.rate,
    state.sort,
    state.show,
    state.defect,
    state.both,
    state.truth,
  ]);
  if (seen !== page.cardsOf) {
    // a large view that opens or closes leaves the cards as they are
    page.cardsOf = seen;
    document.getElementById("image-count").textContent =
      `${page.shown.length} of ${entries.length} images; A: ${page.label(state.a, state.category)}, ` +
      `B: ${page.label(state.b, state.category)}, ${page.circumstances()}`;
    page.showCards(page.shown);
  }
  await page.showLarge(entries);
};

page.startImages = () => {
  const form = document.getElementById("image-filters");
  form.addEventListener("change", ({ target }) => {
    page.set(
      { [target.name]: target.type === "checkbox" ? (target.checked ? "1" : "") : target.value, image: "" },
      true,
    );
  });
  form.addEventListener("submit", (event) => event.preventDefault());
};
