// Elements of the page. Text goes in as text nodes alone, so that no name can be markup.

/** An element: el("td", {class: "left", onclick: f}, "text", other). Null and false children are left out. */
function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [property, to] of Object.entries(value)) made.style.setProperty(property, to);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** The same in the namespace of SVG. */
function svg(tag, given = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);

/** A section's heading, a line about it, and its controls on the right; returns the box for its content. */
function panel(id, title, said, ...controls) {
  const box = el("div", { class: "content" });
  const head = el("div", { class: "head" }, el("h2", { id: `${id}-title` }, title));
  if (controls.length) head.append(el("div", { class: "controls" }, controls));
  const section = byId(id);
  const held = section.contains(document.activeElement) ? document.activeElement : null;
  section.setAttribute("aria-labelledby", `${id}-title`);
  section.replaceChildren(head, said ? el("p", { class: "note" }, said) : "", box);
  if (held?.id) queueMicrotask(() => refocus(held));
  return box;
}

/** Focus, and the place in a text, go over to what was made anew in the place of an element. */
function refocus(held) {
  const now = byId(held.id);
  now?.focus({ preventScroll: true });
  if (now?.type === "search") now.setSelectionRange(held.selectionStart, held.selectionEnd);
}

/** What a panel says where there is nothing to draw. */
const nothing = (said) => el("p", { class: "nothing" }, said);

/** A labelled chooser; `options` are [value, text]; what is chosen is kept in the state under `name`. */
function chooser(name, label, options, chosen) {
  const select = el("select", { id: `choose-${name}`, onchange: () => set({ [name]: select.value }) });
  for (const [value, text] of options) select.append(el("option", { value, selected: value === chosen }, text));
  return el("label", { class: "choose" }, el("span", {}, label), select);
}

/** A labelled box to tick, kept in the state under `name`. */
function ticker(name, label) {
  const box = el("input", { type: "checkbox", id: `choose-${name}`, checked: Boolean(state[name]) });
  box.addEventListener("change", () => set({ [name]: box.checked ? "1" : "" }));
  return el("label", { class: "choose tick" }, box, el("span", {}, label));
}

/** Offers a text as a file. */
function save(name, text, kind = "text/csv") {
  const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: `${kind};charset=utf-8` }));
  const link = el("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

/** Rows as CSV; a text that a spreadsheet would take for a formula gets a quote in front. */
function csv(rows) {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "string") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}
