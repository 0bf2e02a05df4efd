"""NeRM with codes that are dense in time, as a system among others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset
    from nerm.dense.system import DenseNeRM
    from nerm.training import Budget


def load(name: str, checkpoint: Path | None, device: str) -> DenseNeRM:
    """The shipped system of that name, or the one in a file."""
    from nerm.dense.system import load_dense

    system = load_dense(checkpoint or name)
    system.name = name
    return system.to(device)


def train(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """All stages, at the rates of the recordings; the path of the weights. A NeRM in folder/nerm is taken as it is."""
    return _trained(dataset, budget, folder, scale, "native")


def train_fixed(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """The same at the single rate that the other systems train on."""
    return _trained(dataset, budget, folder, scale, "fixed")


def _trained(dataset: Dataset, budget: Budget, folder: Path, scale: str, training_rate: str) -> Path:
    from nerm.dense.system import DenseSettings
    from nerm.dense.train import train_dense
    from nerm.train import settings_of_scale

    settings = DenseSettings()
    settings.field.training_rate = training_rate
    return train_dense(dataset, settings_of_scale(scale, [f"stage1.training_rate={training_rate}"]), settings, budget, folder)
