"""Training of the text-motion evaluator on a corpus with captions: matched pairs near, mismatched ones at least 10 apart.

Every access draws a place and a length in a window, a caption of its label, and whether the whole batch is mirrored. Features are made of
the clip that was cut and not cut out of a window's features, because the format smooths the heading over 8 s: training sees what the
extractor will see. The original trains the movement encoder in a stage of its own; here that is a reconstruction term that fades out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.data import statistics
from evaluators.extractors.guo import (
    CONTACTS,
    FPS,
    LONGEST_FRAMES,
    UNIT,
    GuoConfig,
    GuoEvaluator,
    GuoExtractor,
    canonical_clips,
    pad_captions,
    pad_features,
    save,
)
from evaluators.metrics.retrieval import POOL, matching_distance, pools, r_precision
from nerm.data.captions import SPECIAL, load_captions, mirror_caption, vocabulary, words
from nerm.data.corpus import Corpus
from nerm.errors import InputError
from nerm.motion import resample
from nerm.motion.features import encode_humanml263
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.training import Budget, fit

MARGIN = 10.0


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
    """The original's loss of rows that belong together, or do not: mean of d^2, or of max(margin - d, 0)^2 (Hadsell et al., CVPR 2006)."""
    distance = F.pairwise_distance(text, motion)
    return (F.relu(margin - distance) if mismatched else distance).square().mean()


def batch_loss(text: Tensor, motion: Tensor, hardest: float, margin: float = MARGIN) -> tuple[Tensor, Tensor]:
    """(matched, mismatched) parts over all pairs of a batch [B, D] x [B, D] whose labels are distinct.

    Of the mismatched partners of each text, and of each motion, the nearest `hardest` share counts: most of the others are beyond the
    margin soon and would thin the mean.
    """
    distance = (text[:, None] - motion[None] + 1e-6).norm(dim=-1)
    own = torch.eye(len(text), dtype=torch.bool, device=text.device)
    apart = F.relu(margin - distance).square().masked_fill(own, 0.0)
    count = max(int(hardest * (len(text) - 1)), 1)
    near = apart.topk(count, dim=1).values.mean() + apart.topk(count, dim=0).values.mean()
    return distance.diagonal().square().mean(), near / 2


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

    def forward(
        self, features: Tensor, frames: Tensor, ids: Tensor, classes: Tensor, count: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """features: [B, T, 263] normalised and padded, frames: [B]; ids, classes: [B, N], count: [B] words."""
        visible = features[..., :-CONTACTS]
        tokens = self.evaluator.movement_encoder(visible)
        motion = self.evaluator.motion_encoder(tokens, frames // UNIT).float()
        text = self.evaluator.caption(ids, classes, count).float()
        matched, mismatched = batch_loss(text, motion, self.settings.hardest)
        loss = matched + mismatched
        parts = {"matched": matched.detach(), "mismatched": mismatched.detach()}
        fade = self.settings.reconstruction * max(0.0, 1 - progress / max(self.settings.reconstruct_until, 1e-9))
        if fade > 0:
            found = self.decoder(tokens.transpose(1, 2)).transpose(1, 2)
            error = (found - visible[:, : found.shape[1]]).abs().mean(dim=-1)
            inside = torch.arange(error.shape[1], device=error.device) < frames.to(error.device)[:, None]
            loss = loss + 10 * fade * (error * inside).sum() / inside.sum()
        return loss, parts


@dataclass
class Split:
    """The labelled windows of a split at 20 fps. joints: [T_k, 22, 3] each; labels: one per window."""

    joints: list[NDArray]
    labels: list[str]

    def __len__(self) -> int:
        return len(self.labels)


def load_split(corpus: Corpus, split: str) -> Split:
    """Windows with a label and at least 5 frames at 20 fps."""
    rows = corpus.select(split)
    rows = rows[(rows["label"] != "") & (rows["seconds"] >= UNIT / FPS)]
    if rows.empty:
        raise InputError(
            f"corpus '{corpus.name}' has no labelled window in split '{split}'; the evaluator is trained on labels with captions"
        )
    joints = [resample(corpus.window(number), FPS, "cubic", "sample").joints for number in rows.index]
    return Split(joints, list(rows["label"]))


def features_of(joints: NDArray, mirrored: bool = False) -> NDArray:
    """Joints [T, 22, 3] of a clip -> features [T-1, 263] as the extractor makes them."""
    if mirrored:
        joints = joints[:, LEFT_RIGHT22] * np.array([-1.0, 1.0, 1.0])
    return encode_humanml263(canonical_clips(joints[None])[0])


def word_vectors(size: int = 300) -> Tensor:
    """Start vectors of the vocabulary: words of the training captions by the words they share a label with, others near zero.

    Positive pointwise mutual information, reduced by its singular vectors (Levy & Goldberg, NeurIPS 2014), scaled to unit variance.
    """
    captions, index = load_captions(), {word: row for row, word in enumerate(vocabulary())}
    counts = np.zeros((len(captions), len(index)))
    for row, label in enumerate(captions.labels):
        for word in words(" ".join(captions.train_sentences(label))):
            counts[row, index[word]] += 1
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

    def __init__(self, corpus: Corpus, config: GuoConfig, settings: GuoTraining) -> None:
        self.settings, self.captions = settings, load_captions()
        self.train, self.val = load_split(corpus, "train"), load_split(corpus, "val")
        evaluator = GuoEvaluator(config, len(vocabulary()))
        mean, std = statistics([features_of(joints) for joints in self.train.joints])
        evaluator.mean.copy_(mean)
        evaluator.std.copy_(std)
        self.mean, self.std = mean.numpy(), std.numpy()
        assert evaluator.words is not None
        if settings.co_occurrence:
            with torch.no_grad():
                evaluator.words.weight.copy_(word_vectors(config.dim_word))
        self.evaluator = evaluator
        self.module: nn.Module = GuoModule(evaluator, settings)
        self.by_label: dict[str, list[int]] = {}
        for number, label in enumerate(self.train.labels):
            self.by_label.setdefault(label, []).append(number)
        self.pairs = min(settings.pairs, len(self.by_label))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=self.settings.rate, weight_decay=self.settings.weight_decay)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, ...]:
        """A clip of one window of each of `pairs` labels, of one length where the window is long enough (which pads little).

        The whole batch is mirrored or none of it: a mirrored label may be another one of the batch.
        """
        seed = int(torch.randint(2**62, (1,), generator=generator))
        random = np.random.default_rng(seed)
        names = list(self.by_label)
        labels = [names[k] for k in random.permutation(len(names))[: self.pairs]]
        mirrored = random.random() < self.settings.mirror
        longest = int(random.integers(self.settings.shortest, self.settings.longest + 1)) + 1
        clips, texts = [], []
        for label in labels:
            joints = self.train.joints[random.choice(self.by_label[label])]
            frames = min(longest, len(joints))
            start = int(random.integers(len(joints) - frames + 1))
            clips.append((features_of(joints[start : start + frames], mirrored) - self.mean) / self.std)
            text = str(random.choice(self.captions.train_sentences(label)))
            texts.append(mirror_caption(text) if mirrored else text)
        features, lengths = pad_features(clips)
        ids, classes, count = pad_captions(texts)
        dropped = torch.from_numpy(random.random(ids.shape) < self.settings.word_dropout)
        ids = torch.where(dropped & (ids >= len(SPECIAL)), vocabulary().index("unk"), ids)
        return features, lengths, ids, classes, count

    def validate(self) -> dict[str, float]:
        """Loss and R-precision of the validation windows with training captions, in pools of 32 distinct labels."""
        texts = [self.captions.train_sentences(label)[k % 5] for k, label in enumerate(self.val.labels)]
        extractor = GuoExtractor(self.evaluator, device=str(next(self.module.parameters()).device))
        scores = evaluate(extractor, self.val, texts)
        found = {"loss": scores["loss"], "r_precision_1": scores["r_precision_1"], "r_precision_3": scores["r_precision_3"]}
        return found | {"matching": scores["matching"]}


