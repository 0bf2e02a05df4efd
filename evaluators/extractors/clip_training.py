"""Training of the multi-rate clip extractor on a corpus: which clips belong together, which action it is, and what was done to a clip.

- Contrast: overlapping clips of one trial at any two rates are near; other clips, and damaged copies of the clip itself, are apart.
- Labels: the action, where the trial has one.
- Damage: noise, low-pass, the corners of linear interpolation, drift, wrong speed and a foreign limb are read off the embedding by a linear
  map, so that none of them is invisible to it.
It knows recordings only; no generator is seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import spline_filter1d
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.extractors.clip import CLIP_FRAMES, ClipConfig, ClipEncoder, clip_features, save
from evaluators.protocols.rows import CHAINS
from nerm.clips import canonical
from nerm.data.corpus import Corpus
from nerm.motion import SMPL22
from nerm.motion.kinematics import lowpass
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.stage1 import Windows, load_windows
from nerm.training import Budget, Fit, fit

RATES = (20.0, 24.0, 30.0, 40.0, 60.0, 100.0, 120.0)
DAMAGES = {"noise": 1.0, "lowpass": 1.0, "corners": 1.5, "drift": 0.75, "speed": 0.5, "limbs": 2.5}
"""Kinds of damage, and how often each is drawn."""
KINDS = tuple(DAMAGES)
CUTOFFS_HZ = tuple(float(f) for f in np.geomspace(1.5, 15.0, 10))
KNOTS_FPS = (6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 24.0, 30.0)
SLIGHT = 0.5
"""A damaged copy must be apart from its clip only if one of its amounts is greater than this."""
CONTEXT = 48  # frames on both sides of a clip that its low-pass sees


@dataclass
class ClipTraining:
    """Settings of the training. The weights are those of the loss's parts; the learning rate is for AdamW."""

    pairs: int = 96
    rate: float = 1.5e-3
    weight_decay: float = 0.01
    temperature: float = 0.1
    label_weight: float = 0.3
    damage_weight: float = 3.0


