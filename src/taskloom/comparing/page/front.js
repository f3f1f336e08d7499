// The Pareto front between two metrics: which points no other one beats in both.

const MANY_LABELS = 8;

function front() {
  const x = chosen("front.x", METRICS, FIRST[0]);
  const y = chosen("front.y", METRICS, FIRST[1] ?? METRICS[1] ?? METRICS[0]);
  const options = metricOptions();
  const controls =
    METRICS.length > 1 ? [chooser("front.x", "Across", options, x), chooser("front.y", "Up", options, y)] : [];
  const points = visible().filter((point) => known(meanOf(point, x)) && known(meanOf(point, y)));
  const best = frontOf(points, x, y);
  const text = best.length
    ? `Filled: on the front, that is no other point is better in both. ${best.length} of ${points.length}.`
    : "";
  const box = panel("front", "Pareto front between tasks", text, ...controls);
  if (METRICS.length < 2) return void box.append(nothing("A front takes two metrics; these runs have fewer."));
  if (!points.length) return void box.append(nothing("No point shown has both metrics."));
  const name = (metric) =>
    ({ true: `${metric} (more is better)`, false: `${metric} (less is better)` })[isUp(metric)] ?? metric;
  const layout = {
    xaxis: { title: name(x), nticks: 8, zeroline: false },
    yaxis: { title: name(y), nticks: 7, zeroline: false },
  };
  const about = `${y} against ${x}; on the front: ${best.map((point) => point.label).join(", ")}`;
  if (best.length <= MANY_LABELS && !narrow()) layout.annotations = frontLabels(points, best, x, y);
  chart(
    box,
    "front",
    about,
    frontTraces(points, best, x, y),
    { ...layout, margin: { l: 56, r: 24, t: 16, b: 46 } },
    narrow() ? 360 : 420,
  );
}

/** Names beside the points of the front, on the side where there is room. */
function frontLabels(points, best, x, y) {
  const [left, right] = extent(points.map((point) => meanOf(point, x)));
  const height = [...best].sort((one, other) => meanOf(one, y) - meanOf(other, y));
  return best.map((point) => {
    const late = meanOf(point, x) > (left + right) / 2;
    const place = {
      x: meanOf(point, x),
      y: meanOf(point, y),
      xanchor: late ? "right" : "left",
      xshift: late ? -9 : 9,
      yshift: 2 * height.indexOf(point) < best.length - 1 ? -14 : 14,
    };
    return {
      ...place,
      text: said(shortened(point.label)),
      showarrow: false,
      font: { size: 12, color: shade("--ink") },
      bgcolor: sheer(shade("--surface"), 0.75),
      borderpad: 1,
    };
  });
}

function frontTraces(points, best, x, y) {
  const line = {
    type: "scatter",
    mode: "lines",
    line: { color: shade("--muted"), width: 1.5, dash: "dot" },
    hoverinfo: "skip",
  };
  const fronts = [...new Set(best.map((point) => point.data))].map((data) =>
    best.filter((point) => point.data === data),
  );
  return [
    ...fronts.map((own) => ({
      ...line,
      x: own.map((point) => meanOf(point, x)),
      y: own.map((point) => meanOf(point, y)),
    })),
    ...points.map((point) => {
      const on = best.includes(point);
      const colour = colourOf(point);
      const bar = (metric) => ({
        type: "data",
        array: [point.metrics[metric].se ?? 0],
        color: sheer(colour, 0.55),
        thickness: 1.5,
        width: 3,
      });
      return {
        ...{ type: "scatter", mode: "markers", x: [meanOf(point, x)], y: [meanOf(point, y)] },
        marker: {
          color: on ? colour : shade("--surface"),
          symbol: symbolOf(point),
          size: on ? 12 : 9,
          line: { color: colour, width: 2 },
        },
        ...{ error_x: bar(x), error_y: bar(y), cliponaxis: false },
        hoverinfo: "text",
        hovertext: [
          [point.label, `${x} ${scoreSe(point.metrics[x])}`, `${y} ${scoreSe(point.metrics[y])}`]
            .map(said)
            .join("<br>"),
        ],
      };
    }),
  ];
}
