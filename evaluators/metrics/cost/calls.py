"""Figures of calls that were timed in a process of their own. Numbers in, a number out; it knows no clock and no process."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def milliseconds_per_sample(calls_s: ArrayLike, motions: int = 1) -> float:
    """Median of the calls [n] (s), in ms for each of the motions that one call makes."""
    return float(1000 * np.median(np.asarray(calls_s, dtype=np.float64)) / motions)


def peak_memory_mb(resident_mb: ArrayLike) -> float:
    """resident_mb: [1 + n] the greatest resident memory so far, before loading and after each call; MB between the first and the last."""
    peaks = np.asarray(resident_mb, dtype=np.float64)
    return float(peaks.max() - peaks[0])
