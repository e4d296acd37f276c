// Charts: plotly draws them, the page's style gives their colours. plotly.min.js is loaded with the first of them.
"use strict";

page.plotly = () => {
  page.had.plotly ??= new Promise((resolve) => {
    document.head.append(page.el("script", { src: "assets/plotly.min.js", onload: () => resolve(window.Plotly) }));
  });
  return page.had.plotly;
};

// Text of the data in a chart: plotly takes some markup in texts, so that none may be in it.
page.plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

page.draw = async (place, figure) => {
  const Plotly = await page.plotly();
  const [text, muted, line] = ["text", "muted", "line"].map(page.style);
  const axis = (given = {}) => ({
    gridcolor: line,
    zerolinecolor: muted,
    linecolor: line,
    automargin: true,
    fixedrange: true,
    ...given,
  });
  const layout = {
    ...figure.layout,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    dragmode: false,
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: text },
    hoverlabel: { bgcolor: page.style("panel"), bordercolor: muted, font: { color: text } },
  };
  for (const name of Object.keys({ xaxis: 1, yaxis: 1, ...figure.layout })) {
    if (/^[xy]axis\d*$/.test(name)) layout[name] = axis(figure.layout[name]);
  }
  const data = figure.data.map((trace) => {
    const colour = page.style(trace.meta ?? "accent");
    const marker = { color: colour, ...trace.marker, line: { color: colour, ...trace.marker?.line } };
    return {
      ...trace,
      marker,
      error_x: trace.error_x && { color: colour, ...trace.error_x },
      line: { color: colour, ...trace.line },
    };
  });
  place.style.height = `${layout.height}px`;
  await Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
};

page.startForest = () => {
  const forests = JSON.parse(document.getElementById("forests").textContent);
  const select = document.getElementById("forest-choice");
  if (!forests.length) {
    select.closest("figure").hidden = true;
    return;
  }
  page.options(
    select,
    forests.map((forest, place) => [String(place), forest.label]),
    "0",
  );
  page.drawForest = () => {
    const forest = forests[Number(select.value)];
    const place = document.getElementById("forest");
    place.setAttribute("aria-label", forest.text);
    document.getElementById("forest-words").textContent = forest.figure.data.length
      ? "Right of 0: better than the baseline. The headline is the mean of all; the other rows explain it."
      : forest.text;
    return page.draw(place, forest.figure);
  };
  select.addEventListener("change", page.drawForest);
};
page.views.answer = () => page.drawForest?.();
