// The comparison as it was written into the page, and short ways to what is asked of it often.

const comparison = JSON.parse(byId("comparison").textContent);
for (const name of ["runs", "points", "floors", "keys", "notes"]) comparison[name] ??= [];
for (const name of ["metrics", "importance"]) comparison[name] ??= {};

const METRICS = Object.keys(comparison.metrics);
const MAIN = METRICS.filter((name) => comparison.metrics[name].main);
const FIRST = MAIN.length ? MAIN : METRICS;
const SHOWN = (comparison.shown ?? [...FIRST, "val/score"]).filter((name) => METRICS.includes(name));
const TESTED = SHOWN.some((name) => name !== "val/score") ? SHOWN.filter((name) => name !== "val/score") : SHOWN;
const POINTS = comparison.points;
const KEYS = comparison.keys.filter((key) => POINTS.some((point) => key.key in point.settings));
const runById = new Map(comparison.runs.map((run) => [run.id, run]));
const BASELINE = POINTS.some((point) => point.baseline) ? (comparison.baseline ?? "single_task") : null;
const ALL_TASKS = [...new Set(METRICS.map((name) => comparison.metrics[name].task))];

const COSTS = [
  ["seconds", "seconds of training"],
  ["rows_per_s", "rows a second"],
  ["parameters", "parameters"],
  ["peak_memory_mb", "peak memory (MiB)"],
].filter(([name]) => POINTS.some((point) => known(point.cost?.[name])));

/** What the whole configuration of a point has under a key: mostly one value, of all its runs. */
const valueOf = (point, key) => [...new Set(runsOf(point).map((run) => run.settings?.[key]))].map(plain).join(" / ");

const runsOf = (point) => point.runs.map((id) => runById.get(id)).filter(Boolean);
const meanOf = (point, metric) => point.metrics[metric]?.mean ?? null;
const isUp = (metric) => comparison.metrics[metric]?.higher_is_better;
const arrow = (metric) => ({ true: " ↑", false: " ↓" })[isUp(metric)] ?? "";
const metricOptions = () => METRICS.map((name) => [name, name + arrow(name)]);

/** Points from best to worst on a metric; those without it last. */
function ranked(points, metric) {
  const sign = isUp(metric) === false ? 1 : -1;
  const place = (point) => (known(meanOf(point, metric)) ? sign * meanOf(point, metric) : Infinity);
  return [...points].sort((one, other) => place(one) - place(other) || one.id - other.id);
}
