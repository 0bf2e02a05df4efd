"""Is this a person in metres with y up? A check of joints whose file does not say so. It knows no file format and no corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion.axes import UP_AXES, turn_to_y_up
from nerm.motion.features import format_of_dims
from nerm.motion.motion import Motion
from nerm.motion.skeleton import LEFT_RIGHT22, SMPL22, Skeleton

STANDING_M = (1.1, 1.45, 2.0)
"""Ankle to head of a person along the bones: least, usual, most."""
POSSIBLE_M = (0.5, 4.0)
"""Outside of these no body is merely badly made: the unit is another one."""
_SMALL_M = 0.7
"""A body in another unit is at least that high: children, and the body of KIT-ML, which is 1 m tall."""
_UNITS = {0.1: "decimetres", 0.01: "centimetres", 0.001: "millimetres", 0.0254: "inches", 0.3048: "feet"}
_ALONG = 0.8
"""A body stands along an axis in a frame if so much of the way from its feet to its head points along it."""
_MOST, _SOME = 0.5, 0.1
"""Shares of the frames: a body that stands along another axis in most frames, and along y not even in some, has another axis up."""
_FLOOR_M = (-0.05, 0.25, 0.7)
"""Who lies on the floor: nothing is below the first height, and the lowest and the highest joint are below the others in most frames."""
_STANDS_M = 0.15
"""Who stands has the lowest joint of all frames that near to 0."""
_CHANGE, _UNEVEN = 0.45, 0.2
"""Shares of a bone's length, in the median over bones: by which it changes over time, and by which left and right differ, in no body."""

_OTHER_BONES, _NORMAL = 1.5, (0.1, 10.0)
"""Features whose bones differ by this factor, in the median over bones and frames, from those of their format, and whose root mean square
is in between. The factor is 1.26 at most in generated motion, and 2 at least in normalised clips of HumanML3D."""


def check_body(motion: Motion, source: str, up: str | None = None) -> None:
    """An InputError if a motion is in another unit than metres. What is only unlikely is said on stderr: another axis up (unless `up` says
    which one is), an unusual size, joints in another order. A skeleton that is not of a person is not judged."""
    if not _is_person(motion.skeleton):
        return
    check_unit([motion], source)
    axis = "" if up else other_axis([motion])
    if axis:
        progress(f"{source}: {axis}")
    if motion.skeleton.names == SMPL22.names:
        height = height_along_bones(motion.joints)
        if height and not STANDING_M[0] <= height <= STANDING_M[2]:
            progress(f"{source}: a person of {height:.2f} m from ankle to head; {STANDING_M[0]:g} to {STANDING_M[2]:g} m are usual")
        if no_body(motion.joints):
            order = ", ".join(SMPL22.names[:6])
            progress(f"{source}: the bones are those of no person; joints in the order of SMPL are expected ({order}, ...)")


def height_along_bones(joints: NDArray, skeleton: Skeleton = SMPL22) -> float:
    """Ankle to head of joints [T, J, 3], along the bones: the median over frames of each bone. It does not depend on the pose."""
    total = 0.0
    for joint, end in (("head", "pelvis"), ("l_ankle", "l_hip")):
        path = [skeleton.index(joint)]
        while path[-1] != skeleton.index(end):
            path.append(skeleton.parents[path[-1]])
        total += sum(float(np.median(np.linalg.norm(joints[:, a] - joints[:, b], axis=-1))) for a, b in pairwise(path))
    return total


def no_body(joints: NDArray) -> bool:
    """Whether the bones between joints [T, 22, 3] are no bones: their lengths change, or left and right differ. Any unit and axes."""
    bones = np.linalg.norm(joints[:, 1:].astype(np.float64) - joints[:, SMPL22.parents[1:]], axis=-1)
    low, usual, high = np.percentile(bones, (10, 50, 90), axis=0)
    other = np.concatenate([[0.0], usual])[LEFT_RIGHT22][1:]
    sided = LEFT_RIGHT22[1:] != np.arange(1, len(SMPL22))
    change = np.median((high - low) / np.maximum(usual, 1e-9))
    uneven = np.median((np.abs(usual - other) / np.maximum((usual + other) / 2, 1e-9))[sided])
    return bool(change > _CHANGE or uneven > _UNEVEN)


