// What is worked out in the page because it depends on what is shown.

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Standard error of a mean; null for one value. */
function errorOf(values) {
  if (values.length < 2) return null;
  const middle = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - middle) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

/** Curves of seeds, [[[epoch, value], ...], ...], as a line and a band; each epoch over the seeds that reached it. */
function banded(curves, band) {
  const at = new Map();
  for (const curve of curves) {
    for (const [epoch, value] of curve) {
      if (!known(value) || !known(epoch)) continue;
      if (!at.has(epoch)) at.set(epoch, []);
      at.get(epoch).push(value);
    }
  }
  return [...at.entries()]
    .sort((one, other) => one[0] - other[0])
    .map(([epoch, values]) => {
      const middle = mean(values);
      const half = errorOf(values) ?? 0;
      const ends = band === "range" ? [Math.min(...values), Math.max(...values)] : [middle - half, middle + half];
      return { epoch, mean: middle, low: ends[0], high: ends[1], n: values.length };
    });
}

/** The points that no other one beats in both metrics, from left to right. */
function frontOf(points, x, y) {
  const sign = (metric) => (isUp(metric) === false ? -1 : 1);
  const at = (point) => [sign(x) * meanOf(point, x), sign(y) * meanOf(point, y)];
  const there = points.filter((point) => known(meanOf(point, x)) && known(meanOf(point, y)));
  const rival = (one, other) => one.data === other.data; // scores on other data say nothing
  const beats = ([a, b], [c, d]) => a >= c && b >= d && (a > c || b > d);
  return there
    .filter((point) => !there.some((other) => rival(point, other) && beats(at(other), at(point))))
    .sort((one, other) => meanOf(one, x) - meanOf(other, x));
}

/** Least and most of what is known of some values, or null. */
function extent(values) {
  const found = values.filter(known);
  return found.length ? [Math.min(...found), Math.max(...found)] : null;
}
