// What all parts share: facts, state in the address, loading, and the making of elements.
"use strict";

const page = {
  facts: JSON.parse(document.getElementById("facts").textContent),
  state: {},
  views: {},
  waiting: {},
  had: {},
};

// An element; texts become text, never markup. Attributes that are null are left out; on* are listeners.
page.el = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false)
      made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
};

page.style = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The value that the script <name>.js hands over; each is loaded once. Null where there is no such file.
page.load = (name) => {
  page.had[name] ??= new Promise((resolve) => {
    page.waiting[name.split("/").pop()] = resolve;
    document.head.append(page.el("script", { src: `${name}.js`, onerror: () => resolve(null) }));
  });
  return page.had[name];
};
page.put = (name, value) => page.waiting[name](value);
page.category = (name) => page.load(`data/category${page.facts.categories.indexOf(name)}`);
page.curves = (name) => page.load(`data/curves${page.facts.categories.indexOf(name)}`);

// State: what is seen, as text; all of it stands in the address, so that a link leads back to it.
page.defaults = () => {
  const [a, b] = page.facts.compared[0] ?? [];
  const [first] = page.facts.methods;
  return {
    view: "answer",
    category: "",
    size: "",
    method: "",
    type: "",
    metric: "",
    a: b ?? first.name,
    b: a ?? first.name,
    seed: "all",
    rate: String(page.facts.rate),
    sort: "disagreement",
    show: "",
    defect: "",
    both: "",
    truth: "1",
    image: "",
  };
};

page.hash = (changes = {}) => {
  const defaults = page.defaults();
  const state = { ...page.state, ...changes };
  const kept = Object.entries(state).filter(([name, value]) => name === "view" || value !== defaults[name]);
  return `#${new URLSearchParams(kept)}`;
};

page.fromAddress = () => {
  const defaults = page.defaults();
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const known = Object.fromEntries(Object.entries(given).filter(([name]) => name in defaults));
  const names = page.facts.methods.map((method) => method.name);
  const rate = Math.round(Number(known.rate));
  if (!(rate >= 1 && rate <= 999)) delete known.rate;
  for (const key of ["a", "b"]) if (!names.includes(known[key])) delete known[key];
  if (known.category && !page.facts.categories.includes(known.category)) delete known.category;
  if (known.seed && ![...page.facts.seeds.map(String), "all"].includes(known.seed)) delete known.seed;
  if (!document.querySelector(`main > section[id="${CSS.escape(known.view ?? "")}"]`)) delete known.view;
  return { ...defaults, ...known };
};

// Change the state and show it. A step of the reader's gets a place in the history; a slider's move does not.
page.set = (changes, step = false) => {
  const hash = page.hash(changes);
  page.state = { ...page.state, ...changes };
  if (hash !== location.hash) history[step ? "pushState" : "replaceState"](null, "", hash);
  return page.show();
};

page.show = () => {
  const { view } = page.state;
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== view;
  for (const link of document.querySelectorAll("nav a")) {
    const target = new URLSearchParams(link.hash.slice(1)).get("view");
    if (target === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  return page.views[view]?.();
};

page.method = (name) => page.facts.methods.find((method) => method.name === name);
page.inactive = (name, category) => page.facts.inactive.some(([of, method]) => of === category && method === name);
page.label = (name, category) =>
  page.method(name).label + (page.inactive(name, category) ? ` (${page.facts.inactive_mark})` : "");
// The key of a method's run: a method without seeds has one run for all.
page.key = (name, seed) => {
  const place = page.facts.methods.findIndex((method) => method.name === name);
  return `${place}/${page.facts.methods[place].seeded ? seed : "none"}`;
};

page.options = (select, entries, chosen) => {
  select.replaceChildren(...entries.map(([value, text]) => page.el("option", { value }, text)));
  select.value = chosen;
};
page.perCent = (rate) => `${Number((rate / 10).toFixed(1))} %`;
page.number = (value) => Number(value.toPrecision(3)).toString();

// The table's head and body, from texts or elements. The first cell of a row is its heading: seen where it changes.
page.fill = (table, head, rows) => {
  table.tHead.replaceChildren(
    page.el(
      "tr",
      {},
      head.map((text) => page.el("th", { scope: "col" }, text)),
    ),
  );
  table.tBodies[0].replaceChildren(
    ...rows.map(([first, ...rest], place) => {
      const again = place > 0 && rows[place - 1][0] === first;
      const heading = page.el("th", { scope: "row", class: again ? "again" : null }, first);
      return page.el(
        "tr",
        { class: place && !again ? "starts" : null },
        heading,
        rest.map((cell) => page.el("td", {}, cell)),
      );
    }),
  );
};
