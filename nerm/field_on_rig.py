"""What NeRM's field adds to a cubic, brought from the 22 joints onto any rig. It knows rigs and joints, no fit, no file and no corpus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nerm.motion import SMPL22
from nerm.motion.bvh_parsing import BvhFile
from nerm.motion.euler import angles_near
from nerm.motion.rig_curves import Channels, RigCurves
from nerm.motion.rotations import quaternion_from_matrix, quaternion_inverse, quaternion_multiply
from nerm.motion.skeleton import bone_directions
from nerm.motion.twist import swing

Array = NDArray[np.float64]
_NEAR_SHARE = 0.05  # of the figure's height: a joint of the rig further than this from one of the 22 is another one
_DRIVES = {"pelvis": "spine1", "spine3": "neck"}  # of several children


def add_field(file: BvhFile, result: BvhFile, joints: Array, metres_per_unit: float, plain: Array, fitted: Array) -> BvhFile:
    """`result`, a rig upsampled by a cubic, with what the field adds: every bone swings as its bone among the 22 does from plain to fitted.

    file, joints: the input on its rig, and its 22 joints [T, 22, 3] m at the same frames.
    plain, fitted: joints [n, 22, 3] m at the result's frames. All joints are in the axes of the file.
    Joints between and beyond the 22 (fingers, toes, helpers) follow their parent, as do joints without three axes.
    """
    curves = RigCurves(file.nodes, result.values, 1.0, 1.0, "linear")
    driven = _driven(curves.points(_spread(file.values)) * metres_per_unit, _spread(joints), curves.channels)
    extra = np.zeros((len(file.nodes), len(plain), 4))
    extra[..., 0] = 1.0
    before, after = bone_directions(plain, SMPL22), bone_directions(fitted, SMPL22)
    values, local = np.array(result.values), curves.locals(result.values)
    worlds = curves.worlds(result.values)
    for index, node in enumerate(file.nodes):
        parent = extra[node.parent] if node.parent >= 0 else extra[index]
        bone = driven.get(index)
        extra[index] = parent if bone is None else quaternion_from_matrix(swing(before[:, bone - 1], after[:, bone - 1]))
        if bone is not None:
            columns = list(curves.channels[index].rotations)
            across = worlds[node.parent] if node.parent >= 0 else None
            change = quaternion_multiply(quaternion_inverse(parent), extra[index])
            if node.parent < 0:
                turned = quaternion_multiply(extra[index], local[index])
            else:
                assert across is not None
                turned = quaternion_multiply(
                    quaternion_multiply(quaternion_inverse(across), quaternion_multiply(change, across)), local[index]
                )
            values[:, columns] = angles_near(turned, curves.channels[index].axes, values[:, columns])
    moved = (fitted[:, 0] - plain[:, 0]) / metres_per_unit
    root = curves.channels[0]
    values[:, list(root.positions)] += moved[:, list(root.xyz)]
    return replace(result, values=values)


def _driven(points: Array, joints: Array, channels: list[Channels]) -> dict[int, int]:
    """Node of the rig -> the joint of the 22 at the other end of the bone that it turns. points: [N, T, 3], joints: [T, 22, 3] metres.

    A node drives where it coincides with one of the 22 joints that has a child; of several that do, the last along the chain.
    """
    height = np.ptp(joints, axis=1).max(axis=-1).mean()
    found: dict[int, int] = {}
    for joint, name in enumerate(SMPL22.names):
        children = SMPL22.children[joint]
        if not children:
            continue
        child = SMPL22.index(_DRIVES[name]) if name in _DRIVES else children[0]
        distance = np.linalg.norm(points - joints[None, :, joint], axis=-1).mean(axis=1)
        able = [index for index, at in enumerate(channels) if len(at.axes) == 3 and len(set(at.axes)) == 3 and index not in found]
        if not able:
            continue
        nearest = min(able, key=lambda index: (round(float(distance[index]), 4), -index))
        if distance[nearest] < _NEAR_SHARE * height:
            found[nearest] = child
    return found


def _spread(frames: NDArray, most: int = 50) -> NDArray:
    """At most so many of the frames [T, ...], evenly spread."""
    return frames[np.unique(np.linspace(0, len(frames) - 1, min(most, len(frames))).astype(int))]
