"""How far motions are apart, joint by joint. It knows no model and no dataset."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from nerm.motion.motion import Motion


def mean_distance(first: NDArray, second: NDArray) -> float:
    """The mean distance in metres of joints [T, J, 3] of two motions at one rate, over the frames that both have."""
    frames = min(len(first), len(second))
    return float(np.linalg.norm(first[:frames].astype(np.float64) - second[:frames], axis=-1).mean())


def spread_m(motions: Sequence[Motion], most: int = 8) -> float:
    """The mean distance in metres of two of the first `most` motions of one rate, each beginning at the origin and facing +z."""
    joints = [motion.canonical().joints for motion in motions[:most]]
    return float(np.mean([mean_distance(a, b) for a, b in combinations(joints, 2)]))
