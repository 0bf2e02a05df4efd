"""Stage 1: the field and one Gaussian code per window, trained together on clips at many rates (an auto-decoder)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from nerm.checkpoint import another_version, read, write
from nerm.cli import progress
from nerm.codebook import install, train_codebook
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.field import Codes, Field, FieldConfig, Pose, on_skeleton
from nerm.muon import Muon
from nerm.reading import decode
from nerm.settings import Stage1Config, settings_of
from nerm.training import Budget, Fit, fit
from nerm.windows import Windows, draw_clips, draw_windows, many_rates, training_windows, window_motion

KIND = "field"
CODEBOOK_STEPS = 400  # training steps of the VQ-VAE whose codes codebook-coordinate attention reads; perplexity 400 of 512 on multirate


class FieldTask:
    """What `nerm.training.fit` needs to train the field."""

    def __init__(self, config: Stage1Config, windows: Windows) -> None:
        self.config, self.windows = config, windows
        self.module = FieldModule(config, len(windows))
        with torch.no_grad():
            self.module.codes.mean.weight.copy_(initial_codes(windows, config.field))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        field_, config = self.module.field, self.config
        matrices = field_.matrices()
        owned = {id(p) for p in matrices}
        return [
            Muon(matrices, lr=config.matrix_rate),
            torch.optim.Adam([p for p in field_.parameters() if id(p) not in owned], lr=config.rate, betas=(0.9, 0.99)),
            torch.optim.SparseAdam(list(self.module.codes.parameters()), lr=config.code_rate, betas=(0.9, 0.99)),
        ]

    def batch(self, generator: torch.Generator, progress: float) -> tuple:
        config = self.config
        index = draw_windows(self.windows, config.clips, generator)
        lowest_only = config.progressive and progress < 0.2
        noise = torch.randn(config.clips, config.field.latent, generator=generator)
        stride = many_rates(self.windows.fps[index], generator, lowest_only)
        return (*draw_clips(self.windows, index, config.clip_frames, stride, generator), noise)

    def validate(self) -> dict[str, float]:
        return reconstruction_error(self.module.field, self.module.codes.mean.weight.detach(), self.windows)


def reconstruction_error(field_: Field, codes: Tensor, windows: Windows, count: int = 64) -> dict[str, float]:
    """Errors in mm on `count` training windows (only these have codes without fitting): joints about the root, and the root's path."""
    error, root = [], []
    for index in torch.linspace(0, len(windows) - 1, count).long().tolist():
        truth = window_motion(windows, index).joints
        read_out = decode(field_, codes[index], float(windows.seconds[index]), float(windows.fps[index])).joints
        error.append(np.linalg.norm((read_out - read_out[:, :1]) - (truth - truth[:, :1]), axis=-1).mean() * 1000)
        root.append(np.linalg.norm(read_out[:, 0] - truth[:, 0], axis=-1).mean() * 1000)
    return {"loss": float(np.mean(error)), "root_mm": float(np.mean(root))}


def initial_codes(windows: Windows, config: FieldConfig, spread: float = 0.5) -> Tensor:
    """Where the codes [n, d] start: principal components of the windows' poses at fixed centred times.

    Similar motions start with similar codes. An auto-decoder with random codes never gets there: the random part stays, and neighbourhoods
    of codes mean nothing to stage 2. Components are weighted by the square root of their spread. One code for all times sees 64 times of
    the whole window; each control point of a curve sees 8 times within one interval of its own, and starts at 0 if that lies outside.
    """
    half = config.longest_s / 2
    if config.intervals:
        step = config.longest_s / config.intervals
        points = torch.arange(-1, config.intervals + 2, dtype=torch.float64) * step - half
        around = torch.linspace(-step, step, 8, dtype=torch.float64)
    else:
        step, points, around = half, torch.zeros(1, dtype=torch.float64), torch.linspace(-half, half, 64, dtype=torch.float64)
    centre = windows.seconds[:, None] / 2 if config.time_normalisation else torch.full((len(windows), 1), half, dtype=torch.float64)
    position = (((points[:, None] + around).flatten() + centre) * windows.fps[:, None]).round().long()
    outside = (position < 0) | (position >= windows.count[:, None])
    position = torch.minimum(position.clamp(min=0), windows.count[:, None] - 1)
    poses = windows.frames[windows.offset[:, None] + position]
    poses[:, :, 1:] -= poses[:, :, :1].clone()
    poses[:, :, 0] *= 0.3  # otherwise metres of path would outweigh the pose
    features = torch.cat([poses.flatten(2), 0.5 * outside[..., None].float()], dim=-1)
    features = features.reshape(len(windows) * len(points), -1)
    used = ((points + centre >= -step) & (points + centre <= windows.seconds[:, None] + step)).flatten()
    features = (features - features[used].mean(0)) * used[:, None]
    size = config.latent // len(points)
    rank = min(size, *features.shape)
    _, s, v = torch.pca_lowrank(features, q=rank, center=False, niter=4)
    codes = torch.zeros(len(features), size)
    codes[:, :rank] = features @ v / s.clamp(min=1e-9).sqrt()
    codes *= spread / codes[used].square().mean().sqrt()
    return (codes + 0.02 * torch.randn_like(codes)).reshape(len(windows), -1)


