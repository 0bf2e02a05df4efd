"""Refinement: after both stages the field is trained for some minutes more, so that what the denoiser samples reads like recordings.

Stage 1 asks for the mean of what a code leaves open, and the field has never read a code that the denoiser made. So a critic
(`nerm.critic`) learns to tell clips of recordings from clips that the field reads, some out of the training codes, most out of sampled
ones, and the field learns to pass, while the reconstruction loss keeps the training codes where they are. Codes and denoiser stay as they
are. The paper has no such step; refine=false leaves it out, as scale=paper does.

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
from nerm.critic import Critic, clip_features
from nerm.data.captions import load_captions, mirror_caption
from nerm.data.corpus import Corpus
from nerm.errors import InputError
from nerm.field import Field, FieldConfig, Pose
from nerm.model import Condition, NeRM, load_nerm, load_stage1
from nerm.motion import Motion
from nerm.motion.kinematics import lowpass
from nerm.stage1 import Stage1Config, Windows, clip_loss, corpus_windows, draw_clips, load_windows, reconstruction_error
from nerm.training import Budget, Fit, fit


@dataclass
class RefinementConfig:
    """Settings of the refinement. rates are Adam's."""

    clips: int = 128
    clip_frames: int = 16
    sampled: float = 0.75  # share of the clips that are read out of sampled codes
    draws: int = 3  # codes sampled for each training window, given its sentences and duration
    adversarial: float = 0.2  # weight against the reconstruction loss
    velocity_weight: float = 0.1
    penalty: float = 1.0
    rate: float = 5e-4
    texture_rate: float = 1e-3
    critic_rate: float = 1e-3
    texture: int = 16  # see FieldConfig; left out where the recordings' rate cannot hold it
    highest_hz: float = 20.0  # recordings are low-passed here: the field has nothing to answer with above


class RefinementModule(nn.Module):
    """Field, critic and both their losses, in one number: neither has a gradient from the other's."""

    def __init__(self, config: RefinementConfig, root_weight: float, field_: Field, critic: Critic) -> None:
        super().__init__()
        self.config, self.root_weight = config, root_weight
        self.field, self.critic = field_, critic

    def forward(
        self, z: Tensor, times: Tensor, seconds: Tensor, fps: Tensor, joints: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """z: [B, d], the first `sampled` of them not the codes of the recordings joints [B, m, 22, 3].

        In float32: rounding to bfloat16 differs from frame to frame, 2 mm, but 0.3 m/s and 6 m/s^2 at 120 fps, and is seen at once.
        """
        with torch.autocast(z.device.type, enabled=False):
            pose = self.field(times, seconds, z, fps)
            free = int(self.config.sampled * len(z))
            own = Pose(pose.root[free:], pose.directions[free:])
            loss, parts = clip_loss(self.field, own, joints[free:], fps[free:], self.root_weight, self.config.velocity_weight)
            recorded = clip_features(joints, fps)
            made = clip_features(self.field.joints(pose) + pose.root[..., None, :], fps)
            verdicts = self.critic(recorded, fps), self.critic(made.detach(), fps)
            told = F.softplus(verdicts[1] - verdicts[0]).mean()
            fixed = {name: p.detach() for name, p in self.critic.named_parameters()}
            fooled = F.softplus(verdicts[0].detach() - functional_call(self.critic, fixed, (made, fps))).mean()
            some = slice(None, None, 4)
            penalty = sum(self._steepness(x[some], fps[some]) for x in (recorded, made.detach()))
            parts |= {"fooled": fooled.detach(), "told": told.detach(), "right": (verdicts[0] > verdicts[1]).float().mean()}
            return loss + self.config.adversarial * fooled + told + self.config.penalty / 2 * penalty, parts

    def _steepness(self, features: Tensor, fps: Tensor) -> Tensor:
        """The mean squared gradient of the verdict, in units of the features' deviations."""
        features = features.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self.critic(features, fps).sum(), features, create_graph=True)
        return (gradient * self.critic.std).square().sum((1, 2)).mean()


