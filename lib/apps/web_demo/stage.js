// The image with what is drawn on it: the tracker's boxes, or the boxes that a person draws.
//
// const stage = new Stage(canvas, {changed(box), accepted(), picked(place)})
// stage.show(image, {width, height}, {targets: [{target, box, search, score, lost}], colors})     in the video's pixels
// stage.edit(true); stage.box = [x, y, w, h]           the box being drawn; null: none
// stage.ink = "#ff961e"; stage.others = [{at, box, color}]    its color, and boxes drawn around other targets; with the
//                                                             color null, that of the only target
//
// Boxes are [x, y, w, h] in pixels of the video, whatever size the image has here.

const HANDLE = 11; // px on the screen within which a corner is caught
const BESIDES = 410; // px of the screen for the title and the plot
const LEAST = 3; // px on the screen that a drag must cover to be a box
const INK = { tracked: "#ff961e", lost: "#ff3c46", drawn: "#4ba6ff", search: "#ffffff", edge: "rgba(0, 0, 0, 0.75)" };
const CORNERS = [[0, 0], [1, 0], [0, 1], [1, 1]]; // right?, below?
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// Luma of ITU-R BT.601 of "#rrggbb", as in lib/visualize/draw.py.
function isDark(color) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return 0.299 * red + 0.587 * green + 0.114 * blue <= 140;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Stage {
  constructor(canvas, { changed, accepted, picked }) {
    Object.assign(this, { canvas, changed, accepted, picked, ink: null, marked: [], image: null, size: null, seen: null, drag: null });
    this.place = canvas.closest(".stage"); // the room that there is
    this.drawn = null;
    this.editing = false;
    this.pen = canvas.getContext("2d");
    new ResizeObserver(() => this.paint()).observe(this.place);
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    canvas.addEventListener("pointermove", (event) => this.pull(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.release(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  show(image, size, seen) {
    Object.assign(this, { image, size, seen });
    this.paint();
  }

  edit(editing) {
    this.editing = editing;
    this.place.toggleAttribute("data-edit", editing);
    if (!editing) this.box = null;
  }

  get box() { return this.drawn; }

  get others() { return this.marked; }

  set others(others) {
    this.marked = others;
    this.paint();
  }

  // The box, kept within the image.
  set box(box) {
    this.drawn = box && this.inside(box);
    this.changed(this.drawn);
    this.paint();
  }

  inside([x, y, w, h]) {
    const [left, top] = [clamp(x, 0, this.size.width - 1), clamp(y, 0, this.size.height - 1)];
    return [left, top, clamp(w, 1, this.size.width - left), clamp(h, 1, this.size.height - top)].map(Math.round);
  }

  // Pixels on the screen for a pixel of the video; as large as there is room for.
  get scale() { return this.canvas.clientWidth / this.size.width || 1; }

  fit() {
    const room = this.place.clientWidth;
    const high = Math.min(Math.max(window.innerHeight - BESIDES, 240), 720);
    const width = Math.min(room, high * this.size.width / this.size.height);
    const height = width * this.size.height / this.size.width;
    const dense = window.devicePixelRatio || 1;
    Object.assign(this.canvas.style, { width: `${width}px`, height: `${height}px` });
    const [across, down] = [Math.round(width * dense), Math.round(height * dense)];
    if (this.canvas.width !== across || this.canvas.height !== down) {
      Object.assign(this.canvas, { width: across, height: down });
    }
    this.pen.setTransform(dense, 0, 0, dense, 0, 0);
    return [width, height];
  }

  paint() {
    if (!this.size) return;
    const [width, height] = this.fit();
    this.pen.clearRect(0, 0, width, height);
    if (this.image) this.pen.drawImage(this.image, 0, 0, width, height);
    if (this.drawn) this.paintDrawn(width, height);
    else if (this.seen) this.paintSeen();
    for (const { at, box, color } of this.marked) {
      this.outline(box, color ?? INK.drawn, 2);
      if (color) this.tag(box, String(at + 1), color);
    }
  }

  outline(box, color, thick, dash = []) {
    const rect = box.map((value) => value * this.scale);
    for (const [ink, width] of [[INK.edge, thick + 2], [color, thick]]) {
      Object.assign(this.pen, { strokeStyle: ink, lineWidth: width, lineJoin: "round" });
      this.pen.setLineDash(dash);
      this.pen.strokeRect(...rect);
    }
    this.pen.setLineDash([]);
  }

  paintSeen() {
    const { targets, colors } = this.seen; // colors: null where there is one target
    for (const { search } of targets) if (search) this.outline(search, INK.search, 1, [4, 5]);
    for (const { target, box, score, lost } of targets) {
      const color = colors ? colors[target - 1] : lost ? INK.lost : INK.tracked;
      this.outline(box, color, 3, lost ? [9, 6] : []);
      this.tag(box, colors ? `${target}: ${score.toFixed(2)}` : score.toFixed(2), color);
    }
  }

  // Writes above a box, or below it where there is no room.
  tag(box, text, color) {
    this.pen.font = "650 13px system-ui, sans-serif";
    const wide = this.pen.measureText(text).width + 14;
    const [x, y] = [box[0] * this.scale - 1.5, box[1] * this.scale - 25];
    const left = clamp(x, 2, Math.max(2, this.canvas.clientWidth - wide - 2));
    const top = y < 2 ? clamp((box[1] + box[3]) * this.scale + 5, 2, this.canvas.clientHeight - 24) : y;
    Object.assign(this.pen, { fillStyle: color });
    this.pen.beginPath();
    this.pen.roundRect(left, top, wide, 20, 5);
    this.pen.fill();
    Object.assign(this.pen, { fillStyle: isDark(color) ? "#ffffff" : "#000000", textBaseline: "middle" });
    this.pen.fillText(text, left + 7, top + 11);
  }

  paintDrawn(width, height) {
    const [x, y, w, h] = this.drawn.map((value) => value * this.scale);
    this.pen.fillStyle = "rgba(0, 0, 0, 0.42)";
    this.pen.beginPath();
    this.pen.rect(0, 0, width, height);
    this.pen.rect(x, y, w, h);
    this.pen.fill("evenodd");
    const ink = this.ink ?? INK.drawn;
    this.outline(this.drawn, ink, 2);
    for (const [right, below] of CORNERS) {
      this.pen.beginPath();
      this.pen.arc(x + right * w, y + below * h, 5, 0, 2 * Math.PI);
      Object.assign(this.pen, { fillStyle: "#ffffff", strokeStyle: ink, lineWidth: 2 });
      this.pen.fill();
      this.pen.stroke();
    }
  }

  at(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return [clamp((event.clientX - left) / this.scale, 0, this.size.width),
      clamp((event.clientY - top) / this.scale, 0, this.size.height)];
  }

  // Whether a point is in a box, or near enough to a corner to catch it.
  holds(box, [x, y]) {
    if (!box) return false;
    const reach = HANDLE / this.scale;
    return x > box[0] - reach && x < box[0] + box[2] + reach && y > box[1] - reach && y < box[1] + box[3] + reach;
  }

  // What a drag from this point does: pull a corner, move the box, or draw a new one.
  grab(event) {
    if (!this.editing || !this.image || this.drag || event.button !== 0) return;
    const point = this.at(event);
    if (!this.holds(this.drawn, point)) {
      const other = this.marked.find(({ box }) => this.holds(box, point));
      if (other) this.picked(other.at); // from here on its box is the one that is drawn
    }
    this.canvas.setPointerCapture(event.pointerId);
    this.drag = { pointer: event.pointerId, anchor: point, before: this.drawn, moves: null };
    if (this.drawn) {
      const [x, y, w, h] = this.drawn;
      const reach = HANDLE / this.scale;
      const corner = CORNERS.find(([right, below]) => Math.hypot(x + right * w - point[0], y + below * h - point[1]) < reach);
      const within = point[0] > x && point[0] < x + w && point[1] > y && point[1] < y + h;
      if (corner) this.drag.anchor = [x + (1 - corner[0]) * w, y + (1 - corner[1]) * h];
      else if (within) this.drag.moves = [point[0] - x, point[1] - y];
    }
  }

  pull(event) {
    if (this.drag?.pointer !== event.pointerId) return;
    const [x, y] = this.at(event);
    const { anchor, moves, before } = this.drag;
    if (moves) {
      const [, , w, h] = before;
      this.box = [clamp(x - moves[0], 0, this.size.width - w), clamp(y - moves[1], 0, this.size.height - h), w, h];
    } else {
      this.box = [Math.min(x, anchor[0]), Math.min(y, anchor[1]), Math.abs(x - anchor[0]), Math.abs(y - anchor[1])];
    }
  }

  // A click, or a drag too short to be a box, changes nothing.
  release(event) {
    if (this.drag?.pointer !== event.pointerId) return;
    const { anchor, moves, before } = this.drag;
    const [x, y] = this.at(event);
    const short = Math.min(Math.abs(x - anchor[0]), Math.abs(y - anchor[1])) * this.scale < LEAST;
    this.drag = null;
    if (event.type === "pointercancel" || (short && !moves)) this.box = before;
  }

  key(event) {
    if (!this.editing || !this.image || event.altKey || event.ctrlKey || event.metaKey) return;
    const step = STEPS[event.key];
    if (event.key === "Enter" && this.drawn) this.accepted();
    else if (event.key === "Escape" && this.drawn) this.box = null;
    else if (step && !this.drawn) this.box = this.middle();
    else if (step) this.nudge(step, event.shiftKey);
    else return;
    event.preventDefault();
  }

  middle() {
    const { width, height } = this.size;
    const side = Math.min(width, height) / 3;
    return [(width - side) / 2, (height - side) / 2, side, side];
  }

  nudge([right, down], resize) {
    const unit = Math.max(1, Math.round(Math.min(this.size.width, this.size.height) / 120));
    const [x, y, w, h] = this.drawn;
    this.box = resize
      ? [x, y, Math.max(1, w + right * unit), Math.max(1, h + down * unit)]
      : [clamp(x + right * unit, 0, this.size.width - w), clamp(y + down * unit, 0, this.size.height - h), w, h];
  }
}
