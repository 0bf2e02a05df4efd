// Motions side by side on one clock, each at its own rate: capsules on a floor, seen by one camera that turns for all of them.
// It is given `motions` (see nerm/page.py) and THREE (three.entry.js), and knows nothing of where motions come from.

"use strict";

const VIEW = { yaw: 0.6, pitch: 0.2, distance: 4.2, height: 0.9 };  // radians, metres
const NEAREST_M = 1.2, FARTHEST_M = 16, LOWEST = -0.05, HIGHEST = 1.5;
const FOLLOW_S = 0.4, GHOSTS = 8, GHOST_S = 0.12, GRID_M = 20, TILE_M = 0.5, LINGER_S = 0.4;
const SPEEDS = [0.1, 0.25, 0.5, 1, 2];
const STANDING = "#1f9d55";

const find = id => document.getElementById(id);
const controls = Object.fromEntries(["play", "back", "on", "time", "clock", "speed", "ghosts", "feet", "follow", "near", "far", "reset"].map(id => [id, find(id)]));
const state = { time: 0, playing: false, last: null, ...VIEW };
const seconds = Math.max(...motions.map(motion => (motion.frames - 1) / motion.fps));
const finest = Math.max(...motions.map(motion => motion.fps));

// Second differences in whole units, one coordinate after the other, deflated: [frames][joint][axis] in metres.
async function unpack({ packed, joints, unit, frames }) {
  const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const changes = new DataView(await new Response(stream).arrayBuffer()), series = 3 * joints, places = new Float32Array(frames * series);
  for (let k = 0; k < series; k++) {
    let step = 0, value = 0;
    for (let t = 0; t < frames; t++) {
      step = (step + changes.getInt16(2 * (k * frames + t), true)) << 16 >> 16;
      value = (value + step) << 16 >> 16;
      places[t * series + k] = value * unit;
    }
  }
  return places;
}

const element = (name, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
};
const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// ---- one motion ----

function pane(motion, places) {
  const frame = element("span", { className: "frame" }), steps = element("canvas", { className: "steps" });
  const header = element("header", {}, element("h2", { textContent: motion.title }), element("p", { textContent: motion.about }), element("p", {}, frame));
  const place = element("section", { className: "pane" }, header, steps);
  find("panes").append(place);

  const scene = new THREE.Scene(), sun = new THREE.DirectionalLight("#ffffff", 2.0);
  sun.castShadow = true;
  sun.shadow.mapSize.set(1024, 1024);
  Object.assign(sun.shadow.camera, { left: -2, right: 2, top: 2, bottom: -2, near: 0.5, far: 12 });
  sun.shadow.radius = 4;
  scene.add(new THREE.HemisphereLight("#ffffff", "#aab2bd", 1.7), sun, sun.target);
  const floor = new THREE.Mesh(new THREE.PlaneGeometry(2 * GRID_M, 2 * GRID_M), new THREE.ShadowMaterial({ opacity: 0.22, depthWrite: false }));
  floor.rotation.x = -Math.PI / 2;
  floor.receiveShadow = true;
  const grid = new THREE.Mesh(floor.geometry, new THREE.MeshBasicMaterial({ map: tiles(), transparent: true, depthWrite: false }));
  grid.rotation.x = -Math.PI / 2;
  scene.add(floor, grid);
  const body = figure(motion, new THREE.MeshLambertMaterial(), 1);
  body.meshes.forEach(mesh => { mesh.castShadow = true; });
  const ghosts = figure(motion, new THREE.MeshLambertMaterial({ transparent: true, opacity: 0.3 }), GHOSTS);
  const discs = motion.toes.map(() => new THREE.Mesh(new THREE.CircleGeometry(0.11, 32), new THREE.MeshBasicMaterial({ color: STANDING, transparent: true, opacity: 0.75 })));
  discs.forEach(disc => { disc.rotation.x = -Math.PI / 2; });
  scene.add(...body.meshes, ...ghosts.meshes, ...discs);
  return { motion, places, place, frame, steps, scene, sun, floor, grid, body, ghosts, discs };
}

