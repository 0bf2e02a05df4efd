"""Training of the text-motion part of the extractor `guo`: a sentence and its motion nearer than any other pair of a batch (InfoNCE).

Hard negatives: actions of one family and mirror images meet in a batch (`pairing`), and each motion is also compared with its own sentence
after one word was changed so that it is wrong (`sentences`). What augments: mirroring with the sentence, body size, words of the same
meaning. No control of motion that must be seen is among it (`evaluators.extractors.controls`): neither speed nor time is changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.data import statistics
from evaluators.extractors.guo.extractor import FPS, LONGEST_FRAMES, NAME, GuoExtractor, pad_captions, pad_features, save
from evaluators.extractors.guo.pairing import (
    Families,
    Split,
    cropped,
    features_of,
    load_split,
    pieces_of,
    resized,
    training_sentences,
)
from evaluators.extractors.guo.pooled import PooledConfig, PooledEvaluator
from evaluators.extractors.guo.sentences import SAME, contradicted, reworded
from evaluators.extractors.guo.space import Seen, fit_space
from evaluators.extractors.guo.whole import WINDOW, describe_motions
from evaluators.extractors.whitening import Whitening
from evaluators.metrics.retrieval import POOL, matching_distance, pools, r_precision
from nerm.data.dataset import Dataset
from nerm.motion import Motion
from nerm.training import Budget, fit
from nerm.words import SPECIAL, mirror_caption, vocabulary, words

CAPTIONS = 5
"""Captions per motion that validation uses; every label of the shipped corpus has at least as many."""
SHARPEST = 100.0
"""Largest inverse temperature."""
NOISE_M = 0.001
SIZE = 1.04
"""Of the changes that are no difference where distances are taken."""


@dataclass
class GuoTraining:
    """Settings of the training. The learning rate is for AdamW."""

    pairs: int = 96
    families: float = 0.5  # share of a batch that is filled with families
    shortest: int = 32
    rate: float = 1e-3
    weight_decay: float = 0.05
    word_dropout: float = 0.3  # share of words read as unk
    rewording: float = 0.5  # share of the exchangeable words that are exchanged
    size: float = 0.15  # standard deviation of the logarithm of body size
    noise: float = 0.4  # on normalised features
    text_text: float = 0.3  # weight of two sentences of one motion against each other
    co_occurrence: bool = True  # start the word vectors from the words that occur together
    held_out: int = 0  # captions of each label that are kept for validation, for choosing settings


def contrastive_loss(text: Tensor, motion: Tensor, mismatched: bool, margin: float = 10.0) -> Tensor:
    """The original's loss of matched pairs, mean d^2, or of mismatched ones, mean max(margin - d, 0)^2 (Hadsell et al., CVPR 2006)."""
    distance = F.pairwise_distance(text, motion)
    return (F.relu(margin - distance) if mismatched else distance).square().mean()


def info_nce(a: Tensor, b: Tensor, sharpness: Tensor | float, wrong: Tensor | None = None, owners: Tensor | None = None) -> Tensor:
    """Cross entropy of finding b[k] for a[k] among all of b, and the reverse (van den Oord et al., 2018). a, b: [B, D] of length 1.

    wrong [N, D]: one more wrong answer for a[owners[n]] each, which no other row sees.
    """
    logits = sharpness * a @ b.T
    forward = logits
    if wrong is not None and owners is not None and len(wrong):
        extra = torch.full((len(a), 1), -math.inf, dtype=logits.dtype, device=logits.device)
        own = sharpness * (a[owners] * wrong).sum(-1, keepdim=True)
        forward = torch.cat([logits, extra.index_copy(0, owners, own)], 1)
    right = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(forward, right) + F.cross_entropy(logits.T, right)) / 2


class Batch(NamedTuple):
    """features: [B, T, 263] normalised and padded, frames: [B]; ids, classes: [2 B + N, W] of words, lengths: [2 B + N] words.

    The sentences are one of each motion, another of each motion, and wrong ones; owners: [N] of which motions.
    """

    features: Tensor
    frames: Tensor
    ids: Tensor
    classes: Tensor
    lengths: Tensor
    owners: Tensor


