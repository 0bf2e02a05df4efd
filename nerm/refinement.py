"""Refinement: after both stages the field is trained for some minutes more, so that what the denoiser samples reads like recordings.

Stage 1 asks for the mean of what a code leaves open, and the field has never read a code that the denoiser made. So a critic
(`nerm.critic`) learns to tell clips of recordings from clips that the field reads out of sampled codes, and the field learns to pass, while
stage 1's own loss keeps the training codes where they are. Codes and denoiser stay as they are. What the critic sees is slow and smoothed:
below a few hertz the field is to be like recordings, above them its texture is (`nerm.texture`). The paper has no such step; refine=false
leaves it out, as scale=paper does.

The losses are the relativistic ones with zero-centred gradient penalties on both sides (Huang et al., The GAN is dead; long live the GAN!,
NeurIPS 2024).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from nerm.cli import progress
from nerm.critic import REACH, Critic, clip_features
from nerm.data.captions import load_captions, mirror_caption
from nerm.data.corpus import Corpus
from nerm.errors import InputError
from nerm.field import Field
from nerm.model import Condition, NeRM, load_nerm, load_stage1
from nerm.settings import Stage1Config
from nerm.stage1 import Windows, clip_loss, corpus_windows, draw_clips, draw_windows, many_rates, reconstruction_error
from nerm.training import Budget, Fit, fingerprint, fit


@dataclass
class RefinementConfig:
    """Settings of the refinement. rates are Adam's.  known: clips of training codes in a batch, as long as stage 1's."""

    clips: int = 64
    clip_frames: int = 32
    clip_fps: float = 30.0  # of slower recordings every frame, of faster ones those nearest to this
    known: int = 200
    draws: int = 3  # codes sampled for each training window, given its sentences and duration
    adversarial: float = 0.5  # weight against stage 1's loss
    penalty: float = 1.0
    rate: float = 5e-4
    critic_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name, least in (("clips", 2), ("known", 1), ("clip_frames", 2 * REACH + 3), ("draws", 1)):
            if getattr(self, name) < least:
                raise InputError(f"refinement.{name}={getattr(self, name)}; expected at least {least}")
        if not self.clip_fps > 0:
            raise InputError(f"refinement.clip_fps={self.clip_fps:g}; expected a positive number")


class RefinementModule(nn.Module):
    """Field, critic and both their losses, in one number: neither has a gradient from the other's."""

    def __init__(self, config: RefinementConfig, stage1: Stage1Config, field_: Field, critic: Critic) -> None:
        super().__init__()
        self.config, self.stage1 = config, stage1
        self.field, self.critic = field_, critic

    def forward(self, *clips: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """clips: z [B, d], times [B, m], seconds [B], fps [B], joints [B, m, 22, 3] of sampled codes beside recordings that they are not
        the codes of; then the same five of training codes and their own recordings.
        """
        z, times, seconds, fps, joints = clips[5:]
        weights = (self.stage1.root_weight, self.stage1.velocity_weight, self.stage1.high_band_weight)
        loss, parts = clip_loss(self.field, self.field(times, seconds, z, fps), joints, fps, *weights)
        game, verdicts = self._game(*clips[:5])
        return loss + game, parts | verdicts

    def _game(self, z: Tensor, times: Tensor, seconds: Tensor, fps: Tensor, joints: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """In float32: rounding to bfloat16 differs from frame to frame, and velocities show it at once."""
        with torch.autocast(z.device.type, enabled=False):
            pose = self.field(times, seconds, z, fps)
            recorded = clip_features(joints, fps)
            made = clip_features(self.field.joints(pose) + pose.root[..., None, :], fps)
            verdicts = self.critic(recorded, fps), self.critic(made.detach(), fps)
            told = F.softplus(verdicts[1] - verdicts[0]).mean()
            fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
            fooled = F.softplus(verdicts[0].detach() - functional_call(self.critic, fixed, (made, fps))).mean()
            some = slice(None, None, 4)
            penalty = sum(self._steepness(x[some], fps[some]) for x in (recorded, made.detach()))
            parts = {"fooled": fooled.detach(), "told": told.detach(), "right": (verdicts[0] > verdicts[1]).float().mean()}
            return self.config.adversarial * fooled + told + self.config.penalty / 2 * penalty, parts

    def _steepness(self, features: Tensor, fps: Tensor) -> Tensor:
        """The mean squared gradient of the verdict, in units of the features' deviations."""
        features = features.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.critic(features, fps).sum(), features, create_graph=True)
        return (gradient * self.critic.std).square().sum((1, 2)).mean()


class RefinementTask:
    """What `nerm.training.fit` needs. codes: [N, d] of the windows; sampled: [draws, N, d]."""

    def __init__(
        self, config: RefinementConfig, stage1: Stage1Config, field_: Field, codes: Tensor, sampled: Tensor, windows: Windows
    ) -> None:
        self.config, self.codes, self.sampled, self.windows = config, codes, sampled, windows
        generator = torch.Generator().manual_seed(1)
        seen = torch.cat([clip_features(joints, fps).flatten(0, 1) for *_, fps, joints in (self._slow_clips(generator) for _ in range(4))])
        self.module = RefinementModule(config, stage1, field_, Critic(seen.mean(0), seen.std(0)))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(self.module.field.parameters(), lr=self.config.rate, betas=(0.5, 0.99)),
            torch.optim.Adam(self.module.critic.parameters(), lr=self.config.critic_rate, betas=(0.0, 0.99)),
        ]

    def _slow_clips(self, generator: torch.Generator) -> tuple:
        index = draw_windows(self.windows, self.config.clips, generator)
        stride = torch.clamp((self.windows.fps[index] / self.config.clip_fps).round().long(), min=1)
        return draw_clips(self.windows, index, self.config.clip_frames, stride, generator)

    def batch(self, generator: torch.Generator, progress: float) -> tuple:
        index, *slow = self._slow_clips(generator)
        draw = torch.randint(len(self.sampled), (len(index),), generator=generator)
        known = draw_windows(self.windows, self.config.known, generator)
        stride = many_rates(self.windows.fps[known], generator)
        _, *own = draw_clips(self.windows, known, self.module.stage1.clip_frames, stride, generator)
        return (self.sampled[draw, index], *slow, self.codes[known], *own)

    def validate(self) -> dict[str, float]:
        """Reconstruction alone: no loss says how far such a game has come."""
        device = next(self.module.parameters()).device
        return reconstruction_error(self.module.field, self.codes.to(device), self.windows)


