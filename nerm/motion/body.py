"""Is this a person in metres with y up? A check of joints whose file does not say so. It knows no file format and no corpus."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion.motion import Motion
from nerm.motion.skeleton import SMPL22

STANDING_M = (1.1, 1.45, 2.0)
"""Ankle to head of a person along the bones: least, usual, most."""
POSSIBLE_M = (0.5, 4.0)
"""Outside of these no body is merely badly made: the unit is another one."""
_UNITS = {0.1: "decimetres", 0.01: "centimetres", 0.001: "millimetres", 0.0254: "inches", 0.3048: "feet"}
_ALONG = 0.8
"""A body lies along an axis if so much of the way from its feet to its head points along it."""


def check_body(motion: Motion, source: str) -> None:
    """An InputError if a motion of 22 joints is in another unit than metres. One that lies is allowed, and said on stderr.

    A single pose is no motion yet, and is not judged.
    """
    if len(motion) < 2:
        return
    check_unit([motion], source)
    lies = other_axis([motion])
    if lies:
        progress(f"{source}: {lies}")


def height_along_bones(joints: NDArray) -> float:
    """Ankle to head of joints [T, 22, 3], along the bones: the median over frames of each bone. It does not depend on the pose."""
    spine = [SMPL22.index(name) for name in ("head", "neck", "spine3", "spine2", "spine1", "pelvis")]
    leg = [SMPL22.index(name) for name in ("l_hip", "l_knee", "l_ankle")]
    return sum(float(np.median(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1))) for part in (spine, leg) for a, b in pairwise(part))


def upright_axis(joints: NDArray) -> str:
    """x, y or z: the axis that the way from the feet to the head of joints [T, 22, 3] mostly points along; '' if no one of them, '-y' for a
    body whose head is below its feet."""
    feet = joints[:, [SMPL22.index("l_ankle"), SMPL22.index("r_ankle")]].mean(axis=1)
    way = np.median(joints[:, SMPL22.index("head")] - feet, axis=0)
    axis = int(np.argmax(np.abs(way)))
    if abs(way[axis]) < _ALONG * np.linalg.norm(way):
        return ""
    return "-y" if axis == 1 and way[1] < 0 else "xyz"[axis]


def check_unit(motions: Sequence[Motion], source: str) -> None:
    """An InputError if the bodies of most motions of 22 joints have the size of another unit than metres (one of no size has no unit)."""
    height = float(np.median([height_along_bones(motion.joints) for motion in motions]))
    if height > 0 and not POSSIBLE_M[0] <= height <= POSSIBLE_M[1]:
        unit = min(_UNITS, key=lambda unit: abs(np.log(height * unit / STANDING_M[1])))
        fits = STANDING_M[0] <= height * unit <= STANDING_M[2]
        advice = f"they seem to be {_UNITS[unit]}: multiply them by {unit:g}" if fits else "scale them, or de-normalise the features"
        raise InputError(f"{source}: a person of {height:.4g} m from ankle to head; joints in metres are expected, and {advice}")


def other_axis(motions: Sequence[Motion]) -> str:
    """What to say if most bodies of several motions of 22 joints, or that of one motion, do not stand along y; '' if they do."""
    axes = [upright_axis(motion.joints) for motion in motions]
    axis = max(sorted(set(axes)), key=axes.count)
    if axis in ("", "y") or axes.count(axis) <= len(axes) / 2:
        return ""
    text = "head down" if axis == "-y" else f"along {axis}"
    turn = "; joints with z up become y up as joints[..., [0, 2, 1]] * [1, 1, -1]" if axis == "z" else ""
    return f"the body lies {text} in most frames; y up is expected{turn}"
