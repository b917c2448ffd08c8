// What happens when. The page is in one of four steps: choose a video, draw boxes, track, done.

import { Plot } from "./plot.js";
import { Stage } from "./stage.js";
import { forget, frames, send, track } from "./tracking.js";

const SETTINGS = JSON.parse(document.getElementById("settings").textContent);
const MIB = 2 ** 20;
const byId = (id) => document.getElementById(id);
const FIELDS = ["x", "y", "w", "h"].map((name) => byId(`box-${name}`));

let video = null; // {id, name, width, height, fps, frames, first, image(frame)}
let sending = null;
let job = null;
let targets = [{}]; // of each target: frame -> the box that was drawn there
let current = 0; // the place in `targets` of the one that is being drawn
let drawn = {}; // place in `targets` -> a correction on the image that is shown, not tracked yet
let seen = []; // the events of the frames, in order
let shown = -1; // the place in `seen` of the image on the stage
let drawingAt = 0; // the frame on which boxes are drawn before tracking
let timer = null; // of playing

const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const colorOf = (place) => SETTINGS.colors[place % SETTINGS.colors.length];
const isStep = (...names) => names.includes(document.body.dataset.step);

function duration(seconds, digits = 0) {
  if (digits && seconds < 10) return `${seconds.toFixed(digits)}\u00a0s`;
  const whole = Math.max(0, Math.round(seconds));
  const parts = whole < 60 ? [whole, "s"] : [Math.floor(whole / 60), "min", whole % 60, "s"];
  return parts.join("\u00a0");
}

function complain(message) {
  byId("problem").textContent = message ? message[0].toUpperCase() + message.slice(1) + "." : "";
  byId("problem").hidden = !message;
}

function step(name) {
  document.body.dataset.step = name;
  byId("choose").hidden = !isStep("choose");
  byId("work").hidden = isStep("choose");
  byId("stop").hidden = byId("progress").hidden = !isStep("track");
  byId("play").hidden = byId("result").hidden = !isStep("done");
  byId("plot").hidden = !isStep("track", "done");
  byId("track").hidden = byId("keys").hidden = byId("box-fields").hidden = !isStep("draw"); // "done": see boxChanged
  byId("scrub").hidden = !isStep("draw") || !(video?.frames > 1);
  byId("targets").hidden = !isStep("draw", "done");
  stage.edit(isStep("draw", "done"));
  listTargets();
}

const hint = (text) => { byId("hint").textContent = text; };

// --- a video is chosen -------------------------------------------------------------------------------------------------

async function choose(file) {
  if (sending || !file) return;
  complain("");
  if (file.size > SETTINGS.most_bytes) {
    complain(`the file is too large: ${(file.size / MIB).toFixed(0)} MiB, ${SETTINGS.most_bytes / MIB} MiB are the most `
      + "here; make it smaller, or start the server with a higher --max_mb");
    return;
  }
  byId("choose").classList.add("busy");
  byId("upload").hidden = false;
  try {
    sending = send(file, (share) => {
      byId("upload-bar").value = share;
      byId("upload-text").textContent = share < 1 ? `${file.name}, ${Math.floor(100 * share)} %` : `opening ${file.name}`;
    });
    const facts = await sending.done;
    video = { ...facts, name: file.name, image: frames(facts.id) };
    if (!await prepare([{}], facts.first)) throw new Error("the first image did not come; choose the video again");
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
  } finally {
    sending = null;
    byId("choose").classList.remove("busy");
    byId("upload").hidden = true;
    byId("upload-bar").value = 0;
    byId("file").value = "";
  }
}

// Shows a frame for drawing, with the boxes of `boxes` on it; false where the server does not give it.
async function prepare(boxes, frame) {
  const image = await video.image(frame);
  if (!image) return false;
  [targets, current, drawn, seen, drawingAt] = [boxes, 0, {}, [], frame];
  byId("name").textContent = video.name;
  byId("facts").textContent = [`${video.width} × ${video.height}`,
    ...(video.frames === null ? [] : [counted(video.frames, "frame"), duration(video.frames / video.fps, 1)])].join(", ");
  stage.show(image, video, null);
  step("draw");
  byId("track").textContent = "Track";
  byId("frame").hidden = byId("lost").hidden = true;
  Object.assign(byId("scrub-frame"), { min: video.first, max: Math.max(0, (video.frames ?? 1) - 1), value: frame });
  byId("scrub-number").textContent = `frame ${frame}`;
  select(0);
  byId("image").focus({ preventScroll: true });
  return true;
}

