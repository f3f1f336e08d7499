// Parallel coordinates of the settings, coloured by a metric. On a narrow screen an axis is a line across, and the
// points run down.

const MANY_AXES = 9;

function parallel() {
  const name = chosen("parallel", METRICS, FIRST[0]);
  const keys = keysFor(name);
  const used = keys.slice(0, MANY_AXES);
  const left =
    keys.length > used.length
      ? ` Not shown: ${keys
          .slice(MANY_AXES)
          .map((key) => key.key)
          .join(", ")}.`
      : "";
  const how =
    "A line a point, the stronger its colour the better. " +
    "Drag along an axis of numbers to keep a range, click a value to keep it.";
  const box = panel(
    "parallel",
    "Settings and score",
    how + left,
    chooser("parallel", "Colour by", metricOptions(), name),
  );
  if (!used.length) return void box.append(nothing("All points have the same settings."));
  const points = POINTS.filter((point) => passes(point) && !hidden.has(point.label) && known(meanOf(point, name)));
  if (!points.length) return void box.append(nothing("No point shown has this metric."));
  const axes = used.map((key) =>
    axisOf(
      key.key,
      key.kind,
      POINTS.map((point) => point.settings[key.key]),
      key.log,
    ),
  );
  axes.push({
    ...axisOf(
      name,
      "number",
      points.map((point) => meanOf(point, name)),
      false,
    ),
    metric: true,
  });
  box.append(coordinates(box.clientWidth || 600, axes, points, name), ramp(points, name));
}

/** Settings that differ, the important ones first where that is known. */
function keysFor(metric) {
  const rank = new Map((comparison.importance[metric] ?? []).map((each, i) => [each.key, i]));
  const differing = KEYS.filter((key) => valuesOf(key.key).length > 1);
  return differing.sort((one, other) => (rank.get(one.key) ?? 99) - (rank.get(other.key) ?? 99));
}

/** 0 for the worst of the points shown, 1 for the best. */
function goodness(points, name) {
  const [least, most] = extent(points.map((point) => meanOf(point, name)));
  return (point) => {
    const t = most > least ? (meanOf(point, name) - least) / (most - least) : 1;
    return isUp(name) === false ? 1 - t : t;
  };
}

const rampColour = (t) => `color-mix(in oklab, var(--ramp1) ${Math.round(100 * t)}%, var(--ramp0))`;

function coordinates(width, axes, points, name) {
  const down = width < 620;
  const height = down ? 40 + 78 * (axes.length - 1) + 50 : 360;
  // Texts of the first axis stand on its outer side, as far as there is room.
  const widest = Math.max(...axes[0].ticks.map(([, text]) => text.length));
  const edge = down ? { start: 26, end: 34 } : { start: Math.min(150, 14 + 7 * widest), end: 60 };
  const across = (i) => edge.start + (i * ((down ? height : width) - edge.start - edge.end)) / (axes.length - 1);
  const along = (t) => (down ? 24 + t * (width - 48) : height - 26 - t * (height - 84));
  const spot = (i, t) => (down ? [along(t), across(i)] : [across(i), along(t)]);
  const good = goodness(points, name);
  const kept = points.filter(inRanges);
  const order = [
    ...points.filter((point) => !kept.includes(point)),
    ...[...kept].sort((one, other) => good(one) - good(other)),
  ];
  const drawn = order.map((point) => {
    const on = kept.includes(point);
    const places = axes.map((axis, i) => [
      i,
      axis.at(axis.metric ? meanOf(point, name) : point.settings[axis.name], point.id),
    ]);
    const d = path(
      places.filter(([, t]) => t !== null).map(([i, t]) => spot(i, t)),
      down,
    );
    const title = svg("title", {}, `${point.label}: ${name} ${scoreSe(point.metrics[name])}`);
    return svg(
      "path",
      {
        d,
        class: on ? "line" : "line off",
        style: on ? `stroke:${rampColour(good(point))}` : null,
        "stroke-dasharray": on && points.length <= 24 ? STROKES[dashOf(point)] : null,
      },
      title,
    );
  });
  const about = `parallel coordinates of ${axes.map((axis) => axis.name).join(", ")}; best: ${order.at(-1).label}`;
  const made = {
    viewBox: `0 0 ${width} ${height}`,
    width,
    height,
    class: "parallel",
    role: "group",
    "aria-label": about,
  };
  return svg(
    "svg",
    made,
    svg("g", {}, drawn),
    axes.map((axis, i) => drawnAxis(axis, i, axes.length, across(i), along, down, width)),
  );
}

/** A line that comes to each axis at a right angle. */
function path(spots, down) {
  const half = (a, b) => (a + b) / 2;
  return spots
    .map(([x, y], i) => {
      if (!i) return `M${x.toFixed(1)} ${y.toFixed(1)}`;
      const [px, py] = spots[i - 1];
      const bend = down ? [px, half(py, y), x, half(py, y)] : [half(px, x), py, half(px, x), y];
      return `C${[...bend, x, y].map((each) => each.toFixed(1)).join(" ")}`;
    })
    .join("");
}

function drawnAxis(axis, i, count, across, along, down, width) {
  const [start, end] = [along(0), along(1)];
  const line = svg("path", { class: "axis", d: down ? `M${start} 0H${end}` : `M0 ${start}V${end}` });
  const side = i ? 1 : -1;
  const room = down ? (width - 48) / axis.ticks.length / 7 : i ? 16 : 20;
  const texts = axis.ticks.map(([t, text, value]) => {
    const anchor = down ? (t < 0.08 ? "start" : t > 0.92 ? "end" : "middle") : side > 0 ? "start" : "end";
    const given = { x: down ? along(t) : side * 8, y: down ? 17 : along(t) + 4, "text-anchor": anchor, class: "tick" };
    const made = svg("text", given, shortened(text, Math.max(4, Math.floor(room))));
    return axis.kind === "category" ? pickable(made, axis.name, value) : made;
  });
  const place = !i && !down ? "start" : i === count - 1 && !down ? "end" : "middle";
  const high = count > 6 && i % 2 ? 12 : 30; // many names do not fit beside each other
  const shift = down
    ? { x: 2, y: -9, "text-anchor": "start" }
    : { x: { start: -8, middle: 0, end: 54 }[place], y: high, "text-anchor": place };
  const title = svg(
    "text",
    { ...shift, class: "title" },
    shortened(axis.name, 30) + (axis.metric ? arrow(axis.name) : ""),
  );
  const range = axis.kind === "number" ? brush(axis, along, down ? "x" : "y", 14) : null;
  return svg("g", { transform: down ? `translate(0 ${across})` : `translate(${across} 0)` }, line, range, texts, title);
}

/** A value of a category that a click or Enter keeps or lets go. */
function pickable(text, key, value) {
  const on = Boolean(allowed[key]?.has(value));
  const flip = () => allow(key, value, !on);
  const given = {
    id: `pick-${key}-${value}`,
    role: "button",
    tabindex: "0",
    "aria-pressed": String(on),
    class: `tick pick${on ? " on" : ""}`,
  };
  for (const [name, to] of Object.entries(given)) text.setAttribute(name, to);
  text.addEventListener("click", flip);
  text.addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && (event.preventDefault(), flip()));
  return text;
}

/** What the colours stand for. */
function ramp(points, name) {
  const [least, most] = extent(points.map((point) => meanOf(point, name)));
  const [worst, best] = isUp(name) === false ? [most, least] : [least, most];
  return el("p", { class: "ramp note" }, `${name} ${score(worst)}`, el("i", { "aria-hidden": "true" }), score(best));
}
