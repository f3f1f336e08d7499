// Which settings a metric depends on: bars with their uncertainty.

function importance() {
  const names = Object.keys(comparison.importance).filter((name) => METRICS.includes(name));
  const name = chosen("importance", names);
  const bars = [...(comparison.importance[name] ?? [])].sort((one, other) => other.share - one.share);
  const how = bars.length && comparison.importance_method ? ` Found ${comparison.importance_method}.` : "";
  const what = "Share of the metric's variance among all points that a setting explains, with its standard error.";
  const text = `${what}${how} Filters do not change it.`;
  const box = panel(
    "importance",
    "Importance of settings",
    text,
    ...(names.length
      ? [
          chooser(
            "importance",
            "Metric",
            names.map((each) => [each, each]),
            name,
          ),
        ]
      : []),
  );
  if (!bars.length)
    return void box.append(
      nothing(`Nothing can be said${name ? ` for ${name}` : ""}: ${comparison.importance_method || "too few points"}.`),
    );
  const trace = {
    ...{ type: "bar", orientation: "h", hoverinfo: "text" },
    x: bars.map((bar) => bar.share),
    y: bars.map((_, i) => bars.length - i),
    width: 0.6,
    marker: { color: shade("--bar") },
    error_x: { type: "data", array: bars.map((bar) => bar.se ?? 0), color: shade("--ink2"), thickness: 1.5, width: 4 },
    hovertext: bars.map((bar) =>
      said(`${bar.key}: ${percent(bar.share)}${known(bar.se) ? ` ± ${percent(bar.se)}` : ""}`),
    ),
  };
  const most = Math.max(...bars.map((bar) => bar.share + (bar.se ?? 0)), 0.1);
  const layout = {
    xaxis: { tickformat: ".0%", range: [0, most * 1.05], nticks: 6 },
    yaxis: {
      tickvals: trace.y,
      ticktext: bars.map((bar) => said(shortened(bar.key, 30))),
      showgrid: false,
      zeroline: false,
    },
  };
  const about = `importance for ${name}: ${bars.map((bar) => `${bar.key} ${percent(bar.share)}`).join(", ")}`;
  chart(box, "importance", about, [trace], layout, 40 + 30 * bars.length);
}

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
