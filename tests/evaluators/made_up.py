"""A made-up figure, and a dataset of given motions: what training and controls need, without a corpus."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from evaluators.metrics import METRICS
from nerm.data.dataset import Item
from nerm.motion import SMPL22, Motion

LEAST = 3


@contextmanager
def few_are_enough() -> Iterator[None]:
    """Inside, no metric needs more than LEAST trials."""
    before = {entry.name: entry.least for entry in METRICS}
    for entry in METRICS:
        object.__setattr__(entry, "least", min(entry.least, LEAST))
    try:
        yield
    finally:
        for entry in METRICS:
            object.__setattr__(entry, "least", before.get(entry.name, entry.least))


def walker(frames: int, fps: float = 120.0, seed: int = 0, highest_hz: float = 3.0) -> np.ndarray:
    """A person who swings its limbs while it walks a curve. [frames, 22, 3]"""
    random = np.random.default_rng(seed)
    rest = np.zeros((22, 3))
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    t = np.arange(frames)[:, None, None] / fps
    rate, phase = random.uniform(0.3, highest_hz, (1, 22, 3)), random.uniform(0, 6, (1, 22, 3))
    swing = random.uniform(0.02, 0.1) * np.sin(2 * np.pi * rate * t + phase)
    path = random.uniform(0.2, 1.5) * t * np.array([np.sin(seed), 0.0, np.cos(seed)])
    return (rest + swing + path + np.array([1.0, 0.95, -2.0])).astype(np.float32)


class MadeUp:
    """A dataset of items by split. moves: the motion of an item."""

    name, digest, base_fps, skeleton = "made-up", "0" * 64, 20.0, SMPL22

    def __init__(self, items: dict[str, Sequence[Item]], moves: Callable[[Item], Motion]) -> None:
        self._items, self._moves = items, moves

    def items(self, split: str) -> Sequence[Item]:
        return self._items.get(split, ())

    def motion(self, item: Item) -> Motion:
        return self._moves(item)


def twelve_walks() -> MadeUp:
    """Twelve recordings of 4 s at 120 fps and of two labels: six for training, two for validation, four for tests."""
    items = [Item(str(k), f"trial {k}", 120.0, 4.0, ("a person moves",), ("cmu/walk", "cmu/run")[k % 2]) for k in range(12)]
    return MadeUp(
        {"train": items[:6], "val": items[6:8], "test": items[8:]}, lambda item: Motion(walker(481, seed=int(item.id)), 120.0).canonical()
    )


def small_anyrate(seed: int = 0, width: int = 16, embedding: int = 16, rates: tuple[float, ...] = (20.0, 30.0, 60.0, 120.0)):
    """An untrained network of the extractor `anyrate`, and its space fitted to walkers: (encoder, space)."""
    import torch

    from evaluators.extractors.anyrate.extractor import learned_features
    from evaluators.extractors.anyrate.network import AnyrateConfig, AnyrateEncoder
    from evaluators.extractors.anyrate.space import fit_space

    torch.manual_seed(seed)
    encoder = AnyrateEncoder(AnyrateConfig(width=width, dilations=(1,), embedding=embedding)).eval()
    clips = {fps: np.stack([walker(32, fps, number) for number in range(40)]).astype(np.float32) for fps in rates}
    return encoder, fit_space(clips, lambda x, fps: learned_features(encoder, x, fps), seed)