// Before tracking: another frame to draw on.
async function scrub() {
  const frame = byId("scrub-frame").valueAsNumber;
  const of = video;
  byId("scrub-number").textContent = `frame ${frame}`;
  const image = await video.image(frame);
  if (video !== of || !isStep("draw") || byId("scrub-frame").valueAsNumber !== frame) return;
  if (!image) {
    hint(`Frame ${frame} cannot be read: choose another.`);
    return;
  }
  drawingAt = frame;
  stage.show(image, video, null);
  select(current);
}

function leave() {
  job?.drop();
  job = null;
  pause();
  if (video) forget(video.id);
  video = null;
  [targets, current, drawn] = [[{}], 0, {}];
  stage.show(null, null, null);
  step("choose");
  complain("");
  byId("file").focus();
}

// --- boxes are drawn ---------------------------------------------------------------------------------------------------

const place = () => (seen.length ? seen[shown].frame : drawingAt);
const boxHere = (at) => (isStep("draw") ? targets[at][drawingAt] : drawn[at]) ?? null;
const firstFrame = () => Math.min(...targets.flatMap((boxes) => Object.keys(boxes).map(Number)),
  ...(Object.keys(drawn).length ? [place()] : []));

let typing = false; // the box comes from the fields: what is being typed stays as it is
let loading = false; // the box comes from `targets`: it is no change

const fill = (box) => FIELDS.forEach((field, i) => { field.value = box ? box[i] : ""; });

// Makes a target the one that is drawn.
function select(at) {
  current = at;
  loading = true;
  stage.ink = targets.length > 1 ? colorOf(at) : null;
  stage.box = boxHere(at);
  loading = false;
  plot.select(at);
  refresh();
}

function boxChanged(box) {
  if (!typing) fill(box);
  if (!loading) {
    if (isStep("draw")) targets[current] = box ? { [drawingAt]: box } : {};
    else if (box) drawn[current] = box;
    else delete drawn[current];
  }
  if (box) pause();
  refresh();
}

// What depends on the boxes that are drawn.
function refresh() {
  stage.others = targets.map((_, at) => ({ at, box: boxHere(at), color: colorOf(at) }))
    .filter(({ at, box }) => at !== current && box);
  byId("track").disabled = !(targets.some((boxes) => Object.keys(boxes).length) || Object.keys(drawn).length);
  if (isStep("draw")) {
    hint(boxHere(current) ? READY_HINT : targets.length > 1 ? `Draw a box around target ${current + 1}.` : DRAW_HINT);
  }
  if (isStep("done")) {
    const changed = Object.keys(drawn).length > 0 || targets.some((boxes) => !Object.keys(boxes).length);
    byId("track").hidden = byId("box-fields").hidden = byId("keys").hidden = !changed;
    byId("track").disabled = !Object.keys(drawn).length;
    byId("result").hidden = changed; // it is of the boxes before
    byId("track").textContent = "Track again";
    hint(Object.keys(drawn).length ? `The box will hold from frame ${place()} on.`
      : changed ? `Draw a box around target ${current + 1}.` : DONE_HINT);
  }
  listTargets();
}

const DRAW_HINT = "Draw a box around what is to be tracked.";
const READY_HINT = "Track it, or add another target.";
const DONE_HINT = "Choose a frame on the plot. Where the box is wrong, draw a better one and track again.";

// The row of targets, and whether there is something before the first box.
function listTargets() {
  byId("target-list").replaceChildren(...targets.map((boxes, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "target";
    button.setAttribute("aria-pressed", String(at === current));
    const has = Object.keys(boxes).length || drawn[at];
    button.setAttribute("aria-label", `Target ${at + 1}${has ? "" : ", no box yet"}`);
    const mark = document.createElement("span");
    mark.className = has ? "mark" : "mark empty";
    mark.style.setProperty("--mark", colorOf(at));
    button.append(mark, String(at + 1));
    button.addEventListener("click", () => select(at));
    return button;
  }));
  byId("target-list").hidden = targets.length < 2;
  const lastIsDrawn = Object.keys(targets.at(-1)).length > 0 || targets.length - 1 in drawn;
  byId("add-target").disabled = targets.length >= SETTINGS.max_targets || !lastIsDrawn;
  byId("remove-target").hidden = !isStep("draw") || targets.length < 2;
  const first = firstFrame();
  byId("both-ways-row").hidden = !isStep("draw", "done") || !video || !Number.isFinite(first) || first <= video.first;
  byId("both-ways-text").textContent = `also track backwards from frame ${first}`;
}

