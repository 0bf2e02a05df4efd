"""A person who walks, and a dataset of a few motions of it."""

import numpy as np
import pytest

from nerm.data.dataset import Item
from nerm.motion import SMPL22, Motion

SENTENCES = {
    "cmu/walk": ("a person walks", "someone walks forward"),
    "hdm05/grab": ("a person reaches up with the right hand", "the right arm grabs something high"),
}


def walk_forward(frames, fps, seed=0):
    """A person who swings its limbs and goes forward. [frames, 22, 3]"""
    random = np.random.default_rng(seed)
    rest = np.zeros((22, 3))
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    t = np.arange(frames)[:, None, None] / fps
    swing = 0.05 * np.sin(2 * np.pi * t * random.uniform(0.5, 1.5, (1, 22, 3)) + random.uniform(0, 6, (1, 22, 3)))
    return (rest + swing + t * np.array([0.3, 0.0, 1.0]) + np.array([0.0, 0.95, 0.0])).astype(np.float32)


class SmallDataset:
    """Motions of 4, 3, 2 and 0.1 s (or of other `seconds`) at 30 fps, the last one without a label; the first and third are of split val
    too. read: motions that were asked for."""

    name, skeleton, base_fps = "small", SMPL22, 20.0
    labels = ("cmu/walk", "hdm05/grab", "hdm05/grab", "")

    def __init__(self, digest="0123456789abcdef0123", seconds=(4.0, 3.0, 2.0, 0.1)):
        self.digest, self.read = digest, 0
        self._items = [
            Item(str(k), str(k), 30.0, length, SENTENCES.get(label, ()), label)
            for k, (length, label) in enumerate(zip(seconds, self.labels, strict=False))
        ]

    def items(self, split):
        return self._items[:: 1 if split == "train" else 2] if split in ("train", "val") else []

    def motion(self, item):
        self.read += 1
        return Motion(walk_forward(round(item.seconds * 30) + 1, 30.0, int(item.id)), 30.0).canonical()


@pytest.fixture(scope="session")
def walk():
    """walk(frames, fps, seed) -> [frames, 22, 3]"""
    return walk_forward


@pytest.fixture(scope="session")
def small_dataset():
    """small_dataset(digest, seconds) -> a SmallDataset; with an empty digest its features are not cached."""
    return SmallDataset