def refine(corpus: Corpus, config: RefinementConfig, budget: Budget, folder: Path) -> Fit:
    """Refine the field of folder/field.safetensors for the denoiser of folder/nerm.safetensors, and put it into the latter."""
    torch.manual_seed(budget.seed)
    model = load_nerm(folder / "nerm.safetensors")
    settings, field_, codes, numbers = load_stage1(folder / "field.safetensors", corpus)
    model.check_field(settings, folder)
    _, windows = corpus_windows(corpus, "train", settings)
    sampled = sample_like(model, corpus, numbers.tolist(), config.draws, budget.seed)
    progress(f"refinement: {sampled.shape[0] * sampled.shape[1]} codes sampled")
    task = RefinementTask(config, settings, field_, codes, sampled, windows)
    key = fingerprint(codes, *field_.parameters(), *model.denoiser.parameters())
    outcome = fit(task, replace(budget, clip=0.0), folder / "refinement", "refinement", key)
    known = outcome.facts(config.clips)
    model.training["refinement"] = {key: value for key, value in known.items() if key != "undertrained"}  # no loss says how far it came
    if model.texture:
        progress("refinement: the system's texture was learned about another field and is left out; train it again with stage=texture")
    model.texture = None
    model.field = field_
    model.save(folder / "nerm.safetensors")
    return outcome


def sample_like(model: NeRM, corpus: Corpus, windows: list[int], draws: int, seed: int) -> Tensor:
    """Codes [draws, N, d]: for each training window `draws` samples of its duration, given one of its sentences or its mirror image.

    Whether to mirror is left out: the field reads codes as they are.
    """
    captions = load_captions().train
    rows = corpus.windows.loc[windows]
    generator = torch.Generator().manual_seed(seed)

    def sentence(label: str) -> str | None:
        if not label:
            return None
        listed = captions[label]
        text = listed[int(torch.randint(len(listed), (1,), generator=generator))]
        return mirror_caption(text) if torch.rand(1, generator=generator) < 0.5 else text

    found = []
    for draw in range(draws):
        conditions = [Condition(text=sentence(label)) for label in rows["label"]]
        seeds = [(seed * draws + draw) * len(rows) + place for place in range(len(rows))]
        codes = model.sample_codes(conditions, list(rows["seconds"]), seeds, chunk=256)
        found.append(torch.stack([code.z for code in codes]))
    return torch.stack(found)
