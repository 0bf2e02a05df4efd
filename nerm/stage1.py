"""Stage 1: the field and one Gaussian code per window, trained together on clips at many rates (an auto-decoder)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nerm.atomic import replacing
from nerm.cli import choose, progress
from nerm.data.corpus import Corpus
from nerm.field import Codes, Field, FieldConfig, Pose
from nerm.motion import Motion, resample
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.reading import decode
from nerm.settings import Stage1Config
from nerm.training import Budget, Fit, fit

CODEBOOK_STEPS = 400  # of the VQ-VAE whose codes codebook-coordinate attention reads; perplexity 400 of 512 on multirate


@dataclass
class Windows:
    """Poses of many windows in memory, each turned to face +z above the origin. frames: [N, 22, 3]; the rest is per window."""

    frames: Tensor
    offset: Tensor
    count: Tensor
    fps: Tensor
    seconds: Tensor
    mirrored: Tensor

    def __len__(self) -> int:
        return len(self.offset)


def load_windows(motions: Sequence[Motion], mirror: bool = False) -> Windows:
    """Gather motions (canonical already) in memory; with mirror, every one a second time with left and right exchanged."""
    counts = torch.tensor([len(m) for m in motions])
    offset = torch.cumsum(counts, 0) - counts
    fps = torch.tensor([m.fps for m in motions], dtype=torch.float64)
    frames = torch.from_numpy(np.concatenate([m.joints for m in motions]).astype(np.float32))
    twice = 2 if mirror else 1
    return Windows(
        frames,
        offset.repeat(twice),
        counts.repeat(twice),
        fps.repeat(twice),
        ((counts - 1) / fps).repeat(twice),
        torch.arange(twice * len(motions)) >= len(motions),
    )


def corpus_windows(corpus: Corpus, split: str, config: Stage1Config) -> tuple[list[int], Windows]:
    """The windows of a split as training data; at the fixed rate if that is what is trained. Returns their numbers too."""
    numbers = list(corpus.select(split).index)
    motions = [corpus.window(number) for number in numbers]
    if choose("training_rate", config.training_rate, ["native", "fixed"]) == "fixed":
        motions = [resample(motion, config.fixed_fps, "cubic") for motion in motions]
    return numbers, load_windows(motions)


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
            torch.optim.Muon(matrices, lr=config.matrix_rate, momentum=0.95, weight_decay=0.0, adjust_lr_fn="original"),
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
    """Of so many training windows (an auto-decoder has no others without fitting), mm: joints about the root, and the root's path."""
    error, root = [], []
    for index in torch.linspace(0, len(windows) - 1, count).long().tolist():
        truth = window_joints(windows, index)
        found = decode(field_, codes[index], float(windows.seconds[index]), float(windows.fps[index])).joints
        error.append(np.linalg.norm((found - found[:, :1]) - (truth - truth[:, :1]), axis=-1).mean() * 1000)
        root.append(np.linalg.norm(found[:, 0] - truth[:, 0], axis=-1).mean() * 1000)
    return {"loss": float(np.mean(error)), "root_mm": float(np.mean(root))}


def initial_codes(windows: Windows, config: FieldConfig, spread: float = 0.5) -> Tensor:
    """Where the codes [n, d] start: principal components of the windows' poses at fixed centred times.

    Like motions start with like codes, which an auto-decoder with random codes never achieves: there the random part stays, and
    neighbourhoods mean nothing to stage 2. Components are weighted by the square root of their spread. One code for all times sees 64
    times of the whole window; each control point of a curve sees 8 times within one interval of its own, and starts at 0 outside.
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
    poses[:, :, 0] *= 0.3  # metres of path would drown the pose
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
        """Equation 3 of the paper. joints: [B, m, 22, 3]; times: [B, m]."""
        z, kl = self.codes(index, noise)
        fade = min(1.0, 0.4 + 2 * progress) if self.config.fade_octaves else 1.0
        pose = self.field(times, seconds, z, fps, fade)
        phase = min(1.0, max(0.0, (progress - 0.3) / 0.3))
        weights = (self.config.root_weight, phase * self.config.velocity_weight, phase * self.config.high_band_weight)
        loss, parts = clip_loss(self.field, pose, joints, fps, *weights)
        return loss + self.config.kl * kl.mean(), parts | {"kl": kl.mean().detach()}


def clip_loss(
    field_: Field,
    pose: Pose,
    joints: Tensor,
    fps: Tensor,
    root_weight: float = 0.1,
    velocity_weight: float = 0.0,
    high_band_weight: float = 0.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Squared errors of joints about the root and of the root path, in (10 cm)^2, of velocities and of accelerations; mm for the log.

    joints: [B, m, 22, 3] metres at fps [B]. Positions hardly know what happens above 8 Hz (about a millimetre), accelerations do.
    """
    error = (field_.joints(pose) - joints + joints[..., :1, :])[..., 1:, :]
    root = pose.root - joints[..., 0, :]
    loss = 100 * (error.square().sum(-1).mean() + root_weight * root.square().sum(-1).mean())
    parts = {"mre_mm": 1000 * error.detach().norm(dim=-1).mean(), "root_mm": 1000 * root.detach().norm(dim=-1).mean()}
    place = error + root[..., None, :]
    if velocity_weight:
        velocity = torch.diff(place, dim=1) * fps.to(place.dtype)[:, None, None, None]
        loss = loss + velocity_weight * _huber(velocity, 1.0)
        parts["velocity_mps"] = velocity.detach().norm(dim=-1).mean()
    if high_band_weight:
        acceleration = _second_difference(place, fps)
        loss = loss + high_band_weight * 0.01 * _huber(acceleration, 10.0)
        parts["acc_mps2"] = acceleration.detach().norm(dim=-1).mean()
    return loss, parts


