"""The extractor `guo` as metrics use it: motions and texts to embeddings, at 20 fps.

Motions and texts meet in a learned space, through the 263-d features. Distances between motions are taken in another one (`space`).

It knows joints, features and texts; it knows no generator and no dataset. Embeddings are always in input order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from baselines.checkpoints import load_strict
from baselines.t2m.layers import UNIT
from evaluators.extractors import Extractor
from evaluators.extractors.guo import VERSION
from evaluators.extractors.guo.network import GuoEvaluator, load_official
from evaluators.extractors.guo.pooled import PooledConfig, PooledEvaluator
from evaluators.extractors.guo.space import Seen
from evaluators.extractors.guo.whole import describe_motions
from evaluators.extractors.whitening import Whitening
from nerm import checkpoint
from nerm.errors import InputError
from nerm.motion import Motion, resample
from nerm.motion.features import FEATURES_251, FEATURES_263, encode_humanml263
from nerm.motion.skeleton import heading, yaw_matrix
from nerm.words import WORD_CLASSES, encode_caption, vocabulary

NAME = "guo"
FPS = FEATURES_263.fps
LONGEST_FRAMES = 196
_SPACE = "space."


class GuoExtractor(Extractor):
    """A trained evaluator, frozen by the digest of its weights. Distances are Euclidean in both spaces."""

    name = NAME
    version = VERSION
    padded_frames: int | None = None

    def __init__(
        self,
        evaluator: GuoEvaluator | PooledEvaluator,
        digest: str = "untrained",
        device: str = "cpu",
        reads: str = "",
        space: Whitening | None = None,
    ) -> None:
        """reads: the format whose features it takes unchanged from a system; with '' it computes features from every motion's joints.

        space: where distances between motions are taken; None for that of the texts.
        """
        self.evaluator = evaluator.eval().to(device)
        self.digest, self.device, self.reads, self.space = digest, device, reads, space

    @classmethod
    def official(cls, path: str | Path, mean: ArrayLike, std: ArrayLike, device: str = "cpu") -> GuoExtractor:
        """From an official `finest.tar` and the statistics published with it (mean, std: [263], for KIT-ML [251]).

        Features that come with a motion are read unchanged.
        """
        evaluator = load_official(path, mean, std)
        formats = {format.dims: format.name for format in (FEATURES_263, FEATURES_251)}
        if evaluator.config.dim_pose not in formats:
            raise InputError(
                f"checkpoint {path} reads {evaluator.config.dim_pose} features a frame; expected {' or '.join(map(str, formats))}"
            )
        digest = sha256(checkpoint.sha256(path).encode())
        for values in (evaluator.mean, evaluator.std):
            digest.update(values.numpy().tobytes())
        return cls(evaluator, digest.hexdigest(), device, reads=formats[evaluator.config.dim_pose])

    def embed_motions(self, motions: Sequence[Motion], batch: int = 256) -> NDArray[np.float32]:
        """Motions at any rate -> [n, K] where distances mean something: whitened, at most 64-d. An official evaluator has one space.

        The descriptors are those of the whole motion at 20 fps; of the learned embedding see `match_motions`.
        """
        matched = self.match_motions(motions, batch)
        if self.space is None or not len(motions):
            return matched if self.space is None else np.empty((0, self.space.matrix.shape[1]), np.float32)
        return self.space(Seen(describe_motions(motions), matched).columns)

    def match_motions(self, motions: Sequence[Motion], batch: int = 256) -> NDArray[np.float32]:
        """Motions at any rate -> [n, 128] where texts are; at most the first 196 features of each count.

        Features that came with a motion are taken if they are of the format that this extractor `reads`; else the motion is resampled to
        20 fps (cubic, point values) and encoded.
        """
        return self.embed_features([self._features(motion) for motion in motions], batch)

    def _features(self, motion: Motion) -> NDArray:
        if motion.features is not None and motion.features.format == self.reads:
            return motion.features.values[:LONGEST_FRAMES]
        at20 = resample(motion, FPS, "cubic", "sample")[: LONGEST_FRAMES + 1]
        return encode_humanml263(canonical_clips(at20.joints[None])[0])

    @torch.no_grad()
    def embed_features(self, features: Sequence[NDArray], batch: int = 256) -> NDArray[np.float32]:
        """Features [T_k, 263], not normalised -> [n, 128]. Batches hold motions of similar length; embeddings are in input order."""
        wrong = next((item.shape for item in features if item.shape[1] != self.evaluator.config.dim_pose), None)
        if wrong:
            raise InputError(f"features of shape {list(wrong)}; this extractor was trained on {self.evaluator.config.dim_pose} a frame")
        embeddings = np.empty((len(features), self.evaluator.config.embedding), dtype=np.float32)
        mean, std = self.evaluator.mean.cpu().numpy(), self.evaluator.std.cpu().numpy()
        order = np.argsort([-len(item) for item in features], kind="stable")
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            x, lengths = pad_features([(features[index] - mean) / std for index in part], self.padded_frames)
            embeddings[part] = self.evaluator.motion(x.to(self.device), lengths).float().cpu().numpy()
        return embeddings

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Texts in English -> [n, 128]. Words outside the vocabulary count as unk; a text without a word is an InputError."""
        embeddings = np.empty((len(texts), self.evaluator.config.embedding), dtype=np.float32)
        for start in range(0, len(texts), batch):
            ids, classes, lengths = pad_captions(texts[start : start + batch])
            embedded = self.evaluator.caption(ids.to(self.device), classes.to(self.device), lengths)
            embeddings[start : start + batch] = embedded.float().cpu().numpy()
        return embeddings


