"""What the baselines train on: HumanML3D features at 20 fps of a corpus' windows, crops of them as batches, captions and their embeddings.

It knows the corpus and the format; it knows no network and no loss.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nerm.atomic import replacing
from nerm.cli import data_home, progress
from nerm.data.captions import load_captions, mirror_caption
from nerm.errors import InputError
from nerm.motion import resample
from nerm.motion.features import FEATURES_263, encode_humanml263
from nerm.motion.resample import VERSION as RESAMPLER
from nerm.motion.skeleton import LEFT_RIGHT22

if TYPE_CHECKING:
    from nerm.data.corpus import Corpus
    from nerm.text import TextEncoder

VERSION = 1
"""Of the cached features: raise it when they change."""
FPS = FEATURES_263.fps
UNIT = 4
SHORTEST = 40
_LEAST_STD = 1e-4


@dataclass(frozen=True, eq=False)
class FeatureData:
    """The features of the windows of one split, not normalised, and the statistics of the TRAIN split of the same corpus.

    features, mirrored: per window [T-1, 263] float32, of the motion and of its mirror image.  labels: '' where unknown.
    mean, std: [263] over train windows and their mirror images, std averaged within the format's groups.
    """

    features: list[Tensor]
    mirrored: list[Tensor]
    labels: list[str]
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def lengths(self) -> Tensor:
        """[N] feature rows of every window."""
        return torch.tensor([len(rows) for rows in self.features])

    def usable(self, shortest: int = SHORTEST, labelled: bool = False) -> Tensor:
        """Indices of the windows with at least `shortest` rows, of those with a label only if asked for: what to draw `index` from."""
        keep = self.lengths >= shortest
        if labelled:
            keep &= torch.tensor([label != "" for label in self.labels])
        if not keep.any():
            kind = "labelled window" if labelled else "window"
            raise InputError(f"the corpus has no {kind} of at least {shortest} frames at {FPS:g} fps; give a corpus with longer windows")
        return keep.nonzero()[:, 0]

    def batch(
        self, index: Tensor, mirrored: Tensor, generator: torch.Generator, longest: int, unit: int = UNIT, shortest: int = SHORTEST
    ) -> tuple[Tensor, Tensor]:
        """Crops of windows: (x [B, L, 263] normalised and zero-padded, lengths [B] long), L the longest of them.

        As in HumanML3D's loader a crop is the whole window (at most `longest` rows) in whole units, or in one case of three a unit less,
        at a random start. It is not made shorter than `shortest`; a window that is shorter is taken whole.
        """
        if unit < 1 or longest < unit:
            raise InputError(f"crops of at most {longest} rows in units of {unit}; expected at least one unit")
        drawn = torch.rand(len(index), 2, generator=generator, dtype=torch.float64).tolist()
        crops = []
        for row, flip, (shorter, place) in zip(index.tolist(), mirrored.tolist(), drawn, strict=True):
            rows = (self.mirrored if flip else self.features)[row]
            length = min(len(rows), longest) // unit * unit
            if length == 0:
                raise InputError(f"window {row} has {len(rows)} rows, less than a unit of {unit}; draw from usable()")
            if shorter < 1 / 3 and length - unit >= max(shortest, unit):
                length -= unit
            start = int(place * (len(rows) - length + 1))
            crops.append(rows[start : start + length])
        lengths = torch.tensor([len(crop) for crop in crops])
        x = torch.zeros(len(crops), int(lengths.max()), FEATURES_263.dims)
        for filled, crop in zip(x, crops, strict=True):
            filled[: len(crop)] = (crop - self.mean) / self.std
        return x, lengths

    def sentence(self, index: Tensor, mirrored: Tensor, generator: torch.Generator) -> list[str]:
        """A random training caption of each window, mirrored with it; '' for a window without a label."""
        captions, found = load_captions(), []
        drawn = torch.rand(len(index), generator=generator, dtype=torch.float64).tolist()
        for row, flip, share in zip(index.tolist(), mirrored.tolist(), drawn, strict=True):
            label = self.labels[row]
            sentences = captions.train_sentences(label) if label else ("",)
            text = sentences[int(share * len(sentences))]
            found.append(mirror_caption(text) if flip else text)
        return found


class Texts:
    """Sentences -> embeddings of one text encoder. Each is embedded once; the encoder is loaded when it is first needed."""

    def __init__(self, encoder: str = "minilm") -> None:
        """encoder: a name that `nerm.text.load_text_encoder` knows."""
        self.encoder = encoder
        self._known: dict[str, Tensor] = {}
        self._loaded: TextEncoder | None = None

    @property
    def size(self) -> int:
        """Width of an embedding."""
        return self._load().size

    def embed(self, texts: Sequence[str]) -> Tensor:
        """[B, d] float32; '' has an embedding of its own. A text longer than the encoder takes is an InputError."""
        unknown = sorted(set(texts) - self._known.keys())
        if unknown:
            self._known |= dict(zip(unknown, torch.from_numpy(self._load().encode(unknown)), strict=True))
        return torch.stack([self._known[text] for text in texts]) if len(texts) else torch.zeros(0, self.size)

    def _load(self) -> TextEncoder:
        if self._loaded is None:
            from nerm.text import load_text_encoder

            self._loaded = load_text_encoder(self.encoder)
        return self._loaded


def load_feature_data(corpus: Corpus, split: str = "train") -> FeatureData:
    """The features of a split: from the cache under NERM_DATA/features, or made (a minute or so) and put there.

    The cache is keyed by the digest of the corpus; a corpus with an empty digest is not cached.
    """
    if not corpus.digest:
        return make_feature_data(corpus, split)
    path = data_home() / "features" / f"{corpus.name}-{split}-{corpus.digest[:16]}-v{VERSION}.{RESAMPLER}.safetensors"
    found = _read(path)
    if found is not None:
        return found
    progress(f"features of corpus '{corpus.name}', split {split}: made once and kept in {path.parent}")
    train = load_feature_data(corpus, "train") if split != "train" else None
    found = make_feature_data(corpus, split, train)
    try:
        _write(found, path)
    except OSError as error:
        progress(f"the features are not kept ({error.strerror}: {path.parent}); the next run makes them again")
        return found
    return _read(path) or found


def make_feature_data(corpus: Corpus, split: str = "train", train: FeatureData | None = None) -> FeatureData:
    """The same without a cache. train: whose statistics count for another split; made if it is not given."""
    if split != "train" and train is None:
        train = make_feature_data(corpus, "train")
    rows = corpus.select(split)
    rows = rows[rows["seconds"] >= UNIT / FPS]
    if rows.empty:
        raise InputError(f"corpus '{corpus.name}' has no window of at least {UNIT / FPS:g} s in split '{split}'; prepare it again")
    features, mirrored = [], []
    for number in rows.index:
        joints = resample(corpus.window(number), FPS, "cubic", "sample").joints
        # The codec is given metres in double precision: its steps between frames are small differences.
        features.append(_encode(joints))
        mirrored.append(_encode(joints[:, LEFT_RIGHT22] * np.array([-1.0, 1.0, 1.0])))
    mean, std = (train.mean, train.std) if train is not None else statistics(features + mirrored)
    return FeatureData(
        [torch.from_numpy(rows) for rows in features], [torch.from_numpy(rows) for rows in mirrored], list(rows["label"]), mean, std
    )


def statistics(features: Sequence[NDArray]) -> tuple[Tensor, Tensor]:
    """(mean [263], std [263]) over all rows; the deviation is averaged within the format's groups, as HumanML3D publishes it."""
    count = sum(len(rows) for rows in features)
    mean = sum(rows.sum(axis=0, dtype=np.float64) for rows in features) / count
    std = np.sqrt(sum(((rows - mean) ** 2).sum(axis=0) for rows in features) / count)
    for columns in FEATURES_263.slices.values():
        std[columns] = max(float(std[columns].mean()), _LEAST_STD)
    return torch.from_numpy(np.asarray(mean, dtype=np.float32)), torch.from_numpy(std.astype(np.float32))


def _encode(joints: NDArray) -> NDArray[np.float32]:
    return encode_humanml263(joints.astype(np.float64)).astype(np.float32)


def _write(data: FeatureData, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"features": torch.cat(data.features), "mirrored": torch.cat(data.mirrored), "lengths": data.lengths}
    with replacing(path) as temporary:
        save_file(tensors | {"mean": data.mean, "std": data.std}, temporary, {"labels": json.dumps(data.labels)})


def _read(path: Path) -> FeatureData | None:
    """The cached features, mapped into memory; None where there are none or they cannot be read."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            labels = json.loads(file.metadata()["labels"])
            found = {name: file.get_tensor(name) for name in ("features", "mirrored", "lengths", "mean", "std")}
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
    lengths = found["lengths"].tolist()
    return FeatureData(list(found["features"].split(lengths)), list(found["mirrored"].split(lengths)), labels, found["mean"], found["std"])