class RefinementTask:
    """What `nerm.training.fit` needs. codes: [N, d] of the windows; sampled: [draws, N, d]."""

    def __init__(
        self, config: RefinementConfig, root_weight: float, field_: Field, codes: Tensor, sampled: Tensor, windows: Windows
    ) -> None:
        self.config, self.codes, self.sampled, self.windows = config, codes, sampled, windows
        generator = torch.Generator().manual_seed(1)
        seen = torch.cat([clip_features(joints, fps).flatten(0, 1) for *_, fps, joints in (self._clips(generator) for _ in range(4))])
        self.module = RefinementModule(config, root_weight, field_, Critic(seen.mean(0), seen.std(0)))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        config, field_ = self.config, self.module.field
        texture = list(field_.texture.parameters()) if field_.texture else []
        rest = [p for p in field_.parameters() if not any(p is q for q in texture)]
        groups = [{"params": rest}] + ([{"params": texture, "lr": config.texture_rate}] if texture else [])
        return [
            torch.optim.Adam(groups, lr=config.rate, betas=(0.5, 0.99)),
            torch.optim.Adam(self.module.critic.parameters(), lr=config.critic_rate, betas=(0.0, 0.99)),
        ]

    def _clips(self, generator: torch.Generator) -> tuple:
        index = torch.multinomial(self.windows.seconds.float() + 0.5, self.config.clips, replacement=True, generator=generator)
        return draw_clips(self.windows, index, self.config.clip_frames, generator)

    def batch(self, generator: torch.Generator, progress: float) -> tuple:
        index, *clips = self._clips(generator)
        free = int(self.config.sampled * len(index))
        draw = torch.randint(len(self.sampled), (free,), generator=generator)
        return (torch.cat([self.sampled[draw, index[:free]], self.codes[index[free:]]]), *clips)

    def validate(self) -> dict[str, float]:
        """Reconstruction alone: no loss says how far such a game has come."""
        device = next(self.module.parameters()).device
        return reconstruction_error(self.module.field, self.codes.to(device), self.windows)


def check(config: RefinementConfig) -> None:
    """Raises InputError on settings that leave nothing to learn from."""
    if not 0 <= config.sampled < 1:
        raise InputError(f"refinement.sampled={config.sampled:g}; expected a share of the clips, at least 0 and below 1")
    for name, least in (("clips", 2), ("clip_frames", 3), ("draws", 1)):
        if getattr(config, name) < least:
            raise InputError(f"refinement.{name}={getattr(config, name)}; expected at least {least}")


def refine(corpus: Corpus, config: RefinementConfig, budget: Budget, folder: Path) -> Fit:
    """Refine the field of folder/field.safetensors for the denoiser of folder/nerm.safetensors, and put it into the latter."""
    check(config)
    torch.manual_seed(budget.seed)
    model = load_nerm(folder / "nerm.safetensors")
    settings, before, codes, numbers = load_stage1(folder / "field.safetensors", corpus)
    if replace(model.stage1.field, texture=0) != replace(settings.field, texture=0):
        raise InputError(
            f"{folder}: nerm.safetensors and field.safetensors have fields of other settings; train the denoiser on this field"
        )
    windows = smooth_windows(corpus, settings, config.highest_hz)
    shape = refined_shape(settings.field, config.texture, float(windows.fps.max()))
    field_ = Field(shape)
    field_.load_state_dict(field_.state_dict() | before.state_dict())
    sampled = sample_like(model, corpus, numbers.tolist(), config.draws, budget.seed)
    progress(f"refinement: {sampled.shape[0] * sampled.shape[1]} codes sampled")
    task = RefinementTask(config, settings.root_weight, field_, codes, sampled, windows)
    outcome = fit(task, replace(budget, clip=0.0), folder / "refinement", "refinement")
    facts = outcome.facts(config.clips)
    model.facts["parameters"] = sum(p.numel() for part in (field_, model.denoiser) for p in part.parameters())
    for key in ("steps", "samples"):
        model.facts[key] = model.facts.get(key, {}) | {"refinement": facts[key]}
    model.facts["seconds"] = round(model.facts.get("seconds", 0.0) + facts["seconds"] - model.facts.get("refinement_seconds", 0.0), 1)
    model.facts["refinement_seconds"] = facts["seconds"]
    model.stage1, model.field = replace(settings, field=shape), field_
    model.save(folder / "nerm.safetensors")
    return outcome


def smooth_windows(corpus: Corpus, settings: Stage1Config, highest_hz: float) -> Windows:
    """The training windows as stage 1 sees them (at its rates, in its order), without what lies above highest_hz."""
    _, windows = corpus_windows(corpus, "train", settings)
    motions = []
    for start, count, fps in zip(windows.offset.tolist(), windows.count.tolist(), windows.fps.tolist(), strict=True):
        motions.append(Motion(lowpass(windows.frames[start : start + count].numpy(), fps, highest_hz), fps))
    return load_windows(motions)


def refined_shape(shape: FieldConfig, texture: int, fastest_fps: float) -> FieldConfig:
    """The field's settings with texture, if recordings are fast enough to say what it should be."""
    return replace(shape, texture=texture if fastest_fps >= 2.5 * shape.texture_high_hz else 0)


def sample_like(model: NeRM, corpus: Corpus, windows: list[int], draws: int, seed: int) -> Tensor:
    """Codes [draws, N, d]: for each training window `draws` samples of its duration, given one of its sentences or its mirror image.

    The sign that says whether to mirror is left out: the field reads codes as they are.
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
        found.append(model.sample_codes(conditions, list(rows["seconds"]), seeds, chunk=256)[:, :-1])
    return torch.stack(found)