def stands_along(joints: NDArray, skeleton: Skeleton = SMPL22) -> str:
    """The axis of UP_AXES along which a body of joints [T, J, 3] stands in most frames; '' if along none of them.

    It is y for one that stands along y in some frames, and for one that lies on a floor below y.
    """
    feet = joints[:, [skeleton.index("l_ankle"), skeleton.index("r_ankle")]].mean(axis=1)
    way = (joints[:, skeleton.index("head")] - feet).astype(np.float64)
    way /= np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-9)
    shares = {axis: float((way @ turn_to_y_up(axis)[1] > _ALONG).mean()) for axis in UP_AXES}
    if shares["y"] >= _SOME:
        return "y"
    axis = max(shares, key=lambda name: shares[name])
    if shares[axis] <= _MOST:
        return ""
    return "y" if axis != "-y" and _lies(joints, axis) else axis


def _lies(joints: NDArray, axis: str) -> bool:
    """Whether a body along an axis lies on a floor below y, and does not stand on one across the axis."""
    lowest, highest = joints[..., 1].min(axis=1), joints[..., 1].max(axis=1)
    floor, low, high = _FLOOR_M
    near = lowest.min() > floor and np.median(lowest) < low and np.median(highest) < high
    return bool(near and abs(float((joints @ turn_to_y_up(axis)[1]).min())) > _STANDS_M)


def turned(motion: Motion, up: str | None) -> Motion:
    """The motion with y up, where another axis is (one of UP_AXES; None: y)."""
    return motion if up in (None, "y") else turned_by(motion, turn_to_y_up(up))


def turned_by(motion: Motion, matrix: NDArray) -> Motion:
    """The motion in axes that are turned by a rotation [3, 3]."""
    rotations = motion.rotations
    if rotations is not None:
        rotations = np.array(rotations)
        rotations[:, 0] = matrix @ rotations[:, 0]
    joints = (motion.joints @ matrix.T).astype(motion.joints.dtype)
    return replace(motion, joints=joints, rotations=rotations, features=None)


def from_y_up(up: str) -> NDArray[np.float64]:
    """The rotation [3, 3] from axes with y up to those of `turned`."""
    return turn_to_y_up(up).T


def check_unit(motions: Sequence[Motion], source: str) -> None:
    """An InputError if the bodies of most motions have the size of another unit than metres (one of no size has no unit).

    Features that are normalised make a body of another size too; then the sentence says so.
    """
    if sum(_normalised(motion) for motion in motions) > len(motions) / 2:
        raise InputError(
            f"{source}: these features seem to be normalised (no body, values about 1); save features * std + mean, with the Std.npy and "
            "Mean.npy that they were normalised with"
        )
    heights = [height_along_bones(motion.joints, motion.skeleton) for motion in motions if _is_person(motion.skeleton)]
    height = float(np.median(heights)) if heights else 0.0
    if height > 0 and not POSSIBLE_M[0] <= height <= POSSIBLE_M[1]:
        unit = min(_UNITS, key=lambda unit: abs(np.log(height * unit / STANDING_M[1])))
        fits = _SMALL_M <= height * unit <= STANDING_M[2]
        advice = f"they seem to be {_UNITS[unit]}: give metres_per_unit={unit:g}, or multiply them by {unit:g}"
        advice = advice if fits else "scale them, or de-normalise the features"
        raise InputError(f"{source}: a person of {height:.4g} m from ankle to head; joints in metres are expected, and {advice}")


def other_axis(motions: Sequence[Motion]) -> str:
    """What to say if most bodies of several motions, or that of one motion, stand along another axis than y; '' if they do not."""
    axes = [stands_along(motion.joints, motion.skeleton) for motion in motions if _is_person(motion.skeleton)]
    axis = max(sorted(set(axes)), key=axes.count, default="")
    if axis in ("", "y") or axes.count(axis) <= len(axes) / 2:
        return ""
    text = "head down" if axis == "-y" else f"along {axis[-1]}"
    return f"the body lies {text} in most frames; y up is expected: up={axis} turns it, and up=y says that it is right as it is"


def _normalised(motion: Motion) -> bool:
    """Whether the features of a motion are no body in their format's unit, but have the size of normalised ones.

    Judged by the bones between their positions: all clips of a format have about the same ones.
    """
    if motion.features is None:
        return False
    features, format = motion.features.values, format_of_dims(motion.features.values.shape[1])
    lengths = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, format.skeleton.parents[1:]], axis=-1)
    apart = np.median(np.abs(np.log(np.maximum(lengths, 1e-9) / format.skeleton.lengths[1:])))
    size = np.sqrt(np.mean(np.square(features, dtype=np.float64)))
    return bool(apart > np.log(_OTHER_BONES) and _NORMAL[0] < size < _NORMAL[1])


def _is_person(skeleton: Skeleton) -> bool:
    """Whether the joints that are looked at here are there."""
    try:
        return all(skeleton.index(name) for name in ("head", "l_ankle", "r_ankle")) and skeleton.index("pelvis") == 0
    except InputError:
        return False
