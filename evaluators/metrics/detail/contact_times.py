"""When feet touch down and lift off, and how far these times are from those of a recording. It knows motions, no file and no system.

A contact begins when an ankle or toe is both near its own lowest level and slow, and ends when it leaves either, with wider limits
(hysteresis). The level is the joint's own, since the ankles of two skeletons rest at different heights. Speeds are those below 20 Hz: below
8 Hz a touch-down is smeared over a tenth of a second, and motion of 20 fps would look as well timed as a recording. Times lie between
frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from evaluators.metrics.detail.fine import finer
from evaluators.metrics.physical import FEET
from nerm.motion.kinematics import derivative
from nerm.motion.motion import Motion

CUTOFF_HZ = 20.0
LEVEL_SHARE = 0.05
"""A joint's level is the height below which it is for this share of the time."""
HIGHEST_LEVEL_M = 0.15
"""A joint whose level is higher does not stand on the floor in this motion."""
BEGIN_M, BEGIN_MPS = 0.05, 0.3
END_M, END_MPS = 0.07, 0.5
SHORTEST_S = 0.1
"""Contacts, and pauses between contacts, that are shorter do not count."""
WINDOW_S = 0.25
"""A contact of the recording further away than this is another contact."""
FOUND_S = 0.025
LANDING_S = 0.1
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Contacts:
    """Seconds, sorted, at which one joint touches down and lifts off; contacts that the motion cuts off have only one of the two."""

    down: Array
    up: Array


def contact_times(motion: Motion) -> dict[str, Contacts]:
    """Joint of FEET -> its contacts."""
    feet = motion.joints[:, [motion.skeleton.index(name) for name in FEET]].astype(np.float64)
    velocity, _ = finer(derivative(feet, motion.fps, 1, CUTOFF_HZ), motion.fps)
    height, fine = finer(feet[..., 1], motion.fps)
    speed = np.linalg.norm(velocity, axis=-1)
    return {name: _contacts(height[:, k], speed[:, k], fine) for k, name in enumerate(FEET)}


def contact_timing(made: Motion, recorded: Motion) -> float:
    """Mean absolute difference, in ms, of touch-downs and lift-offs of a recording from those of another motion of the same movement.

    Times of one joint and kind are matched one to one within 250 ms. NaN without a match: `contacts_found` says how many there are.
    """
    apart = [np.abs(of_made[a] - of_recorded[b]) for of_made, of_recorded, a, b in _matched_contacts(made, recorded)]
    every = np.concatenate(apart)
    return 1e3 * float(every.mean()) if len(every) else float("nan")


def contacts_found(made: Motion, recorded: Motion) -> float:
    """Share of the touch-downs and lift-offs of a recording that the other motion has within 25 ms; NaN if the recording has none."""
    found = total = 0
    for of_made, of_recorded, a, b in _matched_contacts(made, recorded):
        found += int(np.sum(np.abs(of_made[a] - of_recorded[b]) <= FOUND_S))
        total += len(of_recorded)
    return found / total if total else float("nan")


def landing_penetration_mm(motion: Motion) -> float:
    """Mean over touch-downs of the deepest place of that joint below the floor within 100 ms, in mm; NaN without a touch-down."""
    depths = []
    for name, contacts in contact_times(motion).items():
        height, fine = finer(motion.joints[:, motion.skeleton.index(name), 1], motion.fps)
        for time in contacts.down:
            landing = height[round(time * fine) : round((time + LANDING_S) * fine) + 1]
            depths.append(max(-landing.min(), 0.0))
    return 1e3 * float(np.mean(depths)) if depths else float("nan")


def match(made: Array, recorded: Array, within: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of times that are paired one to one and in order, as many as possible near each other; none is further than `within`."""
    if not len(made) or not len(recorded):
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty
    apart = np.abs(made[:, None] - recorded[None])
    a, b = linear_sum_assignment(np.minimum(apart, within))
    near = apart[a, b] <= within
    return a[near], b[near]


def _matched_contacts(made: Motion, recorded: Motion) -> list[tuple[Array, Array, NDArray[np.int64], NDArray[np.int64]]]:
    """For each joint and kind: the times of both, and the indices that are matched within 250 ms."""
    ours, theirs = contact_times(made), contact_times(recorded)
    pairs = [(getattr(ours[name], kind), getattr(theirs[name], kind)) for name in FEET for kind in ("down", "up")]
    return [(a, b, *match(a, b, WINDOW_S)) for a, b in pairs]


def _contacts(height: Array, speed: Array, fps: float) -> Contacts:
    """Contacts of one joint from its height and speed [T]."""
    level = np.quantile(height, LEVEL_SHARE)
    if level > HIGHEST_LEVEL_M:
        return Contacts(np.zeros(0), np.zeros(0))
    inside = np.maximum((height - level) / BEGIN_M, speed / BEGIN_MPS)  # below 1: may begin
    outside = np.maximum((height - level) / END_M, speed / END_MPS)  # above 1: ends
    begins, ends = _crossings(inside, outside)
    spans: list[list[float]] = []
    for begin, end in zip(begins, ends, strict=True):
        if spans and (begin - spans[-1][1]) / fps < SHORTEST_S:
            spans[-1][1] = end
        else:
            spans.append([begin, end])
    last = len(height) - 1
    long = [span for span in spans if (span[1] - span[0]) / fps >= SHORTEST_S - 1e-6]
    down = [begin / fps for begin, _ in long if begin > 0]
    up = [end / fps for _, end in long if end < last]
    return Contacts(np.array(down), np.array(up))


def _crossings(inside: Array, outside: Array) -> tuple[list[float], list[float]]:
    """Frames, with fractions, at which contacts begin and end; 0 and the last frame for those that the motion cuts off."""
    begins: list[float] = []
    ends: list[float] = []
    frame, touching = 0, False
    while True:
        signal = outside if touching else inside
        hits = np.flatnonzero(signal[frame:] > 1 if touching else signal[frame:] < 1)
        if not len(hits):
            break
        frame += int(hits[0])
        at = frame - (signal[frame] - 1) / (signal[frame] - signal[frame - 1]) if frame else 0.0
        (ends if touching else begins).append(float(at))
        touching = not touching
    if touching:
        ends.append(float(len(inside) - 1))
    return begins, ends
