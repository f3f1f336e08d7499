// The tiles: how much is compared, and what became of the runs.

const STATES = ["done", "running", "killed", "pending", "pruned", "failed"];

function overview() {
  const seeds = new Set(comparison.runs.map((run) => run.seed).filter((seed) => seed !== null && seed !== undefined));
  const tile = (value, what, extra) => el("div", { class: "tile" }, el("b", {}, value), el("span", {}, what), extra);
  const count = (n, one, many) => tile(grouped.format(n), n === 1 ? one : many);
  const states = [...new Set(comparison.runs.map((run) => run.state))].sort(
    (a, b) => STATES.indexOf(a) - STATES.indexOf(b),
  );
  const each = states.map((name) => [badge(name), ` ${comparison.runs.filter((run) => run.state === name).length}  `]);
  const runs = tile(
    grouped.format(comparison.runs.length),
    comparison.runs.length === 1 ? "run" : "runs",
    el("div", { class: "states" }, each),
  );
  byId("tiles").replaceChildren(
    runs,
    count(POINTS.length, "point (a configuration)", "points (configurations)"),
    count(seeds.size, "seed", "seeds"),
    count(ALL_TASKS.filter((task) => task !== "val").length, "task", "tasks"),
  );
}

/** A state in a word, with a colour that is not its only sign. */
const badge = (name) => el("span", { class: `state ${STATES.includes(name) ? name : "other"}` }, name);