// Squares of half a metre, as a picture: lines of the third dimension would be a pixel wide near and far.
function tiles() {
  const pixels = 128, canvas = element("canvas", { width: pixels, height: pixels }), c = canvas.getContext("2d");
  c.strokeStyle = "#fff";
  c.lineWidth = 2;
  c.strokeRect(0, 0, pixels, pixels);
  const texture = new THREE.CanvasTexture(canvas);
  texture.wrapS = texture.wrapT = THREE.RepeatWrapping;
  texture.repeat.setScalar(2 * GRID_M / TILE_M);
  texture.anisotropy = 8;
  return texture;
}

// Cylinders and balls of `copies` poses: cylinders are limbs, balls their ends and the head.
function figure(motion, material, copies) {
  const { limbs, head: [head, radius] } = motion, balls = 2 * limbs.length + (head >= 0 ? 1 : 0);
  const rods = new THREE.InstancedMesh(new THREE.CylinderGeometry(1, 1, 1, 18, 1, true), material, copies * limbs.length);
  const ends = new THREE.InstancedMesh(new THREE.SphereGeometry(1, 20, 14), material, copies * balls);
  const matrix = new THREE.Matrix4(), a = new THREE.Vector3(), b = new THREE.Vector3(), middle = new THREE.Vector3(), along = new THREE.Vector3();
  const turn = new THREE.Quaternion(), none = new THREE.Quaternion(), up = new THREE.Vector3(0, 1, 0), size = new THREE.Vector3(), ink = new THREE.Color(), pale = new THREE.Color("#e8ebef");
  for (let copy = 0; copy < copies; copy++) {
    limbs.forEach(([, , side], k) => {
      ink.set(motion.ink[side]).lerp(pale, 0.7 * copy / copies);  // the older, the paler
      rods.setColorAt(copy * limbs.length + k, ink);
      ends.setColorAt(copy * balls + 2 * k, ink);
      ends.setColorAt(copy * balls + 2 * k + 1, ink);
    });
    if (head >= 0) ends.setColorAt(copy * balls + balls - 1, ink.set(motion.ink.middle).lerp(pale, 0.7 * copy / copies));
  }
  rods.frustumCulled = ends.frustumCulled = false;
  const at = (places, frame, joint, out) => out.fromArray(places, 3 * (frame * motion.joints + joint));
  const ball = (index, where, r) => ends.setMatrixAt(index, matrix.compose(where, none, size.setScalar(r)));
  const pose = (places, frame, copy = 0, thin = 1) => {
    limbs.forEach(([parent, child, , r], k) => {
      at(places, frame, parent, a);
      at(places, frame, child, b);
      along.subVectors(b, a);
      const length = along.length();
      turn.setFromUnitVectors(up, length > 1e-6 ? along.divideScalar(length) : up);
      rods.setMatrixAt(copy * limbs.length + k, matrix.compose(middle.addVectors(a, b).multiplyScalar(0.5), turn, size.set(thin * r, length, thin * r)));
      ball(copy * balls + 2 * k, a, thin * r);
      ball(copy * balls + 2 * k + 1, b, thin * r);
    });
    if (head >= 0) ball(copy * balls + balls - 1, at(places, frame, head, a), thin * radius);
    rods.instanceMatrix.needsUpdate = ends.instanceMatrix.needsUpdate = true;
  };
  return { meshes: [rods, ends], pose };
}

// ---- drawing ----

let renderer, panes = [];

const frameAt = (motion, time) => Math.min(Math.max(Math.floor(time * motion.fps + 1e-6), 0), motion.frames - 1);

// Where the camera looks: the root's place on the floor, averaged around a frame; or where it began.
function target({ motion, places }, frame) {
  if (!controls.follow.checked) frame = 0;
  const reach = controls.follow.checked ? FOLLOW_S * motion.fps : 0, sum = [0, 0];
  for (let k = -6; k <= 6; k++) {
    const at = Math.min(Math.max(frame + Math.round(k * reach / 6), 0), motion.frames - 1) * motion.joints * 3;
    sum[0] += places[at] / 13;
    sum[1] += places[at + 2] / 13;
  }
  return sum;
}

