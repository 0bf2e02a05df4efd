"""Learning the texture: the motion of training windows in each band at their native rates, and the field's hidden layer there.

It knows recordings, fields and codes; of the denoiser only the file of its system.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nerm.cli import progress
from nerm.data.dataset import Dataset
from nerm.errors import InputError
from nerm.field import Field
from nerm.model import load_nerm
from nerm.motion import SMPL22
from nerm.motion.kinematics import lowpass
from nerm.motion.skeleton import bone_directions, heading, yaw_matrix
from nerm.settings import Stage1Config
from nerm.stage1 import load_stage1
from nerm.texture import LIMB, LIMBS, Texture, TextureConfig
from nerm.training import Budget, Fit, fingerprint, fit
from nerm.windows import Windows, training_windows, window_joints

RATE_SHARE = 2.5
"""A recording holds a band if it has at least so many frames per second for each hertz of the band's upper edge (as in band_energy)."""
OBSERVED_HZ = 15.0


@dataclass
class Observed:
    """Moments of recordings.  hidden: [n, h] of the field.  values: [n, bands, 66] float16, the recording in each band, in units of
    spread [bands, 66], the root mean square over a limb.  held: [n, bands] whether its rate holds the band.
    """

    hidden: Tensor
    values: Tensor
    spread: Tensor
    held: Tensor

    def energy(self) -> Tensor:
        """[n, bands, limbs] the mean square over a limb."""
        return _by_limb(self.values.float().square().unflatten(-1, (-1, 3)).mean(-1))


def _by_limb(x: Tensor) -> Tensor:
    """[..., 22] -> [..., limbs] the mean over each limb."""
    return torch.stack([x[..., torch.from_numpy(limb == LIMB)].mean(-1) for limb in range(len(LIMBS))], dim=-1)


@torch.no_grad()
def observe(field_: Field, codes: Tensor, windows: Windows, config: TextureConfig) -> Observed:
    """Every training window, about OBSERVED_HZ times a second, with the field's hidden layer at the same moments."""
    hidden, values, held = [], [], []
    for index in range(len(windows)):
        joints, fps, seconds = window_joints(windows, index), float(windows.fps[index]), float(windows.seconds[index])
        frames = np.arange(0, len(joints), max(round(fps / OBSERVED_HZ), 1))
        pose = np.concatenate([joints[:, :1], bone_directions(joints, SMPL22)], axis=1)
        holds = [fps >= RATE_SHARE * high - 1e-6 for _, high in config.bands]
        below = [lowpass(pose, fps, edge)[frames] if ok else pose[frames] for edge, ok in zip(config.edges_hz, [True, *holds], strict=True)]
        turn = yaw_matrix(-heading(joints[frames]))
        bands = np.stack([np.einsum("tij,tkj->tki", turn, high - low) for low, high in pairwise(below)], axis=1)
        times = torch.as_tensor(frames / fps)[None]
        hidden.append(field_.hidden(times, torch.tensor([seconds], dtype=torch.float64), codes[index][None], fps)[0])
        values.append(torch.from_numpy(bands.reshape(len(frames), len(config.bands), -1).astype(np.float32)))
        held.append(torch.tensor(holds).expand(len(frames), -1))
    x, ok = torch.cat(values), torch.cat(held)
    square = torch.stack([x[ok[:, band], band].square().mean(0) for band in range(x.shape[1])]).unflatten(-1, (-1, 3)).mean(-1)
    spread = _by_limb(square)[:, LIMB].clamp(min=1e-12).sqrt().repeat_interleave(3, dim=-1)
    return Observed(torch.cat(hidden), (x / spread).half(), spread, ok)


