"""A recording in ASF and AMC as an animated rig, as a BVH would hold it. It knows no file text, no corpus and no joint mapping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.motion.amc import AcclaimSkeleton, read_amc_values
from nerm.motion.bvh_parsing import BvhFile, Node
from nerm.motion.euler import angles_near, quaternions, without_flips
from nerm.motion.rotations import quaternion_from_matrix, quaternion_inverse, quaternion_multiply

_POSITIONS = ("Xposition", "Yposition", "Zposition")
_ROTATIONS = ("Zrotation", "Yrotation", "Xrotation")


def rig_of_amc(path: str | Path, asf: AcclaimSkeleton, fps: float) -> BvhFile:
    """Every bone of the skeleton as a joint at the bone's START, with angles z, y, x, in units of the file; ends of chains are End Sites.

    A bone's local rotation is C M C^-1 (see `nerm.motion.amc`); bones without degrees of freedom have no channels.
    """
    values, is_degrees = read_amc_values(path, asf)
    angles = values if is_degrees else np.rad2deg(values)
    nodes: list[Node] = []
    columns: list[NDArray[np.float64]] = []
    places: dict[str, int] = {}
    parents = {bone.parent for bone in asf.bones.values()}
    channel = 0

    for name, bone in asf.bones.items():
        axes = "".join(dof[1] for dof in bone.dofs if dof.startswith("r"))
        series = {dof: values[:, channel + index] for index, dof in enumerate(bone.dofs) if dof.startswith("t")}
        turned = [channel + index for index, dof in enumerate(bone.dofs) if dof.startswith("r")]
        channel += len(bone.dofs)
        places[name] = len(nodes)
        if bone.parent is None:
            nodes.append(Node(name, -1, np.zeros(3), _POSITIONS + _ROTATIONS))
            columns += [bone.offset[axis] + series.get("t" + "xyz"[axis], np.zeros(len(values))) for axis in range(3)]
        else:
            start = np.zeros(3) if bone.parent == "root" else asf.bones[bone.parent].offset
            nodes.append(Node(name, places[bone.parent], start, _ROTATIONS if axes else ()))
        if nodes[-1].channels:
            local = quaternions(axes[::-1], angles[:, turned[::-1]])  # the first degree of freedom is applied first
            frame = quaternion_from_matrix(bone.axes)
            local = quaternion_multiply(quaternion_multiply(frame, local), quaternion_inverse(frame))
            columns += list(without_flips(angles_near(local, "zyx", np.zeros((len(local), 3))), "zyx").T)
        if name not in parents and bone.parent is not None:
            nodes.append(Node(f"{name}_end", places[name], bone.offset, (), is_end=True))
    return BvhFile(str(path), nodes, np.stack(columns, axis=1), fps)
