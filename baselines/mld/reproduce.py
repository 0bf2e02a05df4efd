"""The cases of the original MLD: every output of a case from its configuration, checkpoint and inputs alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.cases import Case
from baselines.checkpoints import sections
from baselines.diffusion import Sampler, SchedulerSettings
from baselines.mld.config import MldConfig, denoiser_from_official, vae_from_official
from baselines.mld.denoiser import NOTHING
from baselines.mld.official import LIGHTNING, networks
from baselines.mld.sampling import reverse
from nerm.cli import suggest
from nerm.diffusion import noised
from nerm.errors import InputError

_CONFIG = {"vae_class", "vae", "denoiser", "scheduler", "noise_scheduler", "num_inference_timesteps", "eta"}


def reproduce(case: Case) -> dict[str, NDArray]:
    """Every output that the fixture names."""
    run = _Run(case)
    with torch.inference_mode():
        return {name: run.output(name).numpy() for name in case.fixture["outputs"]}


class _Run:
    """The networks of a case, and one method per kind of output. Latents of a case are tokens first, ours are batch first."""

    def __init__(self, case: Case) -> None:
        config = case.config
        for key in config:
            if key not in _CONFIG:
                raise InputError(f"{case.name}: config.{key} is not known; {suggest(key, sorted(_CONFIG))}")
        self.case = case
        self.wanted = case.fixture["outputs"]
        self.inputs = {name: torch.from_numpy(np.array(value)) for name, value in case.inputs.items()}
        vae = vae_from_official(config["vae"], config.get("vae_class", "MldVae")) if config.get("vae") else None
        self.config = MldConfig(vae, denoiser_from_official(config["denoiser"]))
        self.guidance = float(config["denoiser"].get("guidance_scale", 7.5))
        self.epsilon = bool(config["denoiser"].get("ablation", {}).get("PREDICT_EPSILON", True))
        state = sections(case.checkpoint(), ["state_dict"], LIGHTNING, case.folder)["state_dict"]
        self.vae, self.denoiser = networks(self.config, state, f"the checkpoint of {case.name}")

    def output(self, name: str) -> Tensor:
        """One output by its name."""
        if name.startswith("noise_pred_"):
            return self._prediction(name, self._input("timesteps")[int(name.removeprefix("noise_pred_"))], self._input("sample"))
        kinds: dict[str, Callable[[], Tensor]] = {
            "mu": lambda: self._tokens_first(self._posterior[0]),
            "std": lambda: self._tokens_first(self._posterior[1]),
            "latent": lambda: self._latent.transpose(0, 1),
            "reconstruction": lambda: self._decoded(self._latent, "lengths"),
            "decoded": lambda: self._decoded(self._input("z").transpose(0, 1), "decode_lengths"),
            "train_noisy": lambda: self._noisy,
            "train_noise_pred": lambda: self._prediction(name, self._input("train_timesteps"), self._noisy),
            "sampled_latent_steps": lambda: torch.stack([self._steps[k].transpose(0, 1) for k in self._kept_steps]),
            "sampled_latent": lambda: self._steps[-1].transpose(0, 1),
            "sampled_features": self._sampled_features,
            "sample_timesteps": lambda: torch.from_numpy(self._sampler.timesteps),
            "alphas_cumprod": lambda: self._settings("scheduler", "noise_scheduler").alphas_cumprod(),
        }
        if name not in kinds:
            raise InputError(f"{self.case.name}: output '{name}' is not known; {suggest(name, list(kinds))}")
        return kinds[name]()

    def _input(self, name: str) -> Tensor:
        if name not in self.inputs:
            raise InputError(f"{self.case.name}: input '{name}' is missing; it has {', '.join(self.inputs)}")
        return self.inputs[name]

    @property
    def _network(self) -> Any:
        if self.vae is None:
            raise InputError(f"{self.case.name}: an output of the VAE is wanted, but the configuration has none")
        return self.vae

    @cached_property
    def _posterior(self) -> tuple[Tensor, Tensor]:
        return self._network.encode(self._input("motions"), self._input("lengths"))

    @cached_property
    def _latent(self) -> Tensor:
        mean, deviation = self._posterior
        return mean + deviation * self._input("latent_noise").transpose(0, 1)

    def _tokens_first(self, x: Tensor) -> Tensor:
        """A case has the action VAE's distribution without the token axis."""
        return x[:, 0] if self._network.config.kind == "actor" else x.transpose(0, 1)

    def _decoded(self, z: Tensor, lengths: str) -> Tensor:
        return self._network.decode(z, self._input(lengths))

    @cached_property
    def _noisy(self) -> Tensor:
        abar = self._settings("noise_scheduler", "scheduler").alphas_cumprod()
        return noised(self._input("sample"), self._input("train_noise"), self._input("train_timesteps"), abar)

    def _prediction(self, name: str, timestep: Tensor, sample: Tensor) -> Tensor:
        """A denoiser call. A case has an action model on the sample twice, of which the first half is unconditional."""
        lengths = self._input("denoise_lengths") if self.config.denoiser.raw else None
        if self.config.denoiser.condition != "action":
            return self.denoiser(sample, timestep, self._input("text_embed"), lengths)
        action = self._input("action").flatten()
        if self.wanted[name]["shape"][0] == 2 * len(sample):
            sample, action = torch.cat([sample, sample]), torch.cat([action, action])
            timestep = torch.cat([timestep, timestep]) if timestep.dim() else timestep
        if self.guidance > 1:  # the original's class embedding then masks the first half of what it is given
            action = action.clone()
            action[: (len(action) + 1) // 2] = NOTHING
        return self.denoiser(sample, timestep, action, lengths)

    def _settings(self, *names: str) -> SchedulerSettings:
        """The scheduler settings of the first of these names that the case has."""
        settings: Mapping[str, Any] = next((self.case.config[name] for name in names if self.case.config.get(name)), {})
        extra = {} if self.epsilon else {"prediction_type": "sample"}
        offset = {"steps_offset": 0, "set_alpha_to_one": True}  # diffusers' own defaults, where the case leaves them out
        return SchedulerSettings.of(offset | dict(settings) | extra)

    @cached_property
    def _sampler(self) -> Sampler:
        """DDIM, unless the case has only the ancestral sampler's settings."""
        name = "ddim" if self.case.config.get("scheduler") and "variance_type" not in self.case.config["scheduler"] else "ddpm"
        steps = self.case.config.get("num_inference_timesteps", 50 if name == "ddim" else 1000)
        extra = {"eta": self.case.config["eta"]} if self.case.config.get("eta") else {}
        settings = self._settings("scheduler", "noise_scheduler")
        return replace(settings, **extra).sampler(name, steps)

    @cached_property
    def _steps(self) -> list[Tensor]:
        """The sample after every step, batch first."""
        noise = self._input("sample_init")
        lengths = self._input("sample_lengths") if self.config.denoiser.raw else None
        fresh = next((x for x in self.inputs.values() if x.shape == (len(self._sampler), *noise.shape)), None)
        condition, empty = self._conditions(len(noise))
        unconditional = empty if self.guidance > 1 else None
        return list(reverse(self.denoiser, self._sampler, noise, condition, unconditional, self.guidance, lengths, fresh))

    def _conditions(self, count: int) -> tuple[Tensor, Tensor]:
        if self.config.denoiser.condition == "action":
            action = self._input("sample_action").flatten()
            return action, torch.full_like(action, NOTHING)
        given = self.inputs.get("sample_text_embed")
        empty = self.inputs.get("sample_uncond_embed", given)
        if empty is None or (given is None and self.config.denoiser.condition == "text"):
            raise InputError(f"{self.case.name}: input 'sample_text_embed' is missing; it has {', '.join(self.inputs)}")
        text = empty if given is None else given
        return text.expand(count, -1, -1), empty.expand(count, -1, -1)

    @property
    def _kept_steps(self) -> tuple[int, ...]:
        """A case has latents after steps 1, n // 2 + 1 and n - 1."""
        count = len(self._sampler)
        return 0, count // 2, count - 2

    def _sampled_features(self) -> Tensor:
        if self.vae is None:
            return self._steps[-1]
        return self._decoded(self._steps[-1], "sample_lengths")
