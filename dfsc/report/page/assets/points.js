// The operating point: counts, defects and histograms that follow the promised rate.
"use strict";

page.chosenCategories = () => (page.state.category ? [page.state.category] : page.facts.categories);
page.typesOf = (datas) => {
  const there = new Set(datas.flatMap((data) => data.images.map((image) => image.folder)));
  return ["good", ...page.facts.anomaly_types].filter((folder) => there.has(folder));
};

// One digit behind the point, as Python writes it: what lies just between two goes to the even one.
page.fixed = (value) => {
  const between = Number.isInteger(20 * value) && (20 * value) % 2 !== 0;
  return between ? ((2 * Math.round(5 * value)) / 10).toFixed(1) : value.toFixed(1);
};

page.countText = (datas, name, fits) => {
  const { rate, seed } = page.state;
  const images = datas.reduce((sum, data) => sum + data.images.filter(fits).length, 0);
  if (!images) return page.facts.not_measured;
  const counts = page.wrongCounts(datas, name, Number(rate), fits, seed);
  if (!counts) {
    const keys = page.facts.seeds.map((one) => page.key(name, one));
    const lacking = datas.map((data) => page.whyNone(data.runs[keys.find((key) => key in data.runs)], Number(rate)));
    return lacking.find(Boolean) ?? "no run of all";
  }
  const mean = counts.reduce((sum, one) => sum + one, 0) / counts.length;
  const each = counts.length > 1 ? ` (${counts.join(" ")})` : "";
  return `${Number(page.fixed(mean))} of ${images}${each}: ${page.fixed(100 * (mean / images))} %`;
};

page.versusText = (datas, fits) => {
  const { a, b, rate, seed } = page.state;
  if (!datas.some((data) => data.images.some(fits))) return "";
  const found = page.versus(datas, a, b, Number(rate), fits, seed);
  return found ? `${found.better} : ${found.worse}, ${found.p >= 0.001 ? `p=${found.p.toFixed(3)}` : "p<0.001"}` : "";
};

page.pointRows = (datas, categories) => {
  const groups = [...categories.map((name, place) => [name, [datas[place]]])];
  if (categories.length > 1) groups.push(["all categories", datas]);
  const types = page.typesOf(datas);
  const rows = [];
  for (const [name, of] of groups) {
    for (const folder of types) {
      const fits = (image) => image.folder === folder;
      const what = folder === "good" ? "false alarms" : `missed ${page.facts.headings[folder]}`;
      // Pooled counts are given only if all categories have the type.
      const known = of.every((data) => data.images.some(fits));
      const { not_measured: none } = page.facts;
      rows.push(
        known
          ? [
              name,
              what,
              page.countText(of, page.state.a, fits),
              page.countText(of, page.state.b, fits),
              page.versusText(of, fits),
            ]
          : [name, what, none, none, ""],
      );
    }
  }
  return rows;
};

page.defectRows = (datas, categories) =>
  categories.flatMap((category, place) => {
    const data = datas[place];
    const names = [
      ...new Set(data.images.flatMap((image) => image.defects.map((defect) => `${image.folder}/${defect}`))),
    ].sort();
    if (!names.length) return [[category, page.facts.not_measured, "", "", "", "", ""]];
    return names.map((one) => {
      const [folder, defect] = [one.slice(0, one.indexOf("/")), one.slice(one.indexOf("/") + 1)];
      const fits = (image) => image.folder === folder && image.defects.includes(defect);
      const missed = [page.state.a, page.state.b].map((name) => page.countText([data], name, fits));
      return [
        category,
        defect,
        page.facts.headings[folder],
        String(data.images.filter(fits).length),
        ...missed,
        page.versusText([data], fits),
      ];
    });
  });

