// In what the configurations differ: a row a setting, a column a point; what most points share is muted.

function differences() {
  const points = visible();
  const [telling, others] = keysThatDiffer();
  const text =
    "Muted: the value that most of the points shown have." +
    (others.length ? " The first rows tell the points apart, the others come with them." : "");
  const box = panel("differences", "Settings that differ", text);
  if (!telling.length && !others.length)
    return void box.append(
      nothing(POINTS.length > 1 ? "The points do not differ in any setting." : "There is one point alone."),
    );
  if (!points.length) return void box.append(nothing("No point passes the filters."));
  const head = points.map((point) =>
    el(
      "th",
      { scope: "col" },
      el("span", { class: "over" }, swatch(point), el("span", { class: "label" }, point.label)),
    ),
  );
  const rows = [...telling, ...others].map((key, i) => differing(key, points, i === telling.length && i > 0));
  const made = el(
    "table",
    { id: "table-differences" },
    el("thead", {}, el("tr", {}, el("th", { class: "left" }, "setting"), head)),
    el("tbody", {}, rows),
  );
  box.append(frame(made, "differences"));
}

function differing(key, points, parted) {
  const values = points.map((point) =>
    ((key in point.settings ? plain(point.settings[key]) : valueOf(point, key)) || "null").replaceAll("null", MISSING),
  );
  const usual = mostCommon(values);
  const cells = values.map((value) => el("td", { class: value === usual ? "same" : null }, value));
  return el(
    "tr",
    { class: parted ? "parted" : null },
    el("th", { scope: "row", class: "left" }, el("code", {}, key)),
    cells,
  );
}

/** Keys that tell points apart, and those that differ with them, such as the defaults of a model. */
function keysThatDiffer() {
  const telling = KEYS.map((key) => key.key).filter((key) => valuesOf(key).length > 1);
  const all = [...new Set(comparison.runs.flatMap((run) => Object.keys(run.settings ?? {})))];
  const rest = all.filter((key) => key !== "seed" && !telling.includes(key));
  return [telling, rest.filter((key) => new Set(POINTS.map((point) => valueOf(point, key))).size > 1)];
}

/** The value that more than half have; null where none has. */
function mostCommon(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].find(([, n]) => 2 * n > values.length)?.[0] ?? null;
}
