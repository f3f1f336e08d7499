// What quality costs: a metric against time, speed, size or memory.

const WIDE_RANGE = 20; // a cost that spans more than this factor is drawn on a log scale

function cost() {
  const y = chosen("cost.y", METRICS, FIRST[0]);
  const x = chosen(
    "cost.x",
    COSTS.map(([name]) => name),
  );
  const controls =
    COSTS.length && METRICS.length
      ? [chooser("cost.x", "Cost", COSTS, x), chooser("cost.y", "Metric", metricOptions(), y)]
      : [];
  const box = panel(
    "cost",
    "Cost against quality",
    "Means over seeds; the bar is the standard error of the metric.",
    ...controls,
  );
  if (!controls.length) return void box.append(nothing("No run has both a score and a cost."));
  const points = visible().filter((point) => known(meanOf(point, y)) && known(point.cost?.[x]));
  if (!points.length) return void box.append(nothing("No point shown has both."));
  const [least, most] = extent(points.map((point) => point.cost[x]));
  const log = least > 0 && most / least > WIDE_RANGE;
  const traces = points.map((point) => ({
    ...{
      type: "scatter",
      mode: "markers",
      x: [point.cost[x]],
      y: [meanOf(point, y)],
      hoverinfo: "text",
      cliponaxis: false,
    },
    marker: { color: colourOf(point), symbol: symbolOf(point), size: 11 },
    error_y: {
      type: "data",
      array: [point.metrics[y].se ?? 0],
      color: sheer(colourOf(point), 0.6),
      thickness: 1.5,
      width: 3,
    },
    hovertext: [
      [
        point.label,
        `${y} ${scoreSe(point.metrics[y])}`,
        `${COSTS.find(([name]) => name === x)[1]}: ${amount(point.cost[x], x)}`,
      ]
        .map(said)
        .join("<br>"),
    ],
  }));
  const title = COSTS.find(([name]) => name === x)[1];
  const layout = {
    xaxis: { title, type: log ? "log" : "linear", nticks: 8 },
    yaxis: { title: y + arrow(y), nticks: 7, zeroline: false },
  };
  chart(
    box,
    "cost",
    `${y} against ${title} for ${points.length} points`,
    traces,
    { ...layout, margin: { l: 56, r: 20, t: 12, b: 46 } },
    360,
  );
}