def load(path: Path) -> GuoExtractor:
    """From a file that `save` wrote; the digest is the sha256 of the file. Words that the vocabulary has gained get the vector of unk."""
    file = checkpoint.read(path, NAME)
    try:
        config, index = PooledConfig(**file.about["config"]), {word: place for place, word in enumerate(file.about["vocabulary"])}
        version, state = file.about["version"], file.part("")
        of_space = {name: state.pop(f"{_SPACE}{name}").numpy() for name in Whitening._fields if f"{_SPACE}{name}" in state}
        if version == VERSION:
            state["words.weight"] = state["words.weight"][[index.get(word, index["unk"]) for word in vocabulary()]]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is no file of the extractor '{NAME}' ({error}); train it again or download it again") from None
    if version != VERSION:
        raise checkpoint.another_version(file.path, f"file of the extractor '{NAME}'")
    evaluator = PooledEvaluator(config, len(vocabulary()))
    load_strict(evaluator, state, str(path))
    return GuoExtractor(evaluator, file.digest, space=Whitening(**of_space) if of_space else None)


def save(evaluator: PooledEvaluator, path: Path, space: Whitening | None = None) -> None:
    """Weights in half precision, statistics and the space of distances in single, with the vocabulary; written whole or not at all."""
    about = {"config": asdict(evaluator.config), "version": VERSION, "vocabulary": list(vocabulary())}
    of_space = {f"{_SPACE}{name}": torch.from_numpy(values) for name, values in space._asdict().items()} if space else {}
    checkpoint.write(path, NAME, evaluator.state_dict() | of_space, about, exact=("mean", "std", *of_space))


def canonical_clips(joints: NDArray) -> NDArray:
    """Clips [n, m, 22, 3], each moved and turned so that its first frame is above the origin and faces +z; heights unchanged."""
    x = np.asarray(joints, dtype=np.float64)
    turn = yaw_matrix(-heading(x[:, 0]))  # [n, 3, 3]
    place = x[:, :1, :1] * np.array([1.0, 0.0, 1.0])
    return (x - place) @ np.swapaxes(turn, -1, -2)[:, None]


def pad_features(features: Sequence[NDArray], frames: int | None = None) -> tuple[Tensor, Tensor]:
    """Normalised features [T_k, D] of several motions -> ([B, T, D], lengths [B]).

    Each is cropped to a multiple of 4 frames, as officially, and followed by at least 4 frames of zeros (the mean pose). So the last token
    does not depend on what else is in the batch. frames: T of the published loaders, which leaves the longest motions without zeros.
    """
    lengths = [len(item) // UNIT * UNIT for item in features]
    short = [len(item) for item in features if len(item) < UNIT]
    if short:
        raise InputError(f"motion with {short[0]} feature frames; the evaluator reads 4 at a time and needs at least {UNIT + 1} poses")
    out = torch.zeros(len(features), frames or max(lengths) + UNIT, features[0].shape[1])
    for place, (item, length) in enumerate(zip(features, lengths, strict=True)):
        out[place, :length] = torch.as_tensor(np.asarray(item[:length], dtype=np.float32))
    return out, torch.tensor(lengths)


def pad_captions(texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Texts -> (vocabulary indices [B, N], word class indices [B, N], lengths [B])."""
    encoded = [encode_caption(text) for text in texts]
    lengths = torch.tensor([len(ids) for ids, _ in encoded])
    ids = torch.full((len(texts), int(lengths.max())), vocabulary().index("PAD"))
    classes = torch.full_like(ids, WORD_CLASSES.index("OTHER"))
    for place, (words, kinds) in enumerate(encoded):
        ids[place, : len(words)] = torch.tensor(words)
        classes[place, : len(kinds)] = torch.tensor(kinds)
    return ids, classes, lengths
