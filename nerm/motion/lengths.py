"""Bones of constant length: what a skeleton in a file needs, and generated or mapped joints do not have. It knows no file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.motion.motion import Motion
from nerm.motion.skeleton import bone_directions, joints_from_directions

_SAID_M = 1e-4
"""Joints that move by no more are not spoken of."""


def median_lengths(motion: Motion) -> NDArray[np.float64]:
    """[J] metres: each bone's median over time; 0 for the root."""
    bones = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, motion.skeleton.parents[1:]], axis=-1).astype(np.float64)
    return np.concatenate([[0.0], np.median(bones, axis=0)])


def with_constant_lengths(motion: Motion, lengths: NDArray | None = None) -> Motion:
    """Bone directions and root kept, every bone at one length [J] (its median where not given); a large change is said on stderr."""
    constant = median_lengths(motion) if lengths is None else lengths
    directions = bone_directions(motion.joints.astype(np.float64), motion.skeleton)
    joints = joints_from_directions(motion.root.astype(np.float64), directions, motion.skeleton, constant)
    moved = float(np.linalg.norm(joints - motion.joints, axis=-1).max())
    if lengths is None and moved > _SAID_M:
        progress(f"the bones of the motion change their lengths; held at their medians, joints move by up to {1000 * moved:.1f} mm")
    return Motion(joints.astype(motion.joints.dtype), motion.fps, motion.skeleton)
