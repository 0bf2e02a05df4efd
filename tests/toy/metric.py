"""A metric in one file: how far the wrists are from the pelvis on average, in metres."""

from __future__ import annotations

import numpy as np

from evaluators.metrics import ALL_OF_MOTIONS, Metric
from evaluators.metrics.physical import time_mean
from nerm.motion import Motion

WRISTS = ("l_wrist", "r_wrist")


def reach_m(motion: Motion) -> float:
    """Mean over time and both wrists of the distance to the pelvis, metres."""
    wrists = motion.joints[:, [motion.skeleton.index(name) for name in WRISTS]]
    return time_mean(np.linalg.norm(wrists - motion.joints[:, :1], axis=-1).mean(axis=1))


ENTRIES = (
    Metric(
        name="reach",
        title="reach",
        direction="real",
        unit="m",
        range=(0.0, float("inf")),
        takes="motions",
        invariant_to=ALL_OF_MOTIONS,
        function=f"{__name__}:reach_m",
        definition="mean distance of the wrists from the pelvis",
        resamples="trials",
    ),
)
