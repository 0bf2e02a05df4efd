"""What is done to a system's motion in a row of its own: `variant` of a row that is not made of recordings. It knows no system but by name.

A treatment shows what a step is worth: the step is left out, or given to a system that does not have it.

    no-texture   a code read without the random part of the motion: what the system's field alone says
    textured     the same, brought up if it was made at a lower rate, plus the texture of NeRM

Texture that is added has the bands, the waves, the seeds and the spread over the joints of NeRM's own, and as much energy as NeRM's has on
average over its samples for the same requests; but it is equally strong at all times, because how strong NeRM's is at a moment is read
from its own field. It is added to all that the motion has, where NeRM's takes the place of its field above 4 Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VERSION = 1
TEXTURE = "texture"
"""The stage of a training that makes the random part, as it is named in `nerm.generator.Facts.steps`."""
SAMPLES = 128
"""About how many samples, evenly over the requests, give the average strength of the texture."""


@dataclass(frozen=True)
class Treatment:
    """without, adds: names of steps.  source: the system whose texture is added, '' for none."""

    without: tuple[str, ...] = (TEXTURE,)
    adds: tuple[str, ...] = ()
    source: str = ""


TREATMENTS = {"no-texture": Treatment(), "textured": Treatment(adds=(TEXTURE,), source="nerm")}


def steps_after(variant: str, steps: Sequence[str]) -> list[str]:
    """The steps that the motion of a row has been through; steps: those of its system."""
    treatment = TREATMENTS.get(variant)
    if treatment is None:
        return list(steps)
    return [*(step for step in steps if step not in treatment.without), *treatment.adds]
