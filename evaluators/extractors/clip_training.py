"""Training of the multi-rate clip extractor: contrastive between overlapping clips of one trial at any two rates, plus labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.extractors.clip import CLIP_FRAMES, ClipConfig, ClipEncoder, clip_features, save
from nerm.data.corpus import Corpus
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.stage1 import load_windows
from nerm.training import Budget, Fit, fit

RATES = (20.0, 24.0, 30.0, 40.0, 60.0, 100.0, 120.0)


class ClipModule(nn.Module):
    """InfoNCE (temperature 0.1) over pairs, and cross entropy of the labels."""

    def __init__(self, encoder: ClipEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, first: Tensor, second: Tensor, fps1: Tensor, fps2: Tensor, label: Tensor, progress: float) -> tuple[Tensor, dict]:
        embedded = self.encoder(first, fps1), self.encoder(second, fps2)
        one, two = (F.normalize(self.encoder.project(e), dim=-1).float() for e in embedded)
        similarity = one @ two.T / 0.1
        target = torch.arange(len(one), device=one.device)
        contrast = 0.5 * (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target))
        known = label >= 0
        guess = self.encoder.classify(torch.cat(embedded)).float()
        named = F.cross_entropy(guess[known.repeat(2)], label.repeat(2)[known.repeat(2)]) if known.any() else contrast * 0
        top = (similarity.argmax(1) == target).float().mean().detach()
        return contrast + 0.3 * named, {"contrast": contrast.detach(), "label": named.detach(), "top1": top}


class ClipTask:
    """Pairs of clips out of the windows of a split."""

    def __init__(self, corpus: Corpus, config: ClipConfig, pairs: int = 192) -> None:
        self.pairs = pairs
        self.rows = {split: corpus.select(split) for split in ("train", "val")}
        labels = sorted(set(corpus.windows["label"]) - {""})
        config.classes = len(labels)
        self.module = ClipModule(ClipEncoder(config))
        self.data = {
            split: load_windows([corpus.window(i) for i in rows.index[(rows.seconds > (CLIP_FRAMES - 1) / rows.fps).to_numpy()]], mirror=True)
            for split, rows in self.rows.items()
        }
        self.labels = {
            split: torch.tensor([labels.index(x) if x else -1 for x in rows.label[rows.seconds > (CLIP_FRAMES - 1) / rows.fps]] * 2)
            for split, rows in self.rows.items()
        }
        # A mirrored action is another action where its name has a side: no label there.
        for split in self.labels:
            self.labels[split][len(self.labels[split]) // 2 :] = -1
        self._standardise(config)

    def _standardise(self, config: ClipConfig) -> None:
        generator = torch.Generator().manual_seed(0)
        features = torch.cat([self._pairs("train", 256, generator)[0] for _ in range(8)]).flatten(0, 1)
        encoder = self.module.encoder
        encoder.mean.copy_(features.mean(0))
        joints, velocity = features.std(0).split(features.shape[1] // 2)
        encoder.std.copy_(torch.cat([joints.clamp(min=0.02), velocity.clamp(min=0.1)]))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=1e-3, weight_decay=0.01)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple:
        return self._pairs("train", self.pairs, generator)

    def validate(self) -> dict[str, float]:
        generator = torch.Generator().manual_seed(1)
        losses = [self.module(*self._pairs("val", 96, generator), progress=1.0) for _ in range(4)]
        return {"loss": sum(float(p["contrast"]) for _, p in losses) / 4, "top1": sum(float(p["top1"]) for _, p in losses) / 4}

    def _pairs(self, split: str, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Two overlapping clips of each of `count` windows, one rate for all first clips and one for all second ones."""
        windows = self.data[split]
        chosen = [RATES[int(torch.randint(len(RATES), (1,), generator=generator))] for _ in range(2)]
        need = (CLIP_FRAMES - 1) / min(chosen)
        able = (windows.fps >= max(chosen)) & (windows.seconds >= need)
        index = torch.multinomial(able.float() * windows.seconds.float(), count, replacement=True, generator=generator)
        seconds = windows.seconds[index]
        start1, start2 = self._overlapping(seconds, chosen, generator)
        clips = [clips_at(windows, index, start, rate) for start, rate in zip((start1, start2), chosen, strict=True)]
        fps = [torch.full((count,), rate) for rate in chosen]
        features = [clip_features(c, rate, self.module.encoder.config) for c, rate in zip(clips, chosen, strict=True)]
        return features[0], features[1], fps[0], fps[1], self.labels[split][index]

    @staticmethod
    def _overlapping(seconds: Tensor, rates: list[float], generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Start times (s) of two clips whose shorter one lies at least half inside the longer one."""
        length = [(CLIP_FRAMES - 1) / rate for rate in rates]
        u = torch.rand(2, len(seconds), generator=generator, dtype=torch.float64)
        start1 = u[0] * (seconds - length[0])
        slack = min(length) / 2
        low = (start1 - length[1] + slack).clamp(min=0)
        high = torch.minimum(start1 + length[0] - slack, seconds - length[1])
        return start1, low + u[1] * (high - low).clamp(min=0)


def clips_at(windows, index: Tensor, start_s: Tensor, fps: float, frames: int = CLIP_FRAMES) -> Tensor:  # type: ignore[no-untyped-def]
    """Clips [n, frames, 22, 3] that start at start_s; between recorded frames by the cubic through the four nearest ones."""
    position = (start_s[:, None] + torch.arange(frames) / fps) * windows.fps[index][:, None]
    last = windows.count[index][:, None] - 1
    position = torch.minimum(position.clamp(min=0), last.double())
    base = torch.minimum(position.floor().long(), (last - 1).clamp(min=0))
    u = (position - base).float()[..., None, None]
    taps = [windows.frames[windows.offset[index][:, None] + torch.minimum((base + k).clamp(min=0), last)] for k in (-1, 0, 1, 2)]
    before, left, right, after = taps
    slope1, slope2 = (right - before) / 2, (after - left) / 2
    joints = (
        (2 * u**3 - 3 * u**2 + 1) * left + (u**3 - 2 * u**2 + u) * slope1 + (3 * u**2 - 2 * u**3) * right + (u**3 - u**2) * slope2
    )
    flipped = joints[:, :, torch.from_numpy(LEFT_RIGHT22)] * torch.tensor([-1.0, 1.0, 1.0])
    return torch.where(windows.mirrored[index][:, None, None, None], flipped, joints)


def train_clip(corpus: Corpus, budget: Budget, folder: Path, out: Path) -> Fit:
    """Train and save the extractor."""
    torch.manual_seed(budget.seed)
    task = ClipTask(corpus, ClipConfig())
    outcome = fit(task, budget, folder, "clip extractor")
    save(task.module.encoder, out)
    return outcome