def evaluate(extractor: GuoExtractor, split: Split, texts: list[str], repeats: int = 20) -> dict[str, float]:
    """R-precision top 1 to 3 in pools of 32 with distinct labels (mean over `repeats` draws), mean distance of pairs, and the loss."""
    clips = [features_of(joints[: LONGEST_FRAMES + 1]) for joints in split.joints]
    motion, text = extractor.embed_features(clips), extractor.embed_texts(texts)
    size = min(POOL, len(set(split.labels)))
    drawn = [pools(len(split), seed, size, split.labels) for seed in range(repeats)]
    top = np.mean([r_precision(text, motion, chosen) for chosen in drawn], axis=0)
    losses = [sum(batch_loss(torch.from_numpy(text[p]), torch.from_numpy(motion[p]), 1.0)) for p in np.concatenate(drawn[:4])]
    found = {f"r_precision_{k + 1}": float(value) for k, value in enumerate(top)}
    return found | {"matching": matching_distance(text, motion), "loss": float(torch.stack([torch.as_tensor(x) for x in losses]).mean())}


def train_guo(
    corpus: Corpus,
    minutes: float | None,
    folder: Path,
    seed: int = 0,
    out: Path | None = None,
    settings: GuoTraining | None = None,
    device: str = "auto",
    steps: int | None = None,
) -> Path:
    """Train on the corpus for some minutes, or for some steps, in `folder` (resumable), and save; returns the path of the weights.

    out: where they go, default folder/guo.safetensors.
    """
    torch.manual_seed(seed)
    task = GuoTask(corpus, GuoConfig(), settings or GuoTraining())
    fit(task, Budget(minutes=minutes, steps=steps, seed=seed, device=device, precision="no"), folder, "guo extractor")
    _unseen_words_are_unk(task)
    path = out or folder / "guo.safetensors"
    save(task.evaluator, path)
    return path


def _unseen_words_are_unk(task: GuoTask) -> None:
    """Words that no training caption holds, mirrored or not, have learned nothing: they get the vector of unk."""
    sentences = [text for label in task.by_label for text in task.captions.train_sentences(label)]
    seen = {word for text in sentences for word in words(text) + words(mirror_caption(text))} | set(SPECIAL)
    unseen = [row for row, word in enumerate(vocabulary()) if word not in seen]
    assert task.evaluator.words is not None
    with torch.no_grad():
        task.evaluator.words.weight[unseen] = task.evaluator.words.weight[vocabulary().index("unk")].clone()
