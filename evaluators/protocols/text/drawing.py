"""What a pass over the test set draws: the order of its items, and of each a caption and a crop. It knows no motion and no network.

Source: the loader published with Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022. Every pass shuffles the
whole test set and drops the last incomplete pool. Of each item it takes one caption at random, and a crop that starts anywhere: in one
of three cases a unit of 4 frames shorter than the longest multiple of 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.retrieval import POOL
from nerm.errors import InputError

UNIT = 4
"""Frames that the evaluator reads at a time."""
SHORTER = 1 / 3
"""How often a crop is a unit shorter than it could be."""
_STREAM = 8  # of the random numbers of a seed: no other draw of the suite shares it


@dataclass(frozen=True)
class Pass:
    """One pass over n items.

    order: [P * 32] items in the order of the pools; those that fill no pool are not in it.  captions: [n] which caption of each item.
    starts, lengths: [n] frames of its crop.
    """

    order: NDArray[np.int64]
    captions: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]


def draw_pass(frames: Sequence[int], captions: Sequence[int], seed: int, number: int) -> Pass:
    """The pass of that number. frames, captions: [n] how many frames and captions each item has."""
    there, said = np.asarray(frames, dtype=np.int64), np.asarray(captions, dtype=np.int64)
    if len(there) < POOL:
        raise InputError(f"{len(there)} test items; the published pools have {POOL}: give a dataset with at least as many")
    if there.min() < 2 * UNIT or said.min() < 1:
        place = int(np.argmax((there < 2 * UNIT) | (said < 1)))
        raise InputError(
            f"test item {place} has {there[place]} frames and {said[place]} captions; the published evaluation takes items of at least "
            f"{2 * UNIT} frames and one caption"
        )
    rng = np.random.default_rng([seed, number, _STREAM])
    order = rng.permutation(len(there))[: len(there) // POOL * POOL]
    chosen = rng.integers(said)
    shorter = rng.random(len(there)) < SHORTER
    lengths = (there // UNIT - shorter) * UNIT
    return Pass(order, chosen, rng.integers(there - lengths + 1), lengths)


def draw_items(n: int, count: int, seed: int, number: int) -> NDArray[np.int64]:
    """The items that are asked for many times, for multimodality: `count` of n without replacement, or all if there are fewer."""
    return np.random.default_rng([seed, number, _STREAM, 1]).choice(n, min(count, n), replace=False)
