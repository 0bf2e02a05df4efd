"""What is measured on pairs of a motion and the recording that it stands for: errors, frequency bands, contacts and events.

A kind is a group of metrics that are measured together. Its arrays are what figures are drawn from. It knows no system and no dataset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics import metric
from evaluators.metrics.detail.fidelity import BandPowers, band_powers, correlation, fidelity
from evaluators.metrics.reconstruction import band_error, mre_mm, root_path_mm
from evaluators.protocols import Arrays
from evaluators.protocols.reconstruction import BANDS_HZ, ERRORS, KINDS, MOMENTS
from nerm.motion import Motion

BAND_FRAMES = 64
"""The fewest frames of a motion that has an 8-20 Hz error."""
SHORTEST_S = {"errors": 0.0, "bands": 0.5, "moments": 0.5}
"""Kind -> the shortest motion that it is measured on."""
TRIALS = "trials"
"""The name of the array [n] that says which trial each sample is of."""
Pairs = Iterable[tuple[Motion, Motion]]


def errors(pairs: Pairs, fps: float) -> Arrays:
    """[n] values of every metric of ERRORS; NaN where a metric is not defined."""
    listed = []
    for made, truth in pairs:
        high = fps >= metric("band_error").lowest_fps and len(truth) >= BAND_FRAMES
        x, y = made.joints, truth.joints
        listed.append((mre_mm(x, y), root_path_mm(x, y), band_error(x, y, fps) if high else np.nan))
    return dict(zip(ERRORS, np.array(listed, dtype=np.float64).reshape(-1, len(ERRORS)).T, strict=True))


def bands(pairs: Pairs, fps: float) -> Arrays:
    """'1_2', ... for the bands that the rate can hold: [n, 4], the `BandPowers` of every pair."""
    able = {name: band for name, band in BANDS_HZ.items() if fps >= 2.5 * band[1]}
    listed = [band_powers(made, truth, list(able.values())) for made, truth in pairs]
    arrays = np.array(listed, dtype=np.float64).reshape(-1, len(able), len(BandPowers._fields))
    return {name: arrays[:, k] for k, name in enumerate(able)}


def moments(pairs: Pairs, fps: float) -> Arrays:
    """[n] values of every metric of MOMENTS; NaN where a recording has no contact, event or stroke."""
    measured = {name: metric(name).load() for name in MOMENTS}
    listed = [[measure(made, truth) for measure in measured.values()] for made, truth in pairs]
    return dict(zip(MOMENTS, np.array(listed, dtype=np.float64).reshape(-1, len(MOMENTS)).T, strict=True))


MEASURES: dict[str, Callable[[Pairs, float], Arrays]] = {"errors": errors, "bands": bands, "moments": moments}
"""Kind -> what is measured of it."""


def kind_of(name: str) -> str:
    """The kind that a metric is measured with."""
    return next(kind for kind, names in KINDS.items() if name in names)


def samples(name: str, arrays: Arrays) -> tuple[NDArray[np.float64], list[NDArray[np.intp]]]:
    """What the figure of a metric is made from, [n, ...]: values that are finite, or powers; and the places of those of each trial."""
    values, trials = arrays[_band(name) if kind_of(name) == "bands" else name], arrays[TRIALS]
    if kind_of(name) != "bands":
        values, trials = values[np.isfinite(values)], trials[np.isfinite(values)]
    return values, [np.flatnonzero(trials == trial) for trial in np.unique(trials)]


def figure(name: str, drawn: NDArray[np.float64]) -> float:
    """The figure of a metric for drawn samples: a mean, or a ratio of powers of all of them together."""
    if kind_of(name) == "bands":
        return (fidelity if name.startswith("band_fidelity") else correlation)(drawn)
    return float(drawn.mean())


def _band(name: str) -> str:
    """'band_fidelity_1_2' -> '1_2'."""
    return "_".join(name.split("_")[-2:])


def same_frames(made: Motion, truth: Motion) -> tuple[Motion, Motion]:
    """Both cut to the frames that both have."""
    frames: Sequence[int] = (len(made), len(truth))
    return made[: min(frames)], truth[: min(frames)]
