"""Texture: the motion above a few hertz that recordings have and codes cannot hold. It is drawn with every sample.

A field is trained to read means, and what it reads above 4 Hz has about the right energy at the wrong moments (docs/findings.md). A sample
is therefore the field's reading below the lowest edge, plus a Gaussian process above it. The process consists of waves, drawn from the
seed of the sample. In every band the waves are spread over the joints as in recordings; how strong they are at a moment is read from the
last hidden layer of the field. Spread and strength are learned from recordings at their native rates, so a system that has never seen more
than 20 fps has nothing to draw above 8 Hz. The paper has no such part; add_texture=false trains without it, as scale=paper does.

`Texture.add` adds the same waves to any motion at strengths that do not change in time: a stationary process, which shows what is due to
the texture alone.

It knows a field's reading and motion; no recording (nerm.texture_training) and no condition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import BSpline, make_lsq_spline
from torch import Tensor, nn

from nerm.errors import InputError
from nerm.field import Field
from nerm.motion import SMPL22, Motion, frame_times
from nerm.motion.skeleton import bone_directions, heading, joints_from_directions, yaw_matrix

LIMBS = (
    ("pelvis",),
    ("l_hip", "l_knee", "l_ankle", "l_foot"),
    ("r_hip", "r_knee", "r_ankle", "r_foot"),
    ("spine1", "spine2", "spine3", "neck", "head"),
    ("l_collar", "l_shoulder", "l_elbow", "l_wrist"),
    ("r_collar", "r_shoulder", "r_elbow", "r_wrist"),
)
"""Groups of joints whose waves are equally strong at a moment. Waves move the pelvis itself; for other joints, the bones that end there."""
VALUES = 3 * len(SMPL22)
"""Root position (m) and the directions of 21 bones, in axes that turn with the person's heading."""
STRENGTHS_FPS = 10.0
"""How often strengths are read for their average; they change below the lowest edge."""
_QUIETEST, _LOUDEST = -10.0, 4.0  # bounds of the predicted logarithms of variances, relative to a coordinate's own


@dataclass
class TextureConfig:
    """Settings of the texture.

    edges_hz: of the bands, in Hz; below the first, a sample follows its code alone.
    rank: of the mixture over the joints in a band.
    width: of the hidden layer.
    batch: frames in a batch.
    rate: learning rate of Adam.
    noise: on the standardised hidden layer, because sampled codes differ from training codes.
    """

    edges_hz: list[float] = field(default_factory=lambda: [4.0, 5.5, 7.5, 10.0, 13.0, 16.0, 20.0])
    rank: int = 24
    width: int = 64
    batch: int = 4096
    rate: float = 3e-3
    noise: float = 0.7

    def __post_init__(self) -> None:
        if len(self.edges_hz) < 2 or self.edges_hz[0] <= 0 or any(high <= low for low, high in self.bands):
            raise InputError(f"texture.edges_hz={self.edges_hz}; expected two or more frequencies above 0 in rising order")
        for name, most in (("rank", VALUES), ("width", 4096), ("batch", 1_000_000)):
            if not 1 <= getattr(self, name) <= most:
                raise InputError(f"texture.{name}={getattr(self, name)}; expected 1 to {most}")

    @property
    def bands(self) -> list[tuple[float, float]]:
        return list(zip(self.edges_hz[:-1], self.edges_hz[1:], strict=True))