class FieldModule(nn.Module):
    """Field, codes and the loss of a batch of clips."""

    def __init__(self, config: Stage1Config, count: int) -> None:
        super().__init__()
        self.config = config
        self.field = Field(config.field)
        self.codes = Codes(count, config.field.latent, config.field.variational)

    def forward(
        self, index: Tensor, times: Tensor, seconds: Tensor, fps: Tensor, joints: Tensor, noise: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 3 of the paper. joints: [B, m, J, 3]; times: [B, m]."""
        z, kl = self.codes(index, noise)
        fade = min(1.0, 0.4 + 2 * progress) if self.config.fade_octaves else 1.0
        pose = self.field(times, seconds, z, fps, fade)
        phase = min(1.0, max(0.0, (progress - 0.3) / 0.3))
        weights = (self.config.root_weight, phase * self.config.velocity_weight, phase * self.config.high_band_weight)
        loss, parts = clip_loss(self.field, pose, joints, fps, *weights)
        return loss + self.config.kl * kl.mean(), parts | {"kl": kl.mean().detach()}


class Moves(Protocol):
    """A field, as far as its loss is concerned."""

    def joints(self, pose: Pose) -> Tensor: ...


def clip_loss(
    field_: Moves,
    pose: Pose,
    joints: Tensor,
    fps: Tensor,
    root_weight: float = 0.1,
    velocity_weight: float = 0.0,
    high_band_weight: float = 0.0,
    of_joints: Tensor | float = 1.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Squared errors of joints about the root and of the root path, in (10 cm)^2, of velocities and of accelerations; mm for the log.

    joints: [B, m, J, 3] metres at fps [B]. Motion above 8 Hz is about a millimetre in positions, but large in accelerations.
    of_joints: [J - 1] weights of the joints but the root in velocities and accelerations.
    """
    error = (field_.joints(pose) - joints + joints[..., :1, :])[..., 1:, :]
    root = pose.root - joints[..., 0, :]
    loss = 100 * (error.square().sum(-1).mean() + root_weight * root.square().sum(-1).mean())
    parts = {"mre_mm": 1000 * error.detach().norm(dim=-1).mean(), "root_mm": 1000 * root.detach().norm(dim=-1).mean()}
    place = error + root[..., None, :]
    if velocity_weight:
        velocity = torch.diff(place, dim=1) * fps.to(place.dtype)[:, None, None, None]
        loss = loss + velocity_weight * _huber(velocity, 1.0, of_joints)
        parts["velocity_mps"] = velocity.detach().norm(dim=-1).mean()
    if high_band_weight:
        acceleration = _second_difference(place, fps)
        loss = loss + high_band_weight * 0.01 * _huber(acceleration, 10.0, of_joints)
        parts["acc_mps2"] = acceleration.detach().norm(dim=-1).mean()
    return loss, parts


def _huber(error: Tensor, delta: float, of_joints: Tensor | float) -> Tensor:
    """The weighted mean over vectors [..., J, 3] of a loss that is quadratic up to delta."""
    return (torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta).sum(-1) * of_joints).mean()


def _second_difference(x: Tensor, fps: Tensor) -> Tensor:
    """Acceleration of x [B, m, J, 3] by the second difference over the step nearest to 1/60 s, which does not see frequencies near 60 Hz.

    Frames without room for the step are zero.
    """
    step = torch.clamp((fps / 60).round(), min=1).long()
    out = torch.zeros_like(x[:, 2:])
    for size in step.unique().tolist():
        same = step == size
        difference = x[same, 2 * size :] - 2 * x[same, size:-size] + x[same, : -2 * size]
        scale = (fps[same] / size).to(x.dtype).square()[:, None, None, None]
        out[same, : difference.shape[1]] = difference * scale
    return out


