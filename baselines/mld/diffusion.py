"""Noise schedule, guidance and the reverse process of MLD. It knows the denoiser's call and no motion.

A step of DDIM or DDPM is linear in the noisy sample, the prediction and fresh noise, so a sampler is a table with three numbers per step;
tests hold it against diffusers. Noise always comes from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from baselines.mld.denoiser import Denoiser
from baselines.mld.network import pack
from nerm.cli import choose, suggest
from nerm.errors import InputError

BETAS = ("scaled_linear", "linear")
VARIANCES = ("fixed_small", "fixed_large")
PACKED_ROWS = 6
"""Rows of a guided call for one sample: twice latent, time and text."""


@dataclass(frozen=True)
class NoiseSettings:
    """The original's scheduler settings, under diffusers' names. The defaults are the published ones (paper, section 4.1)."""

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
        choose("beta_schedule", self.beta_schedule, BETAS)
        choose("variance_type", self.variance_type, VARIANCES)
        choose("prediction_type", self.prediction_type, ("epsilon", "sample"))
        if self.clip_sample:
            raise InputError("clip_sample=True; latents have no range to be clipped to: set it to False")

    @staticmethod
    def of(settings: Mapping[str, Any]) -> NoiseSettings:
        """From a dictionary; an unknown name is an InputError."""
        known = list(NoiseSettings.__dataclass_fields__)
        for key in settings:
            if key not in known:
                raise InputError(f"scheduler setting '{key}' is not known; {suggest(key, known)}")
        return NoiseSettings(**settings)


@dataclass(frozen=True)
class Sampler:
    """Steps in the order of the calls. next = sample_weight x + prediction_weight f(x) + noise_weight noise; all [steps]."""

    timesteps: Tensor
    sample_weight: Tensor
    prediction_weight: Tensor
    noise_weight: Tensor

    def __len__(self) -> int:
        return len(self.timesteps)

    @property
    def needs_noise(self) -> bool:
        return bool((self.noise_weight > 0).any())


def alphas_cumprod(settings: NoiseSettings) -> Tensor:
    """[steps] float32, the product of 1 - beta, in single precision as the original computes it."""
    power = 0.5 if settings.beta_schedule == "scaled_linear" else 1.0
    ends = settings.beta_start**power, settings.beta_end**power
    beta = torch.linspace(*ends, settings.num_train_timesteps, dtype=torch.float32) ** (1 / power)
    return torch.cumprod(1.0 - beta, 0)


def add_noise(sample: Tensor, noise: Tensor, timestep: Tensor, abar: Tensor) -> Tensor:
    """sqrt(abar_k) x + sqrt(1 - abar_k) noise, per row."""
    kept = abar.to(sample.device)[timestep].view(-1, *[1] * (sample.dim() - 1))
    return kept.sqrt() * sample + (1 - kept).sqrt() * noise


def ddim(settings: NoiseSettings, steps: int) -> Sampler:
    """Denoising diffusion implicit models (Song et al., ICLR 2021, equation 12), leading spacing."""
    total = _checked(settings, steps)
    stride = total // steps
    times = torch.arange(steps).flip(0) * stride + settings.steps_offset
    abar = alphas_cumprod(settings).double()
    if int(times[0]) >= total:
        raise InputError(
            f"{steps} steps with steps_offset={settings.steps_offset}; the first is {int(times[0])} of {total}: take fewer steps"
        )
    before = times - stride
    last = torch.ones((), dtype=torch.float64) if settings.set_alpha_to_one else abar[0]
    now, then = abar[times], torch.where(before >= 0, abar[before.clamp(min=0)], last)
    variance = settings.eta**2 * (1 - then) / (1 - now) * (1 - now / then)
    direction = (1 - then - variance).clamp(min=0).sqrt()
    # next = sqrt(then) x0 + direction eps + sqrt(variance) noise
    return _linear(settings, times, now, then.sqrt(), direction, torch.zeros_like(now), variance.sqrt())


def ddpm(settings: NoiseSettings, steps: int) -> Sampler:
    """Ancestral sampling (Ho et al., NeurIPS 2020, algorithm 2 with equation 7); no noise in the last step."""
    total = _checked(settings, steps)
    stride = total // steps
    times = torch.arange(steps).flip(0) * stride
    abar = alphas_cumprod(settings).double()
    before = times - stride
    now, then = abar[times], torch.where(before >= 0, abar[before.clamp(min=0)], torch.ones((), dtype=torch.float64))
    alpha = now / then
    beta = 1 - alpha
    variance = ((1 - then) / (1 - now) * beta).clamp(min=1e-20) if settings.variance_type == "fixed_small" else beta
    noise = torch.where(times > 0, variance.sqrt(), torch.zeros_like(variance))
    return _linear(
        settings, times, now, then.sqrt() * beta / (1 - now), torch.zeros_like(now), alpha.sqrt() * (1 - then) / (1 - now), noise
    )


def sampler(name: str, settings: NoiseSettings, steps: int) -> Sampler:
    """`ddim` or `ddpm`."""
    return {"ddim": ddim, "ddpm": ddpm}[choose("sampler", name, ("ddim", "ddpm"))](settings, steps)


@torch.inference_mode()
def reverse(
    denoiser: Denoiser,
    method: Sampler,
    noise: Tensor,
    condition: Tensor,
    unconditional: Tensor | None = None,
    guidance: float = 1.0,
    lengths: Tensor | None = None,
    step_noise: Iterable[Tensor] | None = None,
) -> Iterator[Tensor]:
    """The sample after every step, from noise [B, tokens, width] (or raw [B, T, F] with lengths [B]).

    unconditional: the condition of the first half of each call; without it there is one half and no guidance.
    step_noise: one of noise's shape for every step, where the sampler adds noise; it is drawn from as the steps come.
    """
    if method.needs_noise and step_noise is None:
        raise InputError("this sampler adds noise in every step; give the noise of all steps")
    if not denoiser.config.raw:
        pack(denoiser, PACKED_ROWS)
    times = denoiser.time_tokens(method.timesteps.to(noise.device))
    halves = 1 if unconditional is None else 2
    given = condition if unconditional is None else torch.cat([unconditional, condition])
    tokens = denoiser.condition_tokens(given)
    times = times[:, None, None].expand(-1, len(tokens), 1, -1)
    lengths = None if lengths is None else lengths.repeat(halves)
    fresh = iter(step_noise if step_noise is not None else ())
    weights = zip(method.sample_weight.tolist(), method.prediction_weight.tolist(), method.noise_weight.tolist(), strict=True)
    x = noise
    for k, (keep, move, shake) in enumerate(weights):
        found = denoiser.predict(torch.cat([x, x]) if halves == 2 else x, times[k], tokens, lengths)
        if halves == 2:
            nothing, something = found.chunk(2)
            found = nothing + guidance * (something - nothing)
        x = keep * x + move * found
        if shake > 0:
            x = x + shake * next(fresh)
        yield x


def _checked(settings: NoiseSettings, steps: int) -> int:
    if not 1 <= steps <= settings.num_train_timesteps:
        raise InputError(f"{steps} sampling steps; expected 1 to {settings.num_train_timesteps}")
    return settings.num_train_timesteps


def _linear(
    settings: NoiseSettings, times: Tensor, abar: Tensor, of_clean: Tensor, of_noise: Tensor, of_sample: Tensor, fresh: Tensor
) -> Sampler:
    """From weights of (x0, eps, x): x0 = (x - sqrt(1 - abar) eps) / sqrt(abar), whichever of the two the network predicts."""
    root, other = abar.sqrt(), (1 - abar).sqrt()
    if settings.prediction_type == "epsilon":
        return Sampler(times, of_sample + of_clean / root, of_noise - of_clean * other / root, fresh)
    return Sampler(times, of_sample + of_noise / other, of_clean - of_noise * root / other, fresh)
