"""How much a training may use: minutes or steps, and the clock by which its stages are charged. It knows no network and no data.

A budget in minutes holds everything from the moment it is made: loading, features, embeddings, validation, writing. The time between two
stages, and what a stage is late or early by, is shared between the stages that are left, in proportion to their parts of the budget.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from nerm.cli import progress
from nerm.devices import device_of
from nerm.errors import InputError


class Clock:
    """charged_until: the moment (`time.monotonic`, s) up to which time has been charged to stages; it may lie ahead."""

    def __init__(self, begin: float | None = None) -> None:
        """begin: when the training began; None for now."""
        self.charged_until = time.monotonic() if begin is None else begin

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """The time of this block is charged to no stage."""
        begin = time.monotonic()
        try:
            yield
        finally:
            self.charged_until += time.monotonic() - begin


@dataclass
class Budget:
    """minutes: the learning rate anneals to zero over them. steps: the same, counted in steps (then a run repeats exactly)."""

    minutes: float | None = None
    steps: int | None = None
    seed: int = 0
    save_every_s: float = 120.0
    validate_times: int = 10  # at most; with minutes also no more than fit in a tenth of them
    average: float = 0.999
    max_gradient_norm: float = 1.0  # 0: gradients are left as they are
    warmup: float = 0.02
    device: str = "auto"  # auto | cpu | cuda
    precision: str = "auto"  # auto | no | bf16 | fp16
    rest: float = 1.0  # this part's share of what is left when it begins; parts of a budget share its clock
    preparation_s: float = 0.0  # of the minutes, what is meant for the time before the first step
    clock: Clock = field(default_factory=Clock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise InputError("give either minutes= or steps= as the training budget")
        if (self.minutes or self.steps or 0) <= 0:
            raise InputError(f"a training budget of {self.minutes or self.steps}; expected a positive number")
        if self.device != "auto":
            device_of(self.device)

    def part(self, share: float, later: float = 0.0) -> Budget:
        """A share of the budget. later: the shares of the parts that come after this one."""
        minutes = self.minutes * share if self.minutes else None
        steps = max(round(self.steps * share), 1) if self.steps else None
        after = later + (1 - self.rest) / self.rest  # what comes after the whole budget is counted in its units
        return replace(self, minutes=minutes, steps=steps, rest=share / (share + after))

    def parts(self, shares: Mapping[str, float], preparation_s: Mapping[str, float] | None = None) -> dict[str, Budget]:
        """The budgets of stages that follow each other, by name.

        preparation_s: what stages do before their first step, if that is long. The shares are of what it leaves of the minutes. Preparation
        of more than half of the minutes comes on top of them, and a line says so.
        """
        values = list(shares.values())
        parts = {name: self.part(share, sum(values[place + 1 :])) for place, (name, share) in enumerate(shares.items())}
        if self.minutes is None or not preparation_s:
            return parts
        whole = sum(preparation_s.values())
        if whole > 30 * self.minutes:
            progress(
                f"the preparation of {' and '.join(preparation_s)} takes about {whole:.0f} s, on top of "
                f"minutes={self.minutes:g}; it is part of a budget of more than {whole / 30:.1f} minutes"
            )
        shared = self.minutes - (whole / 60 if whole <= 30 * self.minutes else 0.0)
        return {
            name: replace(part, minutes=shared * shares[name] + prepared / 60, preparation_s=prepared)
            for name, part in parts.items()
            for prepared in [preparation_s.get(name, 0.0)]
        }


class Timer:
    """The seconds of one stage, those of earlier runs included, and how far the stage is.

    start: seconds at its first step.  end: seconds that its end takes, which no step may use.  Neither matters to a budget in steps.
    """

    def __init__(self, budget: Budget, before: float = 0.0, start: float | None = None) -> None:
        """before: seconds that earlier runs were charged with; start: of the first of them."""
        self.budget, self.before, self.start, self.end = budget, before, start, 0.0
        now = time.monotonic()
        late = now - budget.clock.charged_until - budget.preparation_s if budget.minutes else 0.0
        self._begin, self._left = now - budget.preparation_s - late * budget.rest, late * (1 - budget.rest)

    @property
    def allotted(self) -> float:
        """Seconds of the stage; 0 for a budget in steps."""
        return 60 * (self.budget.minutes or 0.0)

    def seconds(self) -> float:
        """Charged to the stage so far."""
        return self.before + time.monotonic() - self._begin

    def progress(self, step: int) -> float:
        """0 at the first step, 1 where training ends. A stage without time left still has one step."""
        if self.budget.steps:
            return step / self.budget.steps
        seconds = self.seconds()
        if self.start is None:
            self.start = seconds
        if step == 0:
            return 0.0
        available = self.allotted - self.end - self.start
        return (seconds - self.start) / available if available > 0 else 1.0

    def validations(self, seconds: float) -> int:
        """How many validations of that length are made on the way."""
        times = self.budget.validate_times
        return times if self.budget.steps else min(times, int(0.1 * self.allotted / max(seconds, 1e-9)))

    def close(self) -> float:
        """End the stage; returns its seconds."""
        seconds, now = self.seconds(), time.monotonic()
        self.budget.clock.charged_until = now - (seconds - self.allotted + self._left if self.budget.minutes else 0.0)
        return seconds
