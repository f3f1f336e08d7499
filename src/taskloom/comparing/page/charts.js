// Plotly, dressed as the rest of the page, and the order in which panels are drawn.

const boxes = new Map(); // a chart's name -> its element, kept so that drawing again is a change and no new start
const narrow = () => document.documentElement.clientWidth < 640;
const touched = matchMedia("(hover: none)").matches; // no mouse: a finger that drags wants to scroll

/** Plotly reads a few tags and entities in every text that it draws: take them from it. */
const said = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** Draws a chart called `name` into `parent`; `about` is what those hear who cannot see it. */
function chart(parent, name, about, traces, layout, height) {
  let box = boxes.get(name);
  if (!box) boxes.set(name, (box = el("div", { class: "chart", role: "img", "data-chart": name })));
  box.setAttribute("aria-label", about);
  box.style.height = `${height}px`;
  parent.append(box);
  if (!traces.length) return;
  const options = { responsive: true, displaylogo: false, displayModeBar: touched ? false : "hover" };
  options.modeBarButtonsToRemove = ["sendChartToCloud", "select2d", "lasso2d", "zoomIn2d", "zoomOut2d", "autoScale2d"];
  options.toImageButtonOptions = { filename: name.replace(/[^\w.-]+/g, "_"), scale: 2 };
  // When all of the panel stands there: a chart is as wide as the grid then leaves it.
  queueMicrotask(() => Plotly.react(box, traces, dressed(layout, height), options));
}

function dressed(layout, height) {
  const line = {
    gridcolor: shade("--grid"),
    zerolinecolor: shade("--zero"),
    linecolor: shade("--grid"),
    automargin: true,
  };
  const font = { family: 'system-ui, -apple-system, "Segoe UI", sans-serif', size: 12, color: shade("--ink2") };
  const made = {
    font,
    height,
    autosize: true,
    showlegend: false,
    hovermode: "closest",
    margin: { l: 48, r: 12, t: 8, b: layout.xaxis?.title ? 42 : 26 },
  };
  made.paper_bgcolor = made.plot_bgcolor = "rgba(0,0,0,0)";
  made.hoverlabel = {
    bgcolor: shade("--surface"),
    bordercolor: shade("--zero"),
    font: { ...font, color: shade("--ink") },
    align: "left",
  };
  made.dragmode = touched || narrow() ? false : "zoom";
  made.modebar = { bgcolor: "rgba(0,0,0,0)", color: shade("--muted"), activecolor: shade("--ink") };
  Object.assign(made, layout);
  for (const axis of ["xaxis", "yaxis"]) {
    const { title, ...rest } = layout[axis] ?? {};
    made[axis] = {
      ...line,
      ...rest,
      title: { text: title ? said(title) : "", standoff: 8, font: { size: 12, color: shade("--ink2") } },
    };
  }
  return made;
}

/** A chart among others, its name above and a note below it. */
function facet(parent, title, name, about, traces, layout, height, note = "") {
  const figure = el("figure", {}, el("figcaption", {}, title));
  parent.append(figure);
  chart(figure, name, about, traces, layout, height);
  if (note) figure.append(el("p", { class: "note" }, note));
}

/** A grid of as many columns as there is room for. */
const grid = (kind = "") => el("div", { class: `facets ${kind}` });

/** Above a dozen lines a chart of curves is a thicket: the best few, unless all are asked for. */
const MANY_LINES = 12;
const FEW_LINES = 10;
function fewer(points, name, metric) {
  if (points.length <= MANY_LINES || state[name]) return points;
  return ranked(points, metric).slice(0, FEW_LINES);
}

const panels = []; // functions that draw a panel each
let round = 0;

/** Draws all panels, one after another with pauses, so that the page answers meanwhile; a later call overtakes. */
function drawAll(atOnce = false) {
  const mine = ++round;
  delete document.documentElement.dataset.drawn;
  const waiting = [...panels];
  const next = () => {
    if (mine !== round) return;
    do waiting.shift()?.();
    while (atOnce && waiting.length);
    if (waiting.length) setTimeout(next);
    else document.documentElement.dataset.drawn = String(mine);
  };
  if (atOnce) next();
  else setTimeout(next);
}