class TextureModule(nn.Module):
    """The process and its loss: the negative logarithm of a Gaussian's density, limb by limb."""

    def __init__(self, texture: Texture) -> None:
        super().__init__()
        self.texture = texture

    def forward(self, hidden: Tensor, energy: Tensor, held: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """hidden: [B, h]; energy: [B, bands, limbs]; held: [B, bands]."""
        texture = self.texture
        if self.training:
            hidden = hidden + texture.config.noise * texture.std * torch.randn_like(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            variance = texture(hidden)
            loss = (variance + energy * torch.exp(-variance)).mean(-1)
        return (loss * held).sum() / held.sum().clamp(min=1), {}


class TextureTask:
    """What `nerm.training.fit` needs. Every tenth second of a recording is kept for validation."""

    def __init__(self, texture: Texture, observed: Observed) -> None:
        self.module = TextureModule(texture)
        self.hidden, self.energy, self.held = observed.hidden, observed.energy(), observed.held
        texture.mean.copy_(self.hidden.mean(0))
        texture.std.copy_(self.hidden.std(0).clamp(min=1e-6))
        kept = (torch.arange(len(self.hidden)) // round(OBSERVED_HZ)) % 10 == 9
        self.trained, self.kept = torch.nonzero(~kept)[:, 0], torch.nonzero(kept)[:, 0]

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(self.module.texture.strength.parameters(), lr=self.module.texture.config.rate)]

    def _at(self, moments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.hidden[moments], self.energy[moments], self.held[moments]

    def batch(self, generator: torch.Generator, progress: float) -> tuple:
        return self._at(self.trained[torch.randint(len(self.trained), (self.module.texture.config.batch,), generator=generator)])

    def validate(self) -> dict[str, float]:
        device = next(self.module.parameters()).device
        loss, _ = self.module(*(x.to(device) for x in self._at(self.kept)), progress=1.0)
        return {"loss": float(loss)}


@torch.no_grad()
def mixture(texture: Texture, observed: Observed) -> Tensor:
    """[bands, rank, 66] how a band's values vary together after division by their strength: the leading part of their covariance."""
    mixtures = []
    strength = torch.exp(texture(observed.hidden) / 2)[..., torch.from_numpy(LIMB)].repeat_interleave(3, dim=-1)
    for band in range(observed.values.shape[1]):
        held = observed.held[:, band]
        x = (observed.values[held, band].float() / strength[held, band]).double()
        variance, axes = torch.linalg.eigh(x.T @ x / len(x))
        rank = texture.config.rank
        leading = axes[:, -rank:] * variance[-rank:].clamp(min=0).sqrt()
        gain = (variance.sum() / variance[-rank:].sum()).sqrt()  # makes up for the variance that the rank leaves out
        mixtures.append((leading * gain).T * observed.spread[band])
    return torch.stack(mixtures).float()


def bands_of(dataset: Dataset, settings: Stage1Config, config: TextureConfig) -> TextureConfig:
    """The bands that the training items hold at the rate that stage 1 sees them at."""
    if settings.training_rate == "fixed":
        return held_by(config, settings.fixed_fps or dataset.base_fps)
    return held_by(config, max((item.fps for item in dataset.items("train")), default=0.0))


def no_texture(dataset: Dataset, settings: Stage1Config, config: TextureConfig) -> str:
    """Why nothing of a texture can be learned from a dataset, whatever its bands; '' if it can. Wrong bands are an InputError."""
    if dataset.skeleton.names != SMPL22.names:
        return f"it is drawn for the {len(SMPL22)} joints of '{SMPL22.name}', and the dataset has '{dataset.skeleton.name}'"
    usual = TextureConfig()
    if config.edges_hz == usual.edges_hz:
        try:
            bands_of(dataset, settings, usual)
        except InputError as error:
            return str(error)
    bands_of(dataset, settings, config)
    return ""


def held_by(config: TextureConfig, fastest_fps: float) -> TextureConfig:
    """The bands that recordings of that rate hold."""
    first, *others = config.edges_hz
    edges = [first, *(edge for edge in others if RATE_SHARE * edge <= fastest_fps + 1e-6)]
    if len(edges) < 2:
        raise InputError(
            f"recordings of {fastest_fps:g} fps hold no band of texture.edges_hz={config.edges_hz}; give lower edges, or add_texture=false"
        )
    return replace(config, edges_hz=edges)


def train_texture(dataset: Dataset, config: TextureConfig, budget: Budget, folder: Path) -> Fit:
    """Learn the texture about the field of folder/nerm.safetensors, from the windows that it was trained on, and put it into that file."""
    torch.manual_seed(budget.seed)
    if dataset.skeleton.names != SMPL22.names:
        raise InputError(no_texture(dataset, Stage1Config(), config))
    model = load_nerm(folder / "nerm.safetensors")
    settings, _, codes, _, _ = load_stage1(folder / "field.safetensors", dataset)
    model.check_field(settings, folder)
    config = bands_of(dataset, settings, config)
    _, windows = training_windows(dataset, "train", settings)
    observed = observe(model.field, codes, windows, config)
    progress(f"texture: {len(observed.hidden)} moments of {len(windows)} windows, {len(config.bands)} bands")
    texture = Texture(config, observed.hidden.shape[1], settings.field.longest_s)
    outcome = fit(TextureTask(texture, observed), budget, folder / "texture", "texture", fingerprint(codes, *model.field.parameters()))
    texture = texture.cpu().eval()
    texture.mix.copy_(mixture(texture, observed))
    model.texture = texture
    model.training["texture"] = outcome.facts(config.batch)
    model.save(folder / "nerm.safetensors")
    return outcome