class ClipModule(nn.Module):
    """The encoder, three heads that are not kept, and the loss of a batch."""

    def __init__(self, encoder: ClipEncoder, settings: ClipTraining, classes: int) -> None:
        super().__init__()
        self.encoder, self.settings = encoder, settings
        size = encoder.config.embedding
        self.project = nn.Sequential(nn.Linear(size, size), nn.GELU(), nn.Linear(size, 64))
        self.classify = nn.Linear(size, max(classes, 1))
        self.assess = nn.Linear(size, len(DAMAGES))

    def forward(
        self, first: Tensor, second: Tensor, damaged: Tensor, fps1: Tensor, fps2: Tensor, label: Tensor, damage: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """first, damaged: [n, m, 264] at fps1 [n]; second: at fps2 [n]; label: [n], -1 unknown; damage: [n, 6] amounts of DAMAGES."""
        settings = self.settings
        embedded = (*self.encoder(torch.cat([first, damaged]), fps1.repeat(2)).chunk(2), self.encoder(second, fps2))
        one, worse, two = (F.normalize(self.project(e).float(), dim=-1) for e in embedded)
        target = torch.arange(len(one), device=one.device)
        slight = torch.diag(damage.abs().amax(1) < SLIGHT)
        against = (one @ worse.T / settings.temperature).masked_fill(slight, -1e4)
        near = one @ two.T / settings.temperature
        there = torch.cat([near, against], dim=1)
        back = torch.cat([near.T, (two @ worse.T / settings.temperature).masked_fill(slight, -1e4)], dim=1)
        contrast = 0.5 * (F.cross_entropy(there, target) + F.cross_entropy(back, target))
        known = (label >= 0).repeat(2)
        guess = self.classify(torch.cat([embedded[0], embedded[2]])).float()
        named = F.cross_entropy(guess[known], label.repeat(2)[known]) if known.any() else 0 * contrast
        amounts = torch.cat([torch.zeros_like(damage), damage, torch.zeros_like(damage)])
        assessed = (self.assess(torch.cat(embedded)).float() - amounts).square().sum(1).mean()  # most are 0: a median would be, too
        loss = contrast + settings.label_weight * named + settings.damage_weight * assessed
        top1 = (there.argmax(1) == target).float().mean()
        return loss, {"contrast": contrast.detach(), "label": named.detach(), "damage": assessed.detach(), "top1": top1.detach()}


class ClipTask:
    """What `nerm.training.fit` needs: pairs of clips out of the windows of a split, and a damaged copy of each first clip."""

    def __init__(self, corpus: Corpus, config: ClipConfig, settings: ClipTraining) -> None:
        self.settings = settings
        labels = {name: number for number, name in enumerate(sorted(set(corpus.windows["label"]) - {""}))}
        self.encoder = ClipEncoder(config)
        self.module: nn.Module = ClipModule(self.encoder, settings, len(labels))
        self.windows: dict[str, Windows] = {}
        self.labels: dict[str, Tensor] = {}
        for split in ("train", "val"):
            rows = corpus.select(split)
            rows = rows[rows["seconds"] > CLIP_FRAMES / rows["fps"]]
            self.windows[split] = spline_windows(load_windows([corpus.window(number) for number in rows.index], mirror=True))
            own = torch.tensor([labels.get(name, -1) for name in rows["label"]])
            # A mirrored action is another action where its name has a side: no label there.
            self.labels[split] = torch.cat([own, torch.full_like(own, -1)])
        self._standardise()

    def _standardise(self) -> None:
        generator = torch.Generator().manual_seed(0)
        features = torch.cat([self._draw("train", 128, generator)[0] for _ in range(16)]).flatten(0, 1)
        self.encoder.mean.copy_(features.mean(0))
        smallest = torch.tensor([0.02, 0.1, 1.0, 1.0]).repeat_interleave(features.shape[1] // 4)  # m, m/s, m/s^2
        self.encoder.std.copy_(torch.maximum(features.std(0), smallest))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=self.settings.rate, weight_decay=self.settings.weight_decay)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple:
        return self._draw("train", self.settings.pairs, generator)

    def validate(self) -> dict[str, float]:
        generator = torch.Generator().manual_seed(1)
        parts = [self.module(*self._draw("val", self.settings.pairs, generator), progress=1.0)[1] for _ in range(6)]
        mean = {name: float(torch.stack([p[name] for p in parts]).mean()) for name in ("contrast", "damage", "top1")}
        return {"loss": mean.pop("contrast")} | mean

    def _draw(self, split: str, count: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Two overlapping clips of each of `count` windows, one rate for all first clips and one for all second ones."""
        windows, config = self.windows[split], self.encoder.config
        rates = [RATES[int(torch.randint(len(RATES), (1,), generator=generator))] for _ in range(2)]
        able = (windows.fps >= max(rates)) & (windows.seconds > CLIP_FRAMES / min(rates))
        if not able.any():
            return self._draw(split, count, generator)
        index = torch.multinomial(able.float() * windows.seconds.float(), count, replacement=True, generator=generator)
        starts = overlapping(windows.seconds[index], rates, generator)
        # Recorded frames are met exactly where the rate divides the recording's, as in the evaluation.
        starts = [(start * windows.fps[index]).floor() / windows.fps[index] for start in starts]
        clips = [clips_at(windows, index, start, rate) for start, rate in zip(starts, rates, strict=True)]
        damaged, amounts = damage(windows, index, starts[0], rates[0], clips[0], generator)
        first, second, worse = (clip_features(c, rate, config) for c, rate in zip((*clips, damaged), (*rates, rates[0]), strict=True))
        fps1, fps2 = (torch.full((count,), rate) for rate in rates)
        return first, second, worse, fps1, fps2, self.labels[split][index], amounts


def overlapping(seconds: Tensor, rates: list[float], generator: torch.Generator) -> list[Tensor]:
    """Start times (s) of two clips whose shorter one lies at least half inside the longer one. seconds: [n] of the windows."""
    length = [(CLIP_FRAMES - 1) / rate for rate in rates]
    u = torch.rand(2, len(seconds), generator=generator, dtype=torch.float64)
    start = u[0] * (seconds - length[0])
    slack = min(length) / 2
    low = (start - length[1] + slack).clamp(min=0)
    high = torch.minimum(start + length[0] - slack, seconds - length[1])
    return [start, low + u[1] * (high - low).clamp(min=0)]


# --- clips between recorded frames ----------------------------------------------------------------------------------------------------


def spline_windows(windows: Windows) -> Windows:
    """The windows with the coefficients of the cubic spline through their frames in the place of the frames."""
    frames = windows.frames.numpy()
    for offset, count in set(zip(windows.offset.tolist(), windows.count.tolist(), strict=True)):
        frames[offset : offset + count] = spline_filter1d(frames[offset : offset + count], axis=0, mode="mirror")
    return windows


def clips_at(windows: Windows, index: Tensor, start_s: Tensor, fps: float | Tensor, frames: int = CLIP_FRAMES) -> Tensor:
    """Clips [n, frames, 22, 3] of `spline_windows` from start_s [n] on at fps, a number or [n]; beyond its ends a window stands still."""
    rate = torch.as_tensor(fps, dtype=torch.float64).reshape(-1, 1)
    steps = torch.arange(frames, dtype=torch.float64) / rate
    last = windows.count[index][:, None] - 1
    position = torch.minimum(((start_s[:, None] + steps) * windows.fps[index][:, None]).clamp(min=0), last.double())
    base = torch.minimum(position.floor().long(), last - 1)
    u = (position - base).float()[..., None, None]
    taps = []
    for k in (-1, 0, 1, 2):
        frame = (base + k).abs()
        frame = torch.where(frame > last, 2 * last - frame, frame)  # mirrored, as the coefficients were made
        taps.append(windows.frames[windows.offset[index][:, None] + frame])
    weights = ((1 - u) ** 3, 4 - 6 * u**2 + 3 * u**3, 1 + 3 * u + 3 * u**2 - 3 * u**3, u**3)
    joints = torch.stack([weight * tap for weight, tap in zip(weights, taps, strict=True)]).sum(0) / 6
    flipped = joints[:, :, torch.from_numpy(LEFT_RIGHT22)] * torch.tensor([-1.0, 1.0, 1.0])
    return torch.where(windows.mirrored[index][:, None, None, None], flipped, joints)


# --- damage ---------------------------------------------------------------------------------------------------------------------------


def damage(
    windows: Windows, index: Tensor, start_s: Tensor, fps: float, clips: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One kind of damage per clip, of a random amount: (clips [n, m, 22, 3], amounts [n, 6] in the order of DAMAGES, of the order of 1)."""
    count, frames = clips.shape[:2]
    kind = torch.multinomial(torch.tensor(list(DAMAGES.values())), count, replacement=True, generator=generator)
    u = torch.rand(count, generator=generator)
    amounts = torch.zeros(count, len(DAMAGES))
    clips = clips.clone()

    def chosen(name: str) -> Tensor:
        return torch.nonzero(kind == KINDS.index(name))[:, 0]

    def set_amount(name: str, rows: Tensor, values: Tensor) -> None:
        amounts[rows, KINDS.index(name)] = values

    def loss_of_band(cutoff_hz: Tensor) -> Tensor:
        octaves = torch.log2(min(0.4 * fps, 20.0) / cutoff_hz).clamp(min=0)
        return 0.25 * octaves**2  # the octave from 10 to 20 Hz matters less than the one from 2 to 4

    rows = chosen("noise")
    noise_m = 0.0003 * 100 ** u[rows]  # 0.3 to 30 mm
    clips[rows] += noise_m[:, None, None, None] * torch.randn(len(rows), *clips.shape[1:], generator=generator)
    set_amount("noise", rows, torch.log2(1 + noise_m / 0.004) / 2)

    rows = chosen("lowpass")
    choice = (u[rows] * len(CUTOFFS_HZ)).long()
    wide = clips_at(windows, index[rows], start_s[rows] - CONTEXT / fps, fps, frames + 2 * CONTEXT)
    clips[rows] = torch.einsum("nab,nbjk->najk", _lowpass_matrices(fps, frames)[choice], wide)
    set_amount("lowpass", rows, loss_of_band(torch.tensor(CUTOFFS_HZ)[choice]))

    rows = chosen("corners")
    knots = torch.tensor(KNOTS_FPS)[(u[rows] * len(KNOTS_FPS)).long()].clamp(max=fps)
    phase = torch.rand(len(rows), generator=generator) * (knots < fps)  # no damage where the rate has no more than the knots
    clips[rows] = between_knots(windows, index[rows], start_s[rows], fps, knots, phase, frames)
    lost = loss_of_band(0.4 * knots)
    set_amount("lowpass", rows, lost)
    set_amount("corners", rows, (lost > 0).float())

    rows = chosen("drift")
    speed, angle = 0.03 + 0.3 * u[rows], 2 * torch.pi * torch.rand(len(rows), generator=generator)
    velocity = torch.stack([speed * torch.cos(angle), torch.zeros_like(angle), speed * torch.sin(angle)], -1)
    clips[rows] += velocity[:, None, None] * (torch.arange(frames) / fps)[:, None, None]
    set_amount("drift", rows, speed / 0.15)

    rows = chosen("speed")
    factor = 2 ** (u[rows] - 0.5).double()
    shift = (CLIP_FRAMES - 1) / 2 / fps * (1 - factor)  # about the same middle
    clips[rows] = clips_at(windows, index[rows], (start_s[rows] + shift).clamp(min=0), fps / factor)
    set_amount("speed", rows, 4 * (u[rows] - 0.5))

    rows = chosen("limbs")
    own, foreign = canonical(clips[rows]), canonical(clips[rows.roll(1)])
    limb = torch.randint(len(CHAINS), (len(rows),), generator=generator)
    for number, (attach, names) in enumerate(CHAINS.values()):
        root, chain = SMPL22.index(attach), [SMPL22.index(name) for name in names]
        moved = own[:, :, root, None] + foreign[:, :, chain] - foreign[:, :, root, None]
        own[:, :, chain] = torch.where((limb == number)[:, None, None, None], moved, own[:, :, chain])
    clips[rows] = own
    set_amount("limbs", rows, torch.full_like(u[rows], 4.0))
    return clips, amounts


def between_knots(windows: Windows, index: Tensor, start_s: Tensor, fps: float, knots_fps: Tensor, phase: Tensor, frames: int) -> Tensor:
    """Clips at fps, linear between point values at knots_fps [n]; phase: [n] in [0, 1), where the first frame is between two knots."""
    time = torch.arange(frames) / fps  # of the clip
    position = time * knots_fps[:, None] + phase[:, None]
    last = int(np.ceil((frames - 1) / fps * min(max(KNOTS_FPS), fps))) + 1
    poses = clips_at(windows, index, start_s - (phase / knots_fps).double(), knots_fps, last + 1)
    low = position.floor().long()
    rows = torch.arange(len(index))[:, None]
    return torch.lerp(poses[rows, low], poses[rows, low + 1], (position - low)[..., None, None])


@lru_cache(maxsize=64)
def _lowpass_matrices(fps: float, frames: int) -> Tensor:
    """[cut-offs, frames, frames + 2 CONTEXT]: the low-pass of a clip that is seen with its surroundings."""
    identity = np.eye(frames + 2 * CONTEXT)
    matrices = [lowpass(identity, fps, cutoff)[CONTEXT : CONTEXT + frames] for cutoff in CUTOFFS_HZ]
    return torch.from_numpy(np.stack(matrices).astype(np.float32))


def train_clip(corpus: Corpus, budget: Budget, folder: Path, out: Path, settings: ClipTraining | None = None) -> Fit:
    """Train the extractor in `folder` (resumable) and save it to `out`."""
    torch.manual_seed(budget.seed)
    task = ClipTask(corpus, ClipConfig(), settings or ClipTraining())
    outcome = fit(task, budget, folder, "clip extractor")
    save(task.encoder, out)
    return outcome
