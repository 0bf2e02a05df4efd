"""Motions that several tests need."""

import numpy as np

from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import joints_from_directions


def a_motion(fps: float, seconds: float, seed: int) -> Motion:
    """Every joint swings at its own frequency between 0.2 and 2 Hz; canonical."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * fps) + 1) / fps
    waves = 0.2 * np.sin(2 * np.pi * rng.uniform(0.2, 2, 66) * t[:, None] + rng.uniform(0, 6, 66))
    directions = SMPL22.offsets[1:] / SMPL22.lengths[1:, None] + waves[:, 3:].reshape(-1, 21, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return Motion(joints_from_directions(waves[:, :3] + [0, 0.9, 0], directions, SMPL22), fps).canonical()
