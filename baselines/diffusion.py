"""The arithmetic of noise schedules that all diffusion systems share: variances, respacing, the posterior, and the samplers.

A step of DDPM or DDIM is linear in the noisy sample, the prediction and fresh noise, so a sampler is a table with three numbers per step.
Coefficients are float64 and are rounded once, when they meet a float32 tensor; `SchedulerSettings` starts from what diffusers computes in
single precision, for systems that were trained with it. Noise is always handed in, so that a run can be repeated. It knows no network.

Sources: DDPM = Ho et al., NeurIPS 2020; improved DDPM = Nichol and Dhariwal, ICML 2021; DDIM = Song et al., ICLR 2021.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nerm.cli import choose, suggest
from nerm.diffusion import noised
from nerm.errors import InputError

SCHEDULES = ("cosine", "linear")
VARIANCES = ("fixed_small", "fixed_large")
MAX_BETA = 0.999
Floats = NDArray[np.float64]
Predict = Callable[[Tensor, int], Tensor]
"""(x [B, ...], number of the call) -> the network's prediction [B, ...]."""


class Step(NamedTuple):
    """The state of a sampling run after a step."""

    sample: Tensor
    prediction: Tensor


@dataclass(frozen=True, eq=False)
class Sampler:
    """Steps in the order of the calls: next = sample_weight x + prediction_weight f(x) + noise_weight noise. All arrays are [steps].

    timesteps: the number of each step that the network is given.
    """

    timesteps: NDArray[np.int64]
    sample_weight: Floats
    prediction_weight: Floats
    noise_weight: Floats

    def __len__(self) -> int:
        return len(self.timesteps)

    def walk(self, predict: Predict, x: Tensor, noise: Iterable[Tensor] | None = None) -> Iterator[Step]:
        """Denoise x [B, ...] step by step. noise: an iterator with one draw of x's shape for each step that adds noise."""
        if noise is None and (self.noise_weight > 0).any():
            raise InputError("this sampler adds noise in its steps; give the noise of all steps")
        fresh = iter(noise if noise is not None else ())
        weights = zip(self.sample_weight.tolist(), self.prediction_weight.tolist(), self.noise_weight.tolist(), strict=True)
        for call, (keep, move, shake) in enumerate(weights):
            prediction = predict(x, call)
            x = move * prediction + keep * x
            if shake > 0:
                x = x + shake * next(fresh)
            yield Step(x, prediction)


def ancestral(
    timesteps: ArrayLike, abar: Floats, before: Floats, betas: Floats, prediction: str = "sample", variance: str = "fixed_small"
) -> Sampler:
    """DDPM, algorithm 2 with equation 7; no noise in the last step. Arrays are in the order of the calls; before: abar after each call."""
    times = np.asarray(timesteps, dtype=np.int64)
    of_clean, of_sample, small = posterior(abar, before, betas)
    spread = np.maximum(small, 1e-20) if choose("variance_type", variance, VARIANCES) == "fixed_small" else betas
    noise = np.sqrt(spread)
    noise[-1:] = 0.0
    return _of(prediction, times, abar, of_clean, np.zeros_like(abar), of_sample, noise)


def ddim(timesteps: ArrayLike, abar: Floats, before: Floats, prediction: str = "sample", eta: float = 0.0) -> Sampler:
    """DDIM, equations 12 and 16. The arguments are those of `ancestral`; noise is added if eta > 0."""
    times = np.asarray(timesteps, dtype=np.int64)
    variance = eta**2 * (1 - before) / (1 - abar) * (1 - abar / before)
    direction = np.sqrt(np.maximum(1 - before - variance, 0.0))
    # next = sqrt(before) x0 + direction eps + sqrt(variance) noise
    return _of(prediction, times, abar, np.sqrt(before), direction, np.zeros_like(abar), np.sqrt(variance))


