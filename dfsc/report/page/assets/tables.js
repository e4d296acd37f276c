// Tables 1 to 6: sorted by a press on a heading, filtered by the state, copied as they are seen.
"use strict";

page.shownRows = (table) => [...table.tBodies[0].rows].filter((row) => !row.hidden);

page.sortTable = (table, column, downwards) => {
  const value = (row) => {
    const { sort } = row.cells[column].dataset;
    return sort === undefined ? row.cells[column].textContent.trim() : Number(sort);
  };
  const numeric = [...table.tBodies[0].rows].some((row) => row.cells[column].dataset.sort !== undefined);
  const compare = (one, other) => {
    const [x, y] = [value(one), value(other)];
    if (!numeric) return (downwards ? -1 : 1) * x.localeCompare(y, "en", { numeric: true });
    if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // what was not measured comes last
    return typeof x === "number" ? (downwards ? y - x : x - y) : 0;
  };
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
    head.setAttribute("aria-sort", place !== column ? "none" : downwards ? "descending" : "ascending");
  }
  page.markBlocks(table);
};

// A line above the first row of each category, where rows of one category follow each other.
page.markBlocks = (table) => {
  let before = null;
  for (const row of page.shownRows(table)) {
    row.classList.toggle("starts", before !== null && before !== row.dataset.category);
    before = row.dataset.category;
  }
};

page.filterTable = (table) => {
  const { category, size, method, type } = page.state;
  const fits = (value, wanted) => !wanted || !value || value === wanted;
  for (const row of table.tBodies[0].rows) {
    const { dataset } = row;
    row.hidden = !(
      fits(dataset.category, category) &&
      fits(dataset.method, method) &&
      fits(dataset.type, type) &&
      (!size || dataset.size === size)
    );
  }
  for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
    head.hidden = Boolean(type && head.dataset.kind && head.dataset.kind !== type);
    for (const row of table.tBodies[0].rows) if (row.cells[place]) row.cells[place].hidden = head.hidden;
  }
  page.markBlocks(table);
};

// The rows and columns that are seen, as CSV or as a LaTeX table (booktabs).
page.copied = (table, kind) => {
  const heads = [...table.tHead.rows[0].cells];
  const seen = heads.map((head) => !head.hidden);
  const chosen = (cells) => [...cells].filter((_, place) => seen[place]);
  if (kind === "tex") {
    const lines = page.shownRows(table).map((row) => `${chosen(JSON.parse(row.dataset.tex)).join(" & ")} \\\\`);
    const head = `${chosen(JSON.parse(table.dataset.tex)).join(" & ")} \\\\`;
    const columns = "l".repeat(seen.filter(Boolean).length);
    return [
      `\\begin{tabular}{${columns}}`,
      "\\toprule",
      head,
      "\\midrule",
      ...lines,
      "\\bottomrule",
      "\\end{tabular}",
      "",
    ].join("\n");
  }
  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const text = (cell) => {
    const more = cell.querySelector("small")?.textContent;
    const whole = cell.textContent.trim();
    return more ? `${whole.slice(0, whole.length - more.length).trim()} (${more})` : whole;
  };
  return [heads, ...page.shownRows(table).map((row) => row.cells)]
    .map(
      (cells) =>
        `${chosen(cells)
          .map((cell) => quoted(text(cell)))
          .join(",")}\n`,
    )
    .join("");
};

page.toClipboard = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // of a file, some browsers refuse it
    const area = page.el("textarea", { "aria-hidden": "true" }, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
};

page.startTables = () => {
  for (const article of document.querySelectorAll("article.table")) {
    const table = article.querySelector("table");
    for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
      head.querySelector("button").addEventListener("click", () => {
        const numeric = table.querySelector(`tbody td:nth-child(${place + 1})[data-sort]`) !== null;
        const before = head.getAttribute("aria-sort");
        page.sortTable(table, place, before === "none" ? numeric : before === "ascending");
      });
    }
    for (const button of article.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", async () => {
        await page.toClipboard(page.copied(table, button.dataset.copy));
        article.querySelector("[role=status]").textContent = `${page.shownRows(table).length} rows copied`;
      });
    }
    page.markBlocks(table);
  }
  const form = document.getElementById("table-filters");
  const { facts } = page;
  const types = Object.entries(facts.headings).filter(([kind]) => document.querySelector(`th[data-kind="${kind}"]`));
  const sizes = [...new Set(facts.methods.map((method) => method.size).filter(Boolean))];
  const add = (name, entries) =>
    form.elements[name].append(...entries.map(([value, text]) => page.el("option", { value }, text)));
  add(
    "category",
    facts.categories.map((name) => [name, name]),
  );
  add(
    "size",
    sizes.map((size) => [size, size]),
  );
  add(
    "method",
    facts.methods.map((method) => [method.name, method.label]),
  );
  add("type", types);
  form.addEventListener("change", (event) => page.set({ [event.target.name]: event.target.value }, true));
  form.addEventListener("submit", (event) => event.preventDefault());
};

page.views.tables = () => {
  const form = document.getElementById("table-filters");
  for (const name of ["category", "size", "method", "type"]) form.elements[name].value = page.state[name];
  for (const table of document.querySelectorAll("article.table table")) page.filterTable(table);
};
