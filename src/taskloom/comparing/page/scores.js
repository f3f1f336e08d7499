// Final scores: a row a point, the test metrics with their standard errors.

function scores() {
  const names = state.metrics === "all" ? METRICS : SHOWN;
  const more = METRICS.length > SHOWN.length;
  const which = more
    ? [
        chooser(
          "metrics",
          "Metrics",
          [
            ["", "the main ones"],
            ["all", "all"],
          ],
          state.metrics ?? "",
        ),
      ]
    : [];
  const cells = POINTS.flatMap((point) => Object.values(point.metrics));
  const said = [
    "Mean ± standard error over seeds on the test rows (val/score: at the best epoch). Bold: the best.",
    cells.some((own) => own.within_noise) ? " ≈: a t-test over seeds (paired where they are the same) does not tell it from the best." : "",
    cells.some(untold) ? " ?: too few seeds to tell." : "",
    BASELINE
      ? ` Small: the relative gain over ${BASELINE} in %, + is better; Δm is its mean over tasks.`
      : " No single-task run is among these, so there is no Δm.",
  ];
  const points = visible();
  const box = panel(
    "scores",
    "Final scores",
    said,
    which,
    download("csv-scores", "scores.csv", () => scoreRows(visible())),
  );
  if (!SHOWN.length) return void box.append(nothing("No run has a test score yet."));
  const columns = [
    { key: "point", title: "point", left: true, wrap: true, value: (point) => point.label, cell: named },
    {
      key: "seeds",
      title: "seeds",
      hint: "runs that are done, by seed",
      down: true,
      value: (point) => point.seeds,
      cell: seedsOf,
    },
    ...names.map((name) => ({
      key: name,
      title: name + arrow(name),
      hint: hintOf(name),
      down: isUp(name) !== false,
      value: (point) => meanOf(point, name),
      cell: (point) => scoreCell(point, name),
    })),
  ];
  if (POINTS.some((point) => point.delta_m)) {
    columns.push({
      key: "delta",
      title: "Δm %",
      hint: `mean over tasks of the relative gain over ${BASELINE}`,
      down: true,
      value: (point) => point.delta_m?.mean ?? null,
      cell: deltaCell,
    });
  }
  const first = SHOWN[0] + (isUp(SHOWN[0]) !== false ? "-" : "");
  const floors = comparison.floors.map((floor) => [
    [
      el("span", { class: "floor" }, comparison.data?.length > 1 ? `${floor.name} (${floor.data})` : floor.name),
      el("span", { class: "mark" }, "floor"),
    ],
    MISSING,
    ...names.map((name) => score(floor.metrics[name]?.mean)),
    ...(columns.at(-1).key === "delta" ? [MISSING] : []),
  ]);
  box.append(points.length ? table("scores", columns, points, first, floors) : nothing("No point passes the filters."));
}

/** Whether a score was held against the best one without an answer. */
const untold = (own) => Boolean(own.compared) && !known(own.p) && !own.best;

const hintOf = (name) =>
  ({ true: "higher is better", false: "lower is better" })[isUp(name)] ?? "neither high nor low is better";

const seedsOf = (point) => [
  String(point.seeds),
  point.failed ? el("span", { class: "mark bad" }, `${point.failed} failed`) : null,
];

function scoreCell(point, name) {
  const own = point.metrics[name];
  if (!own || !known(own.mean)) return MISSING;
  const near = untold(own)
    ? el("span", { class: "near", title: "too few seeds to tell it from the best" }, "? ")
    : own.within_noise
      ? el(
          "span",
          {
            class: "near",
            title: known(own.p) ? `within noise of the best, p = ${own.p.toPrecision(2)}` : "within noise of the best",
          },
          "≈ ",
        )
      : null;
  const relative = known(own.delta) ? el("small", {}, gain(own.delta), " %") : null;
  return [
    near,
    el(own.best ? "b" : "span", { class: "score" }, score(own.mean)),
    el("span", { class: "spread" }, spread(own)),
    relative,
  ];
}

function deltaCell(point) {
  if (!point.delta_m || !known(point.delta_m.mean)) return MISSING;
  const best = Math.max(...POINTS.map((other) => other.delta_m?.mean ?? -Infinity));
  const around = known(point.delta_m.se) ? ` ± ${point.delta_m.se.toFixed(2)}` : "";
  return [
    el(point.delta_m.mean === best ? "b" : "span", {}, gain(point.delta_m.mean)),
    el("span", { class: "spread" }, around),
  ];
}

/** The whole table of what is shown, every metric. */
function scoreRows(points) {
  const keys = KEYS.map((key) => key.key);
  const each = (name) => [name, `${name} se`, `${name} n`, `${name} gain %`];
  const head = ["point", ...keys, "seeds", "failed", ...METRICS.flatMap(each), "delta_m %", "delta_m se"];
  const rows = points.map((point) => [
    point.label,
    ...keys.map((key) => point.settings[key]),
    point.seeds,
    point.failed,
    ...METRICS.flatMap((name) => ["mean", "se", "n", "delta"].map((what) => point.metrics[name]?.[what])),
    point.delta_m?.mean,
    point.delta_m?.se,
  ]);
  return [head, ...rows];
}
