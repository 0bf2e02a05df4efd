"""Which way is up in joints whose file does not say it, and which side is left. It knows no file format and no layout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nerm.cli import choose
from nerm.motion.skeleton import LEFT_RIGHT22, SMPL22

_TO_Y_UP = {
    "y": np.eye(3),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "-z": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),
    "x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "-x": np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]),
    "-y": np.array([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}
"""axis that is up -> rotation [3, 3] that brings it to +y; -y is up where y points down, as in the axes of a camera."""
UP_AXES = tuple(_TO_Y_UP)
_ALONG = 0.8
_WALKED = 0.25  # a path across the body this long, in body heights, shows that the person stands on its feet
_FLAT = 0.5  # and it goes this much less along the body
_ALWAYS = 0.95
_MOSTLY = 0.8
_SIDE = 0.5  # cosine between the hips and the side that the feet show
_FLAT_FOOT = 0.2  # sine between shin and foot, below which a foot shows no side


def up_axis(joints: NDArray[np.float64], rest: NDArray[np.float64] | None = None) -> str:
    """'y' or the axis that is up instead: 'z', '-y' ...; a person who lies is not turned.

    joints: [T, 22, 3] in any unit.  rest: [22, 3] the rest pose of the file, where it has one.
    Another axis than y is up if the person mostly stands along it, and either the rest pose stands along it too, or the person stands along
    it all the time and walks across it.
    """
    stance = _stance(joints)
    axis = _axis_of(np.median(stance, axis=0))
    if axis in ("", "y"):
        return "y"
    if rest is not None and _axis_of(_stance(rest[None])[0]) == axis:
        return axis
    if np.mean([_axis_of(way) == axis for way in stance]) < _ALWAYS:
        return "y"
    column = "xyz".index(axis[-1])
    extent = np.ptp(joints[:, 0], axis=0)
    height = float(np.median(np.linalg.norm(stance, axis=-1)))
    across = float(np.delete(extent, column).max())
    return axis if across > _WALKED * height and extent[column] < _FLAT * across else "y"


def turn_to_y_up(axis: str) -> NDArray[np.float64]:
    """[3, 3] the rotation that brings an axis of UP_AXES to +y. Raises InputError on another word."""
    return _TO_Y_UP[choose("up", axis, UP_AXES)]


def sides_are_swapped(joints: NDArray[np.float64], rest: NDArray[np.float64]) -> bool:
    """Whether what is named left lies on the right, in the joints [T, 22, 3] and not otherwise in the rest pose [22, 3] of the file."""
    return _left(joints) < 0 and _left(rest[None]) <= 0


def _left(joints: NDArray[np.float64]) -> int:
    """1 if the joints [T, 22, 3] that are named left lie to the left of the feet, -1 if to their right, 0 if it is not clear.

    A foot points ahead of its shin, whichever way is up: left is shin x foot.
    """

    def way(start: str, end: str) -> NDArray[np.float64]:
        return joints[:, SMPL22.index(end)] - joints[:, SMPL22.index(start)]

    legs = [(way(f"{side}_ankle", f"{side}_knee"), way(f"{side}_ankle", f"{side}_foot")) for side in "lr"]
    left = sum((np.cross(shin, foot) for shin, foot in legs), start=np.zeros(3))
    across = way("r_hip", "l_hip") + way("r_shoulder", "l_shoulder")
    size = np.linalg.norm(left, axis=-1)
    straight = sum(np.linalg.norm(shin, axis=-1) * np.linalg.norm(foot, axis=-1) for shin, foot in legs)
    clear = (size > _FLAT_FOOT * straight) & (np.linalg.norm(across, axis=-1) > 0)
    if clear.sum() < 0.5 * len(joints) or not clear.any():
        return 0
    cosine = np.sum(left * across, axis=-1)[clear] / size[clear] / np.linalg.norm(across, axis=-1)[clear]
    return 1 if np.mean(cosine > _SIDE) > _MOSTLY else -1 if np.mean(cosine < -_SIDE) > _MOSTLY else 0


def with_sides_swapped(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """The joints [T, 22, 3] with the names of left and right exchanged; nothing moves."""
    return np.ascontiguousarray(joints[:, LEFT_RIGHT22])


def _stance(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """[T, 3] from between the ankles to the head."""
    feet = joints[:, [SMPL22.index("l_ankle"), SMPL22.index("r_ankle")]].mean(axis=1)
    return joints[:, SMPL22.index("head")] - feet


def _axis_of(way: NDArray[np.float64]) -> str:
    """The axis that a vector [3] mostly points along, '' if none."""
    axis = int(np.argmax(np.abs(way)))
    if abs(way[axis]) < _ALONG * np.linalg.norm(way) or not way.any():
        return ""
    return ("-" if way[axis] < 0 else "") + "xyz"[axis]
