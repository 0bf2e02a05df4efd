"""Cases of original code: what a published implementation computed from given weights and inputs. Each case has a folder.

The folder holds `fixture.json` (configuration, meaning and tolerance of every array), `inputs.npz`, `outputs.npz` and, where the system
has weights, an official-layout checkpoint or a recipe for one. What reproduces a case (an entry of a system or an extractor) never sees the
outputs; only the comparison reads them. Nothing here knows a network.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.checkpoints import build_from_recipe, safe_load
from nerm.errors import InputError

FIXTURE = "fixture.json"
_FORMAT = 1


class NotCovered(Exception):
    """Raised for a case whose subject this project does not have. The message says what is not there, in one sentence."""


@dataclass(frozen=True)
class Case:
    """A case without its outputs. inputs: arrays by name.  fixture: all of fixture.json; its `outputs` names the arrays to reproduce."""

    folder: Path
    system: str
    variant: str
    config: dict[str, Any]
    fixture: dict[str, Any] = field(repr=False)
    inputs: dict[str, NDArray] = field(repr=False)

    @property
    def name(self) -> str:
        return f"{self.system}/{self.variant}"

    def checkpoint(self) -> Any:
        """The checkpoint in the layout of the official file, from the stored file or from its recipe; None if the case has no weights."""
        about = self.fixture.get("checkpoint")
        if not about:
            return None
        if about.get("file"):
            return safe_load(self.folder / about["file"])
        return build_from_recipe(self.folder)

    @contextmanager
    def checkpoint_file(self) -> Iterator[Path]:
        """The same as a file, for loaders of official files; one made by a recipe is removed afterwards."""
        about = self.fixture.get("checkpoint")
        if not about:
            raise InputError(f"{self.folder} is a case without weights; there is no checkpoint file to load")
        if about.get("file"):
            yield self.folder / about["file"]
            return
        import torch

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / Path(about.get("official_name") or "checkpoint.pt").name
            torch.save(build_from_recipe(self.folder), path)
            yield path


def read_fixture(folder: str | Path) -> dict[str, Any]:
    """The fixture.json of a case folder, checked. What is missing or broken there is an InputError."""
    file = Path(folder) / FIXTURE
    if not file.is_file():
        raise InputError(f"{folder} holds no {FIXTURE}; give the folder of a case")
    try:
        fixture = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no JSON ({error}); restore the file") from None
    wanted = {"system": str, "variant": str, "config": dict, "outputs": dict}
    wrong = [name for name, kind in wanted.items() if not isinstance(fixture, dict) or not isinstance(fixture.get(name), kind)]
    if wrong:
        raise InputError(f"{file} lacks {', '.join(wrong)}; a case names {', '.join(wanted)}")
    if fixture.get("format", _FORMAT) != _FORMAT:
        raise InputError(f"{file} is of format {fixture['format']}; this reads format {_FORMAT}")
    if not isinstance(fixture.get("checkpoint"), dict | None):
        raise InputError(f"{file}: checkpoint is {fixture['checkpoint']!r}; expected null or an object with file or recipe")
    if not fixture["outputs"]:
        raise InputError(f"{file} names no output; a case has at least one")
    for name, about in fixture["outputs"].items():
        limit = about.get("tolerance") if isinstance(about, dict) else None
        if not isinstance(limit, dict) or not all(isinstance(limit.get(key), int | float) and limit[key] >= 0 for key in ("rtol", "atol")):
            raise InputError(f"{file}: output '{name}' lacks its tolerance; expected rtol and atol, numbers from 0")
    return fixture


def read_case(folder: str | Path) -> Case:
    """The case of a folder, without its outputs. What is missing or broken there is an InputError."""
    folder, fixture = Path(folder), read_fixture(folder)
    inputs = read_arrays(folder / "inputs.npz") if fixture.get("inputs") else {}
    absent = [name for name in fixture.get("inputs") or {} if name not in inputs]
    if absent:
        raise InputError(f"{folder / 'inputs.npz'} lacks {', '.join(absent)}, which {FIXTURE} names; restore the file")
    return Case(folder, fixture["system"], fixture["variant"], fixture["config"], fixture, inputs)


def read_arrays(path: Path) -> dict[str, NDArray]:
    """All arrays of an .npz file; no objects are read."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({str(error).splitlines()[0][:120]}); restore the file") from None
