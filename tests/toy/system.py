"""A system in one file: the rest pose, trembling, at 25 fps; `asked` counts the motions that were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from baselines.base import System
from nerm.generator import Condition, Facts
from nerm.motion import SMPL22, Motion, resample
from nerm.motion.skeleton import joints_from_directions

asked: list[int] = []
"""The seed of every motion that was made."""


class Trembling:
    """It generates at 25 fps, whatever the condition."""

    name, digest, native_fps, facts = "trembling", "trembling, version 1", 25.0, Facts()

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        asked.extend(seeds)
        pose = joints_from_directions(np.array([0.0, 0.9, 0.0]), SMPL22.axes[1:], SMPL22)
        made = []
        for duration, seed in zip(seconds, seeds, strict=True):
            noise = np.random.default_rng(seed).standard_normal((round(duration * 25) + 1, 22, 3))
            made.append(resample(Motion((pose + 0.02 * noise).astype(np.float32), 25.0), fps))
        return made


def load(name: str, checkpoint: Path | None, device: str) -> Trembling:
    """It has no weights."""
    return Trembling()


ENTRIES = (System(name="trembling", title="Trembling rest pose", loads=f"{__name__}:load"),)
