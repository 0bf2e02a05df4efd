"""Stick-man pictures of motions: GIF, MP4, a self-contained HTML page, and film strips. It knows motions, not corpora or models.

Motions stand side by side, each with a camera that follows smoothly, on one clock: every picture shows each motion's latest frame at
that time, so that a low frame rate looks like what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nerm.atomic import replacing
from nerm.errors import InputError
from nerm.motion.motion import Motion
from nerm.motion.skeleton import Skeleton, heading, yaw_matrix

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".gif", ".mp4", ".html")
_GIF_CENTISECONDS = 4  # GIF delays are whole centiseconds: 25 pictures per second
_VIDEO_HZ, _HTML_HZ = 60.0, 60.0
_PANEL = (280, 320)  # pixels
_OVERSAMPLING = 2
_VIEW_RAD, _PITCH_RAD = 0.6, 0.12  # the camera stands to the side of the person's first heading, and looks down a little
_DISTANCE_M, _HEIGHT_M, _FOCAL = 5.0, 0.95, 2.1  # focal length in panel heights
_FOLLOW_S = 0.4
_GRID_M, _GRID_REACH = 0.5, 6
_HEAD_M = 0.09
_INK = {"left": (31, 119, 180), "right": (214, 84, 39), "middle": (68, 68, 68)}
_GROUND, _GRID, _SHADOW, _TEXT = (255, 255, 255), (222, 224, 228), (203, 206, 212), (40, 40, 40)


def render(motions: Sequence[Motion], path: str | Path, titles: Sequence[str] | None = None) -> None:
    """An animation of one or several motions side by side.

    path: .gif (25 pictures per second), .mp4 (up to 60; needs imageio-ffmpeg) or .html (one page, needs nothing).
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: an animation cannot be written as '{path.suffix or path.name}'; the suffix can be {', '.join(SUFFIXES)}")
    panels = _panels(motions, titles)
    with replacing(path) as temporary:
        if suffix == ".html":
            temporary.write_text(_page(panels), encoding="utf-8")
        elif suffix == ".gif":
            _write_gif(panels, temporary)
        else:
            _write_video(panels, temporary)


