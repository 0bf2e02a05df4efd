"""How fast wrists and ankles get, and how hard they start and stop: peaks of speed and acceleration below 20 Hz. It knows motions alone.

Of a generator, the highest peak of each motion is read, and motions of fast actions are compared as a distribution. Of a reconstruction,
each stroke of the recording (a peak of speed or acceleration that is high enough, whatever the label says) is compared with the same joint
of the other motion at the same moment.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.detail.events import peaks
from evaluators.metrics.detail.fine import finer
from nerm.motion.kinematics import derivative
from nerm.motion.motion import Motion

JOINTS = ("l_wrist", "r_wrist", "l_ankle", "r_ankle")
CUTOFF_HZ = 20.0
STROKE_MPS = 2.0
STROKE_MPS2 = 30.0
APART_S = 0.25
AROUND_S = 0.05
"""The other motion's peak is its highest value within this time of the recording's. Both have the same rate and frames."""
Array = NDArray[np.float64]


def peak_speed(motion: Motion) -> float:
    """Highest speed of a wrist or ankle, m/s."""
    return float(_sizes(motion, 1)[0].max())


def peak_acceleration(motion: Motion) -> float:
    """Highest acceleration of a wrist or ankle, m/s^2."""
    return float(_sizes(motion, 2)[0].max())


def peak_speed_error(made: Motion, recorded: Motion) -> float:
    """Mean over the recording's strokes (2 m/s and more) of |peak speed / the recording's - 1|; NaN without a stroke."""
    return _error(made, recorded, 1, STROKE_MPS)


def peak_acceleration_error(made: Motion, recorded: Motion) -> float:
    """The same for peaks of acceleration (30 m/s^2 and more)."""
    return _error(made, recorded, 2, STROKE_MPS2)


def _error(made: Motion, recorded: Motion, order: int, least: float) -> float:
    (ours, _), (theirs, fine) = _sizes(made, order), _sizes(recorded, order)
    errors = []
    for k in range(len(JOINTS)):
        for time, _ in peaks(theirs[:, k], fine, least, APART_S):
            around = slice(max(round((time - AROUND_S) * fine), 0), round((time + AROUND_S) * fine) + 1)
            errors.append(abs(ours[around, k].max() / theirs[around, k].max() - 1))
    return float(np.mean(errors)) if errors else float("nan")


def _sizes(motion: Motion, order: int) -> tuple[Array, float]:
    """[n, 4] speed (order 1) or acceleration (order 2) of the joints of JOINTS, at a rate fine enough to read peaks, and that rate."""
    ends = motion.joints[:, [motion.skeleton.index(name) for name in JOINTS]].astype(np.float64)
    values, fine = finer(derivative(ends, motion.fps, order, CUTOFF_HZ), motion.fps)
    return np.linalg.norm(values, axis=-1), fine