function drawPane(shown, camera) {
  const { motion, places, scene, sun, body, ghosts, discs } = shown, frame = frameAt(motion, state.time), [x, z] = target(shown, frame);
  const yaw = motion.yaw + state.yaw, flat = state.distance * Math.cos(state.pitch), height = motion.floor + state.height;
  camera.position.set(x + flat * Math.sin(yaw), height + state.distance * Math.sin(state.pitch), z + flat * Math.cos(yaw));
  camera.lookAt(x, height, z);
  sun.position.set(x + 1.2, motion.floor + 5, z + 0.8);
  sun.target.position.set(x, motion.floor, z);
  shown.floor.position.set(x, motion.floor, z);
  shown.grid.position.set(Math.round(x / TILE_M) * TILE_M, motion.floor + 0.001, Math.round(z / TILE_M) * TILE_M);
  body.pose(places, frame);
  ghosts.meshes.forEach(mesh => { mesh.visible = controls.ghosts.checked; });
  if (controls.ghosts.checked) for (let k = 0; k < GHOSTS; k++) ghosts.pose(places, frameAt(motion, state.time - (k + 1) * GHOST_S), k, 0.9);
  discs.forEach((disc, foot) => {
    const at = 3 * (frame * motion.joints + motion.toes[foot]);
    disc.visible = controls.feet.checked && stands(motion, foot, frame / motion.fps);
    disc.position.set(places[at], motion.floor + 0.004, places[at + 2]);
  });
  shown.frame.textContent = `${motion.fps.toLocaleString("en", { maximumFractionDigits: 3 })} fps, frame ${frame} of ${motion.frames - 1}`;
  drawSteps(shown, frame);
  renderer.render(scene, camera);
}

const stands = (motion, foot, time) => motion.stands[foot].some(([start, end]) => start - 1e-3 <= time && time <= end + 1e-3);

// When the left and the right foot are on the floor, along the motion's own time.
function drawSteps({ motion, steps }, frame) {
  const c = steps.getContext("2d"), ratio = devicePixelRatio || 1, width = steps.clientWidth, height = steps.clientHeight;
  steps.hidden = !controls.feet.checked || !motion.stands.length;
  if (steps.hidden || !width) return;
  if (steps.width !== Math.round(width * ratio)) { steps.width = Math.round(width * ratio); steps.height = Math.round(height * ratio); }
  const length = Math.max((motion.frames - 1) / motion.fps, 1e-6), x = time => time / length * width;
  c.setTransform(ratio, 0, 0, ratio, 0, 0);
  c.clearRect(0, 0, width, height);
  motion.stands.forEach((spans, foot) => {
    c.fillStyle = colour("line");
    c.fillRect(0, 2 + 8 * foot, width, 5);
    c.fillStyle = motion.ink[foot ? "right" : "left"];
    for (const [start, end] of spans) c.fillRect(x(start), 2 + 8 * foot, Math.max(x(end) - x(start), 1), 5);
  });
  c.fillStyle = colour("ink");
  c.fillRect(Math.min(x(frame / motion.fps), width - 2), 0, 2, height);
}

function draw() {
  if (!renderer) return;
  const canvas = renderer.domElement, box = canvas.getBoundingClientRect(), dark = matchMedia("(prefers-color-scheme: dark)").matches;
  layOut(box.width, box.height);
  renderer.setPixelRatio(Math.min(devicePixelRatio || 1, 2));
  renderer.setSize(box.width, box.height, false);
  renderer.setClearColor(colour("ground"));
  renderer.setScissorTest(true);
  for (const shown of panes) {
    const at = shown.place.getBoundingClientRect(), bottom = box.bottom - at.bottom;
    renderer.setViewport(at.left - box.left, bottom, at.width, at.height);
    renderer.setScissor(at.left - box.left, bottom, at.width, at.height);
    shown.scene.fog = new THREE.Fog(colour("ground"), state.distance + 3, state.distance + 14);
    shown.grid.material.color.set(dark ? "#59636f" : "#aab3bd");
    const upright = at.width < 0.8 * at.height;  // a narrow pane has to show a whole person too
    drawPane(shown, new THREE.PerspectiveCamera(upright ? 42 : 34, at.width / at.height, 0.1, 60));
  }
  controls.time.value = state.time;
  controls.clock.textContent = `${state.time.toFixed(3)} s`;
}

// As many columns as make the panes largest for a person, who is taller than wide.
function layOut(width, height) {
  const count = panes.length, room = columns => Math.min(height / Math.ceil(count / columns), 1.8 * width / columns);
  const columns = panes.map((_, k) => k + 1).reduce((best, next) => room(next) >= room(best) ? next : best), rows = Math.ceil(count / columns);
  Object.assign(find("panes").style, { gridTemplateColumns: `repeat(${columns}, 1fr)`, gridTemplateRows: `repeat(${rows}, 1fr)` });
}

