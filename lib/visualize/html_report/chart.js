// A line chart with one line a tracker that fits its place, reads out values under the pointer or the arrow keys, and
// leaves out trackers that are switched off.
//
// chart({label, x: {title, values, text(i)}, y: {title, max, text(v)}, series: [{tracker, values, least?}],
//        gaps: [[first, last]], ratio}) -> node
// All series share x.values; NaN leaves a hole. `least` is shaded below the line when few trackers are shown.
// `gaps` are ranges of x that are grayed.

const MARGIN = { left: 46, right: 12, top: 10, bottom: 42 };
const SHADED_UP_TO = 2;

function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough) || 1;
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => (first + k) * step);
}

// The path through the points that are there.
function path(values, atX, atY) {
  let pen = "M";
  return values.map((value, i) => {
    if (Number.isNaN(value)) { pen = "M"; return ""; }
    const piece = `${pen}${atX(i).toFixed(1)} ${atY(value).toFixed(1)}`;
    pen = "L";
    return piece;
  }).join("");
}

// The area between a series and its least values, in pieces without holes.
function bands(series, atX, atY) {
  const pieces = [];
  let piece = [];
  series.values.forEach((value, i) => {
    if (!Number.isNaN(value)) piece.push(i);
    if (piece.length && (Number.isNaN(value) || i === series.values.length - 1)) { pieces.push(piece); piece = []; }
  });
  return pieces.map((points) => {
    const point = (values) => (i) => `${atX(i).toFixed(1)} ${atY(values[i]).toFixed(1)}`;
    return `M${[...points.map(point(series.values)), ...points.reverse().map(point(series.least))].join("L")}Z`;
  }).join("");
}

function axes({ x, y, gaps = [] }, size, scaleX, scaleY) {
  const bottom = size.height - MARGIN.bottom;
  const group = drawing("g", { class: "axes" });
  gaps.forEach(([first, last]) => group.append(drawing("rect", { class: "gap", x: scaleX(first), y: MARGIN.top,
    width: Math.max(1, scaleX(last) - scaleX(first)), height: bottom - MARGIN.top })));
  const [low, high] = [x.values[0], x.values[x.values.length - 1]];
  for (const value of ticks(low, high, size.width / 80)) {
    group.append(drawing("line", { class: "grid", x1: scaleX(value), x2: scaleX(value), y1: MARGIN.top, y2: bottom }),
      drawing("text", { x: scaleX(value), y: bottom + 16, "text-anchor": "middle" }, String(+value.toFixed(6))));
  }
  for (const value of ticks(0, y.max, size.height / 60)) {
    group.append(drawing("line", { class: "grid", x1: MARGIN.left, x2: size.width - MARGIN.right,
      y1: scaleY(value), y2: scaleY(value) }),
    drawing("text", { x: MARGIN.left - 7, y: scaleY(value) + 4, "text-anchor": "end" }, String(+value.toFixed(6))));
  }
  group.append(
    drawing("text", { x: (MARGIN.left + size.width - MARGIN.right) / 2, y: size.height - 6, "text-anchor": "middle" },
      x.title),
    drawing("text", { transform: `translate(12 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
      y.title));
  return group;
}

function chart(plot) {
  const readout = element("div", { class: "readout", role: "status", hidden: "" });
  const holder = element("div", { class: "chart" });
  let size = null;
  let cursor = null;
  let marks = null;

  const xs = plot.x.values;
  const span = xs[xs.length - 1] - xs[0] || 1;
  const scaleX = (value) => MARGIN.left + (value - xs[0]) / span * (size.width - MARGIN.left - MARGIN.right);
  const scaleY = (value) => size.height - MARGIN.bottom - value / plot.y.max
    * (size.height - MARGIN.top - MARGIN.bottom);
  const atX = (i) => scaleX(xs[i]);
  const shown = () => plot.series.filter((series) => visibility.shows(series.tracker));

  function draw() {
    if (!size) return;
    const lines = shown();
    marks = drawing("g", { class: "marks" });
    const svg = drawing("svg", { width: size.width, height: size.height, role: "img", tabindex: 0,
      viewBox: `0 0 ${size.width} ${size.height}`, "aria-label": `${plot.label}; arrow keys read out values`,
      onpointermove: follow, onpointerdown: follow, onpointerleave: leave, onkeydown: step, onblur: leave },
    axes(plot, size, scaleX, scaleY),
    ...(lines.length <= SHADED_UP_TO ? lines.filter((series) => series.least) : []).map((series) =>
      drawing("path", { class: `band ${series.tracker.style}`, d: bands(series, atX, scaleY) })),
    ...lines.slice().reverse().map((series) => drawing("path", { class: `line ${series.tracker.style}`,
      "data-tracker": series.tracker.index, "stroke-dasharray": series.tracker.dash,
      d: path(series.values, atX, scaleY) })),
    marks);
    const focused = holder.contains(document.activeElement);
    holder.replaceChildren(svg, readout);
    if (focused) svg.focus();
    read();
  }

  function read() {
    readout.hidden = cursor === null;
    marks.replaceChildren();
    if (cursor === null) return;
    const values = shown().map((series) => [series.tracker, series.values[cursor], series.least?.[cursor]])
      .filter(([, value]) => !Number.isNaN(value)).sort((a, b) => b[1] - a[1]);
    const at = atX(cursor);
    marks.append(drawing("line", { class: "cursor", x1: at, x2: at, y1: MARGIN.top, y2: size.height - MARGIN.bottom }),
      ...values.map(([tracker, value]) => drawing("circle", { class: `dot ${tracker.style}`, cx: at,
        cy: scaleY(value), r: 3.5 })));
    readout.replaceChildren(element("strong", {}, plot.x.text(cursor)),
      ...(values.length ? values : [[null]]).map(([tracker, value, least]) => (tracker
        ? element("div", {}, swatch(tracker), element("span", { class: "name" }, short(tracker.name)),
          element("b", {}, plot.y.text(value, least)))
        : element("div", {}, plot.series.length ? "nothing to show here" : ""))));
    const left = at > size.width / 2 ? at - readout.offsetWidth - 12 : at + 12;
    readout.style.left = `${Math.max(0, Math.min(left, size.width - readout.offsetWidth))}px`;
  }

  function follow(event) {
    const wanted = xs[0] + (event.offsetX - MARGIN.left) / (size.width - MARGIN.left - MARGIN.right) * span;
    cursor = xs.reduce((best, x, i) => (Math.abs(x - wanted) < Math.abs(xs[best] - wanted) ? i : best), 0);
    read();
  }

  function leave() { cursor = null; read(); }

  function step(event) {
    const moves = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };
    if (event.key === "Escape") return leave();
    if (!(event.key in moves)) return undefined;
    event.preventDefault();
    cursor = Math.max(0, Math.min(xs.length - 1, (cursor ?? 0) + moves[event.key]));
    return read();
  }

  new ResizeObserver(([entry]) => {
    const width = Math.floor(entry.contentRect.width);
    if (width === size?.width) return;
    if (!width) { size = null; return; } // out of sight: drawn anew when it comes back
    size = { width, height: Math.round(Math.max(220, Math.min(420, width * plot.ratio))) };
    draw();
  }).observe(holder);
  visibility.onChange(() => { if (holder.isConnected) draw(); });
  return holder;
}
