"""Writing a motion as BVH, so that animation programs can use it: text. What a joint does comes from `nerm.motion.rig`.

The rest pose (all channels at zero) is a T-pose, the person faces +z with y up, joints have common names, and lengths are centimetres.
A joint that moves against its parent has position channels; they replace its OFFSET, as in Blender and MotionBuilder. The root's OFFSET
is zero, so that programs that add the two put the person at the same place.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.errors import InputError
from nerm.motion.euler import followed
from nerm.motion.motion import Motion
from nerm.motion.rig import Rig, rig_of

_ORDERS = ("zyx", "zxy", "yzx")
_POSITIONS = "Xposition Yposition Zposition"


def write_bvh(motion: Motion, path: str | Path, metres_per_unit: float = 0.01, names: str = "smpl") -> None:
    """The motion as a BVH with the same joints, at the same places.

    metres_per_unit: 0.01 writes centimetres.  names: smpl (left_hip) or mixamo (mixamorig:LeftUpLeg); another skeleton keeps its own.
    Bones whose lengths vary are held at their medians, which is said on stderr.
    """
    if not np.isfinite(metres_per_unit) or metres_per_unit <= 0:
        raise InputError(f"metres_per_unit={metres_per_unit}; expected a positive number, 0.01 for centimetres")
    rig = rig_of(motion, names)
    _check_names(rig.names)
    joints = _depth_first(rig)
    order, angles = _euler_angles(rig.rotations[:, joints].transpose(1, 0, 2, 3))
    columns = []
    for joint, turned in zip(joints, angles, strict=True):
        if rig.moves[joint]:
            columns.append(rig.translations[:, joint] / metres_per_unit)
        columns.append(turned)
    channels = np.concatenate(columns, axis=1)
    line = " ".join(["%.6f"] * channels.shape[1])
    lines = ["HIERARCHY", *_hierarchy(rig, 0, 0, order, metres_per_unit)]
    lines += ["MOTION", f"Frames: {len(motion)}", f"Frame Time: {1 / motion.fps:.10f}"]
    lines += [line % tuple(values) for values in channels.tolist()]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")


def _depth_first(rig: Rig) -> list[int]:
    """The joints in the order in which a BVH names them."""
    found: list[int] = []
    waiting = [0]
    while waiting:
        joint = waiting.pop()
        found.append(joint)
        waiting += reversed(rig.children[joint])
    return found


def _hierarchy(rig: Rig, joint: int, depth: int, order: str, metres_per_unit: float) -> list[str]:
    """The lines of a joint and of all below it."""
    tab = "\t" * depth
    offset = np.zeros(3) if joint == 0 else rig.offsets[joint] / metres_per_unit
    rotation = " ".join(f"{axis.upper()}rotation" for axis in order)
    lines = [
        f"{tab}{'JOINT' if joint else 'ROOT'} {rig.names[joint]}",
        f"{tab}{{",
        f"{tab}\tOFFSET {_numbers(offset)}",
        f"{tab}\tCHANNELS 6 {_POSITIONS} {rotation}" if rig.moves[joint] else f"{tab}\tCHANNELS 3 {rotation}",
    ]
    for child in rig.children[joint]:
        lines += _hierarchy(rig, child, depth + 1, order, metres_per_unit)
    if not rig.children[joint]:
        lines += [f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {_numbers(rig.tips[joint] / metres_per_unit)}", f"{tab}\t}}"]
    return [*lines, f"{tab}}}"]


def _numbers(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.6f}" for value in vector)


def _check_names(names: tuple[str, ...]) -> None:
    bad = [name for name in names if not name.isascii() or not name or name.split() != [name] or set(name) & set("{}")]
    if bad:
        raise InputError(f"joint name {bad[0]!r} cannot stand in a BVH; expected letters, digits and '_'")


def _euler_angles(rotations: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
    """(channel order, angles [N, T, 3] in degrees) of rotations [N, T, 3, 3]; the usual order unless it jumps clearly more."""
    candidates = {order: followed(rotations, order, np.zeros((len(rotations), 3))) for order in _ORDERS}
    jumps = {order: float(np.abs(np.diff(angles, axis=1)).max(initial=0)) for order, angles in candidates.items()}
    order = next(order for order in _ORDERS if jumps[order] <= 1.25 * min(jumps.values()))
    return order, candidates[order]


__all__ = ["write_bvh"]