function addTarget() {
  targets.push({});
  select(targets.length - 1);
  byId("image").focus({ preventScroll: true });
}

function removeTarget() {
  targets.splice(current, 1);
  select(Math.max(0, current - 1));
}

function fieldsChanged() {
  const values = FIELDS.map((field) => field.valueAsNumber);
  if (!values.every(Number.isFinite) || values[2] < 1 || values[3] < 1) return;
  typing = true;
  stage.box = values;
  typing = false;
}

// --- tracking ----------------------------------------------------------------------------------------------------------

function begin() {
  if (!video || job || byId("track").disabled) return;
  pause();
  complain("");
  const bothWays = !byId("both-ways-row").hidden && byId("both-ways").checked;
  for (const [at, box] of Object.entries(drawn)) targets[at] = { ...targets[at], [place()]: box };
  drawn = {};
  targets = targets.filter((boxes) => Object.keys(boxes).length);
  current = Math.min(current, targets.length - 1);
  const first = bothWays ? 0 : firstFrame();
  // The boxes that were drawn on this image stay on it until the first tracked one comes.
  const given = targets.map((boxes, at) => ({ at, box: boxes[place()], color: targets.length > 1 ? colorOf(at) : null }))
    .filter(({ box }) => box);
  seen = [];
  plot.begin(video.frames === null ? null : Math.min(video.frames - first, SETTINGS.most_frames),
    targets.length > 1 ? targets.map((_, at) => colorOf(at)) : [null], current);
  step("track");
  stage.show(stage.image, video, null);
  stage.others = given;
  byId("bar").removeAttribute("value");
  byId("rate").textContent = "";
  hint("Starting …");
  byId("image").focus({ preventScroll: true });
  job = track(video.id, targets, bothWays, (event) => {
    if (event.kind === "frame" && event.backward) backwardCame(event);
    else if (event.kind === "frame") frameCame(event);
    else if (event.kind === "waiting") {
      hint(`Others are being tracked: ${counted(event.ahead, "video")} must end before this one starts.`);
    } else if (event.kind === "done") finish(event);
    else if (event.kind === "error") fail(event);
  });
}

const lostTargets = (event) => event.targets.filter(({ lost }) => lost).map(({ target }) => target);

function lostText(numbers) {
  if (targets.length === 1) return "probably lost";
  return `target ${numbers.join(", ")} probably lost`;
}

// A frame before the first box; all frames come again, in order, when the first is reached.
function backwardCame(event) {
  hint(`Tracking backwards: frame ${event.frame}.`);
  showImage(event, () => !seen.length);
}

function frameCame(event) {
  const lost = lostTargets(event);
  const before = seen.length ? lostTargets(seen.at(-1)) : null;
  if (before === null || lost.join() !== before.join()) {
    const text = lostText(lost);
    hint(lost.length ? `${text[0].toUpperCase()}${text.slice(1)} since frame ${event.frame}; still looking around the last `
      + "box." : "Tracking.");
  }
  seen.push(event);
  plot.add(event, targets.flatMap((boxes, at) => (event.frame in boxes ? [at + 1] : [])));
  view(seen.length - 1);
  const total = plot.total;
  if (total) byId("bar").value = seen.length / total;
  const rate = seen.length / Math.max(event.seconds, 1e-3);
  byId("rate").textContent = [`frame ${seen.length}${total ? ` of ${total}` : ""}`, perSecond(rate),
    ...(total ? [`${duration((total - seen.length) / rate)}\u00a0left`] : [])].join(" · ");
}

// Shows the image and the boxes of a place in `seen`.
function view(at) {
  const event = seen[at];
  shown = at;
  return showImage(event, () => seen.includes(event));
}

