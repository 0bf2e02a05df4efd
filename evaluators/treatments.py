"""What is done to a system's motion in a row of its own: `variant` of a row that is not made of recordings. It knows no system but by name.

A treatment shows what a step is worth: the step is left out, or given to a system that does not have it. Or it shows whether a metric
takes measuring noise for motion.

    no-texture             a code read without the random part of the motion: what the system's field alone says
    textured               the same, brought up if it was made at a lower rate, plus the texture of NeRM
    noise-0.5mm            the motion plus white noise of 0.5 mm on every coordinate at the rate of the column: between 8 and 20 Hz, at 120
                           fps, four times what CMU's recordings have themselves in still moments (.14 mm; HDM05 .02 mm)
    no-texture-noise-0.5mm a code read without its random part, plus the same noise

Texture that is added has the bands, the waves, the seeds and the spread over the joints of NeRM's own, and as much energy as NeRM's has on
average over its samples for the same requests; but it is equally strong at all times, because how strong NeRM's is at a moment is read
from its own field. It is added to all that the motion has, where NeRM's takes the place of its field above 4 Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerm.motion import Motion

VERSION = 1
TEXTURE = "texture"
"""The stage of a training that makes the random part, as it is named in `nerm.generator.Facts.steps`."""
SAMPLES = 128
"""About how many samples, evenly over the requests, give the average strength of the texture."""


@dataclass(frozen=True)
class Treatment:
    """without, adds: names of steps.  source: the system whose texture is added, '' for none.  noise_m: of white noise, metres."""

    without: tuple[str, ...] = (TEXTURE,)
    adds: tuple[str, ...] = ()
    source: str = ""
    noise_m: float = 0.0

    @property
    def only_removes(self) -> bool:
        """Whether it does nothing to a system that lacks the steps it leaves out."""
        return not self.adds and not self.noise_m


TREATMENTS = {
    "no-texture": Treatment(),
    "textured": Treatment(adds=(TEXTURE,), source="nerm"),
    "noise-0.5mm": Treatment(without=(), noise_m=0.0005),
    "no-texture-noise-0.5mm": Treatment(noise_m=0.0005),
}


def noisy(motion: Motion, noise_m: float, seed: int) -> Motion:
    """The motion with white noise of that standard deviation (metres) on every coordinate of every frame; features are dropped."""
    rng = np.random.default_rng([seed, 1])
    return Motion((motion.joints + noise_m * rng.standard_normal(motion.joints.shape)).astype(np.float32), motion.fps)


def steps_after(variant: str, steps: Sequence[str]) -> list[str]:
    """The steps that the motion of a row has been through; steps: those of its system."""
    treatment = TREATMENTS.get(variant)
    if treatment is None:
        return list(steps)
    return [*(step for step in steps if step not in treatment.without), *treatment.adds]
