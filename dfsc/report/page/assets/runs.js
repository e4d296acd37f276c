// Runs: what stands behind a number. Each with its id in MLflow, what it was made from, and its curves.
"use strict";

page.runTitle = (run) => `${run.category} / ${page.label(run.method, run.category)} / seed ${run.seed}`;
page.points = (value) => (value === undefined ? page.facts.not_measured : (100 * value).toFixed(2));

page.showRuns = (runs) => {
  const { category, method, metric } = page.state;
  const shown = runs.filter((run) => (!category || run.category === category) && (!method || run.method === method));
  const rows = shown.map((run) => [
    page.el("button", { type: "button", onclick: () => page.showRun(run) }, page.runTitle(run)),
    page.points(run.metrics[metric]),
    page.el("code", {}, run.run_id),
    (run.made_from.commit ?? "").slice(0, 10),
    "seconds" in run.cost ? `${(run.cost.seconds / 3600).toFixed(2)} h` : "",
    (run.cost.finished ?? "").slice(0, 10),
  ]);
  page.fill(
    document.getElementById("run-table"),
    ["run", `${metric} (%)`, "id in MLflow", "commit", "training", "finished"],
    rows,
  );
  document.getElementById("run-count").textContent = `${shown.length} runs`;
  document.getElementById("run-details").replaceChildren();
};

page.showRun = async (run) => {
  const facts = {
    "id in MLflow": run.run_id,
    folder: `results/${page.facts.benchmark}/${run.category}/${run.method}/seed${run.seed}`,
    ...run.made_from,
    ...run.cost,
  };
  const list = page.el(
    "dl",
    { class: "facts" },
    Object.entries(facts).flatMap(([name, value]) => [
      page.el("dt", {}, name.replaceAll("_", " ")),
      page.el("dd", {}, String(value)),
    ]),
  );
  const plots = page.el("div", { class: "plots" });
  const title = page.el("h2", { tabindex: "-1" }, page.runTitle(run));
  document.getElementById("run-details").replaceChildren(page.el("article", { class: "details" }, title, plots, list));
  title.focus();
  const [curves, data] = await Promise.all([page.curves(run.category), page.category(run.category)]);
  for (const [name, figure] of page.runFigures(run, curves[run.key], data)) {
    const place = page.el("div", { class: "plot", role: "img", "aria-label": `${name} of ${page.runTitle(run)}` });
    plots.append(page.el("figure", { class: "chart" }, page.el("figcaption", {}, name), place));
    await page.draw(place, figure);
  }
};

page.lines = (series, x, y, more = {}) => ({
  data: series.map(([name, xs, ys, meta], place) => ({
    type: "scatter",
    mode: "lines",
    name,
    x: xs,
    y: ys,
    meta,
    line: { width: 2, dash: ["solid", "dash", "dot", "dashdot"][place % 4] },
  })),
  layout: {
    height: 280,
    margin: { l: 50, r: 10, t: 10, b: 40 },
    xaxis: { title: { text: x }, ...more.xaxis },
    yaxis: { title: { text: y }, ...more.yaxis },
    legend: { orientation: "h", y: -0.28 },
  },
});

page.runFigures = (run, curves, data) => {
  const found = [];
  const { headings } = page.facts;
  const kinds = page.typesOf([data]).slice(1);
  const rocs = kinds.map((kind) => [headings[kind], ...page.roc(data, run.key, kind), kind]);
  if (rocs.length) found.push(["ROC of images", page.lines(rocs, "false positive rate", "true positive rate")]);
  const spro = Object.entries(curves?.spro ?? {}).map(([kind, [x, y]]) => [headings[kind], x, y, kind]);
  if (spro.length) found.push(["sPRO", page.lines(spro, "false positive rate of pixels", "mean sPRO")]);
  const { step, ...losses } = curves?.training ?? {};
  const palette = ["logical_anomalies", "structural_anomalies", "untyped_anomalies", "mean"];
  const drawn = Object.entries(losses).map(([name, values], place) => [
    name.replaceAll("_", " "),
    step,
    values,
    palette[place % 4],
  ]);
  if (drawn.length) found.push(["Training", page.lines(drawn, "step", "loss (log)", { yaxis: { type: "log" } })]);
  return found;
};

// False and true positive rates at each distinct score, from the highest down.
page.roc = (data, key, kind) => {
  const scores = data.runs[key].scores
    .map((score, place) => [score, data.images[place].folder])
    .filter(([, folder]) => folder === "good" || folder === kind);
  scores.sort(([x], [y]) => y - x);
  const total = { good: 0, [kind]: 0 };
  for (const [, folder] of scores) total[folder] += 1;
  const seen = { good: 0, [kind]: 0 };
  const [fpr, tpr] = [[0], [0]];
  scores.forEach(([score, folder], place) => {
    seen[folder] += 1;
    if (scores[place + 1]?.[0] === score) return;
    fpr.push(seen.good / total.good);
    tpr.push(seen[kind] / total[kind]);
  });
  return [fpr, tpr];
};

page.views.runs = async () => {
  const runs = await page.load("data/runs");
  const form = document.getElementById("run-filters");
  const metrics = [...new Set(runs.flatMap((run) => Object.keys(run.metrics)))].sort();
  if (!metrics.includes(page.state.metric))
    page.state.metric = metrics.includes("image_auroc.mean") ? "image_auroc.mean" : metrics[0];
  page.options(
    form.elements.category,
    [["", "all"], ...page.facts.categories.map((name) => [name, name])],
    page.state.category,
  );
  page.options(
    form.elements.method,
    [["", "all"], ...page.facts.methods.map((method) => [method.name, method.label])],
    page.state.method,
  );
  page.options(
    form.elements.metric,
    metrics.map((name) => [name, name]),
    page.state.metric,
  );
  page.showRuns(runs);
};

page.startRuns = () => {
  const form = document.getElementById("run-filters");
  form.addEventListener("change", ({ target }) => page.set({ [target.name]: target.value }, true));
  form.addEventListener("submit", (event) => event.preventDefault());
};
