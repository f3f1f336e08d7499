// The same scores as dots with intervals, a chart a metric; under the table of scores.

const MANY_ROWS = 24;

function scorePlot() {
  if (!METRICS.length || !visible().length) return;
  const box = byId("scores").querySelector(".content");
  const names = METRICS.includes(state.dots) ? [state.dots] : TESTED;
  const options = [["", "the main ones"], ...metricOptions()];
  const all = visible();
  const controls = [chooser("dots", "Dots", options, state.dots ?? "")];
  if (all.length > MANY_ROWS) controls.push(ticker("dots.all", `all ${all.length} points`));
  const facets = grid("wide");
  const said = "Dots: the mean, with its standard error; small rings: single seeds. Dashed: floors.";
  box.append(
    el("div", { class: "head under" }, el("p", { class: "note" }, said), el("div", { class: "controls" }, controls)),
    facets,
  );
  for (const name of names) {
    const best = ranked(
      all.filter((point) => known(meanOf(point, name))),
      name,
    );
    const points = all.length > MANY_ROWS && !state["dots.all"] ? best.slice(0, MANY_ROWS) : best;
    dots(facets, name, points, best.length);
  }
}

const interval = (own) => (known(own.low) ? [`95 % interval ${score(own.low)} to ${score(own.high)}`] : []);

function dots(parent, name, points, among) {
  const letters = narrow() ? 18 : 32;
  const label = (point) => said(shortened(point.label, letters));
  const places = points.map((_, i) => points.length - i);
  const own = points.map((point) => point.metrics[name]);
  const seeds = points.flatMap((point, i) =>
    (own[i].values ?? []).filter(known).map((value) => [value, places[i], point]),
  );
  const rings = { symbol: "circle-open", size: 5, opacity: 0.55, color: seeds.map(([, , point]) => colourOf(point)) };
  const traces = [
    {
      type: "scatter",
      mode: "markers",
      x: seeds.map(([x]) => x),
      y: seeds.map(([, y]) => y),
      marker: rings,
      hoverinfo: "skip",
    },
    ...points.map((point, i) => ({
      ...{ type: "scatter", mode: "markers", x: [own[i].mean], y: [places[i]], hoverinfo: "text" },
      marker: { color: colourOf(point), symbol: symbolOf(point), size: 10 },
      error_x: { type: "data", array: [own[i].se ?? 0], color: colourOf(point), thickness: 2, width: 0 },
      hovertext: [[point.label, `${scoreSe(own[i])} (n = ${own[i].n})`, ...interval(own[i])].map(said).join("<br>")],
    })),
  ];
  const [least, most] = extent([
    ...seeds.map(([x]) => x),
    ...own.flatMap((each) => [each.mean - (each.se ?? 0), each.mean + (each.se ?? 0)]),
  ]) ?? [0, 1];
  const room = (most - least || Math.abs(most) || 1) * 0.08;
  const floors = comparison.floors
    .filter((floor) => known(floor.metrics[name]?.mean))
    .map((floor) => [floor.name, floor.metrics[name].mean]);
  // Floors that are further away would squeeze the rest.
  const near = floors
    .filter(([, at]) => at > least - 6 * room && at < most + 6 * room)
    .sort(([, a], [, b]) => a - b);
  const ends = extent([least, most, ...near.map(([, at]) => at)]);
  const far = floors.filter((floor) => !near.includes(floor)).map(([floor, at]) => `${floor} ${score(at)}`);
  // Names of floors that lie close to each other stand below each other.
  const lines = near.map(() => 0);
  near.forEach(([, at], i) => {
    if (i && at - near[i - 1][1] < 0.4 * (ends[1] - ends[0])) lines[i] = lines[i - 1] + 1;
  });
  const more = 0.65 * Math.max(0, ...lines);
  const layout = {
    xaxis: { range: [ends[0] - room, ends[1] + room], nticks: 5, tickangle: 0, zeroline: false },
    yaxis: {
      tickvals: places,
      ticktext: points.map(label),
      range: [0.3, points.length + (near.length ? 1 + more : 0.7)],
      showgrid: false,
      zeroline: false,
    },
    shapes: near.map(([, at]) => ({
      type: "line",
      x0: at,
      x1: at,
      y0: 0,
      y1: 1,
      yref: "paper",
      line: { color: shade("--muted"), width: 1.5, dash: "dash" },
    })),
    annotations: near.map(([floor, at], i) => ({
      x: at,
      y: 1,
      yshift: -14 * lines[i],
      yref: "paper",
      text: said(shortened(floor, 24)),
      showarrow: false,
      xanchor: at > (ends[0] + ends[1]) / 2 ? "right" : "left",
      yanchor: "top",
      font: { size: 11, color: shade("--muted") },
    })),
  };
  const notes = [
    among > points.length ? `the ${points.length} best of ${among}` : "",
    far.length ? `floors off the scale: ${far.join(", ")}` : "",
  ].filter(Boolean);
  facet(
    parent,
    name + arrow(name),
    `dots:${name}`,
    `${name} of ${points.length} points, best ${points[0]?.label}`,
    traces,
    layout,
    40 + 22 * (points.length + more),
    notes.join("; "),
  );
}
