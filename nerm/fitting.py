"""Codes of motions that were not trained on: the field is frozen and one latent per motion is optimised. It knows no corpus.

A fit depends only on the field, the motion and the settings: every motion draws its frames from a generator of its own, and no operation
mixes motions. So a code does not depend on what else is in the batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerm.devices import has_bfloat16
from nerm.errors import InputError
from nerm.field import Field
from nerm.motion import Motion

STEPS, RATE, PRIOR, ROOT_WEIGHT = 500, 0.1, 1e-6, 0.1
"""Measured on 16 test windows with a field of 9 mm on training windows, mean MRE / root path in mm: 200 steps 23.1 / 26, 500 steps
18.7 / 16; 500 steps at a rate of 0.05 20.4 / 21, 300 at 0.2 22.4 / 21. With an earlier field, which had one code for all times: priors up
to 1e-4 change nothing, a root weight of 0.3 trades 5 mm of MRE for 11 mm of the root path, starting at the nearest training code helps."""
_CLIPS, _CLIP_FRAMES = 4, 16  # 4 x 16 frames a motion give the same bits in a batch of any size
_BATCH = 32
_NEAREST_FRAMES, _NEAREST_CODES = 16, 512


class FitError(NamedTuple):
    """mre_mm: mean joint distance with the root translation subtracted.  root_mm: mean distance of the root path."""

    mre_mm: float
    root_mm: float


def fit_codes(
    field: Field,
    motions: Sequence[Motion],
    steps: int = STEPS,
    rate: float = RATE,
    seed: int = 0,
    batch: int = _BATCH,
    prior: float = PRIOR,
    root_weight: float = ROOT_WEIGHT,
    nearest: Tensor | None = None,
    autocast: bool | None = None,
) -> Tensor:
    """Codes [n, d] (float32, on the field's device) of canonical motions of at most `longest_s` seconds, at any rates.

    min_z of the training's squared error + prior |z|^2 / 2 (stage 1 of the paper with theta frozen), by Adam from 0, its rate annealed
    to 0 over a cosine. nearest: training codes [N, d]; every fit then starts from the one that fits its motion best.
    autocast: bfloat16 in the field; None uses it where the processor multiplies it natively.
    """
    if steps < 0 or batch < 1 or not rate > 0:
        raise InputError(f"steps={steps}, batch={batch}, rate={rate}; expected steps >= 0, batch >= 1 and a positive rate")
    for number, motion in enumerate(motions):
        if motion.skeleton.names != field.skeleton.names:
            raise InputError(
                f"motion {number} is on skeleton '{motion.skeleton.name}'; a code is fitted to the {len(field.skeleton)} joints of "
                f"'{field.skeleton.name}'"
            )
        if motion.seconds > field.config.longest_s + 1e-6:
            raise InputError(
                f"motion {number} lasts {motion.seconds:.2f} s; one code holds at most {field.config.longest_s:g} s: cut it into windows"
            )
    trained = [(parameter, parameter.requires_grad) for parameter in field.parameters()]
    field.requires_grad_(False)
    try:
        groups = [motions[start : start + batch] for start in range(0, len(motions), batch)]
        codes = [_fit_group(field, group, steps, rate, seed, prior, root_weight, nearest, autocast) for group in groups]
    finally:
        for parameter, requires_grad in trained:
            parameter.requires_grad_(requires_grad)
    return torch.cat(codes) if codes else torch.zeros(0, field.config.latent, device=next(field.parameters()).device)


def fit_errors(field: Field, codes: Tensor, motions: Sequence[Motion]) -> list[FitError]:
    """How far each motion is from its code [n, d] read out at the motion's own frames."""
    from nerm.reading import decode_at

    errors = []
    for code, motion in zip(codes, motions, strict=True):
        read_out = decode_at(field, code, motion.seconds, torch.as_tensor(motion.times, device=codes.device), motion.fps).joints
        errors.append(fit_error(read_out, motion.joints))
    return errors


def fit_error(joints: NDArray, truth: NDArray) -> FitError:
    """Both joints [T, J, 3] in metres."""
    relative = (joints - joints[:, :1]) - (truth - truth[:, :1])
    distance = np.linalg.norm(relative.astype(np.float64), axis=-1).mean(), np.linalg.norm(joints[:, 0] - truth[:, 0], axis=-1).mean()
    return FitError(1000 * float(distance[0]), 1000 * float(distance[1]))


class _Group(NamedTuple):
    """Motions of one batch on the field's device. joints: [sum of T, J, 3]; the rest is one per motion."""

    joints: Tensor
    offset: Tensor
    frames: Tensor
    fps: Tensor
    seconds: Tensor

    def clips(self, phase: Tensor) -> tuple[Tensor, Tensor]:
        """Times [n, 64] s and joints [n, 64, J, 3]: evenly spread over the whole motion, shifted by phase [n] in [0, 1) of their step.

        They cover the whole motion in every step, which a random short clip does not, so the gradient is far less noisy.
        """
        points = _CLIPS * _CLIP_FRAMES
        position = (torch.arange(points, device=phase.device) + phase[:, None]) / points
        frame = torch.minimum((position * self.frames[:, None]).long(), self.frames[:, None] - 1)
        return frame / self.fps[:, None], self.joints[self.offset[:, None] + frame]


def _gather(motions: Sequence[Motion], device: torch.device) -> _Group:
    count = torch.tensor([len(motion) for motion in motions])
    fps = torch.tensor([motion.fps for motion in motions], dtype=torch.float64)
    joints = torch.from_numpy(np.concatenate([motion.joints for motion in motions]).astype(np.float32))
    return _Group(*(x.to(device) for x in (joints, torch.cumsum(count, 0) - count, count, fps, (count - 1) / fps)))


def _fit_group(
    field: Field,
    motions: Sequence[Motion],
    steps: int,
    rate: float,
    seed: int,
    prior: float,
    root_weight: float,
    nearest: Tensor | None,
    autocast: bool | None,
) -> Tensor:
    device = next(field.parameters()).device
    group = _gather(motions, device)
    # Drawn on the CPU, one generator per motion: independent of the batch and of the device.
    phases = torch.rand(steps, generator=torch.Generator().manual_seed(seed)).to(device)
    start = torch.zeros(len(motions), field.config.latent, device=device)
    if nearest is not None:
        start = torch.stack([_nearest(field, group, index, nearest.to(device), root_weight) for index in range(len(motions))])
    codes = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([codes], lr=rate, betas=(0.9, 0.99))
    for step in range(steps):
        for parameters in optimizer.param_groups:
            parameters["lr"] = rate * 0.5 * (1 + math.cos(math.pi * step / steps))
        times, joints = group.clips(phases[step].expand(len(motions)))
        with _precision(device, autocast):
            loss = _loss(field, codes, group, times, joints, root_weight)
        # A sum over motions: the gradient of one does not depend on how many others there are.
        (codes.grad,) = torch.autograd.grad((loss + 0.5 * prior * codes.square().sum(-1)).sum(), codes)
        optimizer.step()
    return codes.detach()


def _loss(field: Field, codes: Tensor, group: _Group, times: Tensor, joints: Tensor, root_weight: float) -> Tensor:
    """Squared joint error in (10 cm)^2 of each motion [n], as `nerm.stage1.clip_loss` computes it for a batch."""
    count = len(codes) * _CLIPS
    z = codes[:, None].expand(-1, _CLIPS, -1).reshape(count, -1)
    seconds, fps = (x[:, None].expand(-1, _CLIPS).reshape(count) for x in (group.seconds, group.fps))
    pose = field(times.reshape(count, -1), seconds, z, fps)
    read_out = field.joints(pose).reshape(joints.shape)
    error = (read_out - (joints - joints[..., :1, :]))[..., 1:, :]
    root = pose.root.reshape(*joints.shape[:2], 3) - joints[..., 0, :]
    return 100 * (error.square().sum(-1).mean((1, 2)) + root_weight * root.square().sum(-1).mean(1))


@torch.no_grad()
def _nearest(field: Field, group: _Group, index: int, known: Tensor, root_weight: float) -> Tensor:
    """The code [d], of the known codes [N, d], that fits motion `index` best at a few of its frames."""
    frame = torch.linspace(0, int(group.frames[index]) - 1, _NEAREST_FRAMES, device=known.device).long()
    joints = group.joints[group.offset[index] + frame]
    losses = []
    for codes in known.split(_NEAREST_CODES):
        times = (frame / group.fps[index]).expand(len(codes), -1)
        pose = field(times, group.seconds[index].expand(len(codes)), codes, group.fps[index].expand(len(codes)))
        error = field.joints(pose) - (joints - joints[:, :1])
        losses.append(error.square().sum(-1).mean((1, 2)) + root_weight * (pose.root - joints[:, 0]).square().sum(-1).mean(1))
    return known[torch.cat(losses).argmin()]


def _precision(device: torch.device, autocast: bool | None) -> AbstractContextManager:
    if autocast is None:
        autocast = has_bfloat16(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=autocast)
