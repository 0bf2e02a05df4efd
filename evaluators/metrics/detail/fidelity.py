"""Reconstruction band by band: how much of a recording's acceleration a motion has, at the right time and not only in the right amount.

An error of 1 is what silence scores: a motion that stands still has all of the recording's acceleration as its error. An error above 1 is
no detail, whatever energy the motion has there: standing still would be nearer. Figures of several motions are those of all of them
together, so that a recording that hardly moves does not decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from evaluators.metrics.reconstruction import checked
from nerm.errors import InputError
from nerm.motion.kinematics import check_band, derivative
from nerm.motion.motion import Motion

Band = tuple[float, float]


class BandPowers(NamedTuple):
    """Integrals over time, mean over joints, of products of accelerations in one band, (m/s^2)^2 s.

    recorded, made: of the recording and of the motion with themselves.  both: with each other.  error: of their difference with itself.
    """

    recorded: float
    made: float
    both: float
    error: float


def band_powers(made: Motion, recorded: Motion, bands: Sequence[Band]) -> list[BandPowers]:
    """Of two motions of the same frames, for each band (low and high in Hz); the rate must be 2.5 times the highest."""
    if made.fps != recorded.fps:
        raise InputError(f"motions of {made.fps:g} and {recorded.fps:g} fps; bring both to one rate")
    fps, both = made.fps, np.stack(checked(made.joints, recorded.joints), axis=1)
    both = both - both[:1]  # one that stands still has exactly no acceleration
    below = cache(lambda hz: derivative(both, fps, 2, hz))  # neighbouring bands share an edge
    powers = []
    for low, high in bands:
        check_band(fps, high)
        x, y = np.moveaxis(below(high) - below(low), 1, 0)
        powers.append(BandPowers(*(float(np.sum(a * b)) / fps / x.shape[1] for a, b in ((y, y), (x, x), (x, y), (x - y, x - y)))))
    return powers


def fidelity(parts: Iterable[Sequence[float]]) -> float:
    """Error over the recordings' own energy, all together; NaN for recordings that do not move. parts: BandPowers."""
    total = BandPowers(*np.sum(list(parts), axis=0))
    return total.error / total.recorded if total.recorded > 0 else float("nan")


def correlation(parts: Iterable[Sequence[float]]) -> float:
    """Of the accelerations of motions and recordings, all together; 0 for motions that stand still. parts: BandPowers."""
    total = BandPowers(*np.sum(list(parts), axis=0))
    size = np.sqrt(total.made * total.recorded)
    return float(total.both / size) if size > 0 else 0.0


def band_fidelity(made: Sequence[Motion], recorded: Sequence[Motion], band: Band) -> float:
    """`fidelity` of pairs of motions in one band."""
    return fidelity(band_powers(a, b, [band])[0] for a, b in zip(made, recorded, strict=True))


def band_correlation(made: Sequence[Motion], recorded: Sequence[Motion], band: Band) -> float:
    """`correlation` of pairs of motions in one band."""
    return correlation(band_powers(a, b, [band])[0] for a, b in zip(made, recorded, strict=True))
