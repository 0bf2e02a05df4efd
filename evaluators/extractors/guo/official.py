"""The official text-motion evaluators of HumanML3D and KIT-ML as metrics use them.

A file holds the networks alone. The statistics published with it are looked for beside it, in `Comp_v6*/meta` of the same data set, and
among the sources; word vectors (GloVe) beside it. They differ from the statistics of the data sets by accident, and are used all the same.
It knows joints, features and texts; it knows no generator and no dataset.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.features import load_statistics
from baselines.t2m.words import WordVectors, glove_words
from evaluators.extractors.guo import OFFICIAL_VERSION
from evaluators.extractors.guo.extractor import LONGEST_FRAMES, GuoExtractor
from evaluators.extractors.guo.network import GuoEvaluator
from nerm.errors import InputError
from nerm.motion import Motion, resample
from nerm.motion.features import FEATURES_251, FEATURES_263, FeatureFormat, features_from_motion

Words = tuple[Tensor, Tensor, Tensor]
"""Word vectors [B, N, D], one-hot classes [B, N, 15], lengths [B]."""


class OfficialGuo(GuoExtractor):
    """An official evaluator: one space for motions and texts. Motions without features are brought to the format's rate and encoded."""

    version = OFFICIAL_VERSION
    padded_frames = LONGEST_FRAMES

    def __init__(self, name: str, path: Path, format: FeatureFormat, mean: NDArray, std: NDArray) -> None:
        plain = GuoExtractor.official(path, mean, std)
        if plain.reads != format.name:
            raise InputError(f"checkpoint {path} reads features of {plain.reads}; extractor '{name}' needs the file of {format.name}")
        super().__init__(plain.evaluator, plain.digest, reads=format.name)
        self.name, self.path, self.format = name, path, format

    @cached_property
    def words(self) -> WordVectors:
        """The word vectors that its texts are read with."""
        return glove_words(self.path, self.evaluator.config.dim_word)

    def embed_texts(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Texts in English -> [n, 512]. Words that the published selection of GloVe lacks count as unk."""
        return self._embed_words(texts, self.words.batch, batch)

    def embed_tokens(self, tokens: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Published tokens, 'word/POS word/POS ...' each -> [n, 512]: what the published loader reads in place of the caption."""
        return self._embed_words(tokens, self.words.batch_of_tokens, batch)

    @torch.no_grad()
    def _embed_words(self, texts: Sequence[str], read: Callable[[Sequence[str]], Words], batch: int) -> NDArray[np.float32]:
        assert isinstance(self.evaluator, GuoEvaluator)
        embeddings = np.empty((len(texts), self.evaluator.config.embedding), dtype=np.float32)
        for start in range(0, len(texts), batch):
            embeddings[start : start + batch] = self.evaluator.text(*read(texts[start : start + batch])).cpu().numpy()
        return embeddings

    def _features(self, motion: Motion) -> NDArray:
        if motion.features is not None and motion.features.format == self.reads:
            return motion.features.values[:LONGEST_FRAMES]
        return features_from_motion(resample(motion, self.format.fps, "cubic", "sample"), self.format)[:LONGEST_FRAMES]


def evaluator_statistics(path: Path, dims: int, data: str) -> tuple[NDArray, NDArray]:
    """(mean [dims], std [dims]) published with an evaluator. data: the official name of its data set, t2m or kit."""
    home, sources = path.resolve().parent, os.environ.get("NERM_SOURCES")
    places = [home, *sorted(folder for above in home.parents[:2] for folder in above.glob("Comp_v6*/meta"))]
    places += [Path(sources) / "data" / "evaluator_meta" / data] if sources else []
    place = next((folder for folder in places if (folder / "mean.npy").is_file() and (folder / "std.npy").is_file()), home)
    mean, std = load_statistics(place / path.name, dims)
    return mean.numpy(), std.numpy()


def load(name: str, format: FeatureFormat, data: str, path: Path) -> OfficialGuo:
    """From the official file; the digest is that of the file and the statistics. Without word vectors beside it: a MissingFile."""
    extractor = OfficialGuo(name, path, format, *evaluator_statistics(path, format.dims, data))
    assert extractor.words.width == extractor.evaluator.config.dim_word
    return extractor


load_guo_humanml3d = partial(load, "guo_humanml3d", FEATURES_263, "t2m")
load_guo_kit = partial(load, "guo_kit", FEATURES_251, "kit")
