// Do tasks pull a shared parameter in different ways: the cosine of their gradients, and how many pairs disagree.

const PAIRS = [...new Set(comparison.runs.flatMap((run) => Object.keys(run.curves ?? {})))]
  .filter((name) => name.startsWith("conflict/") && name.includes("~"))
  .sort();

function conflict() {
  const logged = comparison.runs.some((run) => run.curves?.["conflict/share"]);
  const choices = PAIRS.map((name) => [name, name.replace("conflict/", "").replace("~", " and ")]);
  const all = PAIRS.length > 1;
  const name = chosen("conflict", [...(all ? [""] : []), ...PAIRS]);
  const text =
    "The cosine of two tasks' gradients on the shared parameters: below zero they pull against each other. " +
    "A model that shares nothing has none.";
  const controls = all ? [chooser("conflict", "Pair", [["", "mean of all pairs"], ...choices], name)] : [];
  const measured = (point) =>
    runsOf(point).some((run) => Object.keys(run.curves ?? {}).some((each) => each.startsWith("conflict/")));
  const points = visible().filter(measured);
  if (points.length > MANY_LINES) controls.push(ticker("conflict.all", `all ${points.length} points`));
  const box = panel("conflict", "Gradient conflict", text, ...controls);
  if (!PAIRS.length && !logged) return void box.append(nothing("These runs did not log the gradients of their tasks."));
  if (!points.length) return void box.append(nothing("No point shown has logged the gradients of its tasks."));
  const facets = grid();
  box.append(facets);
  const few = fewer(points, "conflict.all", FIRST[0] ?? "val/score");
  const layout = { xaxis: { title: "epoch", ...wholeSteps(PAIRS[0] ?? "conflict/share") } };
  if (PAIRS.length) {
    const title = name
      ? `cosine, ${name.replace("conflict/", "").replace("~", " and ")}`
      : all
        ? "cosine, mean of all pairs"
        : `cosine, ${choices[0][1]}`;
    if (!name && all) joinPairs();
    facet(
      facets,
      title,
      "conflict:cosine",
      `${title} by epoch`,
      lines(name || (all ? "conflict/mean" : PAIRS[0]), few, "se"),
      layout,
      260,
    );
  }
  if (logged)
    facet(
      facets,
      "share of pairs below zero",
      "conflict:share",
      "share of negative pairs by epoch",
      lines("conflict/share", few, "se"),
      { ...layout, yaxis: { tickformat: ".0%", rangemode: "tozero" } },
      260,
    );
}

/** The mean over pairs of each run, made once, as a curve like the others. */
function joinPairs() {
  for (const run of comparison.runs) {
    const own = PAIRS.map((name) => run.curves?.[name]).filter(Boolean);
    if (own.length && !run.curves["conflict/mean"])
      run.curves["conflict/mean"] = banded(own, "se").map((step) => [step.epoch, step.mean]);
  }
}