def filmstrip(motions: Sequence[Motion], path: str | Path, titles: Sequence[str] | None = None, poses: int = 8) -> None:
    """A PNG with one strip per motion, of `poses` moments spread evenly over its time."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: a film strip is written as .png")
    from PIL import Image

    panels = _panels(motions, titles)
    width, height = _PANEL[0] // 2, _PANEL[1] * 3 // 4
    sheet = Image.new("RGB", (width * poses, height * len(panels)), _GROUND)
    for strip, panel in enumerate(panels):
        for column, time in enumerate(np.linspace(0, panel.motion.seconds, poses)):
            sheet.paste(_draw(panel, time, (width, height), f"{time:.1f} s" if column else panel.title), (column * width, strip * height))
    with replacing(path) as temporary:
        sheet.quantize(64).save(temporary, optimize=True)


def check_video() -> None:
    """An error that says what to install, if MP4 cannot be written here."""
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise InputError("writing .mp4 needs imageio-ffmpeg: pip install 'nerm[video]', or write .gif or .html") from None


@dataclass(frozen=True)
class _Panel:
    """One motion and its camera."""

    motion: Motion = field(repr=False)
    title: str

    @cached_property
    def floor(self) -> float:
        """Height of the ground: 0, unless the motion plainly stands elsewhere."""
        lowest = float(np.percentile(self.motion.joints[..., 1].min(axis=-1), 5))
        return 0.0 if abs(lowest) < 0.25 else lowest

    @cached_property
    def view(self) -> NDArray[np.float64]:
        """[3, 3] world to camera: x to the right, y up, z towards the camera."""
        try:
            yaw = float(heading(self.motion.joints[0].astype(np.float64), self.motion.skeleton))
        except InputError:  # a skeleton without the four joints that tell where it faces
            yaw = 0.0
        cosine, sine = np.cos(_PITCH_RAD), np.sin(_PITCH_RAD)
        return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) @ yaw_matrix(_VIEW_RAD - yaw)

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """[T, 3] the point that the camera follows: under the root, smoothed in time."""
        targets = self.motion.root.astype(np.float64).copy()
        targets[:, 1] = self.floor
        return gaussian_filter1d(targets, _FOLLOW_S * self.motion.fps, axis=0, mode="nearest")

    @cached_property
    def bones(self) -> list[tuple[int, int, str]]:
        """(parent, child, side)"""
        skeleton = self.motion.skeleton
        return [(parent, child, _side(skeleton, child)) for child, parent in enumerate(skeleton.parents) if parent >= 0]

    def frame(self, time: float) -> int:
        return min(int(np.floor(time * self.motion.fps + 1e-6)), len(self.motion) - 1)

    def project(self, points: NDArray[np.float64], frame: int, size: tuple[int, int]) -> NDArray[np.float64]:
        """Points [N, 3] to pixels and pixels per metre [N, 3]."""
        camera = (points - self.targets[frame] - (0.0, _HEIGHT_M, 0.0)) @ self.view.T
        scale = _FOCAL * size[1] / np.maximum(_DISTANCE_M - camera[:, 2], 0.5)
        return np.stack([size[0] / 2 + scale * camera[:, 0], size[1] / 2 - scale * camera[:, 1], scale], axis=-1)


def _panels(motions: Sequence[Motion], titles: Sequence[str] | None) -> list[_Panel]:
    if not motions:
        raise InputError("no motion to draw; give at least one")
    if titles is not None and len(titles) != len(motions):
        raise InputError(f"{len(titles)} titles for {len(motions)} motions; expected one each")
    if titles is None:
        titles = [""] if len(motions) == 1 else [f"{motion.fps:g} fps" for motion in motions]
    return [_Panel(motion, title) for motion, title in zip(motions, titles, strict=True)]


def _side(skeleton: Skeleton, joint: int) -> str:
    name = skeleton.names[joint].lower()
    if name.startswith(("l_", "left")):
        return "left"
    return "right" if name.startswith(("r_", "right")) else "middle"


def _draw(panel: _Panel, time: float, size: tuple[int, int], title: str) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    frame = panel.frame(time)
    large = (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING)
    image = Image.new("RGB", large, _GROUND)
    draw = ImageDraw.Draw(image)
    for line in _ground_lines(panel, frame):
        pixels = panel.project(line, frame, large)
        draw.line([tuple(p) for p in pixels[:, :2].tolist()], fill=_GRID, width=_OVERSAMPLING)
    joints = panel.motion.joints[frame].astype(np.float64)
    pixels = panel.project(joints, frame, large)
    shadow = panel.project(joints * (1, 0, 1) + (0, panel.floor, 0), frame, large)
    width = max(round(large[1] / 90), 2)
    _stroke(draw, shadow, [(parent, child, _SHADOW) for parent, child, _ in panel.bones], width)
    by_depth = sorted(panel.bones, key=lambda bone: pixels[bone[0], 2] + pixels[bone[1], 2])
    _stroke(draw, pixels, [(parent, child, _INK[side]) for parent, child, side in by_depth], width)
    if "head" in panel.motion.skeleton.names:
        x, y, scale = pixels[panel.motion.skeleton.index("head")]
        radius = _HEAD_M * scale
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_INK["middle"], fill=_GROUND, width=width)
    image = image.resize(size, Image.Resampling.BOX)
    if title:
        ImageDraw.Draw(image).text((6, 4), title, fill=_TEXT, font=ImageFont.load_default(13))
    return image


def _stroke(draw, pixels: NDArray[np.float64], bones: list[tuple[int, int, tuple[int, int, int]]], width: int) -> None:
    for parent, child, colour in bones:
        ends = [tuple(pixels[parent, :2].tolist()), tuple(pixels[child, :2].tolist())]
        draw.line(ends, fill=colour, width=width)
        for x, y in ends:  # round ends
            draw.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=colour)


def _ground_lines(panel: _Panel, frame: int) -> Iterator[NDArray[np.float64]]:
    """Lines [2, 3] of a grid that stays where it is while the camera moves, cut to a square around the target."""
    x, _, z = panel.targets[frame]
    reach = _GRID_M * _GRID_REACH
    for step in range(-_GRID_REACH, _GRID_REACH + 1):
        at_x, at_z = (round(x / _GRID_M) + step) * _GRID_M, (round(z / _GRID_M) + step) * _GRID_M
        yield np.array([[at_x, panel.floor, z - reach], [at_x, panel.floor, z + reach]])
        yield np.array([[x - reach, panel.floor, at_z], [x + reach, panel.floor, at_z]])


def _pictures(panels: list[_Panel], hz: float) -> Iterator[Image]:
    from PIL import Image

    seconds = max(panel.motion.seconds for panel in panels)
    for k in range(int(np.floor(seconds * hz + 1e-6)) + 1):
        sheet = Image.new("RGB", (_PANEL[0] * len(panels), _PANEL[1]), _GROUND)
        for column, panel in enumerate(panels):
            sheet.paste(_draw(panel, k / hz, _PANEL, panel.title), (column * _PANEL[0], 0))
        yield sheet


def _write_gif(panels: list[_Panel], path: Path) -> None:
    """One palette for all pictures, so that they differ only where something moves."""
    from PIL import Image

    pictures = list(_pictures(panels, 100 / _GIF_CENTISECONDS))
    palette = pictures[0].quantize(24)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=10 * _GIF_CENTISECONDS, loop=0, optimize=False)


def _write_video(panels: list[_Panel], path: Path) -> None:
    check_video()
    import imageio_ffmpeg

    hz = min(max(panel.motion.fps for panel in panels), _VIDEO_HZ)
    size = (_PANEL[0] * len(panels), _PANEL[1])
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=hz, quality=7, macro_block_size=2)
    writer.send(None)
    try:
        for picture in _pictures(panels, hz):
            writer.send(np.ascontiguousarray(picture))
    finally:
        writer.close()


def _page(panels: list[_Panel]) -> str:
    """A self-contained page: joints in whole millimetres at up to 60 Hz, drawn on a canvas; drag to turn."""
    pictures = []
    for panel in panels:
        step = max(int(np.floor(panel.motion.fps / _HTML_HZ + 1e-6)), 1)
        motion = panel.motion[::step]
        pictures.append(
            {
                "title": panel.title,
                "fps": motion.fps,
                "floor": round(1000 * panel.floor),
                "yaw": float(np.arctan2(panel.view[0, 2], panel.view[0, 0])),
                "targets": np.round(1000 * panel.targets[::step][:, [0, 2]]).astype(int).tolist(),
                "bones": [[parent, child, f"#{bytes(_INK[side]).hex()}"] for parent, child, side in panel.bones],
                "head": motion.skeleton.names.index("head") if "head" in motion.skeleton.names else -1,
                "joints": np.round(1000 * motion.joints).astype(int).reshape(len(motion), -1).tolist(),
            }
        )
    data = json.dumps(pictures, separators=(",", ":")).replace("<", "\\u003c")
    return _HTML.replace("FIGURES", data)


_HTML = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>motion</title>
<style>
body{margin:12px;font:14px sans-serif;color:#282828}
figure{display:inline-block;margin:0 8px 8px 0}
canvas{border:1px solid #ddd}
</style>
<body><div id="figures"></div>
<button id="play">pause</button> <input id="time" type="range" min="0" step="0.001" value="0" style="width:320px"> <span id="clock"></span>
<script>
const figures = FIGURES;
const seconds = Math.max(...figures.map(f => (f.joints.length - 1) / f.fps)), slider = document.getElementById("time");
let turned = 0, time = 0, playing = true, last = null;
slider.max = seconds;
for (const f of figures) {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption");
  f.canvas = document.createElement("canvas"); f.canvas.width = 360; f.canvas.height = 420;
  caption.textContent = f.title;
  figure.append(caption, f.canvas); document.getElementById("figures").append(figure);
  f.canvas.onpointermove = e => { if (e.buttons) { turned += e.movementX * 0.01; draw(); } };
}
function draw() {
  for (const f of figures) {
    const c = f.canvas.getContext("2d"), w = f.canvas.width, h = f.canvas.height;
    const frame = Math.min(Math.floor(time * f.fps + 1e-6), f.joints.length - 1), joints = f.joints[frame], [tx, tz] = f.targets[frame];
    const a = f.yaw + turned, ca = Math.cos(a), sa = Math.sin(a), cp = Math.cos(0.12), sp = Math.sin(0.12);
    const project = (x, y, z) => {
      x = (x - tx) / 1000; y = (y - f.floor) / 1000 - 0.95; z = (z - tz) / 1000;
      const u = ca * x + sa * z, d = -sa * x + ca * z, v = cp * y - sp * d, n = sp * y + cp * d, s = 2.1 * h / Math.max(5 - n, 0.5);
      return [w / 2 + s * u, h / 2 - s * v, s];
    };
    const line = (p, q) => { c.beginPath(); c.moveTo(p[0], p[1]); c.lineTo(q[0], q[1]); c.stroke(); };
    c.fillStyle = "#fff"; c.fillRect(0, 0, w, h); c.lineCap = "round"; c.strokeStyle = "#dee0e4"; c.lineWidth = 1;
    for (let i = -6; i <= 6; i++) {
      const gx = (Math.round(tx / 500) + i) * 500, gz = (Math.round(tz / 500) + i) * 500;
      line(project(gx, f.floor, tz - 3000), project(gx, f.floor, tz + 3000));
      line(project(tx - 3000, f.floor, gz), project(tx + 3000, f.floor, gz));
    }
    const at = j => project(joints[3 * j], joints[3 * j + 1], joints[3 * j + 2]);
    const under = j => project(joints[3 * j], f.floor, joints[3 * j + 2]);
    c.lineWidth = 5; c.strokeStyle = "#cbced4";
    for (const [p, q] of f.bones) line(under(p), under(q));
    for (const [p, q, colour] of [...f.bones].sort((m, n) => at(m[0])[2] + at(m[1])[2] - at(n[0])[2] - at(n[1])[2])) {
      c.strokeStyle = colour; line(at(p), at(q));
    }
    if (f.head >= 0) {
      const [x, y, s] = at(f.head);
      c.beginPath(); c.arc(x, y, 0.09 * s, 0, 7); c.fillStyle = "#fff"; c.fill(); c.strokeStyle = "#444"; c.stroke();
    }
  }
  slider.value = time; document.getElementById("clock").textContent = time.toFixed(2) + " s";
}
function tick(now) {
  if (playing && last !== null) { time += (now - last) / 1000; if (time > seconds + 0.5) time = 0; draw(); }
  last = now; requestAnimationFrame(tick);
}
document.getElementById("play").onclick = e => { playing = !playing; e.target.textContent = playing ? "pause" : "play"; };
slider.oninput = () => { time = +slider.value; draw(); };
draw(); requestAnimationFrame(tick);
</script></body></html>
"""
