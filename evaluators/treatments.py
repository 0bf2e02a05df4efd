"""What is done to a system's motion in a row of its own: `variant` of a row that is not made of recordings. It knows no system but by name.

A treatment shows what a step is worth: the step is left out, or given to a system that does not have it. Or it shows whether a metric
takes measuring noise for motion.

    no-stance          codes read on the paths that were sampled with them: what the system's field alone says
    known-durations    the system asked for the nearest durations that training has of a sentence, or for several such parts in a row
    known-sentences    the system reading sentences as the mean of what they may mean, of the meanings that training has
    drawn-sentences    the system reading sentences as one of these meanings, which the seed draws
    stance             the motion, at the rate it was made at, on the path that NeRM's stance reads from its legs
    noise-0.5mm        the motion plus white noise of 0.5 mm on every coordinate at the rate of the column: between 8 and 20 Hz, at 120 fps,
                       four times what CMU's recordings have themselves in still moments (.14 mm; HDM05 .02 mm)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nerm.motion import Motion

VERSION = 2
STANCE = "stance"
"""The stage of a training that makes it, as it is named in `nerm.generator.Facts.steps`."""


@dataclass(frozen=True)
class Treatment:
    """without, adds: names of steps.  source: the system whose step is added, '' for none.  noise_m: of white noise, metres.

    durations: what the system is asked for (`nerm.lasting.DURATIONS`), '' for its own choice.
    reading: how it reads a sentence (`nerm.sentence_space.READINGS`), likewise.
    """

    without: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    source: str = ""
    noise_m: float = 0.0
    durations: str = ""
    reading: str = ""

    @property
    def asks(self) -> dict[str, str]:
        """What `nerm.generator.HasVariants.variant` is called with; empty for the system as it is."""
        return {name: value for name, value in (("durations", self.durations), ("reading", self.reading)) if value}

    @property
    def only_removes(self) -> bool:
        """Whether it does nothing to a system that lacks the steps it leaves out."""
        return not (self.adds or self.noise_m or self.asks)


TREATMENTS = {
    "no-stance": Treatment(without=(STANCE,)),
    "known-durations": Treatment(durations="known"),
    "known-sentences": Treatment(reading="known"),
    "drawn-sentences": Treatment(reading="drawn"),
    "stance": Treatment(adds=(STANCE,), source="nerm"),
    "noise-0.5mm": Treatment(noise_m=0.0005),
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
    return [*(step for step in steps if step not in (*treatment.without, *treatment.adds)), *treatment.adds]
