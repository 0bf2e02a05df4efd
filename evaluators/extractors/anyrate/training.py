"""Training of the extractor `anyrate`. It learns which clips belong together, which action a clip shows, and how a clip was damaged.

- Contrast: overlapping clips of one recording at any two rates are near, each with measuring noise of its own; other clips, and damaged
  copies of the clip itself, are apart.
- Labels: the action, where the recording has one.
- Damage: a linear map of the features predicts how much of each kind of `spoiling` there is.
Then the space is fitted to clips of the training recordings (`space`). It knows recordings only; no generator is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.extractors.anyrate.clips import clips_at, overlapping, spline_windows
from evaluators.extractors.anyrate.extractor import NAME, learned_features, save
from evaluators.extractors.anyrate.network import CLIP_FRAMES, AnyrateConfig, AnyrateEncoder, clip_features
from evaluators.extractors.anyrate.space import NOISE_M, Space, fit_space
from evaluators.extractors.anyrate.spoiling import DAMAGES, spoil
from nerm.data.dataset import SPLITS, Dataset
from nerm.errors import InputError
from nerm.training import Budget, fit
from nerm.windows import Windows, load_windows

RATES = (20.0, 24.0, 30.0, 40.0, 60.0, 100.0, 120.0)
SPACE_RATES = (12.5, *RATES, 240.0)
"""Rates that the space is fitted at, to the recordings of the highest rate. Above that rate they are read between their frames."""
SLIGHT = 0.3
"""A damaged copy counts as another clip only if one of its amounts is greater than this."""


@dataclass
class AnyrateTraining:
    """Settings of the training. The weights are those of the loss's parts; the learning rate is for AdamW."""

    pairs: int = 96
    rate: float = 1.5e-3
    weight_decay: float = 0.01
    temperature: float = 0.1
    label_weight: float = 0.3
    damage_weight: float = 3.0
    space_clips: int = 6000  # at each rate, that the space is fitted to


class Batch(NamedTuple):
    """first, damaged: [n, m, 264] of `clip_features` at fps1 [n]; second: at fps2 [n]; label: [n], -1 unknown; damage: [n, kinds]."""

    first: Tensor
    second: Tensor
    damaged: Tensor
    fps1: Tensor
    fps2: Tensor
    label: Tensor
    damage: Tensor


