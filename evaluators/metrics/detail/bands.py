"""The 8-20 Hz band as a distribution: the power of acceleration of every joint at every frame, given how fast the joint moves.

In recordings, 1 % of these (frame, joint) pairs hold nearly half of the power, and where a joint stands still the power is the measuring
noise of its source. A mean can tell neither tremor from landings nor noise from movement; a distribution by speed can. Powers are counted
in bins of an eighth of a decade, which add up over motions, so that figures can be drawn again from counts. It knows motions alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.kinematics import band_pass, speed
from nerm.motion.motion import Motion

BAND_HZ = (8.0, 20.0)
SPEEDS_MPS = (0.02, 0.1, 0.5)
"""Edges of four classes of joint speed below 8 Hz: still, slow, middling, moving."""
DECADES = np.linspace(-4.0, 5.0, 73)
"""Edges of the bins of log10 of the power in (m/s^2)^2; what lies outside counts in the first or last."""
NOISE_DECADE = 0.0
"""Powers below 1 (m/s^2)^2 count as 1 in `band_distribution`: the noise of the sources (CMU 0.4 to 0.9, HDM05 0.03) is no difference."""
_WIDTH = DECADES[1] - DECADES[0]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Powers:
    """Counts of (frame, joint) pairs. counts: [4, bins] by speed and power.  energy: [bins] sum of the powers in a bin, all speeds."""

    counts: Array
    energy: Array

    def share(self) -> Array:
        """[4] of the pairs in each class of speed."""
        return self.counts.sum(axis=1) / max(self.counts.sum(), 1)

    def quantile(self, q: float, classes: slice = slice(None)) -> float:
        """The power below which a share q of the pairs of some classes of speed lies, (m/s^2)^2; NaN if there are none."""
        counts = self.counts[classes].sum(axis=0)
        if not counts.sum():
            return float("nan")
        return float(10 ** np.interp(q * counts.sum(), np.concatenate([[0], np.cumsum(counts)]), DECADES))

    def top_share(self, top: float = 0.01) -> float:
        """The share of all power that the strongest pairs, a share `top` of all, hold; NaN for motion without any."""
        total = self.energy.sum()
        if not total > 0:
            return float("nan")
        pairs = np.concatenate([[0], np.cumsum(self.counts.sum(axis=0)[::-1])])
        held = np.concatenate([[0], np.cumsum(self.energy[::-1])])
        return float(np.interp(top * pairs[-1], pairs, held) / total)

    def distance(self, recorded: Powers) -> float:
        """Wasserstein-1 distance in decades of two distributions of log10 power, mean over classes of speed weighted by the recordings'.

        A class that this one lacks is compared with its nearest other class: motion that never stands still is compared with stillness.
        """
        have = np.flatnonzero(self.counts.sum(axis=1))
        if not len(have) or not recorded.counts.sum():
            raise InputError("distributions of no motion; at least one motion of 60 fps or more is needed on both sides")
        apart = [_wasserstein(self.counts[have[np.argmin(np.abs(have - k))]], of) for k, of in enumerate(recorded.counts)]
        return float(recorded.share() @ apart)


def powers_of(motion: Motion) -> Powers:
    """The counts of one motion at 60 fps or more (50 can hold the band)."""
    power, class_ = pairs_of(motion)
    return counted(power, class_)


def pairs_of(motion: Motion) -> tuple[Array, NDArray[np.int64]]:
    """[T * J] power of the acceleration between 8 and 20 Hz, (m/s^2)^2, and class of speed of every frame and joint."""
    x = motion.joints.astype(np.float64)
    power = np.sum(band_pass(x, motion.fps, *BAND_HZ) ** 2, axis=-1)
    return power.ravel(), np.digitize(speed(x, motion.fps), SPEEDS_MPS).ravel()


def counted(power: Array, class_: NDArray[np.int64]) -> Powers:
    """Counts of powers [n] and classes [n]."""
    bins = len(DECADES) - 1
    place = np.clip(((np.log10(np.maximum(power, 1e-12)) - DECADES[0]) / _WIDTH).astype(np.int64), 0, bins - 1)
    counts = np.bincount(class_ * bins + place, minlength=bins * (len(SPEEDS_MPS) + 1)).reshape(-1, bins)
    return Powers(counts.astype(np.float64), np.bincount(place, weights=power, minlength=bins).astype(np.float64))


def together(parts: Iterable[Powers]) -> Powers:
    """The counts of several motions."""
    listed = list(parts)
    return Powers(np.sum([p.counts for p in listed], axis=0), np.sum([p.energy for p in listed], axis=0))


def band_median(motions: Sequence[Motion]) -> float:
    """Median power of all frames and joints of all motions, (m/s^2)^2."""
    return together(map(powers_of, motions)).quantile(0.5)


def band_still(motions: Sequence[Motion]) -> float:
    """Median power where a joint stands still (below 2 cm/s), (m/s^2)^2: of recordings of one source, its measuring noise."""
    return together(map(powers_of, motions)).quantile(0.5, slice(1))


def band_top1(motions: Sequence[Motion]) -> float:
    """The share of all power that the strongest 1 % of the frames and joints hold."""
    return together(map(powers_of, motions)).top_share()


def band_distribution(generated: Sequence[Motion], real: Sequence[Motion]) -> float:
    """`Powers.distance` of two sets of motions, decades."""
    made, recorded = (together(map(powers_of, motions)) for motions in (generated, real))
    return made.distance(recorded)


def _wasserstein(counts: Array, other: Array) -> float:
    """Wasserstein-1 distance of two counts over bins, everything below NOISE_DECADE taken as one place; 0 if one is empty."""
    if not counts.sum() or not other.sum():
        return 0.0
    above = DECADES[1:-1] >= NOISE_DECADE - 1e-9
    apart = np.cumsum(counts / counts.sum()) - np.cumsum(other / other.sum())
    return float(np.abs(apart[:-1][above]).sum() * _WIDTH)