class Texture(nn.Module):
    """The process.  mean, std: [h] of the field's hidden layer.  mix: [bands, rank, 66] how waves become values, at a strength of 1."""

    mean: Tensor
    std: Tensor
    mix: Tensor

    def __init__(self, config: TextureConfig, hidden: int, longest_s: float) -> None:
        super().__init__()
        self.config, self.longest_s = config, longest_s
        self.register_buffer("mean", torch.zeros(hidden))
        self.register_buffer("std", torch.ones(hidden))
        self.register_buffer("mix", torch.zeros(len(config.bands), config.rank, VALUES))
        width = config.width
        self.strength = nn.Sequential(
            nn.Linear(hidden, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, len(config.bands) * len(LIMBS))
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """The field's hidden layer [..., h] -> logarithms of variances [..., bands, limbs], as multiples of a band's own."""
        logarithms = self.strength((hidden - self.mean) / self.std)
        return logarithms.clamp(_QUIETEST, _LOUDEST).unflatten(-1, (len(self.config.bands), len(LIMBS)))

    @torch.no_grad()
    def read(self, field_: Field, z: Tensor, seconds: float, fps: float, seed: int) -> Motion:
        """One code z [d] at a rate, with the texture of a seed; a function of time like the field itself."""
        times = frame_times(seconds, fps)
        values = self._smooth(field_, z, seconds, fps)(times)
        pose = values[:, :VALUES].reshape(len(times), -1, 3)
        drawn = self._drawn(times, seed, np.exp(values[:, VALUES:] / 2).reshape(len(times), *self.shape))
        turn = yaw_matrix(heading(_joints(pose)))
        return Motion(_joints(pose + drawn @ turn.swapaxes(1, 2)).astype(np.float32), fps, SMPL22)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of bands and limbs."""
        return len(self.config.bands), len(LIMBS)

    @torch.no_grad()
    def strengths(self, field_: Field, codes: Sequence[Tensor], seconds: Sequence[float]) -> NDArray[np.float64]:
        """[bands, limbs] the root mean square, over codes z [d] and their time, of the strengths that `read` gives the waves."""
        logarithms = [
            self._smooth(field_, z, length, STRENGTHS_FPS)(frame_times(length, STRENGTHS_FPS))[:, VALUES:]
            for z, length in zip(codes, seconds, strict=True)
        ]
        return np.sqrt(np.exp(np.concatenate(logarithms)).mean(0)).reshape(self.shape)

    def add(self, motion: Motion, strengths: NDArray[np.float64], seed: int) -> Motion:
        """A motion on the 22 joints plus the waves of a seed, at strengths [bands, limbs] that stay the same; bones keep their lengths.

        Nothing is taken from the motion: below and within the bands it keeps what it has.
        """
        if motion.skeleton.names != SMPL22.names:
            raise InputError(f"a motion of {len(motion.skeleton)} joints; texture is added to the 22 joints of {SMPL22.name}")
        joints = motion.joints.astype(np.float64)
        drawn = self._drawn(motion.times, seed, strengths[None]) @ yaw_matrix(heading(joints)).swapaxes(1, 2)
        bones = joints[:, 1:] - joints[:, SMPL22.parents[1:]]
        lengths = np.concatenate([np.zeros((len(joints), 1)), np.linalg.norm(bones, axis=-1)], axis=1)
        pose = np.concatenate([joints[:, :1], bone_directions(joints, SMPL22)], axis=1)
        return Motion(_joints(pose + drawn, lengths).astype(np.float32), motion.fps, motion.skeleton)

    def _drawn(self, times: NDArray[np.float64], seed: int, strengths: NDArray[np.float64]) -> NDArray[np.float64]:
        """[T, 22, 3] the waves of a seed, in axes that turn with the person, at strengths [T or 1, bands, limbs]."""
        waves = (self.waves(times, seed) @ self.mix.double().cpu().numpy()).reshape(self.shape[0], len(times), -1, 3)
        return sum(strengths[:, band, LIMB, None] * wave for band, wave in enumerate(waves))

    def waves(self, times: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
        """[bands, T, rank] independent processes of variance 1 at times [T] (s), each within its band."""
        period, rng = self.longest_s, np.random.default_rng([seed % 2**64, 7])
        waves = []
        for low, high in self.config.bands:
            frequencies = np.arange(math.ceil(low * period), math.ceil(high * period)) / period
            phase = 2 * np.pi * times[:, None] * frequencies
            size = rng.standard_normal((2, len(frequencies), self.config.rank)) / len(frequencies) ** 0.5
            waves.append(np.cos(phase) @ size[0] + np.sin(phase) @ size[1])
        return np.stack(waves)

    def _smooth(self, field_: Field, z: Tensor, seconds: float, fps: float) -> BSpline:
        """The field's pose and the strengths below the first edge: the cubic spline with a knot every half period that fits them best."""
        intervals = max(round(2 * self.config.edges_hz[0] * seconds), 1)
        count = 5 * intervals + 4
        times = np.linspace(0, seconds, count)
        at = torch.as_tensor(times, device=z.device)[None]
        hidden = field_.hidden(at, torch.tensor([seconds], dtype=torch.float64, device=z.device), z[None].float(), fps)
        pose = field_.pose(hidden)
        parts = (pose.root[0], pose.directions[0].flatten(1), self(hidden)[0].flatten(1))
        knots = np.concatenate([[0.0] * 3, np.linspace(0, seconds, intervals + 1), [seconds] * 3])
        return make_lsq_spline(times, torch.cat(parts, dim=1).double().cpu().numpy(), knots)


LIMB = np.array([next(k for k, names in enumerate(LIMBS) if name in names) for name in SMPL22.names])
"""[22] the limb of each joint."""


def _joints(pose: NDArray, lengths: NDArray | None = None) -> NDArray[np.float64]:
    """[T, 22, 3] root position and bone directions of any length -> joints. lengths: of the bones [T, 22], default the skeleton's."""
    directions = pose[:, 1:] / np.linalg.norm(pose[:, 1:], axis=-1, keepdims=True)
    return joints_from_directions(pose[:, 0], directions, SMPL22, lengths)
