"""How many trials, or labels, each metric has on a row's side of a comparison, and which metrics are left out for that."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluators.enough import LABELS, TRIALS, Shortage, too_few
from evaluators.protocols.clip import DISTANCES, OF_REAL, PEAKS, RECORDING_RETRIEVAL, RETRIEVAL, TRIAL_DISTANCES
from evaluators.protocols.clip.comparison import Comparison
from evaluators.protocols.clip.detail import is_fast

FAST = "motions of fast actions of different trials"


def shortages(comparison: Comparison, metrics: Sequence[str], set_: str) -> list[Shortage]:
    """The metrics that need more than the row has in a set. Those of captions, or of fast actions, are not missed where there are none, nor
    are those of real motion alone."""
    counts = [(name, *_count(comparison, name, set_)) for name in metrics if comparison.real_is_row or name not in OF_REAL]
    return [Shortage(name, there, of, set_) for name, there, of in counts if too_few(name, there) and (there or of == TRIALS)]


def _count(comparison: Comparison, name: str, set_: str) -> tuple[int, str]:
    """How many there are of what the metric needs several of, and what that is."""
    row, items = comparison.row, comparison.items
    listed, places = row.listed(items), row.of_set(items, set_).tolist()
    if name in (*RETRIEVAL, *RECORDING_RETRIEVAL):
        return len({listed[k].label for k in places if listed[k].captions}), LABELS
    if name in PEAKS:
        return len({listed[k].group for k in places if is_fast(listed[k])}), FAST
    trials = set(row.trials(items, places).tolist())
    if name in (*TRIAL_DISTANCES, *DISTANCES):
        trials = set(row.trials(items, np.unique(row.plans[set_].places).tolist()).tolist())
        if row.paired:
            real = comparison.real
            trials &= set(real.trials(items, np.unique(real.plans[set_].places).tolist()).tolist())
    return len(trials), TRIALS
