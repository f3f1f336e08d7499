// The bar that every panel obeys: text, settings, and the legend of points.

const FEW_VALUES = 12; // a number with more values is filtered on its axis of the parallel coordinates

function filters() {
  const search = el("input", {
    type: "search",
    id: "choose-q",
    placeholder: "Filter points",
    "aria-label": "Filter points by text",
    value: state.q ?? "",
  });
  search.addEventListener("input", () => set({ q: search.value }));
  const offered = KEYS.filter((key) => key.kind !== "number" || valuesOf(key.key).length <= FEW_VALUES).filter(
    (key) => valuesOf(key.key).length > 1,
  );
  const reset = el("button", { type: "button", class: "quiet", id: "reset", onclick: forget }, "Reset");
  const every = (label, labels) =>
    el("button", { type: "button", class: "quiet", onclick: () => ((hidden = new Set(labels())), set()) }, label);
  const ends = [every("All", () => []), every("None", () => POINTS.map((point) => point.label)), reset];
  byId("filters").replaceChildren(
    search,
    ...offered.map((key) => picker(key.key)),
    el("span", { id: "brushed" }),
    el("span", { id: "shown", role: "status" }),
    ...ends,
  );
  refreshFilters();
}

const valuesOf = (key) => [...new Set(POINTS.map((point) => point.settings[key]))].sort(ascending).map(plain);

/** Boxes to tick for the values of a setting; none ticked lets all through. */
function picker(key) {
  const boxes = valuesOf(key).map((value) => {
    const box = el("input", { type: "checkbox", "data-key": key, "data-value": value });
    box.addEventListener("change", () => allow(key, value, box.checked));
    return el("label", {}, box, el("span", {}, value));
  });
  const made = el(
    "details",
    { class: "pick", "data-pick": key },
    el("summary", {}, key, el("b", {})),
    el("div", { class: "drop" }, boxes),
  );
  made.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    made.open = false;
    made.querySelector("summary").focus();
  });
  return made;
}

function allow(key, value, on) {
  const values = (allowed[key] ??= new Set());
  if (on) values.add(value);
  else values.delete(value);
  if (!values.size) delete allowed[key];
  set();
}

function forget() {
  for (const kept of [allowed, ranges]) for (const name of Object.keys(kept)) delete kept[name];
  hidden.clear();
  set({ q: "" });
}

/** Shows what is chosen without making the controls anew, so that focus and open lists stay. */
function refreshFilters() {
  for (const box of document.querySelectorAll("#filters [data-key]"))
    box.checked = Boolean(allowed[box.dataset.key]?.has(box.dataset.value));
  for (const pick of document.querySelectorAll("#filters .pick")) {
    pick.querySelector("b").textContent = allowed[pick.dataset.pick] ? ` ${allowed[pick.dataset.pick].size}` : "";
  }
  const search = byId("choose-q");
  if (search.value !== (state.q ?? "")) search.value = state.q ?? "";
  const clear = (axis) => () => (delete ranges[axis], set());
  byId("brushed").replaceChildren(
    ...Object.entries(ranges).map(([axis, [least, most]]) =>
      el(
        "button",
        { type: "button", class: "chip", title: "remove this range", onclick: clear(axis) },
        `${axis} ${Number(least.toPrecision(3))} to ${Number(most.toPrecision(3))} ×`,
      ),
    ),
  );
  const shown = visible().length;
  byId("shown").textContent = `${shown} of ${POINTS.length} points`;
  byId("reset").disabled = shown === POINTS.length && !state.q;
}

/** A chip a point: a click hides or shows it, a double click shows it alone. */
function legend() {
  const focused = document.activeElement?.dataset?.point;
  const scrolled = byId("legend").scrollTop;
  const chips = POINTS.filter(passes).map((point) => {
    const on = !hidden.has(point.label);
    const given = {
      type: "button",
      class: "chip",
      "aria-pressed": String(on),
      "data-point": point.id,
      title: `${point.label}: click to ${on ? "hide" : "show"}, double-click for this one alone`,
    };
    const flip = () => (on ? hidden.add(point.label) : hidden.delete(point.label), set());
    const alone = () => (
      (hidden = new Set(POINTS.filter((other) => other !== point).map((other) => other.label))),
      set()
    );
    return el(
      "button",
      { ...given, onclick: flip, ondblclick: alone, onkeydown: (event) => event.key === "o" && alone() },
      swatch(point),
      el("span", { class: "label" }, point.label),
    );
  });
  byId("legend").replaceChildren(...chips);
  byId("legend").scrollTop = scrolled;
  if (focused !== undefined) document.querySelector(`#legend [data-point="${focused}"]`)?.focus();
}