class GuoModule(nn.Module):
    """The evaluator, the temperature (which is not kept) and the loss of a batch."""

    def __init__(self, evaluator: PooledEvaluator, settings: GuoTraining) -> None:
        super().__init__()
        self.evaluator, self.settings = evaluator, settings
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, *tensors: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """tensors: those of a Batch -> (loss, its parts)."""
        batch = Batch(*tensors)
        motion = self.evaluator.motion(batch.features, batch.frames).float()
        text = self.evaluator.caption(batch.ids, batch.classes, batch.lengths).float()
        one, other, wrong = text[: len(motion)], text[len(motion) : 2 * len(motion)], text[2 * len(motion) :]
        sharpness = self.log_sharpness.exp().clamp(max=SHARPEST)
        matched = (info_nce(motion, one, sharpness, wrong, batch.owners) + info_nce(motion, other, sharpness)) / 2
        sentences = info_nce(one, other, sharpness)
        loss = matched + self.settings.text_text * sentences
        parts = {"matched": matched.detach(), "sentences": sentences.detach(), "sharpness": sharpness.detach()}
        return loss, parts


def word_vectors(sentences: dict[str, tuple[str, ...]], size: int = 300) -> Tensor:
    """Start vectors of the vocabulary: words that occur under the same labels, or mean the same, are near; unknown words are near zero.

    Positive pointwise mutual information, reduced by its singular vectors (Levy & Goldberg, NeurIPS 2014), scaled to unit variance.
    """
    index = {word: place for place, word in enumerate(vocabulary())}
    documents = [" ".join(sentences[label]) for label in sorted(sentences)] + [group for group in SAME for _ in range(3)]
    counts = np.zeros((len(documents), len(index)))
    for place, document in enumerate(documents):
        for word in words(document):
            counts[place, index.get(word, index["unk"])] += 1
    together = counts.T @ counts
    total = together.sum()
    expected = np.outer(together.sum(0), together.sum(1)) / total
    information = np.maximum(np.log(np.maximum(together, 1e-12) / np.maximum(expected, 1e-12)), 0.0)
    u, s, _ = np.linalg.svd(information, hermitian=True)
    vectors = u[:, :size] * np.sqrt(s[:size])
    vectors = vectors / vectors[counts.sum(0) > 0].std()
    return torch.from_numpy(vectors.astype(np.float32))


class GuoTask:
    """What `nerm.training.fit` needs."""

    def __init__(self, dataset: Dataset, config: PooledConfig, settings: GuoTraining) -> None:
        self.settings = settings
        self.train, self.val = load_split(dataset, "train"), load_split(dataset, "val")
        self.pieces = {mirrored: [pieces_of(joints, mirrored) for joints in self.train.joints] for mirrored in (False, True)}
        evaluator = PooledEvaluator(config, len(vocabulary()))
        mean, std = statistics([piece for pieces in self.pieces[False] for piece in pieces])
        evaluator.mean.copy_(mean)
        evaluator.std.copy_(std)
        self.mean, self.std = mean.numpy(), std.numpy()
        if settings.co_occurrence:
            sentences = {label: self.known(texts) for label, texts in training_sentences(dataset, self.train).items()}
            with torch.no_grad():
                evaluator.words.weight.copy_(word_vectors(sentences, config.dim_word))
        self.evaluator = evaluator
        self.module: nn.Module = GuoModule(evaluator, settings)
        self.families = Families(self.train)

    def known(self, captions: tuple[str, ...]) -> tuple[str, ...]:
        """The captions that are trained on."""
        return captions[: max(len(captions) - self.settings.held_out, 1)]

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=self.settings.rate, weight_decay=self.settings.weight_decay)]

    def batch(self, generator: torch.Generator, progress: float) -> Batch:
        """A piece of one motion of each of `pairs` meanings, two of its captions, and a wrong sentence where one word can make it wrong."""
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        longest = int(random.integers(self.settings.shortest, LONGEST_FRAMES + 1))
        clips: list[NDArray] = []
        first: list[str] = []
        second: list[str] = []
        wrong: dict[int, str] = {}
        for motion, mirrored in self.families.draw(self.settings.pairs, self.settings.families, random):
            pieces = self.pieces[mirrored][motion]
            piece = cropped(pieces[int(random.integers(len(pieces)))], self.settings.shortest, longest, random)
            clip = (resized(piece, math.exp(self.settings.size * random.standard_normal())) - self.mean) / self.std
            clips.append(clip + self.settings.noise * random.standard_normal(clip.shape).astype(np.float32))
            known = self.known(self.train.captions[motion])
            chosen = [known[k] for k in random.permutation(len(known))[:2]]
            texts = [mirror_caption(text) if mirrored else text for text in (chosen[0], chosen[-1])]
            against = contradicted(texts[0], random)
            if against is not None:
                wrong[len(first)] = against
            first.append(texts[0])
            second.append(texts[1])
        features, frames = pad_features(clips)
        sentences = [reworded(text, self.settings.rewording, random) for text in (*first, *second, *wrong.values())]
        ids, classes, count = pad_captions(sentences)
        dropped = torch.from_numpy(random.random(ids.shape) < self.settings.word_dropout)
        dropped[2 * len(first) :] = False  # the word that makes it wrong must be there
        ids = torch.where(dropped & (ids >= len(SPECIAL)), vocabulary().index("unk"), ids)
        return Batch(features, frames, ids, classes, count, torch.tensor(list(wrong), dtype=torch.long))

    def validate(self) -> dict[str, float]:
        """R-precision of the validation motions in pools of 32 labels, with captions that were held out or else with training captions."""
        texts = []
        for k, captions in enumerate(self.val.captions):
            asked = captions[-self.settings.held_out :] if self.settings.held_out else captions[:CAPTIONS]
            texts.append(asked[k % len(asked)])
        extractor = GuoExtractor(self.evaluator, device=str(next(self.module.parameters()).device))
        return evaluate(extractor, self.val, texts)


