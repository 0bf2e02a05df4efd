"""Training of T2M on a dataset: text to length, snippet auto-encoder, temporal VAE, one after the other in fixed shares of the budget.

Losses, teacher forcing, gradient norms per network and the frozen movement encoder are as published (Guo et al., CVPR 2022, section 4).
What differs, because the budget is a time and the dataset is small:
- The curriculum over the number of snippets, 10 to the longest, follows the progress of the budget and not early stopping.
- Motions shorter than the curriculum's level stay in: batches hold motions of similar length, and no loss counts padding.
- The features' deviations are the plain ones of FeatureData; T2M divides those of root and contacts by a factor (feat_bias) on top.
- Rates at scale=shipped are higher, and Muon trains its temporal VAE; rates anneal to zero and weights are averaged (nerm.training).
- The word vectors are those of the shipped guo extractor and are not trained here. An item without a caption is read as sos, eos.
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
from baselines.features import valid_frames
from baselines.t2m.network import CONTACTS, UNIT, MotionLenEstimatorBiGRU, T2MConfig, TemporalVAE, Unrolled, estimator_of, initialise
from baselines.t2m.system import KIND, T2M
from baselines.t2m.words import WordVectors, own_words
from baselines.training import facts_of, origin_of
from nerm.muon import Muon
from nerm.training import Budget, Fit, fit

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

STAGES = {"length": 0.05, "snippets": 0.25, "motion": 0.70}
"""Shares of the budget, in this order."""


@dataclass(frozen=True)
class Settings:
    """Settings of the three stages; the rates are Adam's. matrices: Muon's, for the matrices of the temporal VAE; None: Adam for all, as
    published."""

    length_rate: float = 1e-3
    snippet_rate: float = 1e-3
    motion_rate: float = 1e-3
    matrices: float | None = None
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
    gradient_norm: float = 0.5  # the largest of each network
    mirror: float = 0.5


SETTINGS = {"shipped": Settings(matrices=0.01), "paper": Settings(length_rate=1e-4, snippet_rate=1e-4, motion_rate=2e-4)}


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
        inside = valid_frames(snippets.to(motion.device), targets.shape[1]).float()
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


class BoundedAdam(torch.optim.Adam):
    """Adam for one network, with a bound on the norm of that network's gradient, as published."""

    def __init__(self, parameters: Any, lr: float, norm: float) -> None:
        super().__init__(parameters, lr=lr)
        self.norm = norm

    def step(self, closure: Any = None) -> Any:
        """One step, after the gradient is scaled down to the bound if it is longer."""
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], self.norm)
        return super().step(closure)


class LengthBatch(NamedTuple):
    """words [B, N, D], classes [B, N, 15], word_count [B], target [B] snippets."""

    words: Tensor
    classes: Tensor
    word_count: Tensor
    target: Tensor