// The histograms of one method, in the row that its number ("" or "2") names: traces, axes, and a line per threshold.
page.histograms = (data, category, name, number) => {
  const { rate, seed } = page.state;
  const seeds = page.seedsOf([data], [name], seed);
  const runs = (page.method(name).seeded ? seeds : seeds.slice(0, 1)).map((one) => data.runs[page.key(name, one)]);
  const all = runs.flatMap((run) => run.scores).sort((x, y) => x - y);
  const [low, high] = [all[0], all[Math.floor(0.99 * (all.length - 1))]];
  const traces = page.typesOf([data]).map((folder) => ({
    type: "histogram",
    x: runs.flatMap((run) => run.scores.filter((_, image) => data.images[image].folder === folder)),
    name: page.facts.headings[folder],
    meta: folder,
    showlegend: !number,
    legendgroup: folder,
    histnorm: "probability",
    xbins: { start: low, end: high, size: (high - low) / 40 || 1 },
    xaxis: `x${number}`,
    yaxis: `y${number}`,
    opacity: folder === "good" ? 0.55 : 1,
    marker: folder === "good" ? {} : { color: "rgba(0,0,0,0)", line: { width: 1.6 } },
    hovertemplate: `${page.facts.headings[folder]}: %{y:.1%} at %{x}<extra></extra>`,
  }));
  const thresholds = runs.map((run) => page.threshold(run.validation, Number(rate))).filter((one) => one !== null);
  const shapes = thresholds.map((at) => ({
    type: "line",
    ...{ x0: at, x1: at, y0: 0, y1: 1, xref: `x${number}`, yref: `y${number} domain` },
    line: { color: page.style("text"), width: 1.6, dash: "dot" },
  }));
  const axes = {
    [`xaxis${number}`]: { range: [low, high], title: number ? { text: "image score", font: { size: 12 } } : undefined },
    [`yaxis${number}`]: {
      showticklabels: false,
      title: { text: page.plain(page.label(name, category)), font: { size: 12 } },
    },
  };
  return { traces, shapes, axes };
};

page.drawHistograms = (data, category) => {
  const [above, below] = [page.state.a, page.state.b].map((name, row) =>
    page.histograms(data, category, name, row ? "2" : ""),
  );
  const layout = {
    barmode: "overlay",
    height: 420,
    grid: { rows: 2, columns: 1, pattern: "independent" },
    shapes: [...above.shapes, ...below.shapes],
    legend: { orientation: "h", y: 1.04, yanchor: "bottom", x: 0 },
    margin: { l: 12, r: 12, t: 40, b: 40 },
    ...above.axes,
    ...below.axes,
  };
  return page.draw(document.getElementById("histograms"), { data: [...above.traces, ...below.traces], layout });
};

page.views.points = async () => {
  page.fillControls(document.querySelector("#points [data-controls]"), true);
  const categories = page.chosenCategories();
  const datas = await Promise.all(categories.map(page.category));
  const [a, b] = ["a", "b"].map((name) => page.label(page.state[name], page.state.category || "mean of categories"));
  page.fill(
    document.getElementById("point-table"),
    ["category", "", `A: ${a}`, `B: ${b}`, "A : B"],
    page.pointRows(datas, categories),
  );
  page.fill(
    document.getElementById("defect-table"),
    ["category", "defect", "type", "images", `missed by A`, `missed by B`, "A : B"],
    page.defectRows(datas, categories),
  );
  await page.drawHistograms(datas[0], categories[0]);
};

// The controls that images and the operating point share.
page.fillControls = (form, withAllSeeds) => {
  const { facts, state } = page;
  const seeds = facts.seeds.map((seed) => [String(seed), String(seed)]);
  page.options(form.elements.category, [["", "all"], ...facts.categories.map((name) => [name, name])], state.category);
  for (const name of ["a", "b"])
    page.options(
      form.elements[name],
      facts.methods.map((method) => [method.name, method.label]),
      state[name],
    );
  page.options(form.elements.seed, withAllSeeds ? [["all", "all"], ...seeds] : seeds, state.seed);
  if (form.elements.seed.value === "") form.elements.seed.value = seeds[0][0];
  form.elements.rate.value = state.rate;
  form.elements.rate.setAttribute("aria-valuetext", page.perCent(Number(state.rate)));
  form.querySelector("output").textContent = page.perCent(Number(state.rate));
  form.querySelector(".marks").replaceChildren(
    ...facts.rates.map((rate) =>
      page.el(
        "button",
        {
          type: "button",
          "aria-pressed": String(String(rate) === state.rate),
          onclick: () => page.set({ rate: String(rate) }, true),
        },
        page.perCent(rate),
      ),
    ),
  );
};

page.startControls = () => {
  for (const form of document.querySelectorAll("[data-controls]")) {
    form.addEventListener("change", (event) => {
      if (event.target.name !== "rate") page.set({ [event.target.name]: event.target.value, image: "" }, true);
    });
    form.elements.rate.addEventListener("input", (event) => page.set({ rate: event.target.value }));
    form.addEventListener("submit", (event) => event.preventDefault());
  }
};
