// The page begins: its parts listen, and what the address names is shown.
"use strict";

page.startTables();
page.startForest();
page.startControls();
page.startImages();
page.startLarge();
page.startRuns();

// A link and the way back make both events; popstate comes first.
const follow = () => {
  page.state = page.fromAddress();
  page.show();
};
addEventListener("popstate", follow);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.show());
follow();
