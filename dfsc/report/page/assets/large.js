// The large view of one image: a method's map over it, opacity, and the keyboard to go on.
"use strict";

page.largeMethod = null;

page.largeStage = async (entry) => {
  const stage = document.getElementById("stage");
  const opacity = document.querySelector("#large [name=opacity]").value;
  const canvas = page.el("canvas", { "aria-hidden": "true" });
  const name = page.largeMethod;
  canvas.style.opacity = opacity / 100 / page.facts.opaque;
  const truth =
    document.querySelector("#large [name=large-truth]").checked && entry.image.defects.length
      ? page.photo(entry, "truth.png", { class: "truth", alt: "" })
      : null;
  const photo = page.photo(entry, "large.webp", { alt: `Test image ${page.imageName(entry)}` });
  const picture = page.picture(entry, "large.webp", photo, canvas, truth);
  const [width, height] = entry.image.size;
  picture.style.maxWidth = `calc(82vh * ${width / height})`;
  stage.replaceChildren(picture);
  const map = await page.map(entry.category, page.key(name, page.seedOfImages()), entry.place);
  if (map) page.paint(canvas, map);
};

page.largeList = (entry) => {
  const rows = page.facts.methods.map((method) => {
    const run = entry.data.runs[page.key(method.name, page.seedOfImages())];
    const threshold = run ? page.threshold(run.validation, Number(page.state.rate)) : null;
    const limit = threshold === null ? "" : `, threshold ${page.number(threshold)}`;
    const scores = run ? `score ${page.number(run.scores[entry.place])}${limit}` : "";
    const input = page.el("input", {
      type: "radio",
      name: "large-method",
      value: method.name,
      onchange: () => {
        page.largeMethod = method.name;
        page.largeStage(entry);
      },
    });
    input.checked = method.name === page.largeMethod;
    return page.el(
      "label",
      {},
      input,
      page.el("span", {}, page.label(method.name, entry.category)),
      page.mark(entry, method.name),
      page.el("small", {}, scores),
    );
  });
  document.getElementById("large-methods").replaceChildren(...rows);
};

// Show the image that the state names, or none. It need not be among those that the filters choose.
page.showLarge = async (entries) => {
  const dialog = document.getElementById("large");
  const { image } = page.state;
  let entry = entries.find((one) => page.imageName(one) === image);
  if (image && !entry) {
    const category = page.facts.categories.find((name) => image.startsWith(`${name}/`));
    const data = category ? await page.category(category) : null;
    const place = data ? data.images.findIndex((one) => `${category}/${one.path}` === image) : -1;
    if (place >= 0) entry = { category, data, image: data.images[place], place };
  }
  if (!entry) {
    if (dialog.open) dialog.close();
    return;
  }
  page.largeMethod ??= page.state.a;
  page.largeEntry = entry;
  document.getElementById("large-title").textContent = page.imageName(entry);
  const place = page.shown.findIndex((one) => page.imageName(one) === image);
  const counted = place >= 0 ? `${place + 1} of ${page.shown.length}; ` : "";
  document.getElementById("large-facts").textContent =
    `${counted}${page.truthWords(entry)}; ${entry.image.size.join(" × ")} pixels; ${page.circumstances()}`;
  document.getElementById("large-link").href = page.hash();
  page.largeList(entry);
  if (!dialog.open) dialog.showModal();
  await page.largeStage(entry);
};

page.stepImage = (step) => {
  const place = page.shown.findIndex((one) => page.imageName(one) === page.state.image);
  const next = page.shown[Math.min(Math.max(place + step, 0), page.shown.length - 1)];
  if (next) page.set({ image: page.imageName(next) });
};

page.stepMethod = (step) => {
  const names = page.facts.methods.map((method) => method.name);
  page.largeMethod = names[(names.indexOf(page.largeMethod) + step + names.length) % names.length];
  page.largeList(page.largeEntry);
  page.largeStage(page.largeEntry);
};

page.startLarge = () => {
  const dialog = document.getElementById("large");
  const truth = dialog.querySelector("[name=large-truth]");
  dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => page.state.image && page.set({ image: "" }));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  for (const button of dialog.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () => page.stepImage(Number(button.dataset.step)));
  }
  dialog.querySelector("[name=opacity]").addEventListener("input", ({ target }) => {
    const canvas = document.querySelector("#stage canvas");
    if (canvas) canvas.style.opacity = target.value / 100 / page.facts.opaque;
  });
  truth.addEventListener("change", () => page.largeStage(page.largeEntry));
  dialog.addEventListener("keydown", (event) => {
    const steps = {
      ArrowLeft: [page.stepImage, -1],
      ArrowRight: [page.stepImage, 1],
      ArrowUp: [page.stepMethod, -1],
      ArrowDown: [page.stepMethod, 1],
    };
    if (event.target.name === "opacity" || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key in steps) {
      event.preventDefault();
      const [move, step] = steps[event.key];
      move(step);
    } else if (event.key.toLowerCase() === "g") {
      truth.checked = !truth.checked;
      page.largeStage(page.largeEntry);
    }
  });
};
