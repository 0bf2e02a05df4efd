"""What every motion generator looks like from outside, and the names under which they are loaded. Knows nothing of metrics and tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nerm.registry import Registry

if TYPE_CHECKING:
    from nerm.model import Condition
    from nerm.motion import Motion


class Generator(Protocol):
    """A generator of motion.

    name: its id.  native_fps: the rate it generates at before it is brought to the rate asked for; None if it generates at any rate.
    digest: sha256 of everything that its motions depend on besides conditions, seconds, fps and seeds.
    One that was trained here may also have `facts`, of which reports print TRAINING.
    """

    name: str
    native_fps: float | None
    digest: str

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, frames at k / fps from 0 to at most `seconds`; it depends on its own condition, time and seed alone.

        guidance: weight of classifier-free guidance; None is the system's own.
        """
        ...


TRAINING = ("parameters", "steps", "samples", "seconds", "device", "undertrained")
"""How a system was trained. steps, samples: a number, or one for each stage.  undertrained: a validation loss still fell by more than 2 %
over the last fifth."""


def training_facts(generator: Generator) -> dict[str, Any]:
    """What is known of TRAINING; empty for an official checkpoint."""
    facts = getattr(generator, "facts", None) or {}
    return {name: facts[name] for name in TRAINING if name in facts}


GENERATORS = Registry(
    "system",
    {
        "nerm": "baselines.ours:load",
        "nerm-fixed": "baselines.ours:load",
        "t2m": "baselines.t2m.system:load",
        "mdm": "baselines.mdm.system:load",
        "mld": "baselines.mld.system:load",
        "noise": "baselines.dummies:load",
        "freeze": "baselines.dummies:load",
    },
)
"""System id -> a function (id, checkpoint, device) -> Generator, imported when the system is asked for."""


def load_generator(name: str, checkpoint: str = "", device: str = "cpu") -> Generator:
    """The generator of that id. checkpoint: a file in place of the shipped weights."""
    return GENERATORS.load(name)(name, checkpoint, device)
