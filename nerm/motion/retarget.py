"""Between a person's own proportions and the corpus skeleton: bone directions are kept, the root path is scaled by leg length.

It knows skeletons and joints, not corpora, models or files.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nerm.motion.skeleton import SMPL22, bone_directions, joints_from_directions

_LEG = [SMPL22.index(name) for name in ("l_knee", "l_ankle", "r_knee", "r_ankle")]


@dataclass(frozen=True, eq=False)
class Proportions:
    """A person's own proportions, which `to_corpus` removed.

    lengths: [22] metres, own bones.  scale: corpus metres per own metre.  floor_m: corpus metres by which the motion was lowered.
    """

    lengths: NDArray[np.float64] = field(repr=False)
    scale: float
    floor_m: float


def to_corpus(joints: NDArray) -> tuple[NDArray, Proportions]:
    """Joints [T, 22, 3] of a person -> on the corpus skeleton, feet on the floor, and what is needed to come back.

    The person's bones are the medians over time; the floor is the first percentile of the lowest joint.
    """
    bones = np.linalg.norm(joints[:, 1:] - joints[:, SMPL22.parents[1:]], axis=-1)
    lengths = np.concatenate([[0.0], np.median(bones, axis=0)])
    scale = SMPL22.lengths[_LEG].sum() / lengths[_LEG].sum()
    moved = joints_from_directions(joints[:, 0] * scale, bone_directions(joints, SMPL22), SMPL22)
    floor = float(np.percentile(moved[..., 1].min(axis=1), 1))
    moved[..., 1] -= floor
    return moved, Proportions(lengths, float(scale), floor)


def from_corpus(root: NDArray, directions: NDArray, proportions: Proportions) -> NDArray:
    """Root [T, 3] and bone directions [T, 21, 3] on the corpus skeleton -> joints [T, 22, 3] of the person: the inverse of `to_corpus`."""
    own = (root + np.array([0.0, proportions.floor_m, 0.0])) / proportions.scale
    return joints_from_directions(own, directions, SMPL22, proportions.lengths)
