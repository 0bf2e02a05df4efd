"""NeRM as a system among others: loaded by its name or from a file, and trained with the settings of a scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

_PAPER = {"shipped": "paper-small", "paper": "paper"}
"""Scale of a training command -> the scale of the paper's method: as large as what ships, or as published."""

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset
    from nerm.model import NeRM
    from nerm.training import Budget


def load(name: str, checkpoint: Path | None, device: str) -> NeRM:
    """The shipped NeRM of that name, or the one in a file."""
    from nerm.model import load_nerm

    system = load_nerm(checkpoint or name)
    system.name = name
    return system.to(device)


def train(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """All stages, at the rates of the recordings; the path of the weights."""
    return _trained(dataset, budget, folder, scale, [])


def train_fixed(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The same at the single rate that the other systems train on."""
    return _trained(dataset, budget, folder, scale, ["stage1.training_rate=fixed"])


def train_paper(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The paper's method, as large as what ships or as published."""
    return _trained(dataset, budget, folder, _PAPER[scale], [])


def train_paper_none(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The paper's method, whose field is told the time as it is."""
    return _trained(dataset, budget, folder, _PAPER[scale], ["stage1.field.time_encoding=none"])


def train_paper_simple(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The paper's method, whose field is told the time as sines and cosines."""
    return _trained(dataset, budget, folder, _PAPER[scale], ["stage1.field.time_encoding=simple"])


def train_paper_not_variational(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The paper's method with points for codes: no draws and no divergence, in either stage."""
    return _trained(dataset, budget, folder, _PAPER[scale], ["stage1.field.variational=false"])


def train_paper_not_normalized(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The paper's method with time in seconds from the first frame."""
    return _trained(dataset, budget, folder, _PAPER[scale], ["stage1.field.time_normalisation=false"])


def train_paper_fixed(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The paper's method at the single rate that the other systems train on."""
    return _trained(dataset, budget, folder, _PAPER[scale], ["stage1.training_rate=fixed"])


def _trained(dataset: Dataset, budget: Budget, folder: Path, scale: str, words: list[str]) -> Path:
    from nerm.train import settings_of_scale, train_nerm

    return train_nerm(dataset, settings_of_scale(scale, words), budget, folder)
