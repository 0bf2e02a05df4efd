"""From embeddings of texts and motions to the figures of one replication. It knows no system, no dataset and no network.

Source: Guo et al., CVPR 2022, section 5, and the evaluation published with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluators.metrics.distribution import Moments, diversity, frechet, multimodality
from evaluators.metrics.retrieval import blocks, matching_distance, r_precision
from evaluators.protocols.text import RETRIEVAL

PAIRS = 300
"""Pairs of motions, for diversity."""
REPEAT_PAIRS = 10
"""Pairs of motions of one caption, for multimodality."""


class Value(NamedTuple):
    """A figure of one replication. n: samples behind it."""

    metric: str
    value: float
    n: int


def values_of(
    wanted: Collection[str], texts: NDArray, motions: NDArray, real: Moments, rng: np.random.Generator, repeats: ArrayLike | None = None
) -> Iterator[Value]:
    """texts, motions: [P * 32, D] of whole pools, in their order.  real: moments of another pass of recordings.

    repeats: [captions, motions, D] motions of one caption each, where multimodality is wanted.
    """
    count, pairs = len(motions), min(PAIRS, len(motions))
    if "fid" in wanted:
        yield Value("fid", frechet(real, motions), count)
    if any(name in wanted for name in RETRIEVAL):
        found = r_precision(texts, motions, blocks(count), len(RETRIEVAL))
        yield from (Value(name, float(value), count) for name, value in zip(RETRIEVAL, found, strict=True) if name in wanted)
    if "multimodal_dist" in wanted:
        yield Value("multimodal_dist", matching_distance(texts, motions), count)
    spread = diversity(motions, pairs, rng)  # drawn whether wanted or not, so that what follows sees the same draws
    if "diversity" in wanted:
        yield Value("diversity", spread, pairs)
    if "multimodality" in wanted and repeats is not None:
        yield Value("multimodality", multimodality(repeats, REPEAT_PAIRS, rng), len(np.asarray(repeats)))
