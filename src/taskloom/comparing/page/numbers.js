// Numbers as people read them.

const MISSING = "–";
const known = (value) => typeof value === "number" && Number.isFinite(value);
const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** A score: four places below ten, fewer above. */
function score(value) {
  if (!known(value)) return MISSING;
  if (value !== 0 && Math.abs(value) < 0.0005) return minus(value.toExponential(1));
  return Math.abs(value) >= 10000 ? minus(grouped.format(value)) : minus(value.toFixed(places(value)));
}

const places = (value) => [10, 100, 1000].filter((least) => Math.abs(value) < least).length + 1;

/** " ± 0.0012", with as many places as the mean has; nothing where there is no error. */
function spread(own) {
  if (!known(own?.se)) return "";
  const digits = Math.abs(own.mean) < 0.0005 ? 6 : places(own.mean);
  const least = 0.5 * 10 ** -digits;
  return own.se > 0 && own.se < least ? ` ± <${(2 * least).toFixed(digits)}` : ` ± ${own.se.toFixed(digits)}`;
}

/** A mean and its standard error, as far as there is one. */
const scoreSe = (own) => (own && known(own.mean) ? score(own.mean) + spread(own) : MISSING);

/** A gain in per cent, with its sign. */
const gain = (value, digits = 2) => (known(value) ? `${value > 0 ? "+" : ""}${minus(value.toFixed(digits))}` : MISSING);

const minus = (text) => text.replace(/^-/, "−").replace("e-", "e−");

/** A setting or a cost: short, but never two different ones alike. */
function plain(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) && Math.abs(value) >= 10000 ? grouped.format(value) : String(value);
}

/** A quantity of the cost panel in its own unit. */
function amount(value, what) {
  if (!known(value)) return MISSING;
  if (what === "seconds") {
    if (value >= 5400) return `${(value / 3600).toFixed(1)} h`;
    return value >= 120 ? `${(value / 60).toFixed(1)} min` : `${value.toFixed(value < 10 ? 1 : 0)} s`;
  }
  if (what === "peak_memory_mb")
    return value >= 10240 ? `${(value / 1024).toFixed(1)} GiB` : `${grouped.format(value)} MiB`;
  return grouped.format(value);
}

/** A long name for a small place. */
const shortened = (text, most = 34) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

/** A time as "21 Nov 20:15". */
function moment(text) {
  const when = new Date(text);
  if (!text || Number.isNaN(when.getTime())) return MISSING;
  const said = when.toISOString();
  return `${said.slice(0, 10)} ${said.slice(11, 16)}`;
}

/** Names in an order that takes numbers as numbers, missing ones last. */
function ascending(one, other) {
  if (one === other) return 0;
  if (one === null || one === undefined) return 1;
  if (other === null || other === undefined) return -1;
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}
