"""Stage 1 with dense codes: encoder and field together, on short stretches of recordings read at many rates (an auto-encoder)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nerm.checkpoint import read, write
from nerm.data.dataset import Dataset
from nerm.dense.curve import on_curve
from nerm.dense.field import REACH, DenseField, DenseFieldConfig
from nerm.dense.person import MIRROR_FRAME, SAMPLES, Person, mirror_signs, people_of
from nerm.errors import InputError
from nerm.field import Pose, on_skeleton
from nerm.motion import Motion
from nerm.muon import Muon
from nerm.settings import Stage1Config, settings_of
from nerm.stage1 import clip_loss
from nerm.training import Budget, Fit, fit
from nerm.windows import Windows, draw_windows, many_rates, training_windows, window_motion

KIND = "dense-field"
INTERVALS = 24
"""Length of a stretch that is encoded and read, in intervals of the code."""


@dataclass
class DenseFieldTraining:
    """Settings of stage 1 with dense codes.

    training_rate: native, or fixed: one rate for all, as other systems train.
    fixed_fps: the rate of training_rate=fixed; none is the base_fps of the dataset.
    stretches: in a batch, each of 24 intervals.
    clips: read in a stretch, each at a rate of its own.
    clip_frames: frames of a clip.
    rate: learning rate of Adam, for encoder and heads.
    matrix_rate: learning rate of Muon, for the matrices of the hidden layers.
    kl: weight of the sum over a control point's dimensions of the KL divergence.
    velocity_weight: of velocity errors, (m/s)^2, phased in between 30 and 60 % of the run.
    high_band_weight: of acceleration errors, (10 m/s^2)^2, likewise.
    feet_weight: how much more the errors of ankles and feet count in velocities and accelerations: contacts are read from these.
    """

    field: DenseFieldConfig = field(default_factory=DenseFieldConfig)
    training_rate: str = "native"
    fixed_fps: float | None = None
    stretches: int = 96
    clips: int = 4
    clip_frames: int = 8
    rate: float = 2e-3
    matrix_rate: float = 0.02
    kl: float = 1e-5
    velocity_weight: float = 1.0
    high_band_weight: float = 0.1
    feet_weight: float = 4.0


class People:
    """Recordings in memory, as frames and in the person's frame; mirror images are made as they are drawn."""

    def __init__(self, windows: Windows, people: Sequence[Person]) -> None:
        self.windows = windows
        self.points = torch.tensor([len(person.frame) for person in people])
        self.offset = torch.cumsum(self.points, 0) - self.points
        self.frame = torch.cat([person.frame for person in people])
        self.poses = torch.cat([person.poses for person in people])
        self.order, self.signs = mirror_signs(windows.skeleton)

    def drawn(self, count: int, clips: int, frames: int, rate: int, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Stretches with their clips: poses [B, c + 2 REACH, ...], frame [B, c, 4]; of each clip's frames the positions [B, clips, m]

        (float64, in intervals of the stretch), the rates [B, clips] and joints [B, clips, m, J, 3].
        """
        windows = self.windows
        index = draw_windows(windows, count, generator)
        intervals = self.points[index] - 3
        start = (torch.rand(count, generator=generator) * (torch.clamp(intervals - INTERVALS, min=0) + 1)).long()
        near = start[:, None] + torch.arange(-REACH, INTERVALS + 3 + REACH)
        near = torch.minimum(near.clamp(min=0), self.points[index][:, None] - 1) + self.offset[index][:, None]
        poses, frame = self.poses[near], self.frame[near[:, REACH:-REACH]]
        fps, last = windows.fps[index], windows.count[index] - 1
        first = torch.ceil(start / rate * fps - 1e-6).long()
        final = torch.minimum(torch.floor((start + INTERVALS) / rate * fps + 1e-6).long(), last)
        first = torch.minimum(first, final)
        stride = torch.stack([many_rates(fps, generator) for _ in range(clips)], 1)
        stride = torch.minimum(stride, torch.clamp((final - first) // (frames - 1), min=1)[:, None])
        room = torch.clamp((final - first)[:, None] - stride * (frames - 1), min=0)
        begin = first[:, None] + (torch.rand(room.shape, generator=generator) * (room + 1)).long()
        at = torch.minimum(begin[..., None] + stride[..., None] * torch.arange(frames), final[:, None, None])
        joints = windows.frames[windows.offset[index][:, None, None] + at]
        position = at * (rate / fps)[:, None, None] - start[:, None, None]
        mirrored = torch.rand(count, generator=generator) < 0.5
        poses = torch.where(mirrored[:, None, None], poses[..., self.order] * self.signs, poses)
        frame = torch.where(mirrored[:, None, None], frame * torch.tensor(MIRROR_FRAME), frame)
        flipped = joints[:, :, :, torch.from_numpy(windows.skeleton.left_right)] * torch.tensor([-1.0, 1.0, 1.0])
        joints = torch.where(mirrored[:, None, None, None, None], flipped, joints)
        return poses, frame, position, fps[:, None] / stride, joints


class DenseFieldTask:
    """What `nerm.training.fit` needs to train encoder and field."""

    def __init__(self, config: DenseFieldTraining, people: People, held: Sequence[Motion]) -> None:
        """held: recordings of the validation split (of the training where there is none), to see how unseen ones are read."""
        self.config, self.people, self.held = config, people, held
        self.held_people = people_of(held, config.field.rates)
        self.module = DenseFieldModule(config)
        start_linear(self.module.field, people)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        matrices = self.module.field.matrices()
        owned = {id(p) for p in matrices}
        return [
            Muon(matrices, lr=self.config.matrix_rate),
            torch.optim.Adam([p for p in self.module.field.parameters() if id(p) not in owned], lr=self.config.rate, betas=(0.9, 0.99)),
        ]

    def batch(self, generator: torch.Generator, progress: float) -> tuple:
        config = self.config
        drawn = self.people.drawn(config.stretches, config.clips, config.clip_frames, config.field.rate, generator)
        return (*drawn, torch.randn(config.stretches, INTERVALS + 3, config.field.pose, generator=generator))

    def validate(self) -> dict[str, float]:
        field_, errors = self.module.field, []
        for motion, person in zip(self.held, self.held_people, strict=True):
            joints = read_out(field_, field_.encode(person), motion)
            errors.append(np.linalg.norm((joints - joints[:, :1]) - (motion.joints - motion.joints[:, :1]), axis=-1).mean() * 1000)
        return {"loss": float(np.mean(errors))}


@torch.no_grad()
def start_linear(field_: DenseField, people: People, spread: float = 1.0, count: int = 20_000) -> None:
    """Let the linear parts of encoder and field be the principal components of poses, as far as their numbers reach.

    The components are those of joints about the root. The encoder makes control points of them with the filter that a cubic spline needs to
    pass through its values.
    """
    lengths, parents = field_.skeleton.lengths, field_.skeleton.parents
    bones = len(lengths) - 1
    to_bones = torch.zeros(bones, bones)  # joints about the root -> directions
    for joint in range(1, bones + 1):
        to_bones[joint - 1, joint - 1] = 1 / float(lengths[joint])
        if parents[joint]:
            to_bones[joint - 1, parents[joint] - 1] = -1 / float(lengths[joint])
    index = torch.randint(len(people.poses), (count,), generator=torch.Generator().manual_seed(0))
    poses = people.poses[index].unflatten(1, (SAMPLES, bones, 3))
    centred = poses[:, SAMPLES // 2 - 1 : SAMPLES // 2 + 1].mean(1)
    centre = centred.mean(0)
    _, _, v = torch.linalg.svd((centred - centre).flatten(1), full_matrices=False)
    v = v.mT[:, : field_.config.pose]
    sizes = ((centred - centre).flatten(1) @ v).std(0).clamp(min=1e-6)
    scale = (sizes / sizes[0]) ** 0.5 * 2 * spread / sizes
    field_.plain.weight.copy_(torch.einsum("ij,jck->ick", to_bones, (v / scale).unflatten(0, (bones, 3))).flatten(0, 1))
    offset = torch.einsum("ij,jc->ic", to_bones, centre)
    field_.mean_directions.copy_(offset)
    inverse = (3**0.5 - 2) ** torch.arange(-REACH, REACH + 1).abs()  # of a cubic spline's values at its knots
    weight = torch.zeros(field_.config.pose, 2 * REACH + 1, SAMPLES, 3 * bones)
    for place, share in enumerate((inverse / inverse.sum()).tolist()):
        weight[:, place, SAMPLES // 2 - 1 : SAMPLES // 2 + 1] = share / 2 * (v * scale).mT[:, None]
    field_.straight.weight.copy_(weight.flatten(1))
    field_.straight.bias.copy_(-(centre.flatten() @ (v * scale)))


@torch.no_grad()
def read_out(field_: DenseField, code: Tensor, motion: Motion) -> np.ndarray:
    """Joints [T, J, 3] of a code at the frames of a motion."""
    pose = field_(torch.as_tensor(motion.times)[None].to(code.device), code[None])
    return (field_.joints(pose) + pose.root[..., None, :])[0].cpu().numpy()


class DenseFieldModule(nn.Module):
    """Encoder and field with the loss of a batch of stretches. weights: [J - 1] of the joints in velocities and accelerations."""

    weights: Tensor

    def __init__(self, config: DenseFieldTraining) -> None:
        super().__init__()
        self.config = config
        self.field = DenseField(config.field)
        names = self.field.skeleton.names
        weights = torch.tensor([config.feet_weight if "ankle" in name or "foot" in name else 1.0 for name in names[1:]])
        self.register_buffer("weights", weights / weights.mean(), persistent=False)

    def forward(
        self, poses: Tensor, frame: Tensor, position: Tensor, fps: Tensor, joints: Tensor, noise: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The arguments are those of `People.drawn`, and noise [B, c, pose]."""
        with torch.autocast(poses.device.type, enabled=False):
            mean, logvar = self.field.gaussians(poses)
            z = torch.cat([frame, mean + (0.5 * logvar).exp() * noise], -1)
            kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(-1).mean()
            pose = self.field.pose(on_curve(position.flatten(1), z).unflatten(1, position.shape[1:]))
            phase = min(1.0, max(0.0, (progress - 0.3) / 0.3))
            loss, parts = clip_loss(
                self.field,
                Pose(*(x.flatten(0, 1) for x in pose)),
                joints.flatten(0, 1),
                fps.flatten(),
                0.0,
                phase * self.config.velocity_weight,
                phase * self.config.high_band_weight,
                self.weights,
            )
            return loss + self.config.kl * kl, parts | {"kl": kl.detach()}


def train_dense_field(dataset: Dataset, config: DenseFieldTraining, budget: Budget, folder: Path) -> Fit:
    """Train encoder and field on a dataset; writes folder/field.safetensors."""
    torch.manual_seed(budget.seed)
    config = replace(config, fixed_fps=config.fixed_fps or dataset.base_fps)
    shared = Stage1Config(training_rate=config.training_rate, fixed_fps=config.fixed_fps)
    items, windows = training_windows(dataset, "train", shared)
    longest_s = max(config.field.longest_s, float(np.ceil(max(item.seconds for item in items) - 1e-6)))
    config = replace(config, field=on_skeleton(replace(config.field, longest_s=longest_s), windows.skeleton))
    people = People(windows, people_of([window_motion(windows, place) for place in range(len(windows))], config.field.rates))
    held = [dataset.motion(item) for item in (dataset.items("val") or items)[:64]]
    task = DenseFieldTask(config, people, held)
    outcome = fit(task, budget, folder / "field", f"dense field ({config.training_rate} rate)")
    save_dense_field(task.module.field, config, dataset, folder / "field.safetensors", outcome.facts(config.stretches))
    return outcome


def save_dense_field(field_: DenseField, config: DenseFieldTraining, dataset: Dataset, path: Path, training: dict[str, Any]) -> None:
    """Weights, settings and how it was trained, in one file, in one step."""
    about = {"stage1": asdict(config), "dataset": dataset.name, "digest": dataset.digest, "training": training}
    write(path, KIND, {f"field.{name}": value for name, value in field_.state_dict().items()}, about, exact=None)


def load_dense_field(path: Path) -> tuple[DenseFieldTraining, DenseField, dict[str, Any]]:
    """Settings, field and facts of its training from a file that `train_dense_field` wrote."""
    file = read(path, KIND)
    config = settings_of(DenseFieldTraining, file.about["stage1"])
    field_ = DenseField(config.field)
    try:
        field_.load_state_dict(file.part("field."))
    except RuntimeError:
        raise InputError(f"{path} holds a dense field of another version; train it again") from None
    return config, field_.eval(), file.about["training"]
