// Motions side by side on one clock: stick figures on a floor, turned by dragging. Knows the file of motions, and no table.

const EYE = { distance: 4.6, height: 0.92, focal: 1.75, pitch: 0.16, yaw: 0.6 };  // metres, picture heights, radians
const GRID_M = 0.5, REACH = 6, FOLLOW_S = 0.5, TRAIL_S = 0.7, HEAD_M = 0.09;
const TRACED = { none: [], hands: ["l_wrist", "r_wrist"], feet: ["l_foot", "r_foot"] };

// Second differences in whole units, one coordinate after the other, deflated: [frames][joint * 3 + axis] in metres.
async function decodeMotion(text, joints, unit) {
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const bytes = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const changes = new DataView(bytes), series = 3 * joints, frames = bytes.byteLength / 2 / series, motion = new Float32Array(frames * series);
  for (let k = 0; k < series; k++) {
    let step = 0, value = 0;
    for (let t = 0; t < frames; t++) {
      step = (step + changes.getInt16(2 * (k * frames + t), true)) << 16 >> 16;
      value = (value + step) << 16 >> 16;
      motion[t * series + k] = value * unit;
    }
  }
  return { frames, at: (t, joint, axis) => motion[t * series + 3 * joint + axis] };
}

function viewer(showcase, place) {
  if (!showcase) return place.append(h("p", {}, "No motions are stored. ", h("code", {}, "python -m evaluators.showcase"), " makes them."));
  if (!("DecompressionStream" in window)) return place.append(h("p", {}, "This browser cannot unpack the motions: it has no DecompressionStream."));
  const { rates, systems, sentences, fps } = showcase;
  const state = { sentence: 0, rate: rates.at(-1), speed: 1, trace: "hands", time: 0.9, playing: false, yaw: EYE.yaw, pitch: EYE.pitch, motions: [] };
  const recorded = systems.some(system => system.id === "real");
  const panes = systems.map(system => {
    const canvas = h("canvas", { role: "img", "aria-label": `Stick figure of ${system.title}` }), about = h("span", { class: "how" });
    canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); state.drag = [event.clientX, event.clientY]; });
    canvas.addEventListener("pointermove", drag);
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { state.drag = null; });
    return { system, canvas, about, element: h("figure", { class: `pane ${system.id === "real" ? "recorded" : ""}`, "data-system": system.id }, canvas, h("figcaption", {}, h("strong", {}, system.title), about)) };
  });

  const controls = h("div", { class: "controls" }), play = h("button", { type: "button", class: "play", onclick: () => toggle() });
  const scrubber = h("input", { type: "range", class: "scrubber", min: 0, value: 0, step: 1, "aria-label": "Time", oninput: () => { pause(); state.time = scrubber.value / state.rate; draw(); } });
  const turn = h("input", { type: "range", min: -180, max: 180, step: 1, id: "turn", oninput: () => { state.yaw = EYE.yaw + turn.value * Math.PI / 180; draw(); } });
  const clock = h("output", { class: "clock" });
  const step = (by, label, text) => h("button", { type: "button", "aria-label": label, onclick: () => { pause(); move(Math.round(state.time * state.rate) + by); } }, text);
  place.append(
    h("p", { class: "lede" }, `Each sentence belongs to the test split. Each system shows its first sample, seed ${showcase.seed}: none was chosen. Every dot of a trail is a frame: at 20 fps they are far apart, and what is brought up from 20 fps runs from one to the next in plain arcs.`),
    controls, h("div", { class: "panes" }, panes.map(pane => pane.element)),
    h("div", { class: "transport" }, play, step(-1, "One frame back", "◂"), step(1, "One frame on", "▸"), scrubber, clock),
    h("div", { class: "turn" }, h("label", { for: "turn" }, "Turn"), turn, h("span", {}, "or drag a figure")),
    h("p", { class: "fine" }, recorded ? showcase.acknowledgement : ["Recordings are corpus data and do not ship with this page. With a prepared corpus, ", h("code", {}, "python -m evaluators.showcase out=DIR recordings=multirate"), " and ", h("code", {}, "python -m evaluators.run page out=DIR"), " make a page of your own that plays them beside these."]),
  );

  function drawControls() {
    const focused = document.activeElement && controls.contains(document.activeElement) ? document.activeElement.closest("[data-choice]").dataset.choice : null;
    const set = (key, value) => { state[key] = value; drawControls(); };
    controls.replaceChildren(...[
      choice("Sentence", sentences.map((text, i) => [String(i), text]), String(state.sentence), i => { set("sentence", +i); load(); }),
      segments("Frames per second", rates.map(rate => [rate, `${rate} fps`]), state.rate, rate => { set("rate", rate); draw(); }),
      segments("Speed", [[1, "1×"], [0.5, "½×"], [0.25, "¼×"], [0.125, "⅛×"]], state.speed, speed => set("speed", speed)),
      segments("Trail", Object.keys(TRACED).map(key => [key, key === "none" ? "No trail" : key[0].toUpperCase() + key.slice(1)]), state.trace, trace => { set("trace", trace); draw(); }),
    ].filter(Boolean));
    if (focused) (controls.querySelector(`select[data-choice="${focused}"], [data-choice="${focused}"] [aria-pressed=true]`) || controls).focus();
  }

  async function load() {
    const wanted = state.sentence;
    const motions = await Promise.all(systems.map(system => system.motions[wanted] && decodeMotion(system.motions[wanted], showcase.joints.length, showcase.unit_m)));
    if (wanted !== state.sentence) return;
    state.motions = motions;
    draw();
  }

  const seconds = () => Math.max(...state.motions.map(motion => motion ? (motion.frames - 1) / fps : 0), 0);
  const move = frame => { state.time = Math.min(Math.max(frame, 0), Math.floor(seconds() * state.rate + 1e-6)) / state.rate; draw(); };
  function pause() { state.playing = false; play.textContent = "Play"; }
  function toggle() {
    if (state.playing) return pause();
    if (state.time >= seconds() - 1e-6) state.time = 0;
    state.playing = true; state.last = null; play.textContent = "Pause";
    requestAnimationFrame(tick);
  }
  function tick(now) {
    if (!state.playing) return;
    if (state.last != null) state.time += (now - state.last) / 1000 * state.speed;
    state.last = now;
    if (state.time > seconds() + 0.4) state.time = 0;
    draw();
    requestAnimationFrame(tick);
  }
  function drag(event) {
    if (!state.drag) return;
    state.yaw += (event.clientX - state.drag[0]) * 0.01;
    if (event.pointerType === "mouse") state.pitch = Math.min(Math.max(state.pitch + (event.clientY - state.drag[1]) * 0.006, -0.05), 1.4);
    state.drag = [event.clientX, event.clientY];
    turn.value = ((state.yaw - EYE.yaw) * 180 / Math.PI + 540) % 360 - 180;
    draw();
  }

  function draw() {
    const style = getComputedStyle(place), ink = name => style.getPropertyValue(`--${name}`).trim();
    const colours = { left: ink("left"), right: ink("right"), middle: ink("ink"), grid: ink("line"), shadow: ink("shadow"), ground: ink("card") };
    const frame = Math.floor(Math.min(state.time, seconds()) * state.rate + 1e-6);
    scrubber.max = Math.floor(seconds() * state.rate + 1e-6);
    scrubber.value = frame;
    scrubber.setAttribute("aria-valuetext", `${(frame / state.rate).toFixed(2)} seconds`);
    clock.textContent = `${(frame / state.rate).toFixed(2)} s, frame ${frame}`;
    panes.forEach((pane, i) => {
      const native = pane.system.native_fps;
      pane.about.textContent = pane.system.id === "real" ? `recorded, shown at ${state.rate} fps`
        : native == null ? `read at ${state.rate} fps` : native === state.rate ? `made at ${native} fps` : `made at ${native} fps, brought to ${state.rate} by slerp`;
      drawPane(pane.canvas, state.motions[i], frame, colours);
    });
  }

  function drawPane(canvas, motion, frame, colours) {
    const ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, height = canvas.clientHeight;
    if (canvas.width !== Math.round(w * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(height * ratio); }
    const c = canvas.getContext("2d");
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, w, height);
    c.lineCap = c.lineJoin = "round";
    if (!motion) { c.fillStyle = colours.middle; c.font = "13px sans-serif"; c.fillText("No recording that may", 12, 24); c.fillText("be shown here.", 12, 42); return; }
    const every = Math.round(fps / state.rate), t = Math.min(frame * every, motion.frames - 1);
    const [tx, tz] = target(motion, t);
    const cosine = Math.cos(state.yaw), sine = Math.sin(state.yaw), cp = Math.cos(state.pitch), sp = Math.sin(state.pitch);
    const project = (x, y, z) => {
      x -= tx; y -= EYE.height; z -= tz;
      const u = cosine * x + sine * z, d = -sine * x + cosine * z, near = sp * y + cp * d, zoom = EYE.focal * height / Math.max(EYE.distance - near, 0.6);
      return [w / 2 + zoom * u, height / 2 - zoom * (cp * y - sp * d), near, zoom];
    };
    const line = (p, q, colour, width) => { c.strokeStyle = colour; c.lineWidth = width; c.beginPath(); c.moveTo(p[0], p[1]); c.lineTo(q[0], q[1]); c.stroke(); };
    const [gx, gz] = [Math.round(tx / GRID_M), Math.round(tz / GRID_M)], far = GRID_M * REACH;
    for (let k = -REACH; k <= REACH; k++) {
      line(project((gx + k) * GRID_M, 0, gz * GRID_M - far), project((gx + k) * GRID_M, 0, gz * GRID_M + far), colours.grid, 1);
      line(project(gx * GRID_M - far, 0, (gz + k) * GRID_M), project(gx * GRID_M + far, 0, (gz + k) * GRID_M), colours.grid, 1);
    }
    const joint = (j, at = t) => project(motion.at(at, j, 0), motion.at(at, j, 1), motion.at(at, j, 2));
    const under = j => project(motion.at(t, j, 0), 0, motion.at(t, j, 2));
    const thick = Math.max(height / 75, 2.4);
    const bones = showcase.parents.map((parent, child) => [parent, child]).filter(([parent]) => parent >= 0);
    for (const [p, q] of bones) line(under(p), under(q), colours.shadow, thick);
    const side = name => name.startsWith("l_") ? colours.left : name.startsWith("r_") ? colours.right : colours.middle;
    for (const name of TRACED[state.trace]) {
      const j = showcase.joints.indexOf(name);
      for (let k = Math.ceil(TRAIL_S * state.rate); k >= 0; k--) {
        if (t - k * every < 0) continue;
        const p = joint(j, t - k * every);
        c.globalAlpha = 1 - 0.85 * k / (TRAIL_S * state.rate);
        c.fillStyle = side(name);
        c.beginPath(); c.arc(p[0], p[1], 1.6, 0, 7); c.fill();
      }
      c.globalAlpha = 1;
    }
    bones.sort((m, n) => joint(m[0])[2] + joint(m[1])[2] - joint(n[0])[2] - joint(n[1])[2]);
    for (const [p, q] of bones) line(joint(p), joint(q), side(showcase.joints[q]), thick);
    const head = showcase.joints.indexOf("head");
    if (head >= 0) {
      const [x, y, , zoom] = joint(head);
      c.beginPath(); c.arc(x, y, HEAD_M * zoom, 0, 7); c.fillStyle = colours.ground; c.fill(); c.strokeStyle = colours.middle; c.lineWidth = thick * 0.8; c.stroke();
    }
  }

  // Where the camera looks: the root's place on the floor, averaged over a second.
  function target(motion, t) {
    const reach = Math.round(FOLLOW_S * fps), sum = [0, 0];
    for (let k = -4; k <= 4; k++) {
      const at = Math.min(Math.max(t + Math.round(k * reach / 4), 0), motion.frames - 1);
      sum[0] += motion.at(at, 0, 0) / 9; sum[1] += motion.at(at, 0, 2) / 9;
    }
    return sum;
  }

  new ResizeObserver(() => { for (const { canvas } of panes) canvas.width = 0; draw(); }).observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  pause();
  drawControls();
  load();
}