def _huber(error: Tensor, delta: float) -> Tensor:
    """The mean over vectors [..., 3] of a loss that is quadratic up to delta."""
    return torch.nn.functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=delta).sum(-1).mean()


def _second_difference(x: Tensor, fps: Tensor) -> Tensor:
    """Acceleration of x [B, m, J, 3] by the second difference over the step nearest to 1/60 s: deaf to what lies near 60 Hz.

    Frames without room for the step are zero.
    """
    step = torch.clamp((fps / 60).round(), min=1).long()
    out = torch.zeros_like(x[:, 2:])
    for size in step.unique().tolist():
        rows = step == size
        difference = x[rows, 2 * size :] - 2 * x[rows, size:-size] + x[rows, : -2 * size]
        scale = (fps[rows] / size).to(x.dtype).square()[:, None, None, None]
        out[rows, : difference.shape[1]] = difference * scale
    return out


def draw_windows(windows: Windows, count: int, generator: torch.Generator) -> Tensor:
    """[count] windows, long ones in proportion to their length."""
    return torch.multinomial(windows.seconds.float() + 0.5, count, replacement=True, generator=generator)


def draw_clips(windows: Windows, index: Tensor, frames: int, stride: Tensor, generator: torch.Generator) -> tuple:
    """One clip of `frames` frames per window, every stride-th of its own frames [B], at a place of its own.

    Shorter windows are seen at a smaller stride, or repeat their last frames' times. Returns index, times [B, m] s, seconds [B], fps [B],
    joints [B, m, 22, 3].
    """
    fps, count = windows.fps[index], windows.count[index]
    stride = torch.minimum(stride, torch.clamp((count - 1) // (frames - 1), min=1))
    reach = stride * (frames - 1)
    start = (torch.rand(len(index), generator=generator) * (torch.clamp(count - 1 - reach, min=0) + 1)).long()
    frame = torch.minimum(start[:, None] + stride[:, None] * torch.arange(frames), count[:, None] - 1)
    joints = windows.frames[windows.offset[index][:, None] + frame]
    flipped = joints[:, :, torch.from_numpy(LEFT_RIGHT22)] * torch.tensor([-1.0, 1.0, 1.0])
    joints = torch.where(windows.mirrored[index][:, None, None, None], flipped, joints)
    times = frame / fps[:, None]
    return index, times, windows.seconds[index], fps / stride, joints


def many_rates(fps: Tensor, generator: torch.Generator, lowest_only: bool = False) -> Tensor:
    """Strides [B] for windows at fps [B]: half of them at the native rate, the others at native / k, at least 20 fps."""
    slowest = torch.clamp((fps / 20 + 1e-6).floor(), min=1)
    uniform = torch.rand(len(fps), generator=generator, dtype=torch.float64)
    stride = torch.where(uniform < 0.5, torch.ones_like(fps), 1 + ((uniform - 0.5) * 2 * slowest).floor())
    return (slowest if lowest_only else stride).long()


def window_joints(windows: Windows, index: int) -> np.ndarray:
    """[T, 22, 3] of one window."""
    start, count = int(windows.offset[index]), int(windows.count[index])
    motion = Motion(windows.frames[start : start + count].numpy(), float(windows.fps[index]))
    return (motion.mirrored() if windows.mirrored[index] else motion).joints


def train_field(corpus: Corpus, config: Stage1Config, budget: Budget, folder: Path) -> Fit:
    """Train the field on a corpus; writes folder/field.safetensors (weights, configuration, codes and their windows)."""
    torch.manual_seed(budget.seed)
    numbers, windows = corpus_windows(corpus, "train", config)
    task = FieldTask(config, windows)
    if config.field.time_encoding == "codebook":
        from nerm.codebook import install, train_codebook

        found = train_codebook(windows, steps=CODEBOOK_STEPS, seed=budget.seed, folder=folder / "codebook", device=budget.device)
        progress(f"codebook: {found.used} of {len(found.codes)} codes used, perplexity {found.perplexity:.0f}")
        install(found.codes, task.module.field)
    outcome = fit(task, budget, folder / "field", f"field ({config.training_rate} rate)")
    save_field(task.module, numbers, config, corpus, folder / "field.safetensors", outcome.facts(config.clips))
    return outcome


def save_field(module: FieldModule, numbers: list[int], config: Stage1Config, corpus: Corpus, path: Path, training: dict) -> None:
    """Weights, codes [n, d] with their windows' numbers, the configuration and how it was trained, in one file, in one step."""
    tensors = {f"field.{k}": v for k, v in module.field.state_dict().items()}
    tensors |= {"codes.mean": module.codes.mean.weight, "codes.logvar": module.codes.logvar.weight, "codes.window": torch.tensor(numbers)}
    facts = {"stage1": json.dumps(asdict(config)), "corpus": corpus.digest, "training": json.dumps(training)}
    with replacing(path) as temporary:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, facts)
