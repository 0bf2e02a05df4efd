"""Training of the extractor `guo` on a dataset with captions: matched pairs near, mismatched ones at least 10 apart.

Every batch draws a start and a length in each motion, one of its captions, and whether the whole batch is mirrored. Features are computed
from the clip that was cut, and not cut out of a window's features, because the format smooths the heading over 8 s: training sees what
the extractor will see. The original trains the movement encoder in a stage of its own; here a reconstruction term that fades out does it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.data import statistics
from baselines.t2m.layers import CONTACTS, UNIT
from evaluators.extractors.guo.extractor import (
    FPS,
    LONGEST_FRAMES,
    NAME,
    GuoExtractor,
    canonical_clips,
    pad_captions,
    pad_features,
    save,
)
from evaluators.extractors.guo.network import GuoConfig, GuoEvaluator
from evaluators.metrics.retrieval import POOL, matching_distance, pools, r_precision
from nerm.data.dataset import DATASETS, Dataset
from nerm.errors import InputError
from nerm.motion import resample
from nerm.motion.features import encode_humanml263
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.registry import load_object
from nerm.training import Budget, fit
from nerm.words import SPECIAL, mirror_caption, vocabulary, words

MARGIN = 10.0
CAPTIONS = 5
"""Captions per motion that validation uses; every label of the shipped corpus has at least as many."""


@dataclass
class GuoTraining:
    """Settings of the training. The learning rate is for AdamW."""

    pairs: int = 64
    shortest: int = 32
    longest: int = LONGEST_FRAMES
    rate: float = 1e-3
    weight_decay: float = 0.01
    word_dropout: float = 0.1  # share of words read as unk
    mirror: float = 0.5
    hardest: float = 0.25  # share of the mismatched motions of a text that count, the nearest ones
    reconstruction: float = 1.0  # weight of the fading reconstruction term
    reconstruct_until: float = 0.15  # share of the run after which it is gone
    co_occurrence: bool = True  # start the word vectors from the words that occur together


def contrastive_loss(text: Tensor, motion: Tensor, mismatched: bool, margin: float = MARGIN) -> Tensor:
    """The original's loss of matched pairs, mean d^2, or of mismatched ones, mean max(margin - d, 0)^2 (Hadsell et al., CVPR 2006)."""
    distance = F.pairwise_distance(text, motion)
    return (F.relu(margin - distance) if mismatched else distance).square().mean()


def batch_loss(text: Tensor, motion: Tensor, hardest: float, margin: float = MARGIN) -> tuple[Tensor, Tensor]:
    """(matched, mismatched) parts over all pairs of a batch [B, D] x [B, D] whose labels are distinct.

    Of the mismatched partners of each text, and of each motion, only the nearest share `hardest` counts: most of the others are soon
    beyond the margin, and their zeros would lower the mean.
    """
    distance = (text[:, None] - motion[None] + 1e-6).norm(dim=-1)
    own = torch.eye(len(text), dtype=torch.bool, device=text.device)
    apart = F.relu(margin - distance).square().masked_fill(own, 0.0)
    count = max(int(hardest * (len(text) - 1)), 1)
    near = apart.topk(count, dim=1).values.mean() + apart.topk(count, dim=0).values.mean()
    return distance.diagonal().square().mean(), near / 2


class Batch(NamedTuple):
    """features: [B, T, 263] normalised and padded, frames: [B]; ids, classes: [B, N] of words, lengths: [B] words."""

    features: Tensor
    frames: Tensor
    ids: Tensor
    classes: Tensor
    lengths: Tensor


