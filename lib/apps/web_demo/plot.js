// The scores over time, as they come; later the handle by which a frame is chosen.
//
// const plot = new Plot(holder, {least, chosen(place), toggled()})
// plot.begin(total, colors, target)    total null: not known; colors: one for each target, [null]: the usual one
// plot.add({frame, targets: [{target, score, lost}]}, given)       given: numbers of targets with a box drawn there
// plot.select(place)                   the target whose losses are shown, as a place in colors
// plot.open()                          from here on a place can be chosen: by pointer, by arrow keys
// plot.mark(place)
//
// A place counts the frames of the track from 0; frame numbers are those of the video.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 40, right: 12, top: 12, bottom: 40 };
const HEIGHT = 190;

function drawing(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough || 1));
  const step = Math.max(1, [1, 2, 5, 10].map((k) => k * power).find((s) => s >= rough) || 1);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, k) => (first + k) * step);
}

export class Plot {
  constructor(holder, { least, chosen, toggled }) {
    Object.assign(this, { holder, least, chosen, toggled, points: [], given: [], colors: [null], target: 0, place: -1,
      choosing: false, due: false });
    this.svg = drawing("svg", { height: HEIGHT, "aria-label": "Score by frame" });
    holder.replaceChildren(this.svg);
    new ResizeObserver(() => this.later()).observe(holder);
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      this.point(event);
    });
    this.svg.addEventListener("pointermove", (event) => { if (event.buttons) this.point(event); });
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  begin(total, colors, target) {
    Object.assign(this, { total, colors, target, points: [], given: [], place: -1, choosing: false });
    for (const name of ["role", "tabindex", "aria-valuemin", "aria-valuemax", "aria-valuenow", "aria-valuetext"]) {
      this.svg.removeAttribute(name);
    }
    this.svg.setAttribute("role", "img");
    this.later();
  }

  add(point, given) {
    this.points.push(point);
    for (const target of given) this.given.push({ frame: point.frame, ...point.targets.find((one) => one.target === target) });
    this.place = this.points.length - 1;
    this.later();
  }

  select(target) {
    this.target = Math.min(target, this.colors.length - 1);
    this.later();
  }

  // What is known of a target (a place in colors), frame by frame.
  track(target) {
    return this.points.flatMap(({ frame, targets }) => targets.filter((one) => one.target === target + 1)
      .map((one) => ({ frame, ...one })));
  }

  open() {
    this.choosing = true;
    this.total = this.points.length;
    for (const [name, value] of Object.entries({ role: "slider", tabindex: 0, "aria-valuemin": this.points[0].frame,
      "aria-valuemax": this.points[this.points.length - 1].frame })) this.svg.setAttribute(name, value);
    this.mark(this.place);
  }

  mark(place) {
    this.place = place;
    const { frame, targets } = this.points[place];
    const words = targets.map(({ target, score, lost }) => [this.colors.length > 1 ? `target ${target} ` : "",
      `score ${score.toFixed(2)}`, lost ? ", probably lost" : ""].join(""));
    this.svg.setAttribute("aria-valuenow", frame);
    this.svg.setAttribute("aria-valuetext", [`frame ${frame}`, ...words].join(", "));
    this.later();
  }

  later() { // drawn at most once for each refresh of the screen
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.paint(); });
  }

  // Frames from left to right: all there will be, or room for as many again as there are.
  get span() {
    const first = this.points[0]?.frame ?? 0;
    const room = this.total ?? Math.max(100, 2 ** Math.ceil(Math.log2(this.points.length + 1)));
    return [first, first + Math.max(1, room - 1)];
  }

  paint() {
    const width = this.holder.clientWidth;
    if (!width) return;
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const [low, high] = this.span;
    const bottom = HEIGHT - MARGIN.bottom;
    const across = (frame) => MARGIN.left + (frame - low) / (high - low) * (width - MARGIN.left - MARGIN.right);
    const up = (score) => bottom - score * (bottom - MARGIN.top);
    this.svg.replaceChildren(...this.axes(width, bottom, across, up), ...this.spans(bottom, across),
      ...this.curve(across, up), ...this.cursor(bottom, across, up));
  }

  axes(width, bottom, across, up) {
    const [low, high] = this.span;
    const right = width - MARGIN.right;
    const nodes = [];
    for (const frame of ticks(low, high, width / 90)) {
      nodes.push(drawing("line", { class: "grid", x1: across(frame), x2: across(frame), y1: MARGIN.top, y2: bottom }),
        drawing("text", { x: across(frame), y: bottom + 16, "text-anchor": "middle" }, String(frame)));
    }
    for (const score of [0, 0.5, 1]) {
      nodes.push(drawing("line", { class: "grid", x1: MARGIN.left, x2: right, y1: up(score), y2: up(score) }),
        drawing("text", { x: MARGIN.left - 7, y: up(score) + 4, "text-anchor": "end" }, String(score)));
    }
    return [...nodes,
      drawing("line", { class: "threshold", x1: MARGIN.left, x2: right, y1: up(this.least), y2: up(this.least) }),
      drawing("text", { class: "threshold-name", x: right - 4, y: up(this.least) + 14, "text-anchor": "end" }, "lost below"),
      drawing("text", { x: (MARGIN.left + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, "frame"),
      drawing("text", { transform: `translate(10 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" },
        "score")];
  }

  // Where the selected target is probably lost.
  spans(bottom, across) {
    const spans = [];
    let last = null;
    for (const { frame, lost } of this.track(this.target)) {
      if (lost && last) last[1] = frame;
      else if (lost) spans.push(last = [frame, frame]);
      else last = null;
    }
    return spans.map(([from, to]) => drawing("rect", { class: "gap", x: across(from), y: MARGIN.top,
      width: Math.max(2, across(to) - across(from)), height: bottom - MARGIN.top }));
  }

  curve(across, up) {
    const place = ({ frame, score }) => `${across(frame).toFixed(1)} ${up(score).toFixed(1)}`;
    const lines = this.colors.flatMap((color, target) => {
      const points = this.track(target);
      return points.length > 1 ? [this.inColor(color, drawing("path", { class: "line", d: `M${points.map(place).join("L")}` }))]
        : [];
    });
    const given = this.given.map(({ frame, score, target }) => this.inColor(this.colors[target - 1], drawing("circle",
      { class: "given", r: 4, cx: across(frame), cy: up(score) }, drawing("title", {}, `box given at frame ${frame}`))));
    return [...lines, ...given];
  }

  cursor(bottom, across, up) {
    const point = this.points[this.place];
    if (!point) return [];
    const x = across(point.frame);
    const dots = point.targets.map(({ target, score, lost }) => this.inColor(this.colors[target - 1],
      drawing("circle", { class: lost ? "dot is-lost" : "dot", cx: x, cy: up(score) })));
    return [drawing("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: bottom }), ...dots];
  }

  // null: the color of a single target, which the style sheet gives.
  inColor(color, node) {
    if (color) {
      node.style.setProperty("--tracker-color", color);
      node.style.setProperty("--given", color);
    }
    return node;
  }

  choose(place) {
    this.mark(Math.min(Math.max(place, 0), this.points.length - 1));
    this.chosen(this.place);
  }

  point(event) {
    if (!this.choosing) return;
    const box = this.svg.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / (box.width - MARGIN.left - MARGIN.right);
    this.choose(Math.round(share * (this.points.length - 1)));
  }

  key(event) {
    if (!this.choosing || event.altKey || event.ctrlKey || event.metaKey) return;
    const leap = Math.max(1, Math.round(this.points.length / 10));
    const moves = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -leap, PageUp: leap,
      Home: -Infinity, End: Infinity };
    if (event.key === " ") this.toggled();
    else if (event.key in moves) this.choose(this.place + moves[event.key]);
    else return;
    event.preventDefault();
  }
}
