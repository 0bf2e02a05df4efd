"""The diffusion of MDM: noise schedules, respacing, noising, and the samplers that go back. It knows tensors and no network.

Coefficients are float64 and are rounded once, when they meet a float32 tensor. Noise is always handed in, so that a recorded run can be
repeated. The schedulers of diffusers compute in float32 from the start and are not used here: their coefficients differ by 1e-7.

Sources: DDPM = Ho et al., NeurIPS 2020; improved DDPM = Nichol and Dhariwal, ICML 2021; DDIM = Song et al., ICLR 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerm.cli import choose
from nerm.errors import InputError

SCHEDULES = ("cosine", "linear")
MAX_BETA = 0.999
Predict = Callable[[Tensor, int], Tensor]
"""(x_t [B, ...], step given to the network) -> predicted x_0 [B, ...]."""


def betas_of(schedule: str, steps: int, max_beta: float = MAX_BETA) -> NDArray[np.float64]:
    """[steps] noise variances. cosine: improved DDPM, equation 17; linear: DDPM, section 4, scaled to the number of steps."""
    if steps < 1:
        raise InputError(f"{steps} diffusion steps; expected at least 1")
    if choose("noise_schedule", schedule, SCHEDULES) == "linear":
        scale = 1000 / steps
        return np.linspace(scale * 0.0001, scale * 0.02, steps, dtype=np.float64)

    def abar(share: float) -> float:
        return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2

    return np.array([min(1 - abar((k + 1) / steps) / abar(k / steps), max_beta) for k in range(steps)])


def space_timesteps(steps: int, counts: Sequence[int] | str) -> list[int]:
    """The steps of a long schedule that a shorter one keeps, ascending.

    counts: how many of each of len(counts) equal sections, spread from the first to the last step of the section; or "ddimN": N steps at
    an integer stride from 0. (improved DDPM, section 4; DDIM, appendix D.2)
    """
    if isinstance(counts, str):
        if not counts.startswith("ddim"):
            counts = [int(count) for count in counts.split(",")]
        else:
            wanted = int(counts.removeprefix("ddim"))
            stride = next((s for s in range(1, steps) if len(range(0, steps, s)) == wanted), None)
            if stride is None:
                raise InputError(f"{wanted} of {steps} steps; no integer stride keeps that many: choose another number")
            return list(range(0, steps, stride))
    kept: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        size = steps // len(counts) + (section < steps % len(counts))
        if not 1 <= count <= size:
            raise InputError(f"{count} of {size} diffusion steps; expected 1 to {size}")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        # Summed up step by step: at ties the rounding of the published schedules depends on it.
        places = np.concatenate([[0.0], np.full(count - 1, stride)]).cumsum()
        kept += [start + int(place) for place in np.round(places)]
        start += size
    return sorted(set(kept))


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A schedule and the steps that the network is told. Every array is [steps] float64, index 0 the least noise."""

    betas: NDArray[np.float64]
    timestep_map: tuple[int, ...]

    @classmethod
    def make(
        cls, steps: int, respaced_to: Sequence[int] | str | None = None, schedule: str = "cosine", max_beta: float = MAX_BETA
    ) -> Diffusion:
        """A schedule of `steps` steps, or of some of them (see `space_timesteps`): beta' = 1 - abar[t] / abar[previous kept t]."""
        whole = cls(betas_of(schedule, steps, max_beta), tuple(range(steps)))
        if respaced_to is None:
            return whole
        kept = space_timesteps(steps, respaced_to)
        abar = whole.alphas_cumprod[kept]
        return cls(1 - abar / np.concatenate([[1.0], abar[:-1]]), tuple(kept))

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alphas_cumprod(self) -> NDArray[np.float64]:
        return np.cumprod(1 - self.betas)

    @cached_property
    def alphas_cumprod_prev(self) -> NDArray[np.float64]:
        return np.concatenate([[1.0], self.alphas_cumprod[:-1]])

    @property
    def sqrt_alphas_cumprod(self) -> NDArray[np.float64]:
        return np.sqrt(self.alphas_cumprod)

    @property
    def sqrt_one_minus_alphas_cumprod(self) -> NDArray[np.float64]:
        return np.sqrt(1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef1(self) -> NDArray[np.float64]:
        """Of x_0 in the mean of q(x_{t-1} | x_t, x_0): DDPM, equation 7."""
        return self.betas * np.sqrt(self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_mean_coef2(self) -> NDArray[np.float64]:
        """Of x_t in the same mean."""
        return (1 - self.alphas_cumprod_prev) * np.sqrt(1 - self.betas) / (1 - self.alphas_cumprod)

    @property
    def posterior_variance(self) -> NDArray[np.float64]:
        """The same distribution's variance, DDPM, equation 7; 0 at the first step."""
        return self.betas * (1 - self.alphas_cumprod_prev) / (1 - self.alphas_cumprod)

    @cached_property
    def posterior_log_variance_clipped(self) -> NDArray[np.float64]:
        """Its logarithm, with the value of index 1 at index 0, where the variance is 0."""
        variance = self.posterior_variance
        return np.log(np.concatenate([variance[1:2], variance[1:]]) if len(self) > 1 else np.maximum(variance, 1e-20))

    def noised(self, x0: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """x_t of x_0 [B, ...] at index [B] of the schedule (DDPM, equation 4)."""
        signal, spread = (
            torch.as_tensor(values, dtype=torch.float32, device=x0.device)[index].reshape(-1, *[1] * (x0.ndim - 1))
            for values in (self.sqrt_alphas_cumprod, self.sqrt_one_minus_alphas_cumprod)
        )
        return signal * x0 + spread * noise

    def ancestral(self, predict: Predict, x: Tensor, noise: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """(x_{t-1}, predicted x_0) from the last step to the first: DDPM, algorithm 2, with x_0 predicted and the posterior's variance.

        x: noise x_T [B, ...].  noise: one draw of x's shape per step, the first one for the first step taken; none is taken for the last.
        """
        draws = iter(noise)
        for index in reversed(range(len(self))):
            x0 = predict(x, self.timestep_map[index])
            x = float(self.posterior_mean_coef1[index]) * x0 + float(self.posterior_mean_coef2[index]) * x
            if index > 0:
                x = x + math.exp(0.5 * self.posterior_log_variance_clipped[index]) * next(draws)
            yield x, x0

    def ddim(self, predict: Predict, x: Tensor, noise: Iterable[Tensor] = (), eta: float = 0.0) -> Iterator[tuple[Tensor, Tensor]]:
        """(x_{t-1}, predicted x_0) from the last step to the first: DDIM, equations 12 and 16. Noise is taken where eta > 0."""
        draws = iter(noise)
        for index in reversed(range(len(self))):
            x0 = predict(x, self.timestep_map[index])
            abar, before = float(self.alphas_cumprod[index]), float(self.alphas_cumprod_prev[index])
            epsilon = (math.sqrt(1 / abar) * x - x0) / math.sqrt(1 / abar - 1)
            sigma = eta * math.sqrt((1 - before) / (1 - abar) * (1 - abar / before))
            x = math.sqrt(before) * x0 + math.sqrt(1 - before - sigma**2) * epsilon
            if index > 0 and sigma > 0:
                x = x + sigma * next(draws)
            yield x, x0


def masked_mse(x0: Tensor, predicted: Tensor, valid: Tensor) -> Tensor:
    """[B] mean squared error over the valid frames. x0, predicted: [B, J, F, T]; valid: [B, T] bool. (MDM, equation 2)"""
    weight = valid[:, None, None].to(x0.dtype)
    return ((x0 - predicted).square() * weight).sum((1, 2, 3)) / (weight.sum((1, 2, 3)) * x0.shape[1] * x0.shape[2] + 1e-8)


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """[B] lengths -> [B, frames] bool, True up to the length."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]
