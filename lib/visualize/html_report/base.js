// What every part of the page uses: the data, building elements, and which trackers are switched off.

const DATA = JSON.parse(document.getElementById("data").textContent);
const TRACKERS = DATA.trackers;
const REAL = TRACKERS.filter((tracker) => !tracker.baseline);
const SVG = "http://www.w3.org/2000/svg";

// Sets attributes ("on…" with a function: a listener; null, undefined and false: left out) and adds children.
// Strings become text, never markup.
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const drawing = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const number = (value, digits = 1) => (value === null || Number.isNaN(value) ? "–" : value.toFixed(digits));

// A name with its middle left out where it is too long for a place.
function short(name, length = 30) {
  const half = Math.floor((length - 1) / 2);
  return name.length <= length ? name : `${name.slice(0, half)}…${name.slice(-half)}`;
}

function section(title, explanation, ...children) {
  const id = title.toLowerCase().replace(/[^a-z]+/g, "-");
  return element("section", { "aria-labelledby": id }, element("h2", { id }, title),
    ...(explanation ? [element("p", { class: "explanation" }, explanation)] : []), ...children);
}

// Trackers that the reader has switched off, the same ones in every chart.
const visibility = {
  hidden: new Set(),
  listeners: [],
  shows(tracker) { return !this.hidden.has(tracker); },
  toggle(tracker) {
    if (!this.hidden.delete(tracker)) this.hidden.add(tracker);
    this.listeners.forEach((listener) => listener());
  },
  onChange(listener) { this.listeners.push(listener); },
};

// A short piece of a tracker's line.
function swatch(tracker) {
  return drawing("svg", { class: `swatch ${tracker.style}`, width: 26, height: 10, "aria-hidden": "true" },
    drawing("line", { class: "line", x1: 1, x2: 25, y1: 5, y2: 5, "stroke-dasharray": tracker.dash }));
}

const FIGURES = { auc: "Success AUC", precision: "Precision", norm_precision: "Normalized precision" };

// A choice among the metrics that every video has; calls `onChange` with the key of the chosen one.
function metricChoice(onChange) {
  const options = Object.entries(FIGURES).map(([key, title]) => element("option", { value: key }, title));
  const select = element("select", { onchange: () => onChange(select.value) }, ...options);
  return element("label", { class: "control" }, "Figure ", select);
}