class GuoModule(nn.Module):
    """The evaluator, the decoder of the reconstruction term (not kept) and the loss of a batch."""

    def __init__(self, evaluator: GuoEvaluator, settings: GuoTraining) -> None:
        super().__init__()
        self.evaluator, self.settings = evaluator, settings
        config = evaluator.config
        self.decoder = nn.Sequential(
            nn.ConvTranspose1d(config.movement_latent, config.movement_hidden, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(config.movement_hidden, config.dim_pose - CONTACTS, 4, 2, 1),
        )

    def forward(self, *tensors: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """tensors: those of a Batch -> (loss, its parts)."""
        batch = Batch(*tensors)
        visible = batch.features[..., :-CONTACTS]
        tokens = self.evaluator.movement_encoder(visible)
        motion = self.evaluator.motion_encoder(tokens, batch.frames // UNIT).float()
        text = self.evaluator.caption(batch.ids, batch.classes, batch.lengths).float()
        matched, mismatched = batch_loss(text, motion, self.settings.hardest)
        loss = matched + mismatched
        parts = {"matched": matched.detach(), "mismatched": mismatched.detach()}
        fade = self.settings.reconstruction * max(0.0, 1 - progress / max(self.settings.reconstruct_until, 1e-9))
        if fade > 0:
            decoded = self.decoder(tokens.transpose(1, 2)).transpose(1, 2)
            error = (decoded - visible[:, : decoded.shape[1]]).abs().mean(dim=-1)
            inside = torch.arange(error.shape[1], device=error.device) < batch.frames.to(error.device)[:, None]
            loss = loss + 10 * fade * (error * inside).sum() / inside.sum()
        return loss, parts


class Split(NamedTuple):
    """The captioned motions of a split at 20 fps. joints: [T_k, 22, 3] each; labels, captions: one label and some sentences per motion."""

    joints: list[NDArray]
    labels: list[str]
    captions: list[tuple[str, ...]]


def load_split(dataset: Dataset, split: str) -> Split:
    """Items with captions and at least 5 frames at 20 fps; one without a label is an action of its own."""
    items = [item for item in dataset.items(split) if item.captions and item.seconds >= UNIT / FPS]
    if not items:
        raise InputError(
            f"dataset '{dataset.name}' has no motion with captions in split '{split}'; the evaluator is trained on motions with captions"
        )
    joints = [resample(dataset.motion(item), FPS, "cubic", "sample").joints for item in items]
    return Split(joints, [item.label or item.id for item in items], [item.captions for item in items])


def training_sentences(dataset: Dataset, split: Split) -> dict[str, tuple[str, ...]]:
    """Label -> sentences: of all labels if the dataset's entry declares its sentences, else of the labels in `split`."""
    entry = DATASETS.get(dataset.name) if dataset.name in DATASETS else None
    if entry is not None and entry.sentences:
        return load_object(entry.sentences)()
    return dict(zip(split.labels, split.captions, strict=True))


def features_of(joints: NDArray, mirrored: bool = False) -> NDArray:
    """Joints [T, 22, 3] of a clip -> features [T-1, 263] as the extractor makes them."""
    if mirrored:
        joints = joints[:, LEFT_RIGHT22] * np.array([-1.0, 1.0, 1.0])
    return encode_humanml263(canonical_clips(joints[None])[0])


def word_vectors(sentences: dict[str, tuple[str, ...]], size: int = 300) -> Tensor:
    """Start vectors of the vocabulary: words that occur under the same labels are near each other; words of no sentence are near zero.

    Positive pointwise mutual information, reduced by its singular vectors (Levy & Goldberg, NeurIPS 2014), scaled to unit variance.
    """
    index = {word: place for place, word in enumerate(vocabulary())}
    counts = np.zeros((len(sentences), len(index)))
    for place, label in enumerate(sorted(sentences)):
        for word in words(" ".join(sentences[label])):
            counts[place, index.get(word, index["unk"])] += 1
    together = counts.T @ counts
    total = together.sum()
    expected = np.outer(together.sum(0), together.sum(1)) / total
    information = np.maximum(np.log(np.maximum(together, 1e-12) / np.maximum(expected, 1e-12)), 0.0)
    u, s, _ = np.linalg.svd(information, hermitian=True)
    vectors = u[:, :size] * np.sqrt(s[:size])
    seen = counts.sum(0) > 0
    vectors = vectors / vectors[seen].std()
    return torch.from_numpy(vectors.astype(np.float32))


class GuoTask:
    """What `nerm.training.fit` needs."""

    def __init__(self, dataset: Dataset, config: GuoConfig, settings: GuoTraining) -> None:
        self.settings = settings
        self.train, self.val = load_split(dataset, "train"), load_split(dataset, "val")
        evaluator = GuoEvaluator(config, len(vocabulary()))
        mean, std = statistics([features_of(joints) for joints in self.train.joints])
        evaluator.mean.copy_(mean)
        evaluator.std.copy_(std)
        self.mean, self.std = mean.numpy(), std.numpy()
        assert evaluator.words is not None
        if settings.co_occurrence:
            with torch.no_grad():
                evaluator.words.weight.copy_(word_vectors(training_sentences(dataset, self.train), config.dim_word))
        self.evaluator = evaluator
        self.module: nn.Module = GuoModule(evaluator, settings)
        self.by_label: dict[str, list[int]] = {}
        for number, label in enumerate(self.train.labels):
            self.by_label.setdefault(label, []).append(number)
        self.pairs = min(settings.pairs, len(self.by_label))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=self.settings.rate, weight_decay=self.settings.weight_decay)]

    def batch(self, generator: torch.Generator, progress: float) -> Batch:
        """A clip of one motion of each of `pairs` labels. All have one length if the motions are long enough, which pads little.

        The whole batch is mirrored, or none of it, because a mirrored label may be another label of the batch.
        """
        seed = int(torch.randint(2**62, (1,), generator=generator))
        random = np.random.default_rng(seed)
        names = list(self.by_label)
        labels = [names[k] for k in random.permutation(len(names))[: self.pairs]]
        mirrored = random.random() < self.settings.mirror
        longest = int(random.integers(self.settings.shortest, self.settings.longest + 1)) + 1
        clips, texts = [], []
        for label in labels:
            chosen = random.choice(self.by_label[label])
            joints = self.train.joints[chosen]
            frames = min(longest, len(joints))
            start = int(random.integers(len(joints) - frames + 1))
            clips.append((features_of(joints[start : start + frames], mirrored) - self.mean) / self.std)
            text = str(random.choice(self.train.captions[chosen]))
            texts.append(mirror_caption(text) if mirrored else text)
        features, lengths = pad_features(clips)
        ids, classes, count = pad_captions(texts)
        dropped = torch.from_numpy(random.random(ids.shape) < self.settings.word_dropout)
        ids = torch.where(dropped & (ids >= len(SPECIAL)), vocabulary().index("unk"), ids)
        return Batch(features, lengths, ids, classes, count)

    def validate(self) -> dict[str, float]:
        """Loss and R-precision of the validation motions with training captions, in pools of 32 distinct labels."""
        texts = [captions[k % min(len(captions), CAPTIONS)] for k, captions in enumerate(self.val.captions)]
        extractor = GuoExtractor(self.evaluator, device=str(next(self.module.parameters()).device))
        scores = evaluate(extractor, self.val, texts)
        return {name: scores[name] for name in ("loss", "r_precision_1", "r_precision_3", "matching")}


def evaluate(extractor: GuoExtractor, split: Split, texts: list[str], repeats: int = 20) -> dict[str, float]:
    """R-precision top 1 to 3 in pools of 32 with distinct labels (mean over `repeats` draws), mean distance of pairs, and the loss."""
    features = [features_of(joints[: LONGEST_FRAMES + 1]) for joints in split.joints]
    motion, text = extractor.embed_features(features), extractor.embed_texts(texts)
    size = min(POOL, len(set(split.labels)))
    drawn = [pools(len(split.labels), seed, size, split.labels) for seed in range(repeats)]
    top = np.mean([r_precision(text, motion, chosen) for chosen in drawn], axis=0)
    losses = [sum(batch_loss(torch.from_numpy(text[p]), torch.from_numpy(motion[p]), 1.0)) for p in np.concatenate(drawn[:4])]
    scores = {f"r_precision_{k + 1}": float(value) for k, value in enumerate(top)}
    return scores | {"matching": matching_distance(text, motion), "loss": float(torch.stack([torch.as_tensor(x) for x in losses]).mean())}


def train(dataset: Dataset, budget: Budget, folder: Path, path: Path, settings: GuoTraining | None = None) -> None:
    """Train the extractor in `folder` (resumable), in single precision, and write its weights to `path`."""
    torch.manual_seed(budget.seed)
    task = GuoTask(dataset, GuoConfig(), settings or GuoTraining())
    fit(task, replace(budget, precision="no"), folder, f"extractor {NAME}")
    _unseen_words_are_unk(task)
    save(task.evaluator, path)


def _unseen_words_are_unk(task: GuoTask) -> None:
    """Give the vector of unk to words that no training caption holds, mirrored or not: they have learned nothing."""
    sentences = {text for captions in task.train.captions for text in captions}
    seen = {word for text in sentences for word in words(text) + words(mirror_caption(text))} | set(SPECIAL)
    unseen = [place for place, word in enumerate(vocabulary()) if word not in seen]
    assert task.evaluator.words is not None
    with torch.no_grad():
        task.evaluator.words.weight[unseen] = task.evaluator.words.weight[vocabulary().index("unk")].clone()
