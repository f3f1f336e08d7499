// Brings the page to life: reads the address, draws, and draws again when something changes.

const THEMES = { "": "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

function theme() {
  const name = state.theme in THEMES ? state.theme : "";
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = THEMES[name ?? ""];
}

function nextTheme() {
  const names = Object.keys(THEMES);
  set({ theme: names[(names.indexOf(state.theme ?? "") + 1) % names.length] });
}

/** Parts of the state that one panel alone shows; a change of anything else draws all of them. */
const ALONE = [
  [/^(scores\.sort|metrics|dots)/, [finals]],
  [/^(curve|band|curves\..*)$/, [curves]],
  [/^front\./, [front]],
  [/^parallel$/, [parallel]],
  [/^importance$/, [importance]],
  [/^conflict/, [conflict]],
  [/^cost\./, [cost]],
  [/^runs\./, [runs]],
];

/** The table of scores and the dots under it are one panel. */
function finals() {
  scores();
  scorePlot();
}

function draw(parts) {
  const names = Object.keys(parts);
  const own = names.length === 1 && ALONE.find(([pattern]) => pattern.test(names[0]));
  if (own) return own[1].forEach((each) => each());
  theme();
  refreshFilters();
  legend();
  return drawAll();
}

panels.push(finals, curves, front, parallel, importance, conflict, cost, differences, runs);
changed.push(draw);
readHash();
theme();
overview();
filters();
legend();
byId("theme").addEventListener("click", nextTheme);
// The address is the state's, so this link may not go there.
byId("skip").addEventListener("click", (event) => (event.preventDefault(), byId("main").focus()));
addEventListener("hashchange", () => (readHash(), draw({})));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());

// Plotly follows the window by itself; the parallel coordinates and what is laid out for narrow screens do not.
let width = document.documentElement.clientWidth;
addEventListener("resize", () => {
  if (document.documentElement.clientWidth === width) return;
  width = document.documentElement.clientWidth;
  drawAll();
});

// On paper: light, and as wide as a page.
addEventListener("beforeprint", () => (document.documentElement.classList.add("paper"), drawAll(true)));
addEventListener("afterprint", () => (document.documentElement.classList.remove("paper"), drawAll()));

// A list of values closes when one clicks elsewhere.
addEventListener("pointerdown", (event) => {
  for (const open of document.querySelectorAll("details.pick[open]"))
    if (!open.contains(event.target)) open.open = false;
});

drawAll();
