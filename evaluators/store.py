"""A folder of results: raw replications with their provenance, as files. Every number of a report comes from here.

The path is the identity: ROOT/raw/<dataset>/<table>/<tier>/<system>.json holds all replications of one row of a table, and nothing else
does. The store knows no metric, no extractor and no system, and not what a file of its looks like inside (`evaluators.raw_file`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from re import fullmatch

import numpy as np
from numpy.typing import NDArray

from evaluators.raw_file import check_content, read_document, to_bytes
from evaluators.records import Document
from nerm.atomic import replacing
from nerm.cli import progress
from nerm.errors import InputError

LOCAL = ("quick",)
"""Tiers whose results do not ship."""


class Store:
    """A folder of results: `raw/`, the reports, published.csv.

    root: where results are written.  more: folders that are read where root lacks something, in that order, and never written. Results of
    LOCAL tiers are those of root alone: nobody else's quick run is taken for one's own.
    """

    def __init__(self, root: str | Path, *more: str | Path) -> None:
        self.root = Path(root)
        self.roots = tuple(dict.fromkeys([self.root, *map(Path, more)]))

    def _roots(self, tier: str) -> tuple[Path, ...]:
        return (self.root,) if tier in LOCAL else self.roots

    def path(self, dataset: str, table: str, tier: str, system: str) -> Path:
        """Where the document of that identity is written."""
        return self.root / _place(dataset, table, tier, system)

    def systems(self, dataset: str, table: str, tier: str) -> list[str]:
        """The ids that have results, in any of the folders, sorted."""
        folder = _place(dataset, table, tier, "x").parent
        return sorted({path.stem for root in self._roots(tier) for path in (root / folder).glob("*.json") if not path.name.startswith(".")})

    def tables(self) -> list[tuple[str, str, str]]:
        """(dataset, table, tier) of everything that is stored, in any of the folders, sorted."""
        found = {
            (path.parts[-4], path.parts[-3], path.parts[-2])
            for root in self.roots
            for path in (root / "raw").glob("*/*/*/*.json")
            if not path.name.startswith(".") and root in self._roots(path.parts[-2])
        }
        return sorted(found)

    def read(self, dataset: str, table: str, tier: str, system: str) -> Document:
        """The document of one row, from the first folder that has it whole. A damaged one is reported, and renamed if it is in root."""
        place = _place(dataset, table, tier, system)
        for path in (root / place for root in self._roots(tier)):
            if path.is_file():
                try:
                    return self._read(path, dataset, table, tier, system)
                except InputError as error:
                    self._set_aside(path, error)
        raise InputError(f"nothing is stored under {place} in {' or '.join(map(str, self._roots(tier)))}; run the table again")

    def documents(self, dataset: str, table: str, tier: str) -> list[Document]:
        """All rows that are stored whole, sorted by id."""
        whole = []
        for system in self.systems(dataset, table, tier):
            try:
                whole.append(self.read(dataset, table, tier, system))
            except InputError:
                continue  # damaged, as `read` has reported
        return whole

    def write(self, document: Document) -> Path:
        """Replace the document of one row in root, whole or not at all."""
        path = self.path(document.dataset, document.table, document.tier, document.system)
        write_atomic(path, to_bytes(document))
        return path

    def curves(self, dataset: str, table: str, tier: str, system: str, name: str) -> dict[float, NDArray[np.float64]]:
        """fps -> [2, F] hz and density, from the first folder that holds results of the row; empty if it has no curves."""
        place = _place(dataset, table, tier, system)
        root = next((root for root in self._roots(tier) if (root / place).is_file()), self.root)
        path = root / place.with_name(f"{system}.{name}.csv")
        points: dict[float, list[tuple[float, float]]] = {}
        if path.is_file():
            try:
                with path.open(newline="") as file:
                    for fps, hz, density in list(csv.reader(file))[1:]:
                        points.setdefault(float(fps), []).append((float(hz), float(density)))
            except (ValueError, csv.Error) as error:
                self._set_aside(path, InputError(f"{path} is no whole file of curves ({error})"))
                return {}
        return {fps: np.array(pairs).T for fps, pairs in points.items()}

    def write_curves(self, dataset: str, table: str, tier: str, system: str, name: str, curves: Mapping[float, NDArray]) -> Path:
        """Write fps -> [2, F] hz and density as SYSTEM.NAME.csv beside the document in root; columns fps, hz, density."""
        out = io.StringIO()
        out.write("fps,hz,density\n")
        for fps, (hz, density) in curves.items():
            out.writelines(f"{fps:g},{x:.6g},{y:.6g}\n" for x, y in zip(hz, density, strict=True))
        path = self.path(dataset, table, tier, system).with_name(f"{system}.{name}.csv")
        write_atomic(path, out.getvalue().encode())
        return path

    def file(self, name: str) -> Path:
        """A file of the results folder (published.csv) from the first folder that has it; root's path if none has."""
        return next((root / name for root in self.roots if (root / name).is_file()), self.root / name)

    def _read(self, path: Path, *identity: str) -> Document:
        document = read_document(path)
        try:
            check_content(document)
        except ValueError as error:
            raise InputError(f"{path} is not a complete result file ({error}); delete it and run its table again") from None
        for key, expected in zip(("dataset", "table", "tier", "system"), identity, strict=True):
            if getattr(document, key) != expected:
                raise InputError(f"{path} says {key} '{getattr(document, key)}' inside; a result file must not be renamed: write it anew")
        return document

    def _set_aside(self, path: Path, error: InputError) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        if path.is_relative_to(self.root):
            path.replace(aside)
        progress(f"{error}; " + (f"kept aside as {aside.name}" if path.is_relative_to(self.root) else "left out"))


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write a file, and the folders above it, so that after a kill, or for a reader, it is the old one or the new one and never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _place(dataset: str, table: str, tier: str, system: str) -> Path:
    """The path of a document below a folder of results."""
    for kind, name in (("dataset", dataset), ("table", table), ("tier", tier), ("system", system)):
        if not fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
            raise InputError(f"{kind} '{name}' cannot name a file of results; use letters, digits and . _ + -")
    return Path("raw") / dataset / table / tier / f"{system}.json"
