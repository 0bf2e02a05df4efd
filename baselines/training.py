"""What trainings of several stages share: parts of a budget, and the facts of a training for its model file. It knows no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nerm.generator import Facts
from nerm.training import Budget, Fit, undertrained

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset


def part_of(budget: Budget, share: float, **changes: Any) -> Budget:
    """A share of a budget, with other settings changed."""
    minutes = budget.minutes * share if budget.minutes else None
    steps = max(round(budget.steps * share), 1) if budget.steps else None
    return replace(budget, minutes=minutes, steps=steps, **changes)


def facts_of(fits: Mapping[str, Fit], batches: Mapping[str, int], parameters: int, dataset: str) -> Facts:
    """Of a training's stages and their batch sizes; the only stage of a system is called ''. dataset: its name."""
    return Facts(
        parameters=parameters,
        steps={name: fit.steps for name, fit in fits.items()},
        samples={name: fit.steps * batches[name] for name, fit in fits.items()},
        seconds=round(sum(fit.seconds for fit in fits.values()), 1),
        device=", ".join(sorted({fit.device for fit in fits.values()})),
        undertrained=any(undertrained(fit.history) for fit in fits.values()),
        dataset=dataset,
    )


def origin_of(budget: Budget, dataset: Dataset) -> dict[str, Any]:
    """What else a model file keeps about the origin of its weights."""
    return {"seed": budget.seed, "trained_on": dataset.digest}
