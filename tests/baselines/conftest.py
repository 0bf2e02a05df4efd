"""A figure that walks, and a corpus of a few windows of it."""

import numpy as np
import pandas as pd
import pytest

from nerm.motion import SMPL22, Motion


def walk_forward(frames, fps, seed=0):
    """A figure that swings its limbs and goes forward. [frames, 22, 3]"""
    random = np.random.default_rng(seed)
    rest = np.zeros((22, 3))
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    t = np.arange(frames)[:, None, None] / fps
    swing = 0.05 * np.sin(2 * np.pi * t * random.uniform(0.5, 1.5, (1, 22, 3)) + random.uniform(0, 6, (1, 22, 3)))
    return (rest + swing + t * np.array([0.3, 0.0, 1.0]) + np.array([0.0, 0.95, 0.0])).astype(np.float32)


class SmallCorpus:
    """Windows of 4, 3, 2 and 0.1 s (or of other `seconds`) at 30 fps, the last one without a label. read: windows that were asked for."""

    name = "small"
    labels = ("cmu/walk", "hdm05/depositFloorR", "hdm05/grabHighR", "")

    def __init__(self, digest="0123456789abcdef0123", seconds=(4.0, 3.0, 2.0, 0.1)):
        self.digest, self.seconds, self.read = digest, seconds, 0

    def select(self, split):
        if split not in ("train", "val"):
            return pd.DataFrame({"label": [], "seconds": []})
        return pd.DataFrame({"label": self.labels, "seconds": self.seconds}).iloc[:: 1 if split == "train" else 2]

    def window(self, index):
        self.read += 1
        return Motion(walk_forward(round(self.seconds[index] * 30) + 1, 30.0, index), 30.0).canonical()


@pytest.fixture(scope="session")
def walk():
    """walk(frames, fps, seed) -> [frames, 22, 3]"""
    return walk_forward


@pytest.fixture(scope="session")
def small_corpus():
    """small_corpus(digest, seconds) -> a SmallCorpus; with an empty digest its features are not cached."""
    return SmallCorpus