class Posterior(NamedTuple):
    """q(x_{t-1} | x_t, x_0): the weights of x_0 and x_t in its mean, and its variance (DDPM, equation 7)."""

    of_clean: Floats
    of_sample: Floats
    variance: Floats


def posterior(abar: Floats, before: Floats, betas: Floats) -> Posterior:
    """abar: products of 1 - beta up to each step.  before: up to the step before it."""
    return Posterior(
        betas * np.sqrt(before) / (1 - abar), (1 - before) * np.sqrt(1 - betas) / (1 - abar), betas * (1 - before) / (1 - abar)
    )


def betas_of(schedule: str, steps: int, max_beta: float = MAX_BETA) -> Floats:
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
            spacing = next((k for k in range(1, steps) if len(range(0, steps, k)) == wanted), None)
            if spacing is None:
                raise InputError(f"{wanted} of {steps} steps; no integer stride keeps that many: choose another number")
            return list(range(0, steps, spacing))
    kept: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        size = steps // len(counts) + (section < steps % len(counts))
        if not 1 <= count <= size:
            raise InputError(f"{count} of {size} diffusion steps; expected 1 to {size}")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        # Summed step by step, as in the published schedules: the rounding of ties depends on it.
        places = np.concatenate([[0.0], np.full(count - 1, stride)]).cumsum()
        kept += [start + int(place) for place in np.round(places)]
        start += size
    return sorted(set(kept))


@dataclass(frozen=True, eq=False)
class Diffusion:
    """A noise schedule, and the step numbers that the network is given. Every array is [steps] float64; index 0 has the least noise."""

    betas: Floats
    timestep_map: tuple[int, ...]

    @classmethod
    def make(
        cls, steps: int, respaced_to: Sequence[int] | str | None = None, schedule: str = "cosine", max_beta: float = MAX_BETA
    ) -> Diffusion:
        """A schedule of `steps` steps, or of some of them (see `space_timesteps`): beta' = 1 - abar[t] / abar[previous kept t]."""
        full = cls(betas_of(schedule, steps, max_beta), tuple(range(steps)))
        if respaced_to is None:
            return full
        kept = space_timesteps(steps, respaced_to)
        abar = full.alphas_cumprod[kept]
        return cls(1.0 - abar / np.concatenate([[1.0], abar[:-1]]), tuple(kept))

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alphas_cumprod(self) -> Floats:
        return np.cumprod(1 - self.betas, dtype=np.float64)

    @cached_property
    def alphas_cumprod_prev(self) -> Floats:
        return np.concatenate([[1.0], self.alphas_cumprod[:-1]])

    @property
    def sqrt_alphas_cumprod(self) -> Floats:
        return np.sqrt(self.alphas_cumprod)

    @property
    def sqrt_one_minus_alphas_cumprod(self) -> Floats:
        return np.sqrt(1 - self.alphas_cumprod)

    @cached_property
    def posterior(self) -> Posterior:
        return posterior(self.alphas_cumprod, self.alphas_cumprod_prev, self.betas)

    @property
    def posterior_mean_coef1(self) -> Floats:
        return self.posterior.of_clean

    @property
    def posterior_mean_coef2(self) -> Floats:
        return self.posterior.of_sample

    @property
    def posterior_variance(self) -> Floats:
        """0 at the first step."""
        return self.posterior.variance

    @property
    def posterior_log_variance_clipped(self) -> Floats:
        """The logarithm of the posterior variance; index 0, where the variance is 0, has the value of index 1."""
        variance = self.posterior_variance
        return np.log(np.concatenate([variance[1:2], variance[1:]]) if len(self) > 1 else np.maximum(variance, 1e-20))

    def noised(self, x0: Tensor, index: Tensor, noise: Tensor) -> Tensor:
        """x_t of x_0 [B, ...] at index [B] of the schedule."""
        return noised(x0, noise, index, torch.from_numpy(self.alphas_cumprod))

    def ancestral(self) -> Sampler:
        """The DDPM sampler for a network that predicts x_0."""
        back = slice(None, None, -1)
        return ancestral(self.timestep_map[back], self.alphas_cumprod[back], self.alphas_cumprod_prev[back], self.betas[back])

    def ddim(self, eta: float = 0.0) -> Sampler:
        """The DDIM sampler for a network that predicts x_0."""
        back = slice(None, None, -1)
        return ddim(self.timestep_map[back], self.alphas_cumprod[back], self.alphas_cumprod_prev[back], eta=eta)


