"""The rest pose with white noise, and the rest pose alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nerm.errors import InputError
from nerm.generator import Condition, Facts
from nerm.motion import SMPL22, Motion, frame_count
from nerm.motion.skeleton import joints_from_directions

NOISE_M = 0.03


class Dummy:
    """The rest pose, standing on the floor; with noise_m > 0 every coordinate of every frame has white noise of that standard deviation."""

    native_fps = None
    facts = Facts()

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


def load_noise(name: str, checkpoint: Path | None, device: str) -> Dummy:
    """The rest pose with white noise."""
    return _dummy(name, checkpoint, NOISE_M)


def load_freeze(name: str, checkpoint: Path | None, device: str) -> Dummy:
    """The rest pose without noise."""
    return _dummy(name, checkpoint, 0.0)


def _dummy(name: str, checkpoint: Path | None, noise_m: float) -> Dummy:
    if checkpoint:
        raise InputError(f"{name}.checkpoint={checkpoint}; system '{name}' has no weights: leave the key out")
    return Dummy(name, noise_m)
