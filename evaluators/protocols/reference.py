"""The shipped reference of real motion: what `measure` gives for the test recordings of a corpus at every rate, and never motion itself.

One file, results/reference/<dataset>.npz, so that a clone without data can score a generator. It belongs to the very extractors it was made
with: a changed extractor is a new metric version, and the reference is built again.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evaluators.protocols.clip import PROTOCOL, TEXT_EXTRACTOR, VERSION, Extractor, Measured, Plan, measure, set_plans, unique_plans
from evaluators.protocols.recordings import SETS, Recording, members, recordings
from nerm.atomic import replacing
from nerm.errors import InputError

if TYPE_CHECKING:
    from nerm.data.corpus import Corpus

FORMAT = 1
RATES = (20.0, 40.0, 60.0, 100.0, 120.0)
TRAIN = 1500
"""Training windows that are embedded for the distance to the nearest one."""


@dataclass(frozen=True)
class Reference:
    """Real recordings as arrays. texts [R, D]: the test caption of each recording (0 without one).  train [N, D]: training windows."""

    dataset: str
    corpus: str
    recordings: tuple[Recording, ...]
    rates: tuple[float, ...]
    extractors: Mapping[str, Mapping[str, Any]]
    digest: str
    arrays: Mapping[str, NDArray] = field(repr=False)
    _measured: dict[float, Measured] = field(default_factory=dict, repr=False)

    @property
    def texts(self) -> NDArray:
        return self.arrays[f"texts/{TEXT_EXTRACTOR}"].astype(np.float64)

    @property
    def train(self) -> NDArray:
        return self.arrays[f"train/{TEXT_EXTRACTOR}"].astype(np.float64)

    def rows(self, fps: float) -> NDArray[np.int64]:
        """The recordings that count at a rate: those of set `all`, of which every set is a part."""
        return members(self.recordings, "all", fps)

    def measured(self, fps: float) -> Measured:
        """Real motion as a row of the table, at one of the rates."""
        if fps in self._measured:
            return self._measured[fps]
        prefix = f"{self.check_rate(fps):g}/"
        own = {key.removeprefix(prefix): array for key, array in self.arrays.items() if key.startswith(prefix)}
        plans: dict[str, Plan] = {}
        for name in SETS:
            rows = members(self.recordings, name, fps)
            same = next((other for other in plans if np.array_equal(members(self.recordings, other, fps), rows)), None)
            plans[name] = plans[same] if same else Plan(own[f"plan/{name}"][0], own[f"plan/{name}"][1], int(own[f"left_out/{name}"]))
        return self._measured.setdefault(fps, Measured(fps, self.rows(fps), plans, [own]))

    def check_rate(self, fps: float) -> float:
        if fps not in self.rates:
            known = ", ".join(f"{rate:g}" for rate in self.rates)
            raise InputError(f"fps={fps:g} is not in the reference of '{self.dataset}'; its rates are {known}")
        return fps

    def check_extractors(self, loaded: Mapping[str, Extractor]) -> None:
        """An error if an extractor is not the one that the reference was made with."""
        for name, extractor in loaded.items():
            if name not in self.extractors:
                raise InputError(f"the reference of '{self.dataset}' has no extractor '{name}'; {_rebuild(self.dataset)}")
            known = self.extractors[name]["digest"]
            if known != extractor.digest:
                raise InputError(
                    f"extractor '{name}' has digest {extractor.digest[:12]}, the reference of '{self.dataset}' was made with {known[:12]}; "
                    f"a changed extractor is a new metric version: {_rebuild(self.dataset)}"
                )


def build_reference(
    corpus: Corpus, extractors: Mapping[str, Extractor], rates: Sequence[float] = RATES, train: int = TRAIN, progress: Any = iter
) -> Reference:
    """Measure the test recordings of a corpus. progress: wraps the iterable of rates (tqdm)."""
    from evaluators.protocols.rows import at_rate

    listed = recordings(corpus)
    arrays: dict[str, NDArray] = {}
    for fps in progress(list(rates)):
        plans = set_plans(listed, SETS, fps)
        motions = {int(row): at_rate(corpus.window(listed[row].window), listed[row].seconds, fps) for row in members(listed, "all", fps)}
        for name, array in measure(motions, plans, fps, extractors).items():
            arrays[f"{fps:g}/{name}"] = _short(name, array)
        for name, plan in unique_plans(plans).items():
            arrays[f"{fps:g}/plan/{name}"] = np.stack([plan.rows, plan.starts]).astype(np.int32)
            arrays[f"{fps:g}/left_out/{name}"] = np.array(plan.left_out)
    if TEXT_EXTRACTOR in extractors:
        arrays |= _texts_and_training(corpus, listed, extractors[TEXT_EXTRACTOR], train)
    known = {name: {"digest": extractor.digest, "version": extractor.version} for name, extractor in extractors.items()}
    return Reference(corpus.name, corpus.digest, tuple(listed), tuple(map(float, rates)), known, "", arrays)


def save_reference(reference: Reference, folder: Path) -> Path:
    """Write <folder>/<dataset>.npz, whole or not at all; equal references are equal bytes."""
    head = {
        "format": FORMAT,
        "protocol": [PROTOCOL, VERSION],
        "dataset": reference.dataset,
        "corpus": reference.corpus,
        "rates": list(reference.rates),
        "extractors": reference.extractors,
        "recordings": [asdict(recording) for recording in reference.recordings],
    }
    path = folder / f"{reference.dataset}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        arrays: dict[str, Any] = {"head": np.array(json.dumps(head, sort_keys=True)), **dict(sorted(reference.arrays.items()))}
        np.savez_compressed(file, **arrays)
    return path


def load_reference(dataset: str, folders: Iterable[Path]) -> Reference:
    """The reference of a dataset from the first folder that has it."""
    folders = list(folders)
    path = next((folder / f"{dataset}.npz" for folder in folders if (folder / f"{dataset}.npz").exists()), None)
    if path is None:
        raise InputError(f"no reference of '{dataset}' in {' or '.join(map(str, folders))}; {_rebuild(dataset)}")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        head = json.loads(str(arrays.pop("head")))
        if head["format"] != FORMAT or head["protocol"] != [PROTOCOL, VERSION]:
            raise InputError(f"{path} was written for format {head['format']}, protocol {head['protocol']}; {_rebuild(dataset)}")
        listed = tuple(Recording(**entry) for entry in head["recordings"])
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return Reference(head["dataset"], head["corpus"], listed, tuple(head["rates"]), head["extractors"], digest, arrays)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a whole reference file ({type(error).__name__}: {error}); {_rebuild(dataset)}") from None


def _texts_and_training(corpus: Corpus, listed: Sequence[Recording], extractor: Any, train: int) -> dict[str, NDArray]:
    captions = sorted({recording.caption for recording in listed} - {""})
    known = dict(zip(captions, extractor.embed_texts(captions), strict=True)) if captions else {}
    windows = corpus.select("train")
    windows = windows[windows["seconds"] >= 1.0].index.to_numpy()
    chosen = np.sort(np.random.default_rng(0).permutation(windows)[:train])
    embedded = extractor.embed_motions([corpus.window(int(window)) for window in chosen])
    texts = np.stack([known.get(recording.caption, np.zeros(embedded.shape[1])) for recording in listed])
    return {f"texts/{TEXT_EXTRACTOR}": texts.astype(np.float16), f"train/{TEXT_EXTRACTOR}": embedded.astype(np.float16)}


def _short(name: str, array: NDArray) -> NDArray:
    """Embeddings in half precision: a thousandth of their spread, far below what sampling does to a Frechet distance."""
    return array.astype(np.float16) if name.startswith(("clips/", "motions/")) else array.astype(np.float32)


def _rebuild(dataset: str) -> str:
    return f"with the corpus prepared, python -m evaluators.run reference dataset={dataset} builds it"