class AnyrateModule(nn.Module):
    """The encoder, three heads that are used in training only, and the loss of a batch."""

    def __init__(self, encoder: AnyrateEncoder, settings: AnyrateTraining, classes: int) -> None:
        super().__init__()
        self.encoder, self.settings = encoder, settings
        size = encoder.config.embedding
        self.project = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, 64))
        self.classify = nn.Linear(size, max(classes, 1))
        self.assess = nn.Linear(size, len(DAMAGES))

    def forward(self, *tensors: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """tensors: those of a Batch -> (loss, its parts)."""
        batch, settings = Batch(*tensors), self.settings
        first, damaged = self.encoder(torch.cat([batch.first, batch.damaged]), batch.fps1.repeat(2)).chunk(2)
        embedded = (first, damaged, self.encoder(batch.second, batch.fps2))
        one, worse, two = (F.normalize(self.project(e).float(), dim=-1) for e in embedded)
        target = torch.arange(len(one), device=one.device)
        slight = torch.diag(batch.damage.abs().amax(1) < SLIGHT)
        against = (one @ worse.T / settings.temperature).masked_fill(slight, -1e4)
        near = one @ two.T / settings.temperature
        there = torch.cat([near, against], dim=1)
        back = torch.cat([near.T, (two @ worse.T / settings.temperature).masked_fill(slight, -1e4)], dim=1)
        contrast = 0.5 * (F.cross_entropy(there, target) + F.cross_entropy(back, target))
        labelled = (batch.label >= 0).repeat(2)
        guess = self.classify(torch.cat([embedded[0], embedded[2]])).float()
        named = F.cross_entropy(guess[labelled], batch.label.repeat(2)[labelled]) if labelled.any() else 0 * contrast
        amounts = torch.cat([torch.zeros_like(batch.damage), batch.damage, torch.zeros_like(batch.damage)])
        assessed = (
            (self.assess(torch.cat(embedded)).float() - amounts).square().sum(1).mean()
        )  # a mean: most amounts are 0, and a median would be 0 too
        loss = contrast + settings.label_weight * named + settings.damage_weight * assessed
        top1 = (there.argmax(1) == target).float().mean()
        return loss, {"contrast": contrast.detach(), "label": named.detach(), "damage": assessed.detach(), "top1": top1.detach()}


class AnyrateTask:
    """What `nerm.training.fit` needs: pairs of clips out of the items of a split, and a damaged copy of each first clip."""

    def __init__(self, dataset: Dataset, config: AnyrateConfig, settings: AnyrateTraining) -> None:
        self.settings = settings
        names = {item.label for split in SPLITS for item in dataset.items(split)} - {""}
        labels = {name: number for number, name in enumerate(sorted(names))}
        self.encoder = AnyrateEncoder(config)
        self.module: nn.Module = AnyrateModule(self.encoder, settings, len(labels))
        self.windows: dict[str, Windows] = {}
        self.labels: dict[str, Tensor] = {}
        for split in ("train", "val"):
            items = [item for item in dataset.items(split) if item.seconds > CLIP_FRAMES / item.fps]
            if not any(item.fps >= rate and item.seconds > CLIP_FRAMES / rate for item in items for rate in RATES):
                raise InputError(
                    f"dataset '{dataset.name}' has no motion of more than {CLIP_FRAMES} frames at any of {RATES} fps in split '{split}'; "
                    "the extractor is trained on such clips"
                )
            self.windows[split] = spline_windows(load_windows([dataset.motion(item) for item in items], mirror=True))
            own = torch.tensor([labels.get(item.label, -1) for item in items])
            # Mirrored clips get no label: where a label names a side, the mirrored action is another one.
            self.labels[split] = torch.cat([own, torch.full_like(own, -1)])
        self._standardise()

    def _standardise(self) -> None:
        generator = torch.Generator().manual_seed(0)
        features = torch.cat([self._draw("train", 128, generator).first for _ in range(16)]).flatten(0, 1)
        self.encoder.mean.copy_(features.mean(0))
        smallest = torch.tensor([0.02, 0.1, 1.0, 1.0]).repeat_interleave(features.shape[1] // 4)  # m, m/s, m/s^2
        self.encoder.std.copy_(torch.maximum(features.std(0), smallest))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=self.settings.rate, weight_decay=self.settings.weight_decay)]

    def batch(self, generator: torch.Generator, progress: float) -> Batch:
        return self._draw("train", self.settings.pairs, generator)

    def validate(self) -> dict[str, float]:
        generator = torch.Generator().manual_seed(1)
        parts = [self.module(*self._draw("val", self.settings.pairs, generator), progress=1.0)[1] for _ in range(6)]
        mean = {name: float(torch.stack([p[name] for p in parts]).mean()) for name in ("contrast", "damage", "top1")}
        return {"loss": mean.pop("contrast")} | mean

    def _draw(self, split: str, count: int, generator: torch.Generator) -> Batch:
        """Two overlapping clips of each of `count` windows, one rate for all first clips and one for all second ones."""
        windows, config = self.windows[split], self.encoder.config
        rates = [RATES[int(torch.randint(len(RATES), (1,), generator=generator))] for _ in range(2)]
        able = (windows.fps >= max(rates)) & (windows.seconds > CLIP_FRAMES / min(rates))
        if not able.any():
            return self._draw(split, count, generator)
        index = torch.multinomial(able.float() * windows.seconds.float(), count, replacement=True, generator=generator)
        starts = overlapping(windows.seconds[index], rates, generator)
        # Clips start on frames of the recording, so frames coincide where the rate divides the recording's, as in the evaluation.
        starts = [(start * windows.fps[index]).floor() / windows.fps[index] for start in starts]
        clips = [clips_at(windows, index, start, rate) for start, rate in zip(starts, rates, strict=True)]
        damaged, amounts = spoil(windows, index, starts[0], rates[0], clips[0], generator)
        noisy = [_noisy(c, generator) for c in (*clips, damaged)]
        first, second, worse = (clip_features(c, rate, config) for c, rate in zip(noisy, (*rates, rates[0]), strict=True))
        fps1, fps2 = (torch.full((count,), rate) for rate in rates)
        return Batch(first, second, worse, fps1, fps2, self.labels[split][index], amounts)

    def able(self, fps: float) -> Tensor:
        """[windows] the training windows of the highest rate, the same at every rate, that are long enough for clips at a rate."""
        windows = self.windows["train"]
        return (windows.fps >= windows.fps.max()) & (windows.seconds > CLIP_FRAMES / fps)

    def clips(self, fps: float, count: int, generator: torch.Generator) -> Tensor:
        """[count, m, 22, 3] clips at a rate of the windows that are able, mirrored ones among them, each second of recording as likely."""
        windows = self.windows["train"]
        able = self.able(fps)
        index = torch.multinomial(able.float() * windows.seconds.float(), count, replacement=True, generator=generator)
        start = torch.rand(count, generator=generator, dtype=torch.float64) * (windows.seconds[index] - (CLIP_FRAMES - 1) / fps)
        return clips_at(windows, index, (start * windows.fps[index]).floor() / windows.fps[index], fps)


def _noisy(clips: Tensor, generator: torch.Generator) -> Tensor:
    """Clips with white noise, each of its own standard deviation up to NOISE_M: measuring noise is no difference."""
    size = NOISE_M * torch.rand(len(clips), 1, 1, 1, generator=generator)
    return clips + size * torch.randn(clips.shape, generator=generator)


def fitted_space(task: AnyrateTask, seed: int) -> Space:
    """The space of the task's encoder, from clips of its training recordings at those of SPACE_RATES that they can give."""
    encoder, count = task.encoder.eval().cpu(), task.settings.space_clips
    rates = [fps for fps in SPACE_RATES if task.able(fps).any()]
    clips = {fps: task.clips(fps, count, torch.Generator().manual_seed(seed)).numpy() for fps in rates}
    return fit_space(clips, lambda x, fps: learned_features(encoder, x, fps), seed)


def train(dataset: Dataset, budget: Budget, folder: Path, path: Path, settings: AnyrateTraining | None = None) -> None:
    """Train the extractor in `folder` (resumable) and write its weights to `path`."""
    torch.manual_seed(budget.seed)
    task = AnyrateTask(dataset, AnyrateConfig(), settings or AnyrateTraining())
    fit(task, budget, folder, f"extractor {NAME}")
    save(task.encoder, fitted_space(task, budget.seed), path)
