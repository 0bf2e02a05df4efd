"""Training of T2M on a corpus: text to length, snippet auto-encoder, temporal VAE, one after the other in fixed shares of the budget.

Losses, teacher forcing, gradient clipping per network and the frozen movement encoder are as published (Guo et al., CVPR 2022, section 4).
What differs, because the budget is a time and the corpus is small:
- The curriculum over the number of snippets, 10 to the longest, follows the progress of the budget and not early stopping.
- Motions shorter than the curriculum's level stay in: batches hold motions of similar length, and padding counts in no loss.
- The features' deviations are the plain ones of FeatureData; T2M divides those of root and contacts by a factor (feat_bias) on top.
- Rates at scale=shipped are higher; rates anneal to zero and weights are averaged (nerm.training).
- The word vectors are those of the shipped guo extractor and are not trained here. A window without a label is read as sos, eos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.data import FeatureData, load_feature_data
from baselines.t2m.network import CONTACTS, UNIT, MotionLenEstimatorBiGRU, T2MConfig, TemporalVAE, Unrolled, estimator_of, initialise
from baselines.t2m.system import T2M
from baselines.t2m.words import WordVectors, shared_words
from nerm.training import Budget, Fit, fit, undertrained

if TYPE_CHECKING:
    from nerm.data.corpus import Corpus

STAGES = {"length": 0.05, "snippets": 0.25, "motion": 0.70}
"""Shares of the budget, in this order."""


@dataclass(frozen=True)
class Settings:
    """Of the three stages; the rates are for Adam."""

    length_rate: float = 1e-3
    snippet_rate: float = 1e-3
    motion_rate: float = 1e-3
    slower: float = 0.1  # the movement decoder's share of motion_rate
    length_batch: int = 64
    snippet_batch: int = 128
    motion_batch: int = 32
    window: int = 24  # frames that the auto-encoder sees
    sparsity: float = 0.001
    smoothness: float = 0.001
    divergence: float = 0.01
    teacher_forcing: float = 0.4  # share of batches
    first_snippets: int = 10
    full_after: float = 0.6  # progress at which the curriculum has reached the longest
    groups: int = 8  # of similar length, of which a batch is one
    clip: float = 0.5  # of each network's gradient norm
    mirror: float = 0.5


SETTINGS = {"shipped": Settings(), "paper": Settings(length_rate=1e-4, snippet_rate=1e-4, motion_rate=2e-4)}


class AutoEncoderLosses(NamedTuple):
    """Reconstruction (L1), sparsity (mean |code|), smoothness (L1 of consecutive codes) and their weighted sum."""

    reconstruction: Tensor
    sparsity: Tensor
    smoothness: Tensor
    total: Tensor


def auto_encoder_losses(motion: Tensor, codes: Tensor, made: Tensor, sparsity: float, smoothness: float) -> AutoEncoderLosses:
    """Section 4.2. motion, made [B, 4n, dim_pose], codes [B, n, latent]."""
    parts = F.l1_loss(made, motion), codes.abs().mean(), F.l1_loss(codes[:, 1:], codes[:, :-1])
    return AutoEncoderLosses(*parts, parts[0] + sparsity * parts[1] + smoothness * parts[2])


class VAELosses(NamedTuple):
    """Smooth L1 of features and of codes, divergence of the posterior from the prior, and their weighted sum."""

    motion: Tensor
    codes: Tensor
    divergence: Tensor
    total: Tensor


def vae_losses(
    motion: Tensor, made: Tensor, targets: Tensor, written: Unrolled, weight: float, snippets: Tensor | None = None
) -> VAELosses:
    """Section 4.3. motion, made [B, 4n, dim_pose], targets [B, n, latent]. The divergence is summed over z, mean over snippets.

    snippets [B]: how many of each item count; None for all.
    """
    assert written.posterior is not None
    inside = torch.ones(targets.shape[:2], device=motion.device)
    if snippets is not None:
        inside = (torch.arange(targets.shape[1], device=motion.device) < snippets.to(motion.device)[:, None]).float()
    frames = inside.repeat_interleave(UNIT, dim=1)
    parts = (
        _inside_mean(F.smooth_l1_loss(made, motion, reduction="none").mean(-1), frames),
        _inside_mean(F.smooth_l1_loss(written.codes.float(), targets.float(), reduction="none").mean(-1), inside),
        _inside_mean(gaussian_divergence(*(x.float() for x in (*written.posterior, *written.prior))).sum(-1), inside),
    )
    return VAELosses(*parts, parts[0] + parts[1] + weight * parts[2])


def gaussian_divergence(mean1: Tensor, logvar1: Tensor, mean2: Tensor, logvar2: Tensor) -> Tensor:
    """KL(N1 || N2) of each number."""
    return (logvar2 - logvar1) / 2 + (logvar1.exp() + (mean1 - mean2).square()) / (2 * logvar2.exp()) - 0.5


def _inside_mean(x: Tensor, inside: Tensor) -> Tensor:
    return (x * inside).sum() / inside.sum()


class ClippedAdam(torch.optim.Adam):
    """Adam of one network, whose gradient is clipped by its own norm, as published."""

    def __init__(self, parameters: Any, lr: float, norm: float) -> None:
        super().__init__(parameters, lr=lr)
        self.norm = norm

    def step(self, closure: Any = None) -> Any:
        """One step, after clipping."""
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], self.norm)
        return super().step(closure)


class LengthModule(nn.Module):
    """Cross entropy of the length class."""

    def __init__(self, estimator: MotionLenEstimatorBiGRU) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(self, words: Tensor, classes: Tensor, count: Tensor, target: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """words [B, N, D], classes [B, N, 15], count [B] words, target [B] snippets."""
        logits = self.estimator(words, classes, count).float()
        return F.cross_entropy(logits, target), {"right": (logits.argmax(-1) == target).float().mean()}


class LengthTask:
    """Text -> number of snippets of the window."""

    def __init__(self, train: FeatureData, val: FeatureData, words: WordVectors, config: T2MConfig, settings: Settings) -> None:
        self.train, self.val, self.words, self.config, self.settings = train, val, words, config, settings
        estimator = estimator_of(config)
        initialise(estimator)
        self.module = LengthModule(estimator)
        self.usable = train.usable(UNIT)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [ClippedAdam(self.module.parameters(), self.settings.length_rate, self.settings.clip)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, ...]:
        """Captions and lengths of random windows."""
        index = self.usable[torch.randint(len(self.usable), (self.settings.length_batch,), generator=generator)]
        return self._read(self.train, index, _coins(len(index), self.settings.mirror, generator), generator)

    def validate(self) -> dict[str, float]:
        index = self.val.usable(UNIT)
        batch = self._read(self.val, index, torch.zeros(len(index), dtype=torch.bool), torch.Generator().manual_seed(0))
        loss, parts = self.module(*_on_device(batch, self.module), progress=1.0)
        return {"loss": float(loss), "right": float(parts["right"])}

    def _read(self, data: FeatureData, index: Tensor, mirrored: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        target = (data.lengths[index] // UNIT).clamp(max=self.config.classes - 1)
        return (*self.words.batch(data.sentence(index, mirrored, generator)), target)


class SnippetModule(nn.Module):
    """The auto-encoder and its loss."""

    def __init__(self, vae: TemporalVAE, settings: Settings) -> None:
        super().__init__()
        self.mov_enc, self.mov_dec, self.settings = vae.mov_enc, vae.mov_dec, settings

    def forward(self, motion: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """motion [B, 4n, dim_pose] normalised."""
        codes = self.mov_enc(motion[..., :-CONTACTS])
        losses = auto_encoder_losses(motion, codes.float(), self.mov_dec(codes).float(), self.settings.sparsity, self.settings.smoothness)
        return losses.total, {k: v.detach() for k, v in losses._asdict().items() if k != "total"}


class SnippetTask:
    """Windows of 24 frames, every frame of the corpus as likely as any other."""

    def __init__(self, train: FeatureData, val: FeatureData, vae: TemporalVAE, settings: Settings) -> None:
        self.train, self.val, self.settings = train, val, settings
        self.module = SnippetModule(vae, settings)
        self.window = min(settings.window, int(train.lengths.max()) // UNIT * UNIT)
        self.starts = (train.lengths - self.window + 1).clamp(min=0).cumsum(0)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        parts = (self.module.mov_enc, self.module.mov_dec)
        return [ClippedAdam(part.parameters(), self.settings.snippet_rate, self.settings.clip) for part in parts]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, ...]:
        """[B, 24, dim_pose]."""
        place = torch.randint(int(self.starts[-1]), (self.settings.snippet_batch,), generator=generator)
        index = torch.searchsorted(self.starts, place, right=True)
        begin = place - torch.where(index > 0, self.starts[index - 1], 0)
        mirrored = _coins(len(index), self.settings.mirror, generator)
        return (self._cut(self.train, index, begin, mirrored),)

    def validate(self) -> dict[str, float]:
        index = self.val.usable(self.window)
        begin = (self.val.lengths[index] - self.window) // 2
        batch = self._cut(self.val, index, begin, torch.zeros(len(index), dtype=torch.bool))
        loss, parts = self.module(*_on_device((batch,), self.module), progress=1.0)
        return {"loss": float(loss), "reconstruction": float(parts["reconstruction"])}

    def _cut(self, data: FeatureData, index: Tensor, begin: Tensor, mirrored: Tensor) -> Tensor:
        rows = zip(index.tolist(), begin.tolist(), mirrored.tolist(), strict=True)
        cut = [(data.mirrored if flip else data.features)[row][start : start + self.window] for row, start, flip in rows]
        return (torch.stack(cut) - data.mean) / data.std


class MotionModule(nn.Module):
    """The temporal VAE and its loss. The movement encoder stands still, and is not dropped out."""

    def __init__(self, vae: TemporalVAE, settings: Settings) -> None:
        super().__init__()
        self.vae, self.settings = vae, settings
        vae.mov_enc.requires_grad_(False)

    def train(self, mode: bool = True) -> MotionModule:
        super().train(mode)
        self.vae.mov_enc.eval()
        return self

    def forward(
        self,
        words: Tensor,
        classes: Tensor,
        count: Tensor,
        motion: Tensor,
        lengths: Tensor,
        noise: Tensor,
        forced: bool,
        progress: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """words [B, N, D], classes [B, N, 15], count [B] words; motion [B, 4n, dim_pose]; lengths [B] frames of the whole motions, which
        may go on beyond what is given; noise [n, B, z]."""
        states, summary = self.vae.text_enc(words, classes, count)
        targets = self.vae.encode(motion)
        written = self.vae.unroll(states, summary, lengths // UNIT, noise, targets, forced)
        snippets = (lengths // UNIT).clamp(max=targets.shape[1])
        inside = torch.arange(targets.shape[1], device=motion.device) < snippets[:, None]
        made = self.vae.mov_dec(written.codes * inside[..., None]).float()
        losses = vae_losses(motion, made, targets, written, self.settings.divergence, snippets)
        return losses.total, {k: v.detach() for k, v in losses._asdict().items() if k != "total"}


class MotionTask:
    """Captions and motions, from their beginnings, up to the curriculum's number of snippets."""

    def __init__(self, train: FeatureData, val: FeatureData, words: WordVectors, vae: TemporalVAE, settings: Settings) -> None:
        self.train, self.val, self.words, self.config, self.settings = train, val, words, vae.config, settings
        self.module = MotionModule(vae, settings)
        self.usable = train.usable(UNIT)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        vae, settings = self.module.vae, self.settings
        parts = (vae.text_enc, vae.seq_pri, vae.att_layer, vae.seq_post, vae.seq_dec)
        found = [ClippedAdam(part.parameters(), settings.motion_rate, settings.clip) for part in parts]
        return [*found, ClippedAdam(vae.mov_dec.parameters(), settings.slower * settings.motion_rate, settings.clip)]

    def level(self, progress: float) -> int:
        """Snippets of the curriculum."""
        longest = self.config.longest // UNIT
        first = min(self.settings.first_snippets, longest)
        return first + round((longest - first) * min(progress / self.settings.full_after, 1.0))

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Any, ...]:
        """One of several groups of motions of similar length."""
        size, groups = self.settings.motion_batch, self.settings.groups
        drawn = self.usable[torch.randint(len(self.usable), (groups * size,), generator=generator)]
        group = int(torch.randint(groups, (1,), generator=generator))
        index = drawn[self.train.lengths[drawn].argsort(stable=True)][group * size : (group + 1) * size]
        mirrored = _coins(size, self.settings.mirror, generator)
        forced = bool(torch.rand(1, generator=generator) < self.settings.teacher_forcing)
        return self._read(self.train, index, mirrored, generator, self.level(progress), forced)

    def validate(self) -> dict[str, float]:
        """The same loss at full length, own codes fed back."""
        index = self.val.usable(UNIT)
        index = index[self.val.lengths[index].argsort(stable=True)]
        generator = torch.Generator().manual_seed(0)
        sums: dict[str, float] = {}
        for rows in index.split(self.settings.motion_batch):
            batch = self._read(self.val, rows, torch.zeros(len(rows), dtype=torch.bool), generator, self.config.longest // UNIT, False)
            loss, parts = self.module(*_on_device(batch, self.module), progress=1.0)
            for name, value in {"loss": loss, **parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(rows) / len(index)
        return sums

    def _read(
        self, data: FeatureData, index: Tensor, mirrored: Tensor, generator: torch.Generator, level: int, forced: bool
    ) -> tuple[Any, ...]:
        motion, lengths = data.batch(index, mirrored, generator, self.config.longest)
        motion = motion[:, : level * UNIT]
        words = self.words.batch(data.sentence(index, mirrored, generator))
        noise = torch.randn(motion.shape[1] // UNIT, len(index), self.config.dim_z, generator=generator)
        return (*words, motion, lengths, noise, forced)


def train(corpus: Corpus, budget: Budget, folder: Path, scale: str = "shipped", seed: int = 0) -> Path:
    """Train all of T2M in `folder` (resumable stage by stage) and write folder/t2m.safetensors; returns its path."""
    config, words = T2MConfig(scale=scale), shared_words()
    data, val = load_feature_data(corpus, "train"), load_feature_data(corpus, "val")
    settings = SETTINGS[scale]
    fits: dict[str, Fit] = {}

    def run(stage: str, task: Any) -> None:
        fits[stage] = fit(task, stage_budget(budget, stage, seed), folder / stage, f"t2m {stage}")

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        length = LengthTask(data, val, words, config, settings)
        run("length", length)
        torch.manual_seed(seed + 1)
        vae = TemporalVAE(config)
        initialise(vae)
        run("snippets", SnippetTask(data, val, vae, settings))
        torch.manual_seed(seed + 2)
        run("motion", MotionTask(data, val, words, vae, settings))
    sizes = {"length": settings.length_batch, "snippets": settings.snippet_batch, "motion": settings.motion_batch}
    facts = {
        "steps": {name: found.steps for name, found in fits.items()},
        "seconds": round(sum(found.seconds for found in fits.values()), 1),
        "samples": {name: found.steps * sizes[name] for name, found in fits.items()},
        "device": fits["motion"].device,
        "seed": seed,
        "corpus": corpus.digest,
        "undertrained": undertrained(fits["motion"].history),
    }
    system = T2M(vae, length.module.estimator, words, data.mean, data.std, facts=facts)
    system.save(folder / "t2m.safetensors")
    return folder / "t2m.safetensors"


def stage_budget(budget: Budget, stage: str, seed: int) -> Budget:
    """A stage's share. Gradients are clipped per network, by the optimizers.

    Recurrent steps gain nothing from half precision: unless asked for, only the convolutions of the snippet stage use it.
    """
    share = STAGES[stage]
    minutes = budget.minutes * share if budget.minutes else None
    steps = max(round(budget.steps * share), 1) if budget.steps else None
    precision = "no" if budget.precision == "auto" and stage != "snippets" else budget.precision
    return replace(budget, minutes=minutes, steps=steps, seed=seed, clip=0.0, precision=precision)


def _coins(count: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) < share


def _on_device(batch: Sequence[Any], module: nn.Module) -> list[Any]:
    device = next(module.parameters()).device
    return [x.to(device) if isinstance(x, Tensor) else x for x in batch]
