"""The items that protocols ask about, the time of each that counts, and the seeds of the motions sampled for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nerm.data.dataset import Dataset, Item, item_number

_TOLERANCE = 1e-6


def counted_items(dataset: Dataset, split: str = "test") -> tuple[Item, ...]:
    """The items of a split. Each counts up to its last whole frame at the dataset's base rate: every system covers the same time."""
    base = dataset.base_fps
    return tuple(
        replace(item, seconds=float(np.floor(item.seconds * base + _TOLERANCE) / base), captions=item.captions[:1])
        for item in dataset.items(split)
    )


def sample_seed(seed: int, item: Item, index: int) -> int:
    """The seed of the index-th motion for an item: the same at every rate, so that all rates read the same code."""
    return int(np.random.SeedSequence([seed, item_number(item), index]).generate_state(1)[0])


def in_order(names: Sequence[str]) -> list[str]:
    """Sorted; digits in a name are compared as numbers: '9' before '10'."""
    return sorted(
        names, key=lambda name: [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
    )
