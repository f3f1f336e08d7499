// Every run: what became of it, where it lies, why it failed.

const REPEATS = " Those of no point are repeats that do not count, or never got so far.";

function runs() {
  const states = [...new Set(comparison.runs.map((run) => run.state))].sort(
    (one, other) => STATES.indexOf(one) - STATES.indexOf(other),
  );
  const wanted = states.includes(state["runs.state"]) ? state["runs.state"] : "";
  const search = el("input", {
    type: "search",
    id: "choose-runs.q",
    placeholder: "Filter runs",
    "aria-label": "Filter runs by text",
    value: state["runs.q"] ?? "",
  });
  search.addEventListener("input", () => set({ "runs.q": search.value }));
  const controls = [search];
  if (states.length > 1)
    controls.push(chooser("runs.state", "State", [["", "any"], ...states.map((name) => [name, name])], wanted));
  controls.push(download("csv-runs", "runs.csv", () => runRows(runsShown(wanted))));
  const some = comparison.runs.some((run) => run.point === null);
  const shown = runsShown(wanted);
  const box = panel("runs", "Runs", `${shown.length} of ${comparison.runs.length}.${some ? REPEATS : ""}`, ...controls);
  box.append(shown.length ? table("runs", runColumns(shown), shown, "created") : nothing("No run passes the filters."));
}

const pointOf = (run) => POINTS.find((point) => point.id === run.point);

function runsShown(wanted) {
  const there = new Set(visible().map((point) => point.id));
  const words = (state["runs.q"] ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const text = (run) =>
    [
      run.name,
      run.folder,
      run.state,
      run.reason ?? "",
      pointOf(run)?.label ?? "",
      (run.tags ?? []).join(" "),
      `seed=${run.seed}`,
    ]
      .join(" ")
      .toLowerCase();
  return comparison.runs.filter(
    (run) =>
      (run.point === null || there.has(run.point)) &&
      (!wanted || run.state === wanted) &&
      words.every((word) => text(run).includes(word)),
  );
}

function runColumns(shown) {
  const some = (name) =>
    shown.some((run) =>
      Array.isArray(run[name]) ? run[name].length : run[name] !== null && run[name] !== undefined && run[name] !== "",
    );
  const text = (name, title, more = {}) => ({
    key: name,
    title,
    left: true,
    value: (run) => run[name] ?? null,
    ...more,
  });
  return [
    text("state", "state", { cell: (run) => badge(run.state) }),
    text("point", "point", {
      value: (run) => pointOf(run)?.label ?? null,
      cell: (run) => (pointOf(run) ? named(pointOf(run)) : MISSING),
      wrap: true,
    }),
    { key: "seed", title: "seed", value: (run) => run.seed ?? null },
    ...FIRST.map((name) => ({
      key: name,
      title: name + arrow(name),
      down: isUp(name) !== false,
      value: (run) => run.test?.[name] ?? (name === "val/score" ? run.val?.score : null) ?? null,
      cell: (run) => score(run.test?.[name] ?? (name === "val/score" ? run.val?.score : null)),
    })),
    {
      key: "seconds",
      title: "time",
      down: true,
      value: (run) => run.seconds ?? null,
      cell: (run) => amount(run.seconds, "seconds"),
    },
    text("created", "began (UTC)", { cell: (run) => moment(run.created) }),
    some("tags")
      ? text("tags", "tags", {
          value: (run) => (run.tags ?? []).join(" "),
          cell: (run) => (run.tags ?? []).map((tag) => el("span", { class: "mark" }, tag)),
        })
      : null,
    some("wandb") ? text("wandb", "W&B", { cell: (run) => link(run.wandb) }) : null,
    some("reason") ? text("reason", "reason", { wrap: true }) : null,
    text("folder", "folder", { cell: (run) => el("code", {}, run.folder ?? MISSING) }),
  ].filter(Boolean);
}

/** A link to an address of the web; anything else, such as javascript:, stays text. */
function link(address) {
  if (!address) return MISSING;
  return /^https?:\/\//i.test(address)
    ? el("a", { href: address, rel: "noopener noreferrer", target: "_blank" }, "open")
    : address;
}

function runRows(shown) {
  const keys = [...new Set(comparison.runs.flatMap((run) => Object.keys(run.settings ?? {})))].filter(
    (key) => key !== "seed",
  );
  const costs = ["rows_per_s", "seconds", "parameters", "peak_memory_mb"];
  const head = [
    "name",
    "state",
    "point",
    "seed",
    ...keys,
    ...METRICS,
    ...costs,
    "created",
    "tags",
    "wandb",
    "reason",
    "folder",
  ];
  const rows = shown.map((run) => [
    ...[run.name, run.state, pointOf(run)?.label, run.seed],
    ...keys.map((key) => run.settings?.[key]),
    ...METRICS.map((name) => run.test?.[name] ?? (name === "val/score" ? run.val?.score : null)),
    ...costs.map((name) => run[name]),
    ...[run.created, (run.tags ?? []).join(" "), run.wandb, run.reason, run.folder],
  ]);
  return [head, ...rows];
}
