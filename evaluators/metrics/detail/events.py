"""Events of a motion: bursts of acceleration between 8 and 20 Hz, such as landings, blows and sudden stops. It knows motions alone.

The strength of a joint's acceleration at a moment is its envelope in the band, the root of |a|^2 + |j|^2 / w^2 below 13 Hz, with
acceleration a, jerk j and the band's middle w. A sine of amplitude A at w has strength A at all times. An event is a peak of a wrist,
ankle, toe or the pelvis that
- stands out: at least 3 times the joint's own median strength, so that tremor and noise that go on for the whole motion are no events, and
- is at least 10 m/s^2, far above the measuring noise of any source of the corpus (1 m/s^2 in CMU, 0.2 in HDM05: `band_still`), and
- is no echo: within a quarter of a second no other peak of the joint is 4 times as strong (the filter rings), and
- is shared: a neighbour in the skeleton has at least a tenth of it at that moment, or the foot touches down or lifts off then. A spike of
  one joint alone is a tracking jump or a pop of a solver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from evaluators.metrics.detail.contact_times import FOUND_S, Contacts, contact_times, match
from nerm.motion.kinematics import band_pass, lowpass
from nerm.motion.motion import Motion

BAND_HZ = (8.0, 20.0)
ENVELOPE_HZ = 13.0
JOINTS = ("pelvis", "l_wrist", "r_wrist", "l_ankle", "r_ankle", "l_foot", "r_foot")
STANDS_OUT = 3.0
LEAST_MPS2 = 10.0
SHARED = 0.1
SHARED_S = 0.03
"""A neighbour's strength is its highest within this time."""
CONTACT_S = 0.06
"""A touch-down or lift-off explains a burst within this time."""
ECHO, ECHO_S = 0.25, 0.25
APART_S = 0.1
"""Of peaks nearer than this the strongest is the event. So near to an end of the motion, where it is continued by a guess, none is."""
Array = NDArray[np.float64]


class Event(NamedTuple):
    """A burst of one joint: seconds, and the peak of its strength in m/s^2."""

    joint: str
    time: float
    strength: float


def find_events(motion: Motion) -> list[Event]:
    """Its events, by joint and time. Rates of 60 fps and above."""
    return _events(motion, strengths(motion))


def event_rate(motion: Motion) -> float:
    """Events per second, all joints of JOINTS together."""
    return len(find_events(motion)) / max(motion.seconds, 1 / motion.fps)


def events_found(made: Motion, recorded: Motion) -> float:
    """Share of a recording's events that the other motion has, in the same joint within 25 ms; NaN if the recording has none."""
    there, wanted = find_events(made), find_events(recorded)
    return _found(there, wanted) / len(wanted) if wanted else float("nan")


def events_invented(made: Motion, recorded: Motion) -> float:
    """Share of a motion's events that its recording does not have, in the same joint within 25 ms; NaN if the motion has none."""
    there, wanted = find_events(made), find_events(recorded)
    return 1 - _found(there, wanted) / len(there) if there else float("nan")


def event_strength(made: Motion, recorded: Motion) -> float:
    """Strength of a motion at the events of its recording (highest within 25 ms), over the recording's: the ratio of their sums.

    It needs no event in the motion, so that a weak copy counts as weak and not as missing. NaN if the recording has no event.
    """
    ours, theirs = strengths(made), strengths(recorded)
    wanted = _events(recorded, theirs)
    reached, own = (
        sum(_highest(of[:, recorded.skeleton.index(event.joint)], event.time, FOUND_S, recorded.fps) for event in wanted)
        for of in (ours, theirs)
    )
    return reached / own if wanted else float("nan")


def strengths(motion: Motion) -> Array:
    """[T, J] envelope of every joint's acceleration between 8 and 20 Hz, m/s^2."""
    low, high = BAND_HZ
    x = motion.joints.astype(np.float64) - motion.joints[:1]  # one that stands still has exactly no acceleration
    a, j = (band_pass(x, motion.fps, low, high, order) for order in (2, 3))
    middle = 2 * np.pi * np.sqrt(low * high)
    power = np.sum(a**2, axis=-1) + np.sum(j**2, axis=-1) / middle**2
    return np.sqrt(np.maximum(lowpass(power, motion.fps, ENVELOPE_HZ), 0))


def _events(motion: Motion, strength: Array) -> list[Event]:
    skeleton, contacts = motion.skeleton, contact_times(motion)
    events = []
    for name in JOINTS:
        joint = skeleton.index(name)
        around = [other for other in (skeleton.parents[joint], *skeleton.children[joint]) if other >= 0]
        explained = _contact_moments(name, contacts)
        least = max(LEAST_MPS2, STANDS_OUT * float(np.median(strength[:, joint])))
        for time, value in peaks(strength[:, joint], motion.fps, least, APART_S):
            echo = value < ECHO * _highest(strength[:, joint], time, ECHO_S, motion.fps)
            if echo or not APART_S <= time <= motion.seconds - APART_S:
                continue
            shared = max(_highest(strength[:, other], time, SHARED_S, motion.fps) for other in around) >= SHARED * value
            if shared or np.any(np.abs(explained - time) <= CONTACT_S):
                events.append(Event(name, time, value))
    return events


def peaks(values: Array, fps: float, least: float, apart_s: float) -> list[tuple[float, float]]:
    """(seconds, value) of the peaks of values [T] that are at least `least` and apart_s apart; tops of parabolas through three frames."""
    found, _ = find_peaks(values, height=least, distance=max(apart_s * fps, 1))
    before, top, after = values[found - 1], values[found], values[found + 1]
    bend = before - 2 * top + after
    shift = np.where(bend < 0, (before - after) / np.where(bend < 0, 2 * bend, 1.0), 0.0)
    return list(zip(((found + shift) / fps).tolist(), (top - (before - after) * shift / 4).tolist(), strict=True))


def _contact_moments(joint: str, contacts: dict[str, Contacts]) -> Array:
    """Touch-downs and lift-offs that can shake a joint: those of its own foot, of both feet for the pelvis, none for a wrist."""
    side = joint[:2]
    feet = [times for name, times in contacts.items() if joint == "pelvis" or (side == name[:2] and not joint.endswith("wrist"))]
    return np.concatenate([np.zeros(0), *(times for of_joint in feet for times in (of_joint.down, of_joint.up))])


def _highest(values: Array, time: float, within: float, fps: float) -> float:
    """The highest of values [T] within a time of a moment; the nearest frame counts in any case, 0 if it lies outside."""
    first, last = int(np.ceil((time - within) * fps - 1e-6)), int(np.floor((time + within) * fps + 1e-6))
    nearest = round(time * fps)
    cut = values[max(min(first, nearest), 0) : max(last, nearest) + 1]
    return float(cut.max()) if len(cut) else 0.0


def _found(made: Sequence[Event], recorded: Sequence[Event]) -> int:
    """How many events are paired within 25 ms, each joint by itself."""
    times = [[np.array([e.time for e in events if e.joint == name]) for events in (made, recorded)] for name in JOINTS]
    return sum(len(match(a, b, FOUND_S)[0]) for a, b in times)
