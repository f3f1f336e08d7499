// Learning curves: a chart a task, a line a point, a band over its seeds.

/** Every curve there is as [part, task, metric]; the task is "" for what is over all of them. */
const LOGGED = [...new Set(comparison.runs.flatMap((run) => Object.keys(run.curves ?? {})))]
  .filter((name) => !name.startsWith("conflict/"))
  .map((name) => {
    const words = name.split("/");
    return { name, part: words[0], task: words.slice(1, -1).join("/"), metric: words.at(-1) };
  });

const PARTS = { val: "validation", train: "training", test: "test" };

/** Choices of the metric: [value, text, curves]. */
function curveChoices() {
  const made = [];
  const mains = LOGGED.filter(
    (each) => each.part === "val" && (MAIN.includes(`${each.task}/${each.metric}`) || each.name === "val/score"),
  );
  if (mains.length) made.push(["main", "validation: main metrics and score", mains]);
  for (const part of [...new Set(LOGGED.map((each) => each.part))].sort((one, other) => (one < other ? 1 : -1))) {
    const own = LOGGED.filter((each) => each.part === part);
    for (const metric of [...new Set(own.map((each) => each.metric))].sort()) {
      made.push([
        `${part}-${metric}`,
        `${PARTS[part] ?? part}: ${metric}`,
        own.filter((each) => each.metric === metric),
      ]);
    }
  }
  return made;
}

function curves() {
  const choices = curveChoices();
  const value = chosen(
    "curve",
    choices.map(([name]) => name),
  );
  const band = chosen("band", ["se", "range", "none"]);
  const points = visible().filter((point) => runsOf(point).some((run) => Object.keys(run.curves ?? {}).length));
  const shown = fewer(points, "curves.all", FIRST[0] ?? "val/score");
  const controls = [
    chooser("curve", "Curve", choices, value),
    chooser(
      "band",
      "Band",
      [
        ["se", "± standard error"],
        ["range", "least to most"],
        ["none", "none"],
      ],
      band,
    ),
  ];
  controls.push(ticker("curves.late", "second half only"));
  if (points.length > MANY_LINES) controls.push(ticker("curves.all", `all ${points.length} points`));
  const some =
    shown.length < points.length ? ` Of ${points.length} points, the ${shown.length} best on ${FIRST[0]}.` : "";
  const box = panel(
    "curves",
    "Learning curves",
    `The mean over seeds, at each epoch over those that reached it.${some}`,
    ...(choices.length ? controls : []),
  );
  if (!shown.length)
    return void box.append(
      nothing(choices.length ? "No point shown has logged curves." : "These runs logged no curves."),
    );
  const facets = grid();
  box.append(facets);
  const own = choices.find(([name]) => name === value)[2];
  const last = (each) => (each.task ? ALL_TASKS.indexOf(each.task) + 1 || 99 : 0);
  for (const each of [...own].sort((one, other) => last(one) - last(other))) {
    const title = `${each.task || "all tasks"} · ${each.metric}${arrow(`${each.task || "val"}/${each.metric}`)}`;
    facet(
      facets,
      title,
      `curve:${each.name}`,
      `${each.name} by epoch for ${shown.length} points`,
      lines(each.name, shown, band, Boolean(state["curves.late"])),
      { xaxis: { title: "epoch", ...wholeSteps(each.name) }, yaxis: { nticks: 6 } },
      260,
    );
  }
}

/** Ticks at whole epochs only. */
function wholeSteps(name) {
  const most = extent(comparison.runs.flatMap((run) => (run.curves?.[name] ?? []).map(([epoch]) => epoch)))?.[1] ?? 0;
  return most < 6 ? { dtick: 1 } : { nticks: 8 };
}

/** Two traces a point: its band and its line. */
function lines(name, points, band, late = false) {
  const bands = [];
  const means = [];
  for (const point of points) {
    const runs = runsOf(point)
      .map((run) => run.curves?.[name])
      .filter(Boolean);
    const all = banded(runs, band);
    const steps = late ? all.slice(Math.floor(all.length / 2)) : all; // where the differences are
    if (!steps.length) continue;
    const colour = colourOf(point);
    if (band !== "none" && runs.length > 1) {
      const around = [...steps, ...[...steps].reverse()];
      const y = around.map((step, i) => (i < steps.length ? step.high : step.low));
      bands.push({
        type: "scatter",
        mode: "lines",
        x: around.map((step) => step.epoch),
        y,
        fill: "toself",
        fillcolor: sheer(colour, 0.16),
        line: { width: 0 },
        hoverinfo: "skip",
      });
    }
    means.push({
      ...{
        type: "scatter",
        mode: steps.length > 1 ? "lines" : "markers",
        x: steps.map((step) => step.epoch),
        y: steps.map((step) => step.mean),
      },
      line: { color: colour, width: 2, dash: dashOf(point) },
      marker: { color: colour, symbol: symbolOf(point), size: 8 },
      hoverinfo: "text",
      hovertext: steps.map(
        (step) => `${said(point.label)}<br>epoch ${step.epoch}: ${score(step.mean)} (n = ${step.n})`,
      ),
    });
  }
  return [...bands, ...means];
}
