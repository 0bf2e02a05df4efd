"""A dataset in one file: twelve people who swing, at 25 fps, with captions of their own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nerm.data.dataset import DatasetEntry, Item
from nerm.motion import SMPL22, Motion, Skeleton
from nerm.motion.skeleton import joints_from_directions

FPS = 25.0
SENTENCES = {"swing": ("a person swings", "someone swings"), "sway": ("a person sways", "someone sways")}


class Toy:
    """Items of 3 s; each is a group of its own."""

    name, digest, base_fps = "toy", "made by tests/toy/dataset.py, version 1", FPS
    skeleton: Skeleton = SMPL22

    def items(self, split: str) -> Sequence[Item]:
        numbers = {"train": range(100, 106), "val": range(200, 202), "test": range(12)}[split]
        return [
            Item(f"{label}-{number}", f"take {number}", FPS, 3.0, SENTENCES[label][:1], label)
            for number in numbers
            for label in [list(SENTENCES)[number % 2]]
        ]

    def motion(self, item: Item) -> Motion:
        rng = np.random.default_rng(int(item.id.rpartition("-")[2]))
        t = np.arange(round(item.seconds * FPS) + 1) / FPS
        swing = 0.3 * np.sin(2 * np.pi * rng.uniform(0.3, 1.5, (1, 21, 3)) * t[:, None, None] + rng.uniform(0, 6, (1, 21, 3)))
        bones = SMPL22.axes[1:] + swing
        bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
        root = np.stack([0 * t, 0.9 + 0 * t, rng.uniform(0.2, 1.0) * t], axis=1)
        return Motion(joints_from_directions(root, bones, SMPL22).astype(np.float32), FPS).canonical()


def open_toy(home: Path | None) -> Toy:
    """Nothing has to be prepared."""
    return Toy()


def sentences() -> dict[str, tuple[str, ...]]:
    """Training sentences by label."""
    return SENTENCES


ENTRIES = (
    DatasetEntry(
        name="toy",
        title="twelve swinging people at 25 fps",
        opens=f"{__name__}:open_toy",
        sentences=f"{__name__}:sentences",
    ),
)
