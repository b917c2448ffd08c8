// What happens when. The page is in one of four steps: choose a video, draw a box, track, done.

import { Plot } from "./plot.js";
import { Stage } from "./stage.js";
import { forget, frames, send, track } from "./tracking.js";

const SETTINGS = JSON.parse(document.getElementById("settings").textContent);
const MIB = 2 ** 20;
const byId = (id) => document.getElementById(id);
const FIELDS = ["x", "y", "w", "h"].map((name) => byId(`box-${name}`));

let video = null; // {id, name, width, height, fps, frames, first, picture(frame)}
let sending = null;
let job = null;
let boxes = {}; // frame -> the box drawn there
let seen = []; // the events of the frames, in order
let shown = -1; // the place in `seen` of the picture on the stage
let timer = null; // of playing

const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

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
  const is = (...names) => names.includes(name);
  byId("choose").hidden = !is("choose");
  byId("work").hidden = is("choose");
  byId("stop").hidden = byId("progress").hidden = !is("track");
  byId("play").hidden = byId("result").hidden = !is("done");
  byId("plot").hidden = !is("track", "done");
  byId("track").hidden = byId("keys").hidden = byId("box-fields").hidden = !is("draw"); // "done": see boxChanged
  stage.edit(is("draw", "done"));
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
    video = { ...facts, name: file.name, picture: frames(facts.id) };
    if (!await prepare()) throw new Error("the first picture did not come; choose the video again");
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

// Shows the first picture for drawing; false where the server does not give it.
async function prepare() {
  const image = await video.picture(video.first);
  if (!image) return false;
  boxes = {};
  seen = [];
  byId("name").textContent = video.name;
  byId("facts").textContent = [`${video.width} × ${video.height}`,
    ...(video.frames === null ? [] : [counted(video.frames, "frame"), duration(video.frames / video.fps, 1)])].join(", ");
  step("draw");
  byId("track").textContent = "Track";
  byId("frame").hidden = byId("lost").hidden = true;
  hint("Draw a box around what is to be tracked.");
  stage.show(image, video, null);
  byId("picture").focus({ preventScroll: true });
  return true;
}

function leave() {
  job?.drop();
  job = null;
  pause();
  if (video) forget(video.id);
  video = null;
  stage.show(null, null, null);
  step("choose");
  complain("");
  byId("file").focus();
}

// --- a box is drawn ----------------------------------------------------------------------------------------------------

const place = () => (seen.length ? seen[shown].frame : video.first);

let typing = false; // the box comes from the fields: what is being typed stays as it is

const fill = (box) => FIELDS.forEach((field, i) => { field.value = box ? box[i] : ""; });

function boxChanged(box) {
  if (!typing) fill(box);
  byId("track").disabled = !box;
  if (box) pause();
  if (document.body.dataset.step === "done") {
    byId("track").hidden = byId("box-fields").hidden = byId("keys").hidden = !box;
    byId("result").hidden = Boolean(box); // it is of the boxes before
    byId("track").textContent = "Track again";
    hint(box ? `The box will hold from frame ${place()} on.` : DONE_HINT);
  }
}

const DONE_HINT = "Choose a frame on the plot. Where the box is wrong, draw a better one and track again.";

function fieldsChanged() {
  const values = FIELDS.map((field) => field.valueAsNumber);
  if (!values.every(Number.isFinite) || values[2] < 1 || values[3] < 1) return;
  typing = true;
  stage.box = values;
  typing = false;
}

// --- tracking ----------------------------------------------------------------------------------------------------------

function begin() {
  const box = stage.box;
  if (!box || !video || job) return;
  pause();
  complain("");
  boxes = { ...boxes, [place()]: box };
  seen = [];
  plot.begin(video.frames === null ? null : Math.min(video.frames - video.first, SETTINGS.most_frames));
  step("track");
  byId("bar").removeAttribute("value");
  byId("rate").textContent = "";
  hint("Starting …");
  byId("picture").focus({ preventScroll: true });
  job = track(video.id, boxes, (event) => {
    if (event.kind === "frame") frameCame(event);
    else if (event.kind === "waiting") {
      hint(`Others are being tracked: ${counted(event.ahead, "video")} must end before this one starts.`);
    } else if (event.kind === "done") finish(event);
    else if (event.kind === "error") fail(event);
  });
}

function frameCame(event) {
  if (!seen.length) hint("Tracking.");
  if (event.lost !== (seen.at(-1)?.lost ?? false)) {
    hint(event.lost ? `Probably lost since frame ${event.frame}; still looking around the last box.` : "Tracking.");
  }
  seen.push(event);
  plot.add(event, event.frame in boxes);
  view(seen.length - 1);
  const total = plot.total;
  if (total) byId("bar").value = seen.length / total;
  const rate = seen.length / Math.max(event.seconds, 1e-3);
  byId("rate").textContent = [`frame ${seen.length}${total ? ` of ${total}` : ""}`, `${rate.toFixed(rate < 10 ? 1 : 0)} a second`,
    ...(total ? [`${duration((total - seen.length) / rate)}\u00a0left`] : [])].join(" · ");
}

// Shows the picture and the box of a place in `seen`.
async function view(at) {
  const event = seen[at];
  const of = video;
  shown = at;
  const image = await video.picture(event.frame);
  if (!image || video !== of || !seen.includes(event)) return;
  stage.show(image, video, event);
  byId("lost").hidden = !event.lost;
  byId("frame").hidden = false;
  byId("frame").textContent = `frame ${event.frame}${event.readable ? "" : ", unreadable"}`;
}

function finish({ frames: count, seconds, limited }) {
  job = null;
  const lost = seen.filter((event) => event.lost).length;
  step("done");
  plot.open();
  byId("summary").textContent = [
    `${counted(count, "frame")} in ${duration(seconds, 1)}: ${(count / Math.max(seconds, 1e-3)).toFixed(0)} a second`,
    lost ? `probably lost in ${lost} of them` : "no loss seen in the score",
    ...(limited ? [`stopped at ${count} frames, the most here (--max_frames)`] : [])].join("; ");
  const stem = video.name.replace(/\.[^.]*$/, "") || "video";
  for (const [id, file] of [["film", "film.mp4"], ["boxes", "boxes.csv"], ["sheet", "sheet.png"]]) {
    Object.assign(byId(id), { href: `/videos/${video.id}/${file}`, download: `${stem}_${file}` });
  }
  hint(DONE_HINT);
  if ([document.body, byId("stop")].includes(document.activeElement)) byId("film").focus({ preventScroll: true });
}

// Back to the first picture, with the box that was drawn there; or further, where the server has no such video any more.
async function fail({ message, gone }) {
  const box = boxes[video.first];
  job = null;
  if (!gone && await prepare()) stage.box = box;
  else leave();
  complain(message);
}

// --- looking at what came out --------------------------------------------------------------------------------------------

function look(at) {
  if (stage.box) stage.box = null;
  plot.mark(at);
  view(at);
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

const stage = new Stage(byId("picture"), { changed: boxChanged, accepted: begin });
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
for (const field of FIELDS) {
  field.addEventListener("input", fieldsChanged);
  field.addEventListener("change", () => { if (stage.box) fill(stage.box); }); // as it was kept within the picture
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
  if (document.body.dataset.step === "choose") choose(event.dataTransfer.files[0]);
});
addEventListener("pagehide", () => { if (video) forget(video.id); });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // its video is gone
