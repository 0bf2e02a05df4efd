"""What systems of a fixed rate train on: the published features of a dataset's items, crops of them as batches, sentences.

Features that come with a dataset are taken as they are, with the statistics that belong to them; others are made of its motion at the rate
of the format (of 22 joints at 20 fps, of the 21 of KIT-ML at 12.5).

It knows the interface of datasets and the format; it knows no network and no loss.
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
from nerm.data.dataset import Item, mirror_images, published_statistics
from nerm.errors import InputError
from nerm.motion import Motion, resample
from nerm.motion.features import FEATURES_263, FeatureFormat, encode, format_of, format_of_dims
from nerm.motion.resample import VERSION as RESAMPLER
from nerm.words import mirror_caption

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset
    from nerm.text import TextEncoder

VERSION = 1
"""Version of the cached features; raise it when they change."""
UNIT = 4
SHORTEST = 40
_LEAST_STD = 1e-4


@dataclass(frozen=True, eq=False)
class FeatureData:
    """The features of the items of one split, not normalised, and the statistics of the TRAIN split of the same dataset.

    features, mirrored: per item [T-1, D] float32, of the motion and of its mirror image.
    mean, std: [D] those that belong to the dataset, or over train items and their mirror images, std averaged within the format's groups.
    """

    features: list[Tensor]
    mirrored: list[Tensor]
    items: list[Item]
    mean: Tensor
    std: Tensor

    @cached_property
    def format(self) -> FeatureFormat:
        """That of the features."""
        return format_of_dims(len(self.mean))

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def lengths(self) -> Tensor:
        """[N] frames of every item's features."""
        return torch.tensor([len(frames) for frames in self.features])

    def usable(self, shortest: int = SHORTEST) -> Tensor:
        """Places of the items with at least `shortest` frames: what to draw from."""
        keep = self.lengths >= shortest
        if not keep.any():
            raise InputError(
                f"the dataset has no item of at least {shortest} frames at {self.format.fps:g} fps; give one with longer motions"
            )
        return keep.nonzero()[:, 0]

    def draw(self, usable: Tensor, size: int, generator: torch.Generator, pool: int = 1, stable: bool = True) -> Tensor:
        """Places [size] of random items.

        pool: number of batches that are drawn and sorted by length; one of them is taken, so that little of a batch is padding.
        stable: whether items of equal length stay in the order in which they were drawn.
        """
        drawn = usable[torch.randint(len(usable), (size * pool,), generator=generator)]
        if pool == 1:
            return drawn
        block = int(torch.randint(pool, (1,), generator=generator)) * size
        return drawn[self.lengths[drawn].argsort(stable=stable)][block : block + size]

    def by_length(self, places: Tensor, size: int, stable: bool = True) -> Sequence[Tensor]:
        """All the places once, in batches of at most `size` items of similar length."""
        return places[self.lengths[places].argsort(stable=stable)].split(size)

    def batch(
        self, places: Tensor, mirrored: Tensor, generator: torch.Generator, longest: int, unit: int = UNIT, shortest: int = SHORTEST
    ) -> tuple[Tensor, Tensor]:
        """Crops of items: (x [B, L, D] normalised and zero-padded, lengths [B] long), L the longest of them.

        As in HumanML3D's loader a crop is the whole item (at most `longest` frames) in whole units, or in one case of three a unit less,
        at a random start. It is not made shorter than `shortest`; an item that is shorter is taken whole.
        """
        if unit < 1 or longest < unit:
            raise InputError(f"crops of at most {longest} frames in units of {unit}; expected at least one unit")
        drawn = torch.rand(len(places), 2, generator=generator, dtype=torch.float64).tolist()
        crops = []
        for place, flip, (shorter, share) in zip(places.tolist(), mirrored.tolist(), drawn, strict=True):
            frames = (self.mirrored if flip else self.features)[place]
            length = min(len(frames), longest) // unit * unit
            if length == 0:
                raise InputError(f"item {self.items[place].id} has {len(frames)} frames, less than a unit of {unit}; draw from usable()")
            if shorter < 1 / 3 and length - unit >= max(shortest, unit):
                length -= unit
            start = int(share * (len(frames) - length + 1))
            crops.append(frames[start : start + length])
        lengths = torch.tensor([len(crop) for crop in crops])
        x = torch.zeros(len(crops), int(lengths.max()), len(self.mean))
        for filled, crop in zip(x, crops, strict=True):
            filled[: len(crop)] = (crop - self.mean) / self.std
        return x, lengths

    def sentence(self, places: Tensor, mirrored: Tensor, generator: torch.Generator) -> list[str]:
        """A random caption of each item, mirrored with it; '' for an item without one."""
        drawn = torch.rand(len(places), generator=generator, dtype=torch.float64).tolist()
        texts = []
        for place, flip, share in zip(places.tolist(), mirrored.tolist(), drawn, strict=True):
            captions = self.items[place].captions or ("",)
            text = captions[int(share * len(captions))]
            texts.append(mirror_caption(text) if flip else text)
        return texts


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


