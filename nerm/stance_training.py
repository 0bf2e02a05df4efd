"""Training of the stance: recordings and their mirror images at 32 moments a second, with a disturbed path as the hint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.data.dataset import Dataset
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.resample import at_times
from nerm.muon import Muon
from nerm.stance import HINT_MPS, RATE, Stance, StanceConfig, moments_of, no_stance, observed
from nerm.training import Budget, Fit, fit
from nerm.windows import training_recordings

STRETCH, BATCH = 64, 64
MOST_HELD = 64
KNOTS = 8
"""Moments between independent values of the disturbance of the hint."""
SLOW_MPS = 0.05
"""Errors of the velocity below this count by their square, larger ones by their size: standing still is where an error is seen."""


class StanceTask:
    """What `nerm.training.fit` needs to train a stance."""

    def __init__(self, config: StanceConfig, trained: Sequence[Motion], held: Sequence[Motion]) -> None:
        """held: recordings of the validation split; of the training where there is none."""
        self.module = StanceModule(Stance(config))
        self.trained, self.held = _numbers(trained), _numbers(held)
        every = torch.cat(self.trained)
        self.lengths = torch.tensor([len(x) for x in self.trained])
        self.offset, self.every = torch.cumsum(self.lengths, 0) - self.lengths, every
        stance = self.module.stance
        stance.offset.copy_(every.mean(0))
        stance.scale.copy_(every.std(0).clamp(min=1e-3))
        stance.scale[-2:] = (stance.scale[-2:].square() + HINT_MPS**2).sqrt()

    def optimizers(self) -> list[torch.optim.Optimizer]:
        stance = self.module.stance
        matrices = stance.matrices()
        owned = {id(p) for p in matrices}
        return [Muon(matrices, lr=0.01), torch.optim.AdamW([p for p in stance.parameters() if id(p) not in owned], lr=2e-3)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, Tensor]:
        index = torch.multinomial(self.lengths.float(), BATCH, replacement=True, generator=generator)
        room = torch.clamp(self.lengths[index] - STRETCH, min=0) + 1
        at = (torch.rand(BATCH, generator=generator) * room).long()[:, None] + torch.arange(STRETCH)
        seen = self.every[torch.minimum(at, self.lengths[index][:, None] - 1) + self.offset[index][:, None]]
        return seen, disturbance(BATCH, STRETCH, generator)

    def validate(self) -> dict[str, float]:
        """The error of the velocity on recordings that are not trained on, with disturbed hints, m/s."""
        generator, device = torch.Generator().manual_seed(7), self.module.stance.offset.device
        errors = []
        for seen in self.held:
            hint = disturbance(1, len(seen), generator).to(device)
            errors.append(self.module.error(seen[None].to(device), hint).flatten())
        return {"loss": float(torch.cat(errors).mean())}


class StanceModule(nn.Module):
    """The network and its loss."""

    def __init__(self, stance: Stance) -> None:
        super().__init__()
        self.stance = stance

    def error(self, seen: Tensor, disturbed: Tensor) -> Tensor:
        """[B, K] the error of the velocity, m/s. seen: [B, K, seen] of recordings.  disturbed: [B, K, 2] what is added to the hint."""
        wanted = seen[..., -2:]
        given = torch.cat([seen[..., :-2], wanted + disturbed], -1)
        return (self.stance(given).float() - wanted).square().sum(-1).add(1e-12).sqrt()

    def forward(self, seen: Tensor, disturbed: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The arguments are those of `error`."""
        error = self.error(seen, disturbed)
        return F.smooth_l1_loss(error, torch.zeros_like(error), beta=SLOW_MPS), {"error_mps": error.detach().mean()}


def disturbance(count: int, moments: int, generator: torch.Generator) -> Tensor:
    """[count, moments, 2] smooth noise on velocities, m/s, of a strength drawn for each."""
    knots = torch.randn(count, 2, moments // KNOTS + 2, generator=generator)
    smooth = F.interpolate(knots, size=moments, mode="linear", align_corners=True).mT
    return smooth * HINT_MPS * 1.2 * torch.rand(count, 1, 1, generator=generator).sqrt()


def _numbers(motions: Sequence[Motion]) -> list[Tensor]:
    """What the network sees of every motion, and of its mirror image."""
    numbers = []
    for motion in motions:
        moments = moments_of(motion.seconds)
        for each in (motion, motion.mirrored()):
            joints = at_times(each, moments, each.fps, "cubic").joints.astype(np.float64)
            numbers.append(torch.from_numpy(observed(joints, float(moments[1]), each.skeleton)[0]).float())
    return numbers


def add_stance(dataset: Dataset, config: StanceConfig, budget: Budget, folder: Path) -> Fit:
    """Train a stance and put it into folder/nerm.safetensors."""
    from nerm.model import load_nerm

    model = load_nerm(folder / "nerm.safetensors")
    stage1 = model.stage1
    outcome, model.stance = train_stance(dataset, config, budget, folder, stage1.training_rate, stage1.fixed_fps)
    model.training["stance"] = outcome.facts(BATCH)
    model.save(folder / "nerm.safetensors")
    return outcome


def train_stance(
    dataset: Dataset, config: StanceConfig, budget: Budget, folder: Path, training_rate: str = "native", fixed_fps: float | None = None
) -> tuple[Fit, Stance]:
    """Train a stance on a dataset's recordings, as the fields that it is for are trained: at their rates, or at one."""
    if no_stance(dataset.skeleton):
        raise InputError(f"stage=stance: {no_stance(dataset.skeleton)}; add_stance=false leaves that stage out")
    torch.manual_seed(budget.seed)
    _, trained = training_recordings(dataset, "train", training_rate, fixed_fps)
    held = [dataset.motion(item) for item in dataset.items("val")[:MOST_HELD]] or trained[:MOST_HELD]
    task = StanceTask(replace(config, joints=len(dataset.skeleton)), trained, held)
    outcome = fit(task, budget, folder / "stance", "stance", f"{dataset.digest} {training_rate} {RATE}")
    return outcome, task.module.stance.cpu().eval()
