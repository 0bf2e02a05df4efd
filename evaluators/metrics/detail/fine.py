"""Values between frames: a moment, or the top of a peak, lies between two frames, and the further apart they are the more it matters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

FINE_HZ = 240.0


def finer(values: NDArray, fps: float) -> tuple[NDArray[np.float64], float]:
    """values [T, ...] at a multiple of fps that is at least 240 a second, by a cubic spline, and that rate. They must be band-limited."""
    times = max(int(np.ceil(FINE_HZ / fps - 1e-6)), 1)
    if times == 1 or len(values) < 3:
        return np.asarray(values, dtype=np.float64), fps
    frames = np.arange((len(values) - 1) * times + 1) / times
    return CubicSpline(np.arange(len(values)), values)(frames), fps * times
