// One look a point, the same in every panel: a colour, and from the ninth point on another dash and marker too.
// The eight colours, in compare.css, were chosen to stay apart for people who are blind to red, green or blue.

const COLOURS = 8;
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const STROKES = {
  solid: "",
  dash: "6 3",
  dot: "1.5 2.5",
  dashdot: "6 2.5 1.5 2.5",
  longdash: "9 3",
  longdashdot: "9 2.5 1.5 2.5",
};
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "star-diamond", "triangle-down", "cross"];
const SHAPES = {
  circle: "M4 0A4 4 0 1 1-4 0A4 4 0 1 1 4 0Z",
  square: "M-3.5-3.5H3.5V3.5H-3.5Z",
  diamond: "M0-5L5 0L0 5L-5 0Z",
  "triangle-up": "M0-4.6L4.6 3.4H-4.6Z",
  x: "M-4-2L-2-4L0-2L2-4L4-2L2 0L4 2L2 4L0 2L-2 4L-4 2L-2 0Z",
  "star-diamond": "M0-5.4L1.7-1.7L5.4 0L1.7 1.7L0 5.4L-1.7 1.7L-5.4 0L-1.7-1.7Z",
  "triangle-down": "M0 4.6L4.6-3.4H-4.6Z",
  cross: "M-1.5-4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
};

const turn = (point) => Math.floor(point.id / COLOURS);
const colourName = (point) => `--c${point.id % COLOURS}`;
const dashOf = (point) => DASHES[turn(point) % DASHES.length];
const symbolOf = (point) => SYMBOLS[turn(point) % SYMBOLS.length];

/** What a variable of the style sheet is now; charts are told colours, they do not follow the sheet. */
const shade = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colourOf = (point) => shade(colourName(point));

/** A colour of the sheet, "#rrggbb", let through by so much. */
function sheer(colour, by) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${by})`;
}

/** A point's line and marker as a small picture. */
function swatch(point) {
  const colour = `var(${colourName(point)})`;
  const line = svg("path", {
    d: "M1 6H25",
    stroke: colour,
    "stroke-width": 2,
    "stroke-dasharray": STROKES[dashOf(point)],
  });
  const mark = svg("path", { d: SHAPES[symbolOf(point)], fill: colour, transform: "translate(13 6)" });
  return svg(
    "svg",
    { class: "swatch", viewBox: "0 0 26 12", width: 26, height: 12, "aria-hidden": "true" },
    line,
    mark,
  );
}

/** A point's swatch and label, marked where it is the baseline. */
const named = (point) => {
  const mark = point.baseline ? el("span", { class: "mark" }, "baseline") : null;
  return el(
    "span",
    { class: "named" },
    swatch(point),
    el("span", {}, el("span", { class: "label" }, point.label), mark),
  );
};
