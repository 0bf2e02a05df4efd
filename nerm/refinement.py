"""Refinement: after both stages the field is trained for some minutes more, so that sampled codes read like recordings.

Stage 1 trains the field to read the mean of everything that a code leaves open, and only on training codes. Here a critic (`nerm.critic`)
learns to tell clips of recordings from clips that the field reads out of sampled codes, and the field learns to pass as a recording. The
loss of stage 1 goes on meanwhile, so that the field still reproduces its training codes; codes and denoiser are not changed. The critic
sees motion smoothed in time: the field has to be like recordings below a few hertz, the texture (`nerm.texture`) above them. The paper has
no such step; refine=false leaves it out, as scale=paper does.

The losses are the relativistic ones with zero-centred gradient penalties on both sides (Huang et al., The GAN is dead; long live the GAN!,
NeurIPS 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from nerm.cli import progress
from nerm.critic import REACH, Critic, clip_features
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.field import Field
from nerm.generator import Condition
from nerm.model import NeRM, load_nerm
from nerm.settings import Stage1Config
from nerm.stage1 import clip_loss, items_of, load_stage1, reconstruction_error
from nerm.stage2 import seconds_of
from nerm.training import Budget, Fit, fingerprint, fit
from nerm.windows import Clips, Windows, draw_clips, draw_windows, many_rates, training_windows
from nerm.words import mirror_caption


@dataclass
class RefinementConfig:
    """Settings of the refinement.

    clips: of sampled codes in a batch.
    clip_frames: frames of such a clip.
    clip_fps: clips have the rate nearest to this that whole strides allow; slower recordings keep every frame.
    known: clips of training codes in a batch, as long as stage 1's.
    draws: codes sampled for each training window, given its sentences and duration.
    adversarial: weight against stage 1's loss.
    penalty: weight of the critic's gradient penalty.
    rate: learning rate of Adam, for the field.
    critic_rate: learning rate of Adam, for the critic.
    """

    clips: int = 64
    clip_frames: int = 32
    clip_fps: float = 30.0
    known: int = 200
    draws: int = 3
    adversarial: float = 0.5
    penalty: float = 1.0
    rate: float = 5e-4
    critic_rate: float = 1e-3

    def __post_init__(self) -> None:
        for name, least in (("clips", 2), ("known", 1), ("clip_frames", 2 * REACH + 3), ("draws", 1)):
            if getattr(self, name) < least:
                raise InputError(f"refinement.{name}={getattr(self, name)}; expected at least {least}")
        if not self.clip_fps > 0:
            raise InputError(f"refinement.clip_fps={self.clip_fps:g}; expected a positive number")


class Batch(NamedTuple):
    """Clips for the critic and for the loss of stage 1.

    z: [B, d] sampled codes.  times, seconds, fps, joints: of recordings, as in `nerm.windows.Clips`; z are not their codes.
    known: [K, d] training codes.  known_times ... known_joints: of their own recordings.
    """

    z: Tensor
    times: Tensor
    seconds: Tensor
    fps: Tensor
    joints: Tensor
    known: Tensor
    known_times: Tensor
    known_seconds: Tensor
    known_fps: Tensor
    known_joints: Tensor


class RefinementModule(nn.Module):
    """Field, critic, and the sum of both losses: neither gets a gradient from the loss of the other."""

    def __init__(self, config: RefinementConfig, stage1: Stage1Config, field_: Field, critic: Critic) -> None:
        super().__init__()
        self.config, self.stage1 = config, stage1
        self.field, self.critic = field_, critic

    def forward(self, *tensors: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """tensors: those of a `Batch`."""
        batch = Batch(*tensors)
        weights = (self.stage1.root_weight, self.stage1.velocity_weight, self.stage1.high_band_weight)
        pose = self.field(batch.known_times, batch.known_seconds, batch.known, batch.known_fps)
        loss, parts = clip_loss(self.field, pose, batch.known_joints, batch.known_fps, *weights)
        game, verdicts = self._game(batch.z, batch.times, batch.seconds, batch.fps, batch.joints)
        return loss + game, parts | verdicts

    def _game(self, z: Tensor, times: Tensor, seconds: Tensor, fps: Tensor, joints: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """In float32: rounding to bfloat16 differs from frame to frame, and velocities show it at once."""
        with torch.autocast(z.device.type, enabled=False):
            pose = self.field(times, seconds, z, fps)
            recorded = clip_features(joints, fps, self.field.skeleton)
            made = clip_features(self.field.joints(pose) + pose.root[..., None, :], fps, self.field.skeleton)
            verdicts = self.critic(recorded, fps), self.critic(made.detach(), fps)
            critic_loss = F.softplus(verdicts[1] - verdicts[0]).mean()
            fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
            field_loss = F.softplus(verdicts[0].detach() - functional_call(self.critic, fixed, (made, fps))).mean()
            quarter = slice(None, None, 4)
            penalty = sum(self._steepness(x[quarter], fps[quarter]) for x in (recorded, made.detach()))
            right = (verdicts[0] > verdicts[1]).float().mean()
            parts = {"passing": field_loss.detach(), "telling": critic_loss.detach(), "right": right}
            return self.config.adversarial * field_loss + critic_loss + self.config.penalty / 2 * penalty, parts

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
        drawn = [self._slow_clips(generator) for _ in range(4)]
        features = torch.cat([clip_features(clips.joints, clips.fps, windows.skeleton).flatten(0, 1) for clips in drawn])
        self.module = RefinementModule(config, stage1, field_, Critic(features.mean(0), features.std(0)))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(self.module.field.parameters(), lr=self.config.rate, betas=(0.5, 0.99)),
            torch.optim.Adam(self.module.critic.parameters(), lr=self.config.critic_rate, betas=(0.0, 0.99)),
        ]

    def _slow_clips(self, generator: torch.Generator) -> Clips:
        index = draw_windows(self.windows, self.config.clips, generator)
        stride = torch.clamp((self.windows.fps[index] / self.config.clip_fps).round().long(), min=1)
        return draw_clips(self.windows, index, self.config.clip_frames, stride, generator)

    def batch(self, generator: torch.Generator, progress: float) -> Batch:
        slow = self._slow_clips(generator)
        draw = torch.randint(len(self.sampled), (len(slow.windows),), generator=generator)
        known = draw_windows(self.windows, self.config.known, generator)
        stride = many_rates(self.windows.fps[known], generator)
        own = draw_clips(self.windows, known, self.module.stage1.clip_frames, stride, generator)
        return Batch(self.sampled[draw, slow.windows], *slow[1:], self.codes[known], *own[1:])

    def validate(self) -> dict[str, float]:
        """Only the reconstruction error: the losses of field and critic against each other do not show progress."""
        device = next(self.module.parameters()).device
        return reconstruction_error(self.module.field, self.codes.to(device), self.windows)


def refine(dataset: Dataset, config: RefinementConfig, budget: Budget, folder: Path) -> Fit:
    """Refine the field of folder/field.safetensors for the denoiser of folder/nerm.safetensors, and put it into the latter."""
    torch.manual_seed(budget.seed)
    model = load_nerm(folder / "nerm.safetensors")
    settings, field_, codes, _, _ = stage1 = load_stage1(folder / "field.safetensors", dataset)
    model.check_field(settings, folder)
    _, windows = training_windows(dataset, "train", settings)
    sampled = sample_like(model, items_of(stage1, dataset), config.draws, budget.seed)
    progress(f"refinement: {sampled.shape[0] * sampled.shape[1]} codes sampled")
    task = RefinementTask(config, settings, field_, codes, sampled, windows)
    key = fingerprint(codes, *field_.parameters(), *model.denoiser.parameters())
    outcome = fit(task, replace(budget, max_gradient_norm=0.0), folder / "refinement", "refinement", key)
    known = outcome.facts(config.clips)
    model.training["refinement"] = {key: value for key, value in known.items() if key != "undertrained"}  # no loss shows its progress
    if model.texture:
        progress("refinement: the system's texture was learned about another field and is left out; train it again with stage=texture")
    model.texture = None
    model.field = field_
    model.save(folder / "nerm.safetensors")
    return outcome


def sample_like(model: NeRM, items: Sequence[Item], draws: int, seed: int) -> Tensor:
    """Codes [draws, N, d]: for each training item `draws` samples of its duration, given one of its captions or its mirror image.

    For an item without captions its label is given, and without a label nothing. The sampled mirror sign is left out: the field reads codes
    as they are.
    """
    generator = torch.Generator().manual_seed(seed)

    def condition(item: Item) -> Condition:
        if not item.captions:
            return Condition(label=item.label or None)
        text = item.captions[int(torch.randint(len(item.captions), (1,), generator=generator))]
        return Condition(text=mirror_caption(text) if torch.rand(1, generator=generator) < 0.5 else text)

    sampled = []
    for draw in range(draws):
        conditions = [condition(item) for item in items]
        seeds = [(seed * draws + draw) * len(items) + place for place in range(len(items))]
        codes = model.sample_codes(conditions, seconds_of(items), seeds, chunk=256)
        sampled.append(torch.stack([torch.from_numpy(code["z"]) for code in codes]))
    return torch.stack(sampled)
