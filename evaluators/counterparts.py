"""Training recordings in place of generated motion: what a system would give that had memorised them. It knows items and motion.

A test item gets a training recording of its label, drawn from the seed; one that lasts as long if there is any. Items of a label that no
training recording has (in `multirate` all trials of such a label are test trials) get one of any label. None is of the item's own group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluators.damage import played_on
from nerm.data.dataset import Dataset, Item, item_number
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.resample import at_rate

NAME = "train"
"""The variant of a row of recordings that is made of them."""
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Counterpart:
    """A training item that stands for a test item. same_label: whether it has its label.  lasts: whether it is as long."""

    item: Item
    same_label: bool
    lasts: bool


def counterpart(item: Item, training: Sequence[Item], seed: int) -> Counterpart:
    """The training item that stands for an item; it is recorded at least as fast, so that it is the same one at every rate."""
    fast = [other for other in training if other.group != item.group and other.fps >= item.fps - _TOLERANCE]
    if not fast:
        raise InputError(f"item '{item.id}' of {item.fps:g} fps: no training recording of another trial is as fast; leave the row out")
    same = [other for other in fast if item.label and other.label == item.label]
    long = [other for other in same or fast if other.seconds >= item.seconds - _TOLERANCE]
    candidates = long or [max(same or fast, key=lambda other: other.seconds)]
    chosen = candidates[int(np.random.default_rng([seed, item_number(item), 1]).integers(len(candidates)))]
    return Counterpart(chosen, bool(same), bool(long))


def counterparts(dataset: Dataset, items: Sequence[Item], seed: int) -> list[Counterpart]:
    """The counterpart of every item."""
    training = list(dataset.items("train"))
    return [counterpart(item, training, seed) for item in items]


def counted(found: Sequence[Counterpart]) -> dict[str, int]:
    """How many items have a counterpart of their label that is as long, one of their label that is not, and one of any label."""
    same = [c.lasts for c in found if c.same_label]
    return {"same label": sum(same), "same label, shorter": len(same) - sum(same), "any label": len(found) - len(same)}


def recorded(dataset: Dataset, found: Counterpart, seconds: float, fps: float) -> Motion:
    """The counterpart's motion for so many seconds at fps; a shorter one is played forwards and backwards."""
    motion = dataset.motion(found.item)
    frames = int(np.ceil(seconds * motion.fps - _TOLERANCE)) + 1
    if len(motion) < frames:
        motion = Motion(motion.joints[played_on(len(motion), frames)], motion.fps)
    return at_rate(motion, seconds, fps)
