"""How extractors see whole motions: all of them, or a window as the published loaders draw it. It knows no protocol."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import EXTRACTORS, Extractor
from evaluators.items import sample_seed
from evaluators.protocols import Arrays
from evaluators.protocols.clip.sets import Plan
from nerm.data.dataset import Item
from nerm.motion import Motion
from nerm.motion.actions import window_frames
from nerm.motion.motion import Features

SET = "all"
"""The only set of whole motions."""


def nothing_cut() -> dict[str, Plan]:
    """The plans of a comparison without clips."""
    nothing = np.zeros(0, np.int32)
    return {SET: Plan(nothing, nothing, 0)}


def seen(extractor: Extractor, motions: Sequence[Motion], seed: int) -> Arrays:
    """motions: [n, D] features, and of a classifier scores: [n, classes]."""
    if extractor.classes:
        features, scores = extractor.classify(motions, seed)
        return {"motions": features, "scores": scores}
    return {"motions": extractor.embed_motions(motions)}


def windows(motions: Sequence[Motion], items: Sequence[Item], frames: int, seed: int, number: int) -> list[Motion]:
    """A window of `frames` frames of each motion, as the published loader draws it; a shorter one stands still at its end."""
    drawn = (random.Random(sample_seed(seed, item, number)) for item in items)
    return [at_frames(motion, window_frames(len(motion), frames, rng)) for motion, rng in zip(motions, drawn, strict=True)]


def at_frames(motion: Motion, frames: NDArray[np.int64]) -> Motion:
    """The motion at these frames, features of the same frames with it."""
    rotations = None if motion.rotations is None else motion.rotations[frames]
    own = motion.features
    features = Features(own.format, own.values[frames]) if own is not None and len(own.values) == len(motion) else None
    return replace(motion, joints=motion.joints[frames], rotations=rotations, features=features)


def published(extractor: str) -> bool:
    """Whether an extractor is one with published weights."""
    return extractor in EXTRACTORS and EXTRACTORS.get(extractor).official is not None
