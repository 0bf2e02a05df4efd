"""Noise schedule, guidance and sampling of codes. The schedulers are diffusers'; nothing here knows what a code means.

`Schedule` is what MLD uses: 1000 steps, sqrt(beta) linear from sqrt(0.00085) to sqrt(0.012).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nerm.cli import choose

STEPS = 1000
BETAS = (0.00085, 0.012)
SAMPLERS = ("ddim", "ddpm", "dpm-solver++")


def alphas_cumprod() -> Tensor:
    """[1000] abar_k."""
    beta = torch.linspace(BETAS[0] ** 0.5, BETAS[1] ** 0.5, STEPS, dtype=torch.float64) ** 2
    return torch.cumprod(1 - beta, 0).float()


def add_noise(z: Tensor, noise: Tensor, step: Tensor) -> Tensor:
    """Codes [B, d] at step [B] of this schedule."""
    return noised(z, noise, step, alphas_cumprod())


def noised(x0: Tensor, noise: Tensor, step: Tensor, abar: Tensor) -> Tensor:
    """sqrt(abar_k) x_0 + sqrt(1 - abar_k) eps at step [B] of any schedule abar [steps], for x_0 [B, ...]."""
    signal, spread = (part.float().to(x0.device)[step].reshape(-1, *[1] * (x0.ndim - 1)) for part in (abar.sqrt(), (1 - abar).sqrt()))
    return signal * x0 + spread * noise


def target(z: Tensor, noise: Tensor, step: Tensor, prediction: str) -> Tensor:
    """What the denoiser is trained to predict: epsilon | sample (z) | v_prediction."""
    abar = alphas_cumprod().to(z.device)[step][:, None]
    return {"epsilon": noise, "sample": z, "v_prediction": abar.sqrt() * noise - (1 - abar).sqrt() * z}[prediction]


def scheduler(sampler: str, prediction: str) -> Any:
    """A diffusers scheduler by our name for it."""
    choose("sampler", sampler, SAMPLERS)
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

    shared = {
        "num_train_timesteps": STEPS,
        "beta_start": BETAS[0],
        "beta_end": BETAS[1],
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction,
    }
    if sampler == "ddpm":
        return DDPMScheduler(**shared, clip_sample=False)
    if sampler == "ddim":
        return DDIMScheduler(**shared, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
    return DPMSolverMultistepScheduler(**shared, algorithm_type="dpmsolver++")


def sample(
    predict: Callable[[Tensor, Tensor], Tensor],
    shape: tuple[int, int],
    seeds: Sequence[int],
    sampler: str = "ddim",
    steps: int = 50,
    prediction: str = "sample",
    device: str | torch.device = "cpu",
) -> Tensor:
    """Codes [B, d] from noise. predict(z [B, d], k [B]) is the guided denoiser; one random generator per sample, drawn on the CPU."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    draw = lambda: torch.stack([torch.randn(shape[1], generator=g) for g in generators]).to(device)  # noqa: E731
    method = scheduler(sampler, prediction)
    method.set_timesteps(steps, device=device)
    z = draw() * method.init_noise_sigma
    for k in method.timesteps:
        predicted = predict(z, k.expand(len(z)))
        extra = {"generator": generators} if sampler == "ddpm" else {}
        z = method.step(predicted, k, z, **extra).prev_sample
    return z


def guided(conditional: Tensor, unconditional: Tensor, guidance: float) -> Tensor:
    """r * eps(z, k, c) + (1 - r) * eps(z, k, null): the paper's guidance."""
    return guidance * conditional + (1 - guidance) * unconditional