def load_feature_data(dataset: Dataset, split: str = "train") -> FeatureData:
    """The features of a split: from the cache under NERM_DATA/features, or made (a minute or so) and put there.

    The cache is keyed by the digest of the dataset; a dataset with an empty digest is not cached, nor is one that holds features.
    """
    if not dataset.digest or published_statistics(dataset) is not None:
        return make_feature_data(dataset, split)
    path = data_home() / "features" / f"{dataset.name}-{split}-{dataset.digest[:16]}-v{VERSION}.{RESAMPLER}.safetensors"
    items = _long_enough(dataset, split)
    cached = _read(path, items)
    if cached is not None:
        return cached
    progress(f"features of dataset '{dataset.name}', split {split}: made once and kept in {path.parent}")
    train = load_feature_data(dataset, "train") if split != "train" else None
    made = make_feature_data(dataset, split, train)
    try:
        _write(made, path)
    except OSError as error:
        progress(f"the features are not kept ({error.strerror}: {path.parent}); the next run makes them again")
        return made
    return _read(path, items) or made


def make_feature_data(dataset: Dataset, split: str = "train", train: FeatureData | None = None) -> FeatureData:
    """The same without a cache. train: data of the train split, which gives the statistics for another split; made if not given."""
    published = published_statistics(dataset)
    if split != "train" and train is None and published is None:
        train = make_feature_data(dataset, "train")
    items, format = _long_enough(dataset, split), format_of(dataset.skeleton)
    by_id = {item.id: item for item in dataset.items(split)}
    images = {plain: by_id[image] for image, plain in mirror_images(dataset).items() if image in by_id}
    features, mirrored = [], []
    for item in items:
        motion = dataset.motion(item)
        features.append(_features(motion, format))
        mirrored.append(_features(dataset.motion(images[item.id]) if item.id in images else motion.mirrored(), format))
    if published is not None:
        mean, std = (torch.from_numpy(values).float() for values in published)
    else:
        mean, std = (train.mean, train.std) if train is not None else statistics(features + mirrored, format)
    return FeatureData([torch.from_numpy(x) for x in features], [torch.from_numpy(x) for x in mirrored], items, mean, std)


def statistics(features: Sequence[NDArray], format: FeatureFormat = FEATURES_263) -> tuple[Tensor, Tensor]:
    """(mean [D], std [D]) over all frames; the deviation is averaged within the format's groups, as HumanML3D publishes it."""
    count = sum(len(frames) for frames in features)
    mean = sum(frames.sum(axis=0, dtype=np.float64) for frames in features) / count
    std = np.sqrt(sum(((frames - mean) ** 2).sum(axis=0) for frames in features) / count)
    for columns in format.slices.values():
        std[columns] = max(float(std[columns].mean()), _LEAST_STD)
    return torch.from_numpy(np.asarray(mean, dtype=np.float32)), torch.from_numpy(std.astype(np.float32))


def _long_enough(dataset: Dataset, split: str) -> list[Item]:
    images, least_s = mirror_images(dataset), UNIT / format_of(dataset.skeleton).fps
    items = [item for item in dataset.items(split) if item.seconds >= least_s and item.id not in images]
    if not items:
        raise InputError(f"dataset '{dataset.name}' has no item of at least {least_s:g} s in split '{split}'; prepare it again")
    return items


def _features(motion: Motion, format: FeatureFormat) -> NDArray[np.float32]:
    """Those that came with the motion, or made of its joints at the rate of the format."""
    if motion.features is not None and motion.features.format == format.name:
        return np.asarray(motion.features.values, dtype=np.float32)
    joints = resample(motion, format.fps, "cubic", "sample").joints
    # The codec is given double precision: its steps between frames are small differences.
    return encode(joints.astype(np.float64) * (1 / format.metres_per_unit), format).astype(np.float32)


def _write(data: FeatureData, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {"features": torch.cat(data.features), "mirrored": torch.cat(data.mirrored), "lengths": data.lengths}
    with replacing(path) as temporary:
        about = {"items": json.dumps([item.id for item in data.items])}
        save_file(tensors | {"mean": data.mean, "std": data.std}, temporary, about)


def _read(path: Path, items: list[Item]) -> FeatureData | None:
    """The cached features of these items, mapped into memory; None where there are none or they cannot be read."""
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            ids = json.loads(file.metadata()["items"])
            stored = {name: file.get_tensor(name) for name in ("features", "mirrored", "lengths", "mean", "std")}
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
    if ids != [item.id for item in items]:
        return None
    lengths = stored["lengths"].tolist()
    features, mirrored = (list(stored[name].split(lengths)) for name in ("features", "mirrored"))
    return FeatureData(features, mirrored, items, stored["mean"], stored["std"])