async function showImage(event, isWanted) {
  const of = video;
  const image = await video.image(event.frame);
  if (!image || video !== of || !isWanted()) return;
  if (isStep("track")) stage.others = [];
  stage.show(image, video, { ...event, colors: targets.length > 1 ? targets.map((_, at) => colorOf(at)) : null });
  const lost = lostTargets(event);
  byId("lost").hidden = !lost.length;
  byId("lost").textContent = lostText(lost);
  byId("frame").hidden = false;
  byId("frame").textContent = `frame ${event.frame}${event.readable ? "" : ", unreadable"}`;
}

const perSecond = (rate) => `${rate.toFixed(rate < 9.5 ? 1 : 0)} a second`;

function lossSummary() {
  const counts = targets.map((_, at) => seen.filter((event) => lostTargets(event).includes(at + 1)).length);
  if (!counts.some(Boolean)) return "no loss seen in the score";
  if (targets.length === 1) return `probably lost in ${counts[0]} of them`;
  return counts.flatMap((count, at) => (count ? [`target ${at + 1} probably lost in ${count} of them`] : [])).join("; ");
}

function finish({ frames: count, seconds, limited }) {
  job = null;
  step("done");
  plot.open();
  byId("summary").textContent = [
    `${counted(count, "frame")} in ${duration(seconds, 1)}: ${perSecond(count / Math.max(seconds, 1e-3))}`,
    lossSummary(),
    ...(limited ? [`stopped at ${count} frames, the most here (--max_frames)`] : [])].join("; ");
  const stem = video.name.replace(/\.[^.]*$/, "") || "video";
  for (const [id, file] of [["result_video", "film.mp4"], ["boxes", "boxes.csv"], ["sheet", "sheet.png"]]) {
    Object.assign(byId(id), { href: `/videos/${video.id}/${file}`, download: `${stem}_${file}` });
  }
  select(current);
  if ([document.body, byId("stop")].includes(document.activeElement)) byId("result_video").focus({ preventScroll: true });
}

// Back to drawing, with the boxes as they were; or further, where the server has no such video any more.
async function fail({ message, gone }) {
  const boxes = targets;
  job = null;
  if (gone || !await prepare(boxes, firstFrame())) leave();
  complain(message);
}

// --- looking at the result -----------------------------------------------------------------------------------------------

function look(at) {
  drawn = {};
  plot.mark(at);
  view(at);
  if (stage.box || stage.others.length) select(current);
}

function pause() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "Play";
}

function toggle() {
  if (timer) { pause(); return; }
  byId("play").textContent = "Pause";
  if (shown >= seen.length - 1) look(0);
  timer = setInterval(() => {
    if (shown >= seen.length - 1) pause();
    else look(shown + 1);
  }, 1000 / video.fps);
}

const stage = new Stage(byId("image"), { changed: boxChanged, accepted: begin, picked: select });
const plot = new Plot(byId("plot"), { least: SETTINGS.lost_score, chosen: (at) => { pause(); look(at); }, toggled: toggle });

byId("about").textContent = `${SETTINGS.name} on ${SETTINGS.device}. The video stays on this computer.`;
byId("limits").textContent = `MP4, MOV, WebM, MKV, AVI … up to ${SETTINGS.most_bytes / MIB} MiB and `
  + `${counted(SETTINGS.most_frames, "frame")}`;
byId("file").addEventListener("change", () => choose(byId("file").files[0]));
byId("upload-cancel").addEventListener("click", () => sending?.cancel());
byId("other").addEventListener("click", leave);
byId("track").addEventListener("click", begin);
byId("stop").addEventListener("click", () => job?.stop());
byId("play").addEventListener("click", toggle);
byId("add-target").addEventListener("click", addTarget);
byId("remove-target").addEventListener("click", removeTarget);
byId("scrub-frame").addEventListener("input", scrub);
for (const field of FIELDS) {
  field.addEventListener("input", fieldsChanged);
  field.addEventListener("change", () => { if (stage.box) fill(stage.box); }); // as it was kept within the image
  field.addEventListener("keydown", (event) => { if (event.key === "Enter") begin(); });
}

let depth = 0; // of elements that a dragged file has entered
const over = (change) => { depth += change; document.body.classList.toggle("over", depth > 0); };
addEventListener("dragenter", () => over(1));
addEventListener("dragleave", () => over(-1));
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over(-depth);
  if (isStep("choose")) choose(event.dataTransfer.files[0]);
});
addEventListener("pagehide", () => { if (video) forget(video.id); });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // its video is gone
