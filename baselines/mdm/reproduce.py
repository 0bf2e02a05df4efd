"""The cases of the original MDM, through the network and the samplers that users run. It never sees the original outputs."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.cases import Case
from baselines.diffusion import MAX_BETA, Diffusion, Sampler, Step, space_timesteps
from baselines.features import valid_frames
from baselines.mdm.config import NetworkConfig
from baselines.mdm.files import network_state
from baselines.mdm.network import MDM
from baselines.mdm.training import masked_mse
from nerm.errors import InputError

_OWN_CONFIG = ("model", "sampling", "ema", "noise_schedule", "max_beta")
_STRIDE = re.compile(r"ddim(\d+)_of_(\d+)")
_SCHEDULE = re.compile(r"(\w+?)_(\d+)(?:_to_(\d+))?")
_QUANTITIES = (
    "betas",
    "timestep_map",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "posterior_variance",
    "posterior_log_variance_clipped",
)
"""Quantities of a schedule, under the original's names."""


def reproduce(case: Case) -> dict[str, NDArray]:
    """Every output that the case names, from its configuration, weights and inputs."""
    unknown = [name for name in case.config if name not in _OWN_CONFIG]
    if unknown:
        raise InputError(
            f"case {case.name}: option {unknown[0]}={case.config[unknown[0]]!r} is not known; known are {', '.join(_OWN_CONFIG)}"
        )
    names = list(case.fixture["outputs"])
    if "model" not in case.config:
        return {name: _schedule_output(case, name) for name in names}
    with torch.no_grad():
        return _Outputs(case).compute(names)


def _schedule(case: Case) -> dict[str, Any]:
    return {"schedule": case.config.get("noise_schedule", "cosine"), "max_beta": case.config.get("max_beta", MAX_BETA)}


def _schedule_output(case: Case, name: str) -> NDArray:
    """quantity_N, quantity_N_to_M (N steps respaced to M) or ddimM_of_N."""
    if parts := _STRIDE.fullmatch(name):
        return np.array(space_timesteps(int(parts[2]), f"ddim{parts[1]}"), dtype=np.int64)
    parts = _SCHEDULE.fullmatch(name)
    if not parts or parts[1] not in _QUANTITIES:
        raise InputError(f"case {case.name}: output '{name}' is not known; expected quantity_N, quantity_N_to_M or ddimM_of_N")
    diffusion = Diffusion.make(int(parts[2]), [int(parts[3])] if parts[3] else None, **_schedule(case))
    return np.asarray(getattr(diffusion, parts[1]), dtype=np.int64 if parts[1] == "timestep_map" else np.float64)


class _Outputs:
    """One case with weights: the network, the two schedules, and a function for every output."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.inputs = {name: torch.from_numpy(values) for name, values in case.inputs.items()}
        self.network = MDM(NetworkConfig.from_official(case.config["model"])).eval()
        network_state(self.network, case.checkpoint(), f"the checkpoint of case {case.name}", averaged=case.config.get("ema"))
        sampling = case.config.get("sampling", {})
        unknown = [key for key in sampling if key not in ("steps", "respaced_from")]
        if unknown:
            raise InputError(f"case {case.name}: sampling option {unknown[0]}={sampling[unknown[0]]!r} is not known")
        steps, long = sampling.get("steps", 10), sampling.get("respaced_from", 1000)
        self.long = Diffusion.make(long, **_schedule(case))
        self.schedules = {
            "sample": Diffusion.make(steps, **_schedule(case)),
            "respaced": Diffusion.make(long, [steps], **_schedule(case)),
        }
        self._runs: dict[str, list[Step]] = {}

    def compute(self, names: list[str]) -> dict[str, NDArray]:
        made = {name: function for name, function in self._functions().items() if name in names}
        unknown = [name for name in names if name not in made]
        if unknown:
            raise InputError(f"case {self.case.name}: output '{unknown[0]}' is not known; known are {', '.join(self._functions())}")
        return {name: np.asarray(made[name]()) for name in names}

    def _functions(self) -> dict[str, Callable[[], Any]]:
        functions: dict[str, Callable[[], Any]] = {
            "sample_final": lambda: self._run("sample")[-1].sample,
            "sample_step0": lambda: self._run("sample")[0].sample,
            "sample_step0_x0": lambda: self._run("sample")[0].prediction,
            "sample_mid": lambda: self._run("sample")[len(self.schedules["sample"]) // 2].sample,
            "respaced_final": lambda: self._run("respaced")[-1].sample,
            "respaced_ddim_eta0_final": lambda: self._run("respaced", ddim=True)[-1].sample,
            "train_x_t": self._noised,
            "train_loss": lambda: masked_mse(self.inputs["x"], self._call(self._noised(), 0, "cond"), self._valid("", self.inputs["x"])),
        }
        for kind, schedule in self.schedules.items():
            functions[f"{kind}_timestep_map"] = partial(np.array, schedule.timestep_map, dtype=np.int64)
        for k in range(len(self.inputs["timesteps"])):
            for kind in ("cond", "uncond", "guided"):
                name = f"out_{k}" if kind == "cond" else f"out_{kind}_{k}"
                functions[name] = partial(self._call, self.inputs["x"], k, kind)
        return functions

    def _condition(self, prefix: str) -> dict[str, Tensor | None]:
        """What the network takes besides x and the step: the inputs of the plain calls ('') or of the sampling run ('s_')."""
        text, action, padding = (self.inputs.get(prefix + name) for name in ("text_embed", "action", "text_mask"))
        return {
            "condition": text.transpose(0, 1) if text is not None else action if action is None else action.reshape(-1),
            "text_padding": padding,
        }

    def _valid(self, prefix: str, x: Tensor) -> Tensor:
        return valid_frames(self.inputs[prefix + "lengths"], x.shape[-1])

    def _call(self, x: Tensor, k: int, kind: str) -> Tensor:
        given = self._condition("") | {"valid": self._valid("", x)}
        step = self.inputs["timesteps"][k]
        if kind == "guided":
            return self.network.guided(x, step, self.inputs["scale"], **given)
        return self.network(x, step, keep=torch.full((len(x),), kind == "cond"), **given)

    def _noised(self) -> Tensor:
        return self.long.noised(self.inputs["x"], self.inputs["timesteps"][0], self.inputs["train_noise"])

    def _run(self, schedule: str, ddim: bool = False) -> list[Step]:
        """Every step of a sampling run with the noise of the case."""
        key = f"{schedule} {ddim}"
        if key not in self._runs:
            x = self.inputs["s_x"]
            given = self._condition("s_") | {"valid": self._valid("s_", x)}
            scale = self.inputs.get("s_scale")
            sampler: Sampler = self.schedules[schedule].ddim() if ddim else self.schedules[schedule].ancestral()

            def predict(x: Tensor, call: int) -> Tensor:
                steps = torch.full((len(x),), int(sampler.timesteps[call]))
                return self.network(x, steps, **given) if scale is None else self.network.guided(x, steps, scale, **given)

            self._runs[key] = list(sampler.walk(predict, x, self.inputs["s_noise"]))
        return self._runs[key]