@dataclass(frozen=True)
class SchedulerSettings:
    """The settings of a scheduler of diffusers, under its names. The defaults are those of latent diffusion (MLD, section 4.1)."""

    num_train_timesteps: int = 1000
    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    set_alpha_to_one: bool = False
    steps_offset: int = 1
    variance_type: str = "fixed_small"
    prediction_type: str = "epsilon"
    clip_sample: bool = False
    eta: float = 0.0

    def __post_init__(self) -> None:
        choose("beta_schedule", self.beta_schedule, ("scaled_linear", "linear"))
        choose("variance_type", self.variance_type, VARIANCES)
        choose("prediction_type", self.prediction_type, ("epsilon", "sample"))
        if self.clip_sample:
            raise InputError("clip_sample=True; latents have no range to be clipped to: set it to False")

    @staticmethod
    def of(settings: Mapping[str, Any]) -> SchedulerSettings:
        """From a dictionary; an unknown name is an InputError."""
        known = list(SchedulerSettings.__dataclass_fields__)
        for key in settings:
            if key not in known:
                raise InputError(f"scheduler setting '{key}' is not known; {suggest(key, known)}")
        return SchedulerSettings(**settings)

    def alphas_cumprod(self) -> Tensor:
        """[steps] float32, the product of 1 - beta, in single precision as diffusers computes it."""
        power = 0.5 if self.beta_schedule == "scaled_linear" else 1.0
        ends = self.beta_start**power, self.beta_end**power
        beta = torch.linspace(*ends, self.num_train_timesteps, dtype=torch.float32) ** (1 / power)
        return torch.cumprod(1.0 - beta, 0)

    def sampler(self, name: str, steps: int) -> Sampler:
        """`ddim` or `ddpm`, with timesteps at an equal stride from 0 (from steps_offset, for ddim)."""
        total = self.num_train_timesteps
        if not 1 <= steps <= total:
            raise InputError(f"{steps} sampling steps; expected 1 to {total}")
        choose("sampler", name, ("ddim", "ddpm"))
        stride = total // steps
        times = np.arange(steps)[::-1] * stride + (self.steps_offset if name == "ddim" else 0)
        if times[0] >= total:
            raise InputError(f"{steps} steps with steps_offset={self.steps_offset}; the first is {times[0]} of {total}: take fewer steps")
        kept = self.alphas_cumprod().double().numpy()
        last = 1.0 if name == "ddpm" or self.set_alpha_to_one else kept[0]
        before = np.where(times >= stride, kept[np.maximum(times - stride, 0)], last)
        if name == "ddim":
            return ddim(times, kept[times], before, self.prediction_type, self.eta)
        return ancestral(times, kept[times], before, 1 - kept[times] / before, self.prediction_type, self.variance_type)


def _of(prediction: str, times: NDArray[np.int64], abar: Floats, clean: Floats, epsilon: Floats, sample: Floats, noise: Floats) -> Sampler:
    """From weights of (x0, eps, x): x0 = (x - sqrt(1 - abar) eps) / sqrt(abar), whichever of the two the network predicts."""
    root, other = np.sqrt(abar), np.sqrt(1 - abar)
    if choose("prediction_type", prediction, ("epsilon", "sample")) == "epsilon":
        return Sampler(times, sample + clean / root, epsilon - clean * other / root, noise)
    return Sampler(times, sample + epsilon / other, clean - epsilon * root / other, noise)
