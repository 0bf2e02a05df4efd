"""Benchmarks measure speed and memory against frame rate: pytest benchmarks/ --benchmark-only"""

import numpy as np
import pytest

from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import joints_from_directions


@pytest.fixture
def motion_at():
    """A smooth ten-second motion at the rate asked for."""

    def make(fps: float, seconds: float = 10.0) -> Motion:
        rng = np.random.default_rng(0)
        t = np.arange(int(seconds * fps) + 1) / fps
        waves = 0.1 * np.sin(2 * np.pi * rng.uniform(0.2, 4, 66) * t[:, None] + rng.uniform(0, 6, 66))
        directions = SMPL22.offsets[1:] / SMPL22.lengths[1:, None] + waves[:, 3:].reshape(-1, 21, 3)
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return Motion(joints_from_directions(waves[:, :3] + [0, 0.9, 0], directions, SMPL22), fps)

    return make
