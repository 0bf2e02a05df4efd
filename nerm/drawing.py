"""One moment of a motion as a picture: limbs as rounded bodies on a floor with its grid and the shadow. It knows no file and no clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nerm.figure import HEAD_M, INK, Figure
from nerm.motion.skeleton import yaw_matrix

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

PANEL = (320, 360)
"""Pixels of one motion, where no size is given."""
_OVERSAMPLING = 2
_VIEW_RAD, _PITCH_RAD = 0.6, 0.16  # the camera stands to the side of the person's first heading, and looks down a little
_DISTANCE_M, _HEIGHT_M, _FOCAL = 5.0, 0.93, 2.0  # focal length in panel heights
_NEAREST_M = 0.5
_GRID_M, _GRID_REACH = 1.0, 4
_BACKGROUND, _GRID, _SHADOW, _TEXT, _FAINT = (250, 251, 252), (219, 223, 229), (196, 201, 209), (38, 42, 48), (120, 126, 134)
_DARK, _LIGHT = 0.72, 0.32  # of an outline, and how far towards white a highlight goes
Colour = tuple[int, int, int]


def draw(figure: Figure, time: float, size: tuple[int, int] = PANEL, title: str | None = None, clock: bool = False) -> Image:
    """The figure at a time in seconds. title: the figure's own where not given.  clock: write the time below."""
    from PIL import Image, ImageDraw

    camera = _Camera(figure, figure.frame(time), (size[0] * _OVERSAMPLING, size[1] * _OVERSAMPLING))
    image = Image.new("RGB", camera.size, _BACKGROUND)
    pen = ImageDraw.Draw(image)
    for line in camera.ground_lines():
        pen.line([tuple(point) for point in camera.project(line)[:, :2].tolist()], fill=_GRID, width=_OVERSAMPLING)
    _draw_shadow(pen, figure, camera)
    _draw_body(pen, figure, camera)
    image = image.reduce(_OVERSAMPLING)
    _write(image, figure.title if title is None else title, f"{time:.2f} s" if clock else "")
    return image


class _Camera:
    """It stands to the side of the first heading, and follows."""

    def __init__(self, figure: Figure, frame: int, size: tuple[int, int]) -> None:
        cosine, sine = np.cos(_PITCH_RAD), np.sin(_PITCH_RAD)
        self.view = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]]) @ yaw_matrix(_VIEW_RAD - figure.yaw)
        self.target, self.size = figure.targets[frame], size
        self.joints = figure.motion.joints[frame].astype(np.float64)

    def project(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points [N, 3] to pixels and pixels per metre [N, 3]."""
        seen = (points - self.target - (0.0, _HEIGHT_M, 0.0)) @ self.view.T
        scale = _FOCAL * min(self.size[1], 1.2 * self.size[0]) / np.maximum(_DISTANCE_M - seen[:, 2], _NEAREST_M)
        return np.stack([self.size[0] / 2 + scale * seen[:, 0], self.size[1] / 2 - scale * seen[:, 1], scale], axis=-1)

    def ground_lines(self) -> Iterator[NDArray[np.float64]]:
        """Lines [2, 3] of a grid that stays where it is while the camera moves, cut to a square around the target."""
        x, floor, z = self.target
        reach = _GRID_M * _GRID_REACH
        for step in range(-_GRID_REACH, _GRID_REACH + 1):
            at_x, at_z = (round(x / _GRID_M) + step) * _GRID_M, (round(z / _GRID_M) + step) * _GRID_M
            yield np.array([[at_x, floor, z - reach], [at_x, floor, z + reach]])
            yield np.array([[x - reach, floor, at_z], [x + reach, floor, at_z]])


def _draw_shadow(pen: ImageDraw, figure: Figure, camera: _Camera) -> None:
    """Of a light from above: every limb on the floor, flattened as the floor is seen."""
    on_floor = camera.project(camera.joints * (1, 0, 1) + (0, figure.floor, 0))
    for limb in figure.limbs:
        ends = on_floor[[limb.parent, limb.child]]
        _capsule(pen, ends[:, :2], 0.6 * limb.radius_m * ends[:, 2], _SHADOW)
    if figure.head is not None:
        x, y, scale = on_floor[figure.head]
        pen.ellipse((x - HEAD_M * scale, y - 0.35 * HEAD_M * scale, x + HEAD_M * scale, y + 0.35 * HEAD_M * scale), fill=_SHADOW)


def _draw_body(pen: ImageDraw, figure: Figure, camera: _Camera) -> None:
    """Limbs from the farthest to the nearest, each with a dark edge, a lit side and a disc at its joint; the head last among its peers."""
    seen = camera.project(camera.joints)
    parts = [(seen[limb.parent, 2] + seen[limb.child, 2], limb) for limb in figure.limbs]
    head = None if figure.head is None else 2 * seen[figure.head, 2]
    for depth, limb in sorted(parts):
        if head is not None and depth > head:
            _draw_head(pen, seen[figure.head], INK["middle"])
            head = None
        ends, radii = seen[[limb.parent, limb.child]][:, :2], limb.radius_m * seen[[limb.parent, limb.child]][:, 2]
        colour, edge = INK[limb.side], 0.9 * _OVERSAMPLING
        _capsule(pen, ends, radii + edge, _shaded(colour, _DARK))
        _capsule(pen, ends, radii, colour)
        _capsule(pen, ends - 0.3 * radii[:, None] * (0.7, 0.7), 0.42 * radii, _lit(colour))
        x, y = ends[1]
        _disc(pen, x, y, 0.34 * radii[1], _shaded(colour, _DARK))
    if head is not None:
        _draw_head(pen, seen[figure.head], INK["middle"])


def _draw_head(pen: ImageDraw, place: NDArray[np.float64], colour: Colour) -> None:
    x, y, scale = place
    radius = HEAD_M * scale
    _disc(pen, x, y, radius + 0.9 * _OVERSAMPLING, _shaded(colour, _DARK))
    _disc(pen, x, y, radius, colour)
    _disc(pen, x - 0.28 * radius, y - 0.28 * radius, 0.45 * radius, _lit(colour))


def _capsule(pen: ImageDraw, ends: NDArray[np.float64], radii: NDArray[np.float64], colour: Colour) -> None:
    """ends [2, 2] and radii [2] in pixels."""
    along = ends[1] - ends[0]
    across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-6)
    corners = np.concatenate([ends + across * radii[:, None], (ends - across * radii[:, None])[::-1]])
    pen.polygon([tuple(corner) for corner in corners.tolist()], fill=colour)
    for (x, y), radius in zip(ends, radii, strict=True):
        _disc(pen, x, y, radius, colour)


def _disc(pen: ImageDraw, x: float, y: float, radius: float, colour: Colour) -> None:
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _write(image: Image, title: str, clock: str) -> None:
    """The title above, in as many lines as it needs, and the time below."""
    from PIL import ImageDraw, ImageFont

    pen, font = ImageDraw.Draw(image), ImageFont.load_default(max(min(image.width / 16, 14), 10))
    pen.multiline_text((8, 6), _wrapped(title, lambda text: pen.textlength(text, font=font), image.width - 16), fill=_TEXT, font=font)
    pen.text((8, image.height - 22), clock, fill=_FAINT, font=ImageFont.load_default(12))


def _wrapped(text: str, width_of, width: float) -> str:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return "\n".join(lines)


def _shaded(colour: Colour, share: float) -> Colour:
    return tuple(round(share * part) for part in colour)  # type: ignore[return-value]


def _lit(colour: Colour) -> Colour:
    return tuple(round(part + _LIGHT * (255 - part)) for part in colour)  # type: ignore[return-value]
