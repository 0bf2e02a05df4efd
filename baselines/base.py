"""The systems that can be compared, NeRM among them, one entry each. Knows nothing of metrics and tables, and no system by name.

A system is a folder of this package whose `__init__.py` declares a System, or a plugin that does (`nerm.registry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.data.dataset import Dataset
from nerm.errors import InputError
from nerm.generator import Generator
from nerm.registry import Registry, load_object

if TYPE_CHECKING:
    from nerm.training import Budget


@dataclass(frozen=True)
class System:
    """A system as data; "module:function" strings are imported when they are needed.

    loads: (name, checkpoint: Path | None, device) -> Generator; without a checkpoint the shipped weights.
    trains: (dataset, budget, folder, scale) -> Path of the weights; '' if there is nothing to train.
    reproduces: system of a case of original code -> (case) -> {output: array}.
    leaves: name of the file that training leaves in its folder with the codes of its items; '' if there is none.
    """

    name: str
    title: str
    loads: str
    trains: str = ""
    reproduces: Mapping[str, str] = field(default_factory=dict)
    leaves: str = ""


SYSTEMS: Registry[System] = Registry("system", System, "baselines")


def load_system(name: str, checkpoint: str | Path | None = None, device: str = "cpu") -> Generator:
    """The generator of that name. checkpoint: a file in place of the shipped weights."""
    return load_object(SYSTEMS.get(name).loads)(name, Path(checkpoint) if checkpoint else None, device)


def train_system(name: str, dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """Train a system on a dataset within a budget, in a folder (resumable); the path of its weights."""
    entry = SYSTEMS.get(name)
    if not entry.trains:
        raise InputError(f"system '{name}' has nothing to train: {entry.title}")
    return load_object(entry.trains)(dataset, budget, folder, scale)
