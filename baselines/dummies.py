"""Two systems that know nothing of motion, for tests and as the far end of a table: a pose with white noise, and one that stands still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, frame_count
from nerm.motion.skeleton import joints_from_directions

if TYPE_CHECKING:
    from nerm.model import Condition

NOISE_M = 0.03


class Dummy:
    """The rest pose, standing on the floor; with noise_m > 0 every coordinate of every frame has white noise of that deviation."""

    native_fps = None

    def __init__(self, name: str, noise_m: float) -> None:
        self.name = name
        self.noise_m = noise_m
        self.digest = f"dummy-{name}-{noise_m:g}"
        pose = joints_from_directions(np.zeros(3), SMPL22.axes[1:], SMPL22)
        self.pose = pose - np.array([0.0, pose[:, 1].min(), 0.0])

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, whatever the condition."""
        motions = []
        for duration, seed in zip(seconds, seeds, strict=True):
            noise = np.random.default_rng(seed).standard_normal((frame_count(duration, fps), 22, 3)) * self.noise_m
            motions.append(Motion((self.pose + noise).astype(np.float32), fps))
        return motions


def load(name: str, checkpoint: str, device: str) -> Dummy:
    """The dummy of that name."""
    if checkpoint:
        raise InputError(f"{name}.checkpoint={checkpoint}; system '{name}' has no weights: leave the key out")
    return Dummy(name, NOISE_M if name == "noise" else 0.0)