def train_field(dataset: Dataset, config: Stage1Config, budget: Budget, folder: Path) -> Fit:
    """Train the field on a dataset; writes folder/field.safetensors (weights, settings, codes and the ids of their items)."""
    torch.manual_seed(budget.seed)
    config = replace(config, fixed_fps=config.fixed_fps or dataset.base_fps)
    items, windows = training_windows(dataset, "train", config)
    config = replace(config, field=field_for(config.field, items, windows))
    task = FieldTask(config, windows)
    if config.field.time_encoding == "codebook":
        book = train_codebook(windows, steps=CODEBOOK_STEPS, seed=budget.seed, folder=folder / "codebook", device=budget.device)
        progress(f"codebook: {book.used} of {len(book.codes)} codes used, perplexity {book.perplexity:.0f}")
        install(book.codes, task.module.field)
    outcome = fit(task, budget, folder / "field", f"field ({config.training_rate} rate)")
    save_field(task.module, items, config, dataset, folder / "field.safetensors", outcome.facts(config.clips))
    return outcome


def field_for(config: FieldConfig, items: Sequence[Item], windows: Windows) -> FieldConfig:
    """The settings of a field for these windows: on their skeleton, and one code long enough for the longest of them."""
    longest = math.ceil(max(item.seconds for item in items) - 1e-6)
    if longest > config.longest_s:
        progress(f"field: the longest item lasts {longest} s, so a code holds {longest} s instead of {config.longest_s:g}")
    return on_skeleton(replace(config, longest_s=max(config.longest_s, float(longest))), windows.skeleton)


class Stage1(NamedTuple):
    """The result of stage 1.  means, deviations: [n, d] of the codes' Gaussians; the deviations of points are 0.

    items: [n] the ids of their training items.
    """

    settings: Stage1Config
    field: Field
    means: Tensor
    items: list[str]
    deviations: Tensor


def save_field(
    module: FieldModule, items: Sequence[Item], config: Stage1Config, dataset: Dataset, path: Path, training: Mapping[str, Any]
) -> None:
    """Weights, codes [n, d] with their items' ids, the settings and how it was trained, in one file, in one step."""
    tensors = {f"field.{name}": value for name, value in module.field.state_dict().items()}
    tensors |= {"codes.mean": module.codes.mean.weight, "codes.logvar": module.codes.logvar.weight}
    about = {"stage1": asdict(config), "dataset": dataset.name, "digest": dataset.digest, "training": dict(training)}
    write(path, KIND, tensors, about | {"items": [item.id for item in items]}, exact=None)


def load_stage1(path: Path, dataset: Dataset | None = None) -> Stage1:
    """The content of a file that `train_field` wrote; an InputError if it was trained on something other than `dataset`."""
    file = read(path)
    about = file.about
    if about.get("kind") != KIND or "codes.mean" not in file.tensors:
        raise InputError(f"{path} holds no codes of this version; give the field.safetensors of a training run")
    if dataset is not None and about["digest"] != dataset.digest:
        raise InputError(
            f"{path} was trained on another version of dataset '{dataset.name}' ({about['dataset']} {about['digest'][:12]}, here "
            f"{dataset.digest[:12]}); train it again"
        )
    try:
        settings = settings_of(Stage1Config, about["stage1"])
        field_ = Field(settings.field)
        field_.load_state_dict(file.part("field."))
        means, logvar = file.tensors["codes.mean"], file.tensors["codes.logvar"]
        deviations = (0.5 * logvar).exp() if settings.field.variational else torch.zeros_like(means)
        return Stage1(settings, field_.eval(), means, list(about["items"]), deviations)
    except (RuntimeError, KeyError, InputError, OmegaConfBaseException):
        raise another_version(path, "field") from None


def items_of(stage1: Stage1, dataset: Dataset) -> list[Item]:
    """The training items of the codes, in the order of the codes."""
    known = {item.id: item for item in dataset.items("train")}
    missing = [name for name in stage1.items if name not in known]
    if missing:
        raise InputError(f"item '{missing[0]}' of the field is no training item of dataset '{dataset.name}'; train the field again")
    return [known[name] for name in stage1.items]


def field_training(path: Path) -> dict[str, Any]:
    """How the field of a file that `train_field` wrote was trained (`nerm.training.Fit.facts`)."""
    return dict(read(path, KIND).about.get("training", {}))
