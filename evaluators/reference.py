"""What is kept of real motion, so that a clone without data can score a system: items without their motion, and a protocol's parts.

Under results/reference/<dataset>/ lie items.json (what is asked about), <protocol>.npz (values, plans) and <protocol>.<extractor>.npz
(embeddings). A part that is not there is measured from the dataset: one at a rate that does not ship, or of another extractor digest.
It knows neither what a part means nor how it is measured.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.canonical import canonical
from evaluators.items import counted_items
from evaluators.protocols import Arrays, Part
from nerm.atomic import replacing
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError

FORMAT = 2
RATES = (20.0, 40.0, 60.0, 100.0, 120.0)
"""The rates that ship."""
_EMBEDDINGS = ("clips/", "motions/", "matched/", "texts/", "train/")


@dataclass(frozen=True)
class Subject:
    """What a table is about: the items of a dataset, without their motion. digest: of the dataset."""

    dataset: str
    digest: str
    base_fps: float
    items: tuple[Item, ...]

    @cached_property
    def key(self) -> str:
        """sha256 of everything that a figure can depend on."""
        return hashlib.sha256(canonical([self.digest, self.base_fps, [asdict(item) for item in self.items]]).encode()).hexdigest()


@dataclass
class Reference:
    """The shipped parts of one protocol. folder: where its files lie, None if none ship."""

    protocol: str
    version: int
    folder: Path | None
    dataset_digest: str
    _files: dict[str, tuple[dict[str, Any], dict[str, NDArray]] | None] = field(default_factory=dict, repr=False)

    def get(self, part: Part, extractor_digest: str = "") -> Arrays | None:
        """The arrays of a part, None if it does not ship or was made with another extractor."""
        opened = self._open(part.extractor)
        if opened is None or opened[0].get("extractor_digest", "") != extractor_digest:
            return None
        prefix = f"{part.place}/"
        return {name.removeprefix(prefix): array for name, array in opened[1].items() if name.startswith(prefix)} or None

    def rates(self, extractors: Iterable[str] = ()) -> list[float]:
        """The rates that ship, in what needs no extractor or in what some of these have made."""
        files = [opened for name in ("", *extractors) if (opened := self._open(name)) is not None]
        places = [place for _, arrays in files for place in arrays]
        return sorted({float(place.partition("/")[0]) for place in places if place[:1].isdigit()})

    def digests(self, extractors: Mapping[str, str]) -> dict[str, str]:
        """'reference' and 'reference/<extractor>' -> sha256 of the shipped file, for the files made with extractors of these digests."""
        digests = {}
        for name, digest in [("", ""), *extractors.items()]:
            opened = self._open(name)
            if opened is not None and opened[0].get("extractor_digest", "") == digest:
                digests[f"reference/{name}" if name else "reference"] = opened[0]["file_sha256"]
        return digests

    def _open(self, extractor: str) -> tuple[dict[str, Any], dict[str, NDArray]] | None:
        if extractor not in self._files:
            path = None if self.folder is None else self.folder / file_name(self.protocol, extractor)
            self._files[extractor] = None if path is None or not path.exists() else self._read(path)
        return self._files[extractor]

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, NDArray]] | None:
        """Its head and arrays; None for a file of another dataset or another version of the protocol."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            head = json.loads(str(arrays.pop("head")))
            made_for = head["format"], head["protocol"], head["dataset_digest"]
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(
                f"{path} is no whole reference file ({type(error).__name__}); restore it, or {how_to_build(path.parent.name)}"
            ) from None
        if made_for != (FORMAT, [self.protocol, self.version], self.dataset_digest):
            return None
        return head | {"file_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}, arrays


def subject_of(dataset: Dataset) -> Subject:
    """The test items of a dataset."""
    return Subject(dataset.name, dataset.digest, dataset.base_fps, counted_items(dataset))


def load_subject(dataset: str, folders: Iterable[Path]) -> tuple[Subject, Path] | None:
    """The shipped subject of a dataset and its folder, from the first of the folders of references that has it."""
    for folder in folders:
        path = folder / dataset / "items.json"
        if path.exists():
            try:
                stored = json.loads(path.read_text())
                items = tuple(Item(**{**item, "captions": tuple(item.get("captions", ()))}) for item in stored["items"])
                return Subject(stored["dataset"], stored["digest"], stored["base_fps"], items), path.parent
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path} is no list of items ({error}); restore it, or {how_to_build(dataset)}") from None
    return None


def save_subject(subject: Subject, folder: Path) -> Path:
    """Write FOLDER/<dataset>/items.json, one item a line; what is empty is left out."""
    path = folder / subject.dataset / "items.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({key: value for key, value in asdict(item).items() if value not in ("", ())}) for item in subject.items]
    head = json.dumps({"dataset": subject.dataset, "digest": subject.digest, "base_fps": subject.base_fps})[1:-1]
    with replacing(path) as temporary:
        temporary.write_text(f"{{{head},\n" + '"items": [\n' + ",\n".join(lines) + "\n]}\n")
    return path


def save_parts(
    folder: Path, subject: Subject, protocol: tuple[str, int], parts: Sequence[tuple[Part, Arrays]], extractors: Mapping[str, str]
) -> list[Path]:
    """Write the files of a protocol's parts, each whole or not at all; equal parts are equal bytes. extractors: name -> digest."""
    target = folder / subject.dataset
    target.mkdir(parents=True, exist_ok=True)
    paths = []
    for extractor in dict.fromkeys(part.extractor for part, _ in parts):
        head = {"format": FORMAT, "protocol": list(protocol), "dataset_digest": subject.digest}
        if extractor:
            head["extractor_digest"] = extractors[extractor]
        arrays = {f"{p.place}/{name}": array for p, of_part in parts if p.extractor == extractor for name, array in of_part.items()}
        path = target / file_name(protocol[0], extractor)
        with replacing(path) as temporary, temporary.open("wb") as file:
            content: dict[str, Any] = {"head": np.array(json.dumps(head, sort_keys=True)), **dict(sorted(arrays.items()))}
            np.savez_compressed(file, **content)
        paths.append(path)
    return paths


def short(part: Part, arrays: Arrays) -> Arrays:
    """The arrays as they are kept: embeddings in half precision, which changes a distance far less than sampling does."""
    kind = np.float16 if part.name.startswith(_EMBEDDINGS) else np.float32
    return {name: array.astype(kind) if np.issubdtype(array.dtype, np.floating) else array for name, array in arrays.items()}


def file_name(protocol: str, extractor: str = "") -> str:
    return f"{protocol}.{extractor}.npz" if extractor else f"{protocol}.npz"


def how_to_build(dataset: str) -> str:
    return f"with the dataset prepared, python -m evaluators.run reference dataset={dataset} builds it"
