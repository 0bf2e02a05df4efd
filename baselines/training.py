"""What the trainings of systems share: the optimizers, and the facts of a training for its model file. It knows no network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nerm.generator import Facts
from nerm.muon import Muon
from nerm.training import Fit, undertrained

if TYPE_CHECKING:
    from nerm.budget import Budget
    from nerm.data.dataset import Dataset


def muon_and_adam(
    parameters: Iterable[nn.Parameter], matrices: Sequence[nn.Parameter], matrix_rate: float, rate: float
) -> list[torch.optim.Optimizer]:
    """Muon for `matrices`, at matrix_rate, and Adam for what else there is among the parameters, at `rate`: NeRM's optimizers."""
    owned = {id(matrix) for matrix in matrices}
    return [Muon(matrices, lr=matrix_rate), torch.optim.Adam([p for p in parameters if id(p) not in owned], lr=rate, betas=(0.9, 0.99))]


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
