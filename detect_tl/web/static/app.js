// The page: what a person does, and what is shown.

import { Classes } from "./classes.js";
import { drawAnswer } from "./draw.js";
import { Link } from "./link.js";
import { Grabber, closeVideo, isPicture, isVideo, openCamera, openVideo, still } from "./sources.js";

const at = (id) => document.getElementById(id);
const canvas = at("canvas");
const video = at("video");

let model = null;
let session = 0; // grows whenever something else is shown; what belongs to an older one ends
let again = null; // look once more at what stands still, after settings changed
let dirty = false; // settings changed while an answer was under way
let link = null;
const settings = { conf: null, classes: null, masks: true };

function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = !text;
}

function colourOf(found) {
  return model.classes[found.class_id].colour;
}

// --- what is drawn -------------------------------------------------------------------------------

function paint(shot, answer) {
  canvas.hidden = false;
  at("empty").hidden = true;
  at("sources").hidden = false;
  if (canvas.width !== shot.width || canvas.height !== shot.height) {
    Object.assign(canvas, { width: shot.width, height: shot.height });
  }
  canvas.getContext("2d").drawImage(shot, 0, 0);
  if (!answer) return;
  drawAnswer(canvas, answer, colourOf, shownWidth());
  tellFound(answer.detections);
}

// The width of the picture on the screen; the canvas may be wider than it.
function shownWidth() {
  return Math.min(canvas.clientWidth, (canvas.clientHeight * canvas.width) / canvas.height);
}

function tellFound(detections) {
  const counts = new Map();
  for (const { class_id: id } of detections) counts.set(id, (counts.get(id) ?? 0) + 1);
  const words = [...counts].sort().map(([id, count]) => [model.classes[id], count]);
  const text = words.map(([{ name }, count]) => `${count} ${name}`).join(", ") || "Nothing found";
  if (canvas.getAttribute("aria-label") === text) return;
  canvas.setAttribute("aria-label", text);
  at("found").hidden = false;
  at("found").replaceChildren(
    ...(words.length ? words.map(([one, count]) => chip(one, count)) : ["Nothing found."]),
  );
}

function chip({ name, colour }, count) {
  const dot = document.createElement("i");
  dot.style.background = colour;
  const word = Object.assign(document.createElement("b"), { textContent: `${count} ${name}` });
  const item = document.createElement("span");
  item.append(dot, word);
  return item;
}

class Speed {
  constructor() {
    this.frames = [];
  }

  // Count a frame taken at one time and drawn now; show the mean of the last second or so.
  drawn(taken) {
    const now = performance.now();
    this.frames.push([now, now - taken]);
    while (this.frames.length > 2 && now - this.frames[0][0] > 1000) this.frames.shift();
    const span = now - this.frames[0][0];
    const age = this.frames.reduce((sum, [, one]) => sum + one, 0) / this.frames.length;
    const rate = span ? ((this.frames.length - 1) * 1000) / span : 0;
    at("rate").textContent = rate ? rate.toFixed(rate < 10 ? 1 : 0) : "–";
    at("age").textContent = `${Math.round(age)} ms`;
  }
}

// --- what is looked at ---------------------------------------------------------------------------

function begin({ moving, player, stop }) {
  session += 1;
  again = null;
  closeVideo(video);
  notice("");
  at("found").replaceChildren();
  // Nobody wants to be told thirty times a second.
  at("found").setAttribute("aria-live", moving ? "off" : "polite");
  canvas.setAttribute("aria-label", "Nothing yet");
  at("speed").hidden = !moving;
  at("player").hidden = !player;
  at("stop").hidden = !stop;
  at("camera").hidden = stop;
  at("rate").textContent = at("age").textContent = "–";
  at("play").textContent = "Pause";
  const mine = session;
  return () => mine === session;
}

async function showStill(file) {
  const wanted = begin({ moving: false, player: false, stop: false });
  const { shot, picture } = await still(file, model.max_bytes);
  if (!wanted()) return;
  paint(shot, null);
  again = alone(async () => {
    const answer = await link.ask(picture, wanted);
    if (answer && wanted()) show(shot, answer);
  });
  await again();
}

async function showVideo(file) {
  const wanted = begin({ moving: true, player: true, stop: false });
  await openVideo(video, file);
  video.onerror = () => wanted() && end("The video ends here: its file is damaged or cut off.");
  if (wanted()) await watch(wanted);
}

