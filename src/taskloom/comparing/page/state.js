// What the person has chosen, kept in the address behind the #, so that a link keeps the view.
// Every panel draws from this alone; `set` is the one way to change it.

// Without a prototype: any word may stand in the address.
const state = Object.create(null);
const changed = []; // what to do after a change, in order

/** Values of a repeated part of the address, such as f.model=a&f.model=b, as a set by name. */
const allowed = Object.create(null); // key of a setting -> set of its values as text
const ranges = Object.create(null); // axis of the parallel coordinates -> [least, most]
let hidden = new Set(); // labels of points

function readHash() {
  for (const kept of [state, allowed, ranges]) for (const name of Object.keys(kept)) delete kept[name];
  hidden = new Set();
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of given) {
    if (name.startsWith("f.")) (allowed[name.slice(2)] ??= new Set()).add(value);
    else if (name.startsWith("r.")) {
      const ends = value.split("~").map(Number);
      if (ends.length === 2 && ends.every(known)) ranges[name.slice(2)] = ends;
    } else if (name === "hide") hidden.add(value);
    else if (name !== "show") state[name] = value;
  }
  const shown = new Set(given.getAll("show"));
  if (shown.size) for (const point of POINTS) if (!shown.has(point.label)) hidden.add(point.label);
}

function writeHash() {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) if (value) parts.append(name, value);
  for (const [key, values] of Object.entries(allowed)) for (const value of values) parts.append(`f.${key}`, value);
  for (const [axis, ends] of Object.entries(ranges)) parts.append(`r.${axis}`, ends.join("~"));
  // Labels, not numbers: the page may be written again with further points. The shorter list of the two.
  const labels = POINTS.map((point) => point.label);
  const off = labels.filter((label) => hidden.has(label));
  const on = labels.filter((label) => !hidden.has(label));
  const named = on.length && on.length < off.length ? ["show", on] : ["hide", off];
  for (const label of named[1]) parts.append(named[0], label);
  const text = parts.toString();
  // A page in a frame without an address of its own (about:srcdoc) may not do this; it works without.
  try {
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

/** Change parts of the state, remember them in the address and draw again what depends on it. */
function set(parts = {}) {
  Object.assign(state, parts);
  writeHash();
  for (const each of changed) each(parts);
}

/** A choice that the address may name wrongly: then the first of what there is. */
const chosen = (name, options, otherwise = options[0]) => (options.includes(state[name]) ? state[name] : otherwise);

/** Whether the settings and the text that is looked for let a point be seen; the legend hides single ones. */
function passes(point) {
  for (const [key, values] of Object.entries(allowed))
    if (values.size && !values.has(plain(point.settings[key]))) return false;
  const words = (state.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return true;
  const text = [point.label, ...Object.entries(point.settings).map(([key, value]) => `${key}=${plain(value)}`)].join(
    " ",
  );
  return words.every((word) => text.toLowerCase().includes(word));
}

/** Points that every panel shows. */
const visible = () => POINTS.filter((point) => passes(point) && !hidden.has(point.label) && inRanges(point));

const inRanges = (point) =>
  Object.entries(ranges).every(([axis, [least, most]]) => {
    const value = axis in point.settings ? point.settings[axis] : meanOf(point, axis);
    return known(value) && value >= least && value <= most;
  });