// ---- time ----

function tick(now) {
  if (!state.playing) return;
  if (state.last !== null) state.time += (now - state.last) / 1000 * controls.speed.value;
  state.last = now;
  if (state.time > seconds + LINGER_S * controls.speed.value) state.time = 0;
  draw();
  requestAnimationFrame(tick);
}
function play(playing) {
  if (playing && !state.playing) {
    if (state.time >= seconds - 1e-6) state.time = 0;
    state.last = null;
    requestAnimationFrame(tick);
  }
  state.playing = playing;
  state.time = Math.min(state.time, seconds);
  controls.play.textContent = playing ? "Pause" : "Play";
}
function go(time) {
  play(false);
  state.time = Math.min(Math.max(time, 0), seconds);
  draw();
}
const step = by => go((Math.round(Math.min(state.time, seconds) * finest) + by) / finest);
function faster(by) {
  const at = Math.min(Math.max(SPEEDS.indexOf(+controls.speed.value) + by, 0), SPEEDS.length - 1);
  controls.speed.value = SPEEDS[at];
}

// ---- the camera ----

function turn(x, y) {
  state.yaw -= 0.008 * x;
  state.pitch = Math.min(Math.max(state.pitch + 0.006 * y, LOWEST), HIGHEST);
  draw();
}
function zoom(factor) {
  state.distance = Math.min(Math.max(state.distance * factor, NEAREST_M), FARTHEST_M);
  draw();
}
const apart = ([p, q]) => Math.hypot(p.x - q.x, p.y - q.y);

function listen() {
  const canvas = find("scene"), fingers = new Map(), here = event => ({ x: event.clientX, y: event.clientY });
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, here(event)); });
  canvas.addEventListener("pointermove", event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const wide = fingers.size === 2 ? apart([...fingers.values()]) : 0;
    fingers.set(event.pointerId, here(event));
    if (fingers.size === 1) turn(event.clientX - before.x, event.clientY - before.y);
    else if (wide) zoom(wide / Math.max(apart([...fingers.values()]), 1));
  });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, event => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", event => { event.preventDefault(); zoom(Math.exp(0.001 * event.deltaY)); }, { passive: false });

  const clicks = {
    play: () => play(!state.playing), back: () => step(-1), on: () => step(1), near: () => zoom(0.85), far: () => zoom(1 / 0.85),
    reset: () => { Object.assign(state, VIEW); draw(); },
  };
  for (const [id, act] of Object.entries(clicks)) controls[id].addEventListener("click", act);
  controls.time.max = seconds;
  controls.time.addEventListener("input", () => go(+controls.time.value));
  for (const id of ["ghosts", "feet", "follow"]) controls[id].addEventListener("change", draw);
  const flip = id => () => { controls[id].checked = !controls[id].checked; draw(); };
  const keys = {
    " ": clicks.play, ArrowLeft: clicks.back, ArrowRight: clicks.on, Home: () => go(0), End: () => go(seconds), "+": clicks.near, "=": clicks.near,
    "-": clicks.far, "0": clicks.reset, "[": () => faster(-1), "]": () => faster(1), g: flip("ghosts"), c: flip("feet"), f: flip("follow"),
  };
  addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    const on = name => event.target.matches(name);  // a choice has keys of its own, and a button or a box its space
    if (on("select") || (event.key === " " && on("button:not(#play), [type=checkbox]"))) return;
    event.preventDefault();
    keys[event.key]();
  });
  new ResizeObserver(draw).observe(find("viewer"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  find("controls").addEventListener("submit", event => event.preventDefault());
}

async function start() {
  if (!("DecompressionStream" in window)) throw new Error("it has no DecompressionStream");
  renderer = new THREE.WebGLRenderer({ canvas: find("scene"), antialias: true, preserveDrawingBuffer: true });
  renderer.outputColorSpace = THREE.SRGBColorSpace;
  renderer.shadowMap.enabled = true;
  const all = await Promise.all(motions.map(unpack));
  panes = motions.map((motion, k) => pane(motion, all[k]));
  listen();
  draw();
  document.body.dataset.ready = "true";
}
start().catch(error => { find("failed").hidden = false; find("failed").textContent = `This browser cannot show the motions: ${error.message}.`; });