async function showCamera() {
  const wanted = begin({ moving: true, player: false, stop: true });
  const track = await openCamera(video, wanted);
  if (!track || !wanted()) return;
  track.onended = () => {
    if (wanted()) end("The camera was switched off or unplugged.");
  };
  await watch(wanted);
}

// Take the newest frame, have it looked at, draw both together; then the next.
async function watch(wanted) {
  const grabber = new Grabber(video, Math.max(...model.imgsz));
  const speed = new Speed();
  const look = alone(async () => {
    const { shot, picture, taken } = await grabber.grab();
    const answer = await link.ask(picture, wanted);
    if (!answer || !wanted()) return;
    show(shot, answer);
    speed.drawn(taken);
  });
  again = look;
  while (wanted()) {
    await grabber.next(); // also before the first: what is there until then is black
    if (wanted()) await look();
  }
}

// The same action, which does nothing while it is under way already.
function alone(action) {
  let busy = false;
  return async () => {
    if (busy) return;
    busy = true;
    try {
      await action();
    } finally {
      busy = false;
      if (dirty) lookAgain();
    }
  };
}

// Whatever moves is looked at anyway.
function lookAgain() {
  const standing = video.srcObject === null && (video.paused || !video.src);
  dirty = standing && link.waiting !== null;
  if (again && standing && !dirty) attempt(again);
}

function show(shot, answer) {
  notice(answer.error ?? "");
  paint(shot, answer.error ? null : answer);
}

function end(text) {
  begin({ moving: false, player: false, stop: false });
  notice(text);
}

// One thing at a time is asked; what goes wrong is said.
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    end(error.message);
  }
}

function take(file) {
  if (!file) return;
  if (isVideo(file)) attempt(() => showVideo(file));
  else if (isPicture(file)) attempt(() => showStill(file));
  else notice("This is neither a picture nor a video.");
}

// --- settings ------------------------------------------------------------------------------------

function changed(values) {
  Object.assign(settings, values);
  link.configure({ ...settings });
  lookAgain();
}

function showConfidence() {
  const each = settings.conf === null && typeof model.conf === "object";
  at("conf-value").textContent = each ? "as in training" : `${at("conf").value} %`;
}

function dropped(event) {
  event.preventDefault();
  at("stage").classList.remove("over");
  take(event.dataTransfer.files[0]);
}

const actions = {
  choose: () => at("file").click(),
  camera: () => attempt(showCamera),
  stop: () => end(""),
  play: () => (video.paused ? video.play() : video.pause()),
  all: (classes) => classes.setAll(true),
  none: (classes) => classes.setAll(false),
};

function wire(classes) {
  document.addEventListener("click", (event) => {
    const name = event.target.closest("[data-do]")?.dataset.do;
    if (name) actions[name](classes);
  });
  at("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    at("stage").classList.add("over");
  });
  document.addEventListener("dragleave", () => at("stage").classList.remove("over"));
  document.addEventListener("drop", dropped);
  at("conf").addEventListener("input", () => {
    changed({ conf: Number(at("conf").value) / 100 });
    showConfidence();
  });
  at("masks").addEventListener("change", () => changed({ masks: at("masks").checked }));
  for (const name of ["play", "pause"]) {
    video.addEventListener(name, () => (at("play").textContent = video.paused ? "Play" : "Pause"));
  }
  video.addEventListener("timeupdate", () => {
    if (video.duration) at("seek").value = (1000 * video.currentTime) / video.duration;
  });
  at("seek").addEventListener("input", () => {
    video.currentTime = (at("seek").value / 1000) * video.duration;
  });
}

async function start() {
  history.replaceState(null, "", location.pathname); // the token is in a cookie by now
  link = new Link(notice);
  const answer = await fetch("/model");
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  model = told;
  document.title = `${model.name} – detect-tl`;
  at("model").textContent = model.name;
  at("task").textContent = model.task === "segment" ? "finds objects and their outlines" : "finds objects";
  at("masks-label").hidden = model.task !== "segment";
  if (typeof model.conf === "number") at("conf").value = Math.round(model.conf * 100);
  showConfidence();
  wire(new Classes(model.classes, (ids) => changed({ classes: ids })));
}

attempt(start);