class LengthModule(nn.Module):
    """Cross entropy of the length class."""

    def __init__(self, estimator: MotionLenEstimatorBiGRU) -> None:
        super().__init__()
        self.estimator = estimator

    def forward(
        self, words: Tensor, classes: Tensor, word_count: Tensor, target: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A LengthBatch."""
        logits = self.estimator(words, classes, word_count).float()
        return F.cross_entropy(logits, target), {"right": (logits.argmax(-1) == target).float().mean()}


class LengthTask:
    """Text -> number of snippets of the motion."""

    def __init__(self, train: FeatureData, val: FeatureData, words: WordVectors, config: T2MConfig, settings: Settings) -> None:
        self.train, self.val, self.words, self.config, self.settings = train, val, words, config, settings
        estimator = estimator_of(config)
        initialise(estimator)
        self.module = LengthModule(estimator)
        self.usable = train.usable(UNIT)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [BoundedAdam(self.module.parameters(), self.settings.length_rate, self.settings.gradient_norm)]

    def batch(self, generator: torch.Generator, progress: float) -> LengthBatch:
        """Captions and lengths of random items."""
        places = self.train.draw(self.usable, self.settings.length_batch, generator)
        return self._read(self.train, places, _coins(len(places), self.settings.mirror, generator), generator)

    def validate(self) -> dict[str, float]:
        places = self.val.usable(UNIT)
        batch = self._read(self.val, places, torch.zeros(len(places), dtype=torch.bool), torch.Generator().manual_seed(0))
        loss, parts = self.module(*_on_device(batch, self.module), progress=1.0)
        return {"loss": float(loss), "right": float(parts["right"])}

    def _read(self, data: FeatureData, places: Tensor, mirrored: Tensor, generator: torch.Generator) -> LengthBatch:
        target = (data.lengths[places] // UNIT).clamp(max=self.config.classes - 1)
        return LengthBatch(*self.words.batch(data.sentence(places, mirrored, generator)), target)


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
    """Windows of 24 frames, drawn so that every frame of the dataset is equally likely."""

    def __init__(self, train: FeatureData, val: FeatureData, vae: TemporalVAE, settings: Settings) -> None:
        self.train, self.val, self.settings = train, val, settings
        self.module = SnippetModule(vae, settings)
        self.window = min(settings.window, int(train.lengths.max()) // UNIT * UNIT)
        self.starts = (train.lengths - self.window + 1).clamp(min=0).cumsum(0)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        parts = (self.module.mov_enc, self.module.mov_dec)
        return [BoundedAdam(part.parameters(), self.settings.snippet_rate, self.settings.gradient_norm) for part in parts]

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

    def _cut(self, data: FeatureData, places: Tensor, begin: Tensor, mirrored: Tensor) -> Tensor:
        chosen = zip(places.tolist(), begin.tolist(), mirrored.tolist(), strict=True)
        cut = [(data.mirrored if flip else data.features)[place][start : start + self.window] for place, start, flip in chosen]
        return (torch.stack(cut) - data.mean) / data.std


class MotionBatch(NamedTuple):
    """words [B, N, D], classes [B, N, 15], word_count [B]; motion [B, 4n, dim_pose]; lengths [B] frames of the whole motions, which may be
    longer than the given part; noise [n, B, z]; forced: whether the true codes are fed back."""

    words: Tensor
    classes: Tensor
    word_count: Tensor
    motion: Tensor
    lengths: Tensor
    noise: Tensor
    forced: bool


class MotionModule(nn.Module):
    """The temporal VAE and its loss. The movement encoder is frozen, and has no dropout."""

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
        word_count: Tensor,
        motion: Tensor,
        lengths: Tensor,
        noise: Tensor,
        forced: bool,
        progress: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A MotionBatch."""
        states, summary = self.vae.text_enc(words, classes, word_count)
        targets = self.vae.encode(motion)
        written = self.vae.unroll(states, summary, lengths // UNIT, noise, targets, forced)
        snippets = (lengths // UNIT).clamp(max=targets.shape[1])
        inside = valid_frames(snippets, targets.shape[1])
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
        matrices = vae.matrices() if settings.matrices is not None else []
        owned = {id(matrix) for matrix in matrices}
        fast: list[torch.optim.Optimizer] = [Muon(matrices, lr=settings.matrices)] if settings.matrices is not None else []
        for part in (vae.text_enc, vae.seq_pri, vae.att_layer, vae.seq_post, vae.seq_dec):
            others = [p for p in part.parameters() if id(p) not in owned]
            fast.append(BoundedAdam(others, settings.motion_rate, settings.gradient_norm))
        return [*fast, BoundedAdam(vae.mov_dec.parameters(), settings.slower * settings.motion_rate, settings.gradient_norm)]

    def level(self, progress: float) -> int:
        """Snippets of the curriculum."""
        longest = self.config.longest // UNIT
        first = min(self.settings.first_snippets, longest)
        return first + round((longest - first) * min(progress / self.settings.full_after, 1.0))

    def batch(self, generator: torch.Generator, progress: float) -> MotionBatch:
        """Several batches are drawn together and sorted by length; this is one of them."""
        places = self.train.draw(self.usable, self.settings.motion_batch, generator, pool=self.settings.groups)
        mirrored = _coins(len(places), self.settings.mirror, generator)
        forced = bool(torch.rand(1, generator=generator) < self.settings.teacher_forcing)
        return self._read(self.train, places, mirrored, generator, self.level(progress), forced)

    def validate(self) -> dict[str, float]:
        """The same loss at full length, own codes fed back."""
        usable = self.val.usable(UNIT)
        generator = torch.Generator().manual_seed(0)
        sums: dict[str, float] = {}
        for places in self.val.by_length(usable, self.settings.motion_batch):
            plain = torch.zeros(len(places), dtype=torch.bool)
            batch = self._read(self.val, places, plain, generator, self.config.longest // UNIT, False)
            loss, parts = self.module(*_on_device(batch, self.module), progress=1.0)
            for name, value in {"loss": loss, **parts}.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(places) / len(usable)
        return sums

    def _read(
        self, data: FeatureData, places: Tensor, mirrored: Tensor, generator: torch.Generator, level: int, forced: bool
    ) -> MotionBatch:
        motion, lengths = data.batch(places, mirrored, generator, self.config.longest)
        motion = motion[:, : level * UNIT]
        words = self.words.batch(data.sentence(places, mirrored, generator))
        noise = torch.randn(motion.shape[1] // UNIT, len(places), self.config.dim_z, generator=generator)
        return MotionBatch(*words, motion, lengths, noise, forced)


def train(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """Train all of T2M in `folder` (resumable stage by stage) and write folder/t2m.safetensors; returns its path."""
    data, val = load_feature_data(dataset, "train"), load_feature_data(dataset, "val")
    config, words = T2MConfig(scale=scale, dim_pose=data.format.dims), own_words()
    settings = SETTINGS[scale]
    fits: dict[str, Fit] = {}
    budgets = stage_budgets(budget)

    def run(stage: str, task: Any) -> None:
        fits[stage] = fit(task, budgets[stage], folder / stage, f"t2m {stage}")

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(budget.seed)
        length = LengthTask(data, val, words, config, settings)
        run("length", length)
        torch.manual_seed(budget.seed + 1)
        vae = TemporalVAE(config)
        initialise(vae)
        run("snippets", SnippetTask(data, val, vae, settings))
        torch.manual_seed(budget.seed + 2)
        run("motion", MotionTask(data, val, words, vae, settings))
    batches = {"length": settings.length_batch, "snippets": settings.snippet_batch, "motion": settings.motion_batch}
    system = T2M(vae, length.module.estimator, words, data.mean, data.std)
    system.facts = facts_of(fits, batches, system.parameters(), dataset.name)
    path = folder / f"{KIND}.safetensors"
    system.save(path, **origin_of(budget, dataset))
    return path


def stage_budgets(budget: Budget) -> dict[str, Budget]:
    """The stages' shares. The budget does not bound gradients, because the optimizers bound those of each network.

    Recurrent steps gain nothing from half precision: unless asked for, only the convolutions of the snippet stage use it.
    """
    plain = "no" if budget.precision == "auto" else budget.precision
    parts = replace(budget, max_gradient_norm=0.0).parts(STAGES)
    return {stage: part if stage == "snippets" else replace(part, precision=plain) for stage, part in parts.items()}


def _coins(count: int, share: float, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) < share


def _on_device(batch: Sequence[Any], module: nn.Module) -> list[Any]:
    device = next(module.parameters()).device
    return [x.to(device) if isinstance(x, Tensor) else x for x in batch]
