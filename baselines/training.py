"""The facts of a training for its model file. It knows no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nerm.generator import Facts
from nerm.training import Fit, undertrained

if TYPE_CHECKING:
    from nerm.budget import Budget
    from nerm.data.dataset import Dataset


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
