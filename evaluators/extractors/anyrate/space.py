"""The space in which the extractor `anyrate` takes distances: descriptors beside learned features of a clip, whitened at each rate.

Descriptors say how unusual pose, speed, acceleration, feet and floor of a clip are. Learned features say whether its parts belong together.
The whitening is told that measuring noise up to a millimetre, white or coloured, is no difference, and that tempo is one that counts.

The whitening is fitted to energies with the floors of a high rate, and clips are embedded with floors that are raised to what a millimetre
of noise has at their own rate. (A whitening fitted to energies with raised floors would blow up again what they hide: where most clips lie
on the floor, little variance is left, and noise is most of it.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluators.extractors.describing import FLOORS, bands, describe, highest_hz, noise_floors
from evaluators.extractors.whitening import Whitening, fit_whitening
from nerm.errors import InputError

POSE, LEARNED = 4, 8
"""Principal components of the mean pose and of the learned features. With at most 43 further descriptors these are 55 dimensions."""
NOISE_M = 0.001
NUISANCE_WEIGHT = 4.0
TEMPO = 3.0
"""The direction in which descriptors change with the tempo counts so many times as much as the others."""
Learned = Callable[[NDArray, float], NDArray]
"""(clips [n, m, 22, 3], fps) -> learned features [n, E]."""


class Components(NamedTuple):
    """mean: [D].  axes: [D, K], orthogonal directions of greatest variance, scaled to unit variance."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]

    def __call__(self, x: NDArray) -> NDArray[np.float32]:
        return ((x - self.mean) @ self.axes).astype(np.float32)


def components(x: NDArray, count: int) -> Components:
    """The first `count` principal components of x [n, D]."""
    mean = x.mean(0)
    _, size, axes = np.linalg.svd(x - mean, full_matrices=False)
    scale = np.maximum(size[:count] / np.sqrt(len(x)), 1e-6)
    return Components(mean.astype(np.float32), (axes[:count] / scale[:, None]).T.astype(np.float32))


class Space(NamedTuple):
    """pose, learned: of all rates together.  whitenings: rate -> whitening of clips at that rate."""

    pose: Components
    learned: Components
    whitenings: Mapping[float, Whitening]

    def embed(self, joints: NDArray, fps: float, learned: Learned) -> NDArray[np.float32]:
        """Clips [n, m, 22, 3] -> [n, D]; D depends on the rate, and is the same for equal bands.

        Nothing is looked at above the highest frequency of the rate that the whitening was fitted at: it would take what clips at 48 fps
        have between 16 and 19 Hz for an unusual amount of what clips at 40 fps have there, which is measuring noise above all.
        """
        space = self.nearest(fps)
        return self.whitenings[space](self.joined(joints, fps, learned, noise_floors(fps), highest_hz(space))[0])

    def joined(
        self, joints: NDArray, fps: float, learned: Learned, floors: Sequence[float] = FLOORS, top_hz: float = np.inf
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """[n, D] before the whitening, and [D] the direction of tempo. floors, top_hz: see `describe`."""
        described = describe(joints, fps, floors, top_hz)
        parts = [self.pose(described.pose.numpy()), described.rest.numpy(), self.learned(learned(joints, fps))]
        tempo = np.concatenate([np.zeros(parts[0].shape[1]), described.tempo.numpy(), np.zeros(parts[2].shape[1])])
        return np.concatenate(parts, axis=1), tempo.astype(np.float32)

    def nearest(self, fps: float) -> float:
        """The nearest rate, by ratio, that has a whitening and the same bands."""
        same = [rate for rate in self.whitenings if bands(rate) == bands(fps)]
        if not same:
            known = ", ".join(f"{rate:g}" for rate in self.whitenings)
            raise InputError(
                f"clips at {fps:g} fps; this extractor was fitted to recordings that hold {known} fps: resample to one of these"
            )
        return min(same, key=lambda rate: abs(np.log(rate / fps)))

    def tensors(self) -> dict[str, Tensor]:
        """For a file."""
        arrays = {"pose.mean": self.pose.mean, "pose.axes": self.pose.axes}
        arrays |= {"learned.mean": self.learned.mean, "learned.axes": self.learned.axes}
        for rate, whitening in self.whitenings.items():
            arrays |= {f"whitening.{rate:g}.mean": whitening.mean, f"whitening.{rate:g}.matrix": whitening.matrix}
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def space_of(tensors: Mapping[str, Tensor]) -> Space:
    """From what `Space.tensors` gave; a KeyError names what is missing."""
    arrays = {name: tensor.float().numpy() for name, tensor in tensors.items()}
    names = [name.removeprefix("whitening.").removesuffix(".mean") for name in arrays if name.startswith("whitening.") and "mean" in name]
    rates = sorted(map(float, names))
    whitenings = {rate: Whitening(arrays[f"whitening.{rate:g}.mean"], arrays[f"whitening.{rate:g}.matrix"]) for rate in rates}
    pose, learned = (Components(arrays[f"{name}.mean"], arrays[f"{name}.axes"]) for name in ("pose", "learned"))
    return Space(pose, learned, whitenings)


def fit_space(clips: Mapping[float, NDArray], learned: Learned, seed: int = 0) -> Space:
    """clips: rate -> clips [n, m, 22, 3] of real motion."""
    pose = components(np.concatenate([describe(x, fps).pose.numpy() for fps, x in clips.items()]), POSE)
    features = {fps: learned(x, fps) for fps, x in clips.items()}
    space = Space(pose, components(np.concatenate(list(features.values())), LEARNED), {})
    whitenings = {}
    for fps, x in clips.items():
        real, tempo = space.joined(x, fps, learned)
        noisy = [space.joined(other, fps, learned)[0] for other in noises(x, np.random.default_rng([seed, round(1000 * fps)]))]
        whitenings[fps] = fit_whitening(real, np.stack(noisy), NUISANCE_WEIGHT, tempo, TEMPO)
    return space._replace(whitenings=whitenings)


def noises(clips: NDArray, rng: np.random.Generator) -> list[NDArray[np.float32]]:
    """The clips [n, m, 22, 3] with white and with coloured noise, each clip with its own standard deviation up to NOISE_M."""
    size = NOISE_M * rng.random((2, len(clips), 1, 1, 1))
    white = rng.standard_normal(clips.shape)
    coloured = np.cumsum(rng.standard_normal(clips.shape), axis=1)
    coloured -= coloured.mean(1, keepdims=True)
    coloured /= np.maximum(coloured.std(1, keepdims=True), 1e-9)
    return [(clips + amount * noise).astype(np.float32) for amount, noise in zip(size, (white, coloured), strict=True)]
