// The axes of the parallel coordinates: where a value lies, what is written beside it, how a range is drawn over it.

/** An axis: `at(value, id)` is in 0..1, `back(t)` is the value there, `ticks` are [t, text, value]. */
function axisOf(name, kind, values, log) {
  if (kind === "number" && values.some(known))
    return log && Math.min(...values.filter(known)) > 0 ? logAxis(name, values) : lineAxis(name, values);
  const there = [...new Set(values.map(plain))].sort(ascending);
  const middle = (value) => (there.indexOf(plain(value)) + 0.5) / there.length;
  // Lines that share a value lie beside each other, in an order that the number of the point gives.
  const spread = (id) => ((((id * 0.618) % 1) - 0.5) * 0.5) / there.length;
  return {
    name,
    kind: "category",
    at: (value, id) => middle(value) + spread(id),
    ticks: there.map((value) => [middle(value), value, value]),
  };
}

const FEW_TICKS = 5; // that few values are named each

function lineAxis(name, values) {
  const [least, most] = extent(values);
  const room = (most - least || Math.abs(most) || 1) * (most === least ? 0.5 : 0.04);
  const [low, high] = [least - room, most + room];
  const step = niceStep((most - least || room) / 4);
  const ticks = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step)
    ticks.push([(value - low) / (high - low), tickText(value, step)]);
  const at = (value) => (known(value) ? (value - low) / (high - low) : null);
  const there = [...new Set(values.filter(known))];
  if (there.length <= FEW_TICKS) ticks.splice(0, ticks.length, ...there.map((value) => [at(value), plain(value)]));
  return { name, kind: "number", at, back: (t) => low + t * (high - low), ticks };
}

function logAxis(name, values) {
  const { at, back, ...rest } = lineAxis(name, values.filter(known).map(Math.log10));
  const whole = [];
  for (let power = Math.ceil(back(0)); power <= back(1); power++)
    whole.push([at(power), String(Number(`1e${power}`)).replace("e-", "e−")]);
  const ends = [0.04, 0.96].map((t) => [t, String(Number((10 ** back(t)).toPrecision(2)))]);
  return {
    ...rest,
    at: (value) => (known(value) && value > 0 ? at(Math.log10(value)) : null),
    back: (t) => 10 ** back(t),
    ticks: whole.length > 1 ? whole : ends,
  };
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((each) => each * power >= rough) ?? 10);
}

const tickText = (value, step) =>
  minus(value.toFixed(Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9)))).replace(/^-0(\.0+)?$/, "0"));

/** A range over an axis by pointer and by keys; `place(t)` is the way in pixels, `along` the name of the coordinate. */
function brush(axis, place, along, width) {
  const flat = along === "x";
  const [start, end] = [place(0), place(1)];
  const from = Math.min(start, end);
  const rest = flat
    ? { x: from, width: Math.abs(end - start), y: -width, height: 2 * width }
    : { y: from, height: Math.abs(end - start), x: -width, width: 2 * width };
  const area = svg("rect", { ...rest, class: "brush" });
  const mark = svg("rect", { class: "brushed", ...(flat ? { y: -6, height: 12 } : { x: -6, width: 12 }) });
  const cover = (a, b) => {
    const [one, other] = [place(a), place(b)].sort((p, q) => p - q);
    mark.setAttribute(flat ? "x" : "y", one);
    mark.setAttribute(flat ? "width" : "height", Math.max(0, other - one));
  };
  const limits = ranges[axis.name];
  if (limits) cover(clamp(axis.at(limits[0]) ?? 0), clamp(axis.at(limits[1]) ?? 1));
  const at = (event) => {
    const own = area.getScreenCTM().inverse();
    const there = new DOMPoint(event.clientX, event.clientY).matrixTransform(own)[along];
    return clamp((there - start) / (end - start));
  };
  area.addEventListener("pointerdown", (event) => {
    const first = at(event);
    area.setPointerCapture(event.pointerId);
    const move = (next) => cover(first, at(next));
    area.addEventListener("pointermove", move);
    area.addEventListener(
      "pointerup",
      (last) => (area.removeEventListener("pointermove", move), limit(axis, first, at(last))),
      { once: true },
    );
    area.addEventListener("pointercancel", () => area.removeEventListener("pointermove", move), { once: true });
  });
  const keys = {
    id: `axis-${axis.name}`,
    tabindex: "0",
    role: "group",
    class: "keys",
    onkeydown: (event) => byKeys(event, axis),
  };
  keys["aria-label"] = `range of ${axis.name}: arrows move its lower end, with shift its upper end, Escape removes it`;
  return svg("g", keys, mark, area);
}

const clamp = (t) => Math.max(0, Math.min(1, t));

/** Keeps points between two places of an axis; a click without a way removes the range. */
function limit(axis, one, other) {
  if (Math.abs(one - other) < 0.015) delete ranges[axis.name];
  else ranges[axis.name] = [one, other].sort((a, b) => a - b).map((t) => Number(axis.back(t).toPrecision(6)));
  set();
}

function byKeys(event, axis) {
  const step = { ArrowUp: 0.05, ArrowRight: 0.05, ArrowDown: -0.05, ArrowLeft: -0.05 }[event.key];
  if (event.key === "Escape") limit(axis, 0, 0);
  else if (step) {
    const ends = (ranges[axis.name] ?? [axis.back(0), axis.back(1)]).map((value) => clamp(axis.at(value)));
    ends[event.shiftKey ? 1 : 0] = clamp(ends[event.shiftKey ? 1 : 0] + step);
    limit(axis, ...ends);
  } else return;
  event.preventDefault();
}
