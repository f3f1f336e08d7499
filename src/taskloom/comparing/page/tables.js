// Tables that are sorted by a click on a column's head, and given away as CSV.

/**
 * A table. `columns`: {key, title, hint, value(row), cell(row), left, down}; `value` sorts, `cell` shows (where it is
 * missing, the value), `down` has large values first at the first click. `order`: "key" or "key-" at the beginning.
 * `foot`: rows of cells that stay at the end.
 */
function table(name, columns, rows, order, foot = []) {
  const asked = state[`${name}.sort`] ?? order;
  const falling = asked.endsWith("-");
  const by = columns.find((column) => column.key === (falling ? asked.slice(0, -1) : asked)) ?? columns[0];
  const head = columns.map((column) => {
    const mine = column === by;
    const next = mine ? !falling : Boolean(column.down);
    const button = el(
      "button",
      {
        type: "button",
        id: `sort-${name}-${column.key}`,
        title: column.hint,
        onclick: () => set({ [`${name}.sort`]: column.key + (next ? "-" : "") }),
      },
      column.title,
      el("span", { class: "turned", "aria-hidden": "true" }, mine ? (falling ? "▼" : "▲") : ""),
    );
    const sort = mine ? (falling ? "descending" : "ascending") : null;
    return el("th", { scope: "col", class: column.left ? "left" : null, "aria-sort": sort }, button);
  });
  const body = sorted(rows, by, falling).map((row) =>
    el(
      "tr",
      {},
      columns.map((column) => cellOf(column, column.cell ? column.cell(row) : column.value(row))),
    ),
  );
  const made = el("table", { id: `table-${name}` }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
  if (foot.length)
    made.append(
      el(
        "tfoot",
        {},
        foot.map((cells) =>
          el(
            "tr",
            {},
            cells.map((cell, i) => cellOf(columns[i], cell)),
          ),
        ),
      ),
    );
  return frame(made, name);
}

/** Rows by a column; those without a value are last either way. */
function sorted(rows, column, falling) {
  const missing = (value) => value === null || value === undefined || Number.isNaN(value);
  return [...rows].sort((one, other) => {
    const [a, b] = [column.value(one), column.value(other)];
    if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b));
    return falling ? ascending(b, a) : ascending(a, b);
  });
}

function cellOf(column, content) {
  const shown = content === null || content === undefined || content === "" || content.length === 0 ? MISSING : content;
  return el("td", { class: [column.left ? "left" : "", column.wrap ? "wrap" : ""].join(" ").trim() || null }, shown);
}

/** Wide tables scroll within a frame that the keyboard reaches. */
const frame = (content, name) =>
  el(
    "div",
    {
      class: "frame",
      tabindex: "0",
      role: "region",
      "aria-label": `${name}, a table that scrolls`,
      id: `frame-${name}`,
    },
    content,
  );

/** A button that gives rows away as a file. */
const download = (id, name, rows) =>
  el("button", { type: "button", class: "quiet", id, onclick: () => save(name, csv(rows())) }, "CSV");
