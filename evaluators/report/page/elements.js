// Making elements, and controls that several parts of the page use. Knows no table and no motion.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(9).filter(child => child != null && child !== ""));
  return element;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

let made = 0;

// A labelled list to choose from. options: [value, text]. A list of one is not shown.
function choice(label, options, value, changed) {
  if (options.length < 2) return null;
  const id = `choice-${made++}`;
  const select = h("select", { id, "data-choice": label.toLowerCase(), onchange: () => changed(select.value) },
    options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return h("div", { class: "choice" }, h("label", { for: id }, label), select);
}

// A row of buttons of which one is pressed. options: [value, text].
function segments(label, options, value, changed) {
  return h("div", { class: "segments", role: "group", "aria-label": label, "data-choice": label.toLowerCase() },
    options.map(([key, text]) =>
      h("button", { type: "button", "data-value": key, "aria-pressed": String(key === value), onclick: () => changed(key) }, text)));
}

const distinct = values => [...new Set(values)];