def evaluate(extractor: GuoExtractor, split: Split, texts: list[str], repeats: int = 20) -> dict[str, float]:
    """R-precision top 1 to 3 in pools of 32 with distinct labels (mean over `repeats` draws), mean distance of pairs, and the loss."""
    features = [features_of(joints[: LONGEST_FRAMES + 1]) for joints in split.joints]
    motion, text = extractor.embed_features(features), extractor.embed_texts(texts)
    size = min(POOL, len(set(split.labels)))
    drawn = [pools(len(split.labels), seed, size, split.labels) for seed in range(repeats)]
    top = np.mean([r_precision(text, motion, chosen) for chosen in drawn], axis=0)
    losses = [info_nce(torch.from_numpy(motion[p]), torch.from_numpy(text[p]), 20.0) for p in np.concatenate(drawn[:4])]
    scores = {f"r_precision_{k + 1}": float(value) for k, value in enumerate(top)}
    return scores | {"matching": matching_distance(text, motion), "loss": float(torch.stack(losses).mean())}


def train(dataset: Dataset, budget: Budget, folder: Path, path: Path, settings: GuoTraining | None = None) -> None:
    """Train the extractor in `folder` (resumable), in single precision, and write its weights to `path`."""
    torch.manual_seed(budget.seed)
    task = GuoTask(dataset, PooledConfig(), settings or GuoTraining())
    fit(task, replace(budget, precision="no"), folder, f"extractor {NAME}")
    _unseen_words_are_unk(task)
    motions = [Motion(joints, FPS) for joints in task.train.joints if len(joints) >= WINDOW]
    save(task.evaluator, path, space_of(GuoExtractor(task.evaluator), motions, budget.seed))


def space_of(extractor: GuoExtractor, motions: Sequence[Motion], seed: int) -> Whitening:
    """The space of distances, from motions at 20 fps: as they are, with measuring noise, and of a smaller and of a larger body."""
    random = np.random.default_rng([seed, 9])

    def seen(change: Callable[[NDArray], NDArray]) -> Seen:
        changed = [Motion(change(motion.joints).astype(np.float32), motion.fps) for motion in motions]
        return Seen(describe_motions(changed), extractor.match_motions(changed))

    nuisances = [lambda x: x + NOISE_M * random.standard_normal(x.shape), lambda x: x / SIZE, lambda x: x * SIZE]
    return fit_space(seen(lambda x: x), [seen(change) for change in nuisances])


def _unseen_words_are_unk(task: GuoTask) -> None:
    """Give the vector of unk to words that no sentence of the training holds, mirrored or reworded or not: they have learned nothing."""
    sentences = {text for captions in task.train.captions for text in captions}
    seen = {word for text in sentences for word in words(text) + words(mirror_caption(text))} | set(SPECIAL)
    seen |= {word for group in SAME for word in group.split() if seen & set(group.split())}
    unseen = [place for place, word in enumerate(vocabulary()) if word not in seen]
    with torch.no_grad():
        task.evaluator.words.weight[unseen] = task.evaluator.words.weight[vocabulary().index("unk")].clone()
