"""NeRM = field + denoiser + conditions: text, an action label or nothing -> motion at any frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from nerm import checkpoint
from nerm.cli import choose
from nerm.denoiser import Denoiser
from nerm.diffusion import SAMPLERS, sample
from nerm.errors import InputError
from nerm.field import Field
from nerm.generator import Code, Condition, Facts, HasVariants, ReadsCodes, Reconstructs, one_each
from nerm.guidance import Given, given_of, guided_by
from nerm.motion import Motion
from nerm.motion.motion import check_fps
from nerm.reading import decode, decode_at
from nerm.settings import Stage1Config, Stage2Config, settings_of
from nerm.stance import RATE, HasStance, Stance, load_stance, moments_of
from nerm.text import TextEncoder, load_text_encoder

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

KIND = "nerm"
"""What a model file of NeRM says that it is, and the name of the shipped one."""
CHUNK = 8
"""Codes are denoised in batches of exactly this size (padded), so that a sample does not depend on what else is in the batch."""
FPS_RANGE = (1.0, 480.0)
"""The lowest and the highest rate at which NeRM is read."""


@dataclass
class NeRM(ReadsCodes, Reconstructs, HasStance, HasVariants):
    """The whole system. native_fps is None: it has no rate of its own.

    shift [d], back [d, d]: from pose space to the field's codes.  stance: None for the paper's system, which has none.
    training: how each stage was trained (`nerm.training.Fit.facts`).  trained_on, dataset: digest and name of what it was trained on.
    A code is z [d] float32 in the field's units and `mirrored` (whether it is read as its mirror image).
    """

    stage1: Stage1Config
    field: Field
    stage2: Stage2Config
    denoiser: Denoiser
    shift: Tensor
    back: Tensor
    labels: list[str]
    stance: Stance | None = None
    training: dict[str, dict] = field(default_factory=dict)
    trained_on: str = ""
    dataset: str = "multirate"
    name: str = KIND
    digest: str = ""
    native_fps = None

    def __post_init__(self) -> None:
        self.field.eval()
        self.denoiser.eval()
        self._encoder: TextEncoder | None = None

    def to(self, device: str | torch.device) -> NeRM:
        """The same system on another device."""
        for part in self._parts():
            part.to(device)
        return self

    def _parts(self) -> list[Field | Denoiser | Stance]:
        return [self.field, self.denoiser, *([self.stance] if self.stance else [])]

    @property
    def device(self) -> torch.device:
        return next(self.field.parameters()).device

    @property
    def facts(self) -> Facts:
        """How it was trained, as far as that is known."""
        parameters = sum(p.numel() for part in self._parts() for p in part.parameters()) if self.training else None
        return Facts.of_stages(self.training, parameters, self.dataset)

    def variant(self, sampler: str | None = None, stance: bool = True) -> NeRM:
        """The same weights with another sampler, or with paths as they were sampled."""
        stage2 = replace(self.stage2, sampler=choose("sampler", sampler, SAMPLERS)) if sampler else self.stage2
        changes = [f"sampler={sampler}"] * (stage2 != self.stage2) + ["stance=false"] * (self.stands and not stance)
        kept = self.stance if stance else None
        return replace(self, stage2=stage2, stance=kept, digest=" ".join([self.digest, *changes])) if changes else self

    @property
    def longest_s(self) -> float:
        return self.field.config.longest_s

    def sample(
        self,
        conditions: Sequence[Condition],
        seconds: Sequence[float],
        fps: float,
        seeds: Sequence[int],
        guidance: float | None = None,
        sampler: str | None = None,
    ) -> list[Motion]:
        """One motion per condition, at any rate from 1 to 480 fps; the same seed gives the same motion at every rate, in any batch.

        seconds: each above 0 and at most 10.
        """
        check_fps(fps)
        if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
            raise InputError(f"fps={fps:g}; NeRM is read at {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g} frames per second")
        codes = self.sample_codes(conditions, seconds, seeds, guidance, sampler)
        return [self.read(code, length, fps) for code, length in zip(codes, seconds, strict=True)]

    def read(self, code: Code, seconds: float, fps: float) -> Motion:
        """The motion of one sampled code at a rate, on the path that its legs ask for if the system has a stance."""
        motion = self.decode(code, seconds, fps)
        if self.stance is None:
            return motion
        moments = torch.as_tensor(moments_of(seconds))
        made = decode_at(self.field, self._latent(code), seconds, moments, RATE)
        return self.stance.stood(motion, (made.mirrored() if code["mirrored"] else made).joints, seconds)

    def decode(self, code: Code, seconds: float, fps: float) -> Motion:
        """What the field alone reads out of a code at a rate."""
        motion = decode(self.field, self._latent(code), seconds, fps)
        return motion.mirrored() if code["mirrored"] else motion

    def fit(self, motions: Sequence[Motion]) -> list[Code]:
        """One code per motion (canonical, at most `longest_s`), by optimising it while the field is frozen."""
        from nerm.fitting import fit_codes

        return [_code(z) for z in fit_codes(self.field, motions)]

    def training_codes(self, path: Path, dataset: Dataset) -> dict[str, Code]:
        """Id of a training item -> its code, from the field.safetensors of a run. An item with several codes has the first of them."""
        from nerm.stage1 import load_stage1

        _, field_, codes, items, _ = load_stage1(path, dataset)
        if field_.config.latent != self.field.config.latent:
            raise InputError(
                f"{path} has codes of {field_.config.latent} numbers and the system's field reads {self.field.config.latent}; "
                "give the field.safetensors of the run that its checkpoint came from"
            )
        known: dict[str, Code] = {}
        for item, z in zip(items, codes, strict=True):
            known.setdefault(item, _code(z))
        return known

    def _latent(self, code: Code) -> Tensor:
        return torch.from_numpy(code["z"]).to(self.device)

    @torch.no_grad()
    def sample_codes(
        self,
        conditions: Sequence[Condition],
        seconds: Sequence[float],
        seeds: Sequence[int],
        guidance: float | None = None,
        sampler: str | None = None,
        chunk: int = CHUNK,
    ) -> list[Code]:
        """One code per condition. A larger chunk is faster and differs in the last digits."""
        one_each(conditions, seconds, seeds)
        for length in seconds:
            if not 0 < length <= self.longest_s:
                raise InputError(f"seconds={length:g}; expected more than 0 and at most {self.longest_s:g}: ask for shorter motions")
        weight = self.stage2.guidance if guidance is None else guidance
        given = given_of(conditions, seconds, self.labels, self.denoiser.config.text, self._encoded)
        parts = [torch.zeros(0, self.denoiser.config.latent, device=self.device)]
        for start in range(0, len(conditions), chunk):
            places = torch.arange(start, start + chunk).clamp(max=len(conditions) - 1)
            picked = Given(*(x[places].to(self.device) for x in given))
            z = sample(
                partial(guided_by, self.denoiser, given=picked, guidance=weight),
                (chunk, self.denoiser.config.latent),
                [seeds[i] for i in places.tolist()],
                sampler or self.stage2.sampler,
                self.stage2.sampling_steps,
                self.stage2.prediction,
                self.device,
            )
            parts.append(z[: len(conditions) - start])
        z = torch.cat(parts)
        codes = z[:, :-1] @ self.back.to(z.device) + self.shift.to(z.device)
        return [_code(*each) for each in zip(codes, (z[:, -1] <= 0).tolist(), strict=True)]

    def _encoded(self, sentences: Sequence[str]) -> NDArray:
        self._encoder = self._encoder or load_text_encoder(self.stage2.text_encoder)
        return self._encoder.encode(sentences)

    def check_field(self, settings: Stage1Config, folder: Path) -> None:
        """Raises InputError if field.safetensors of a run, with these settings, is not the field of this system."""
        if self.stage1.field != settings.field:
            raise InputError(
                f"{folder}: nerm.safetensors and field.safetensors have fields of other settings; train the denoiser on this field"
            )

    def save(self, path: Path) -> None:
        """fp16 weights with all settings inside, in one step."""
        tensors = {f"field.{k}": v for k, v in self.field.state_dict().items()}
        tensors |= {f"denoiser.{k}": v for k, v in self.denoiser.state_dict().items()}
        tensors |= {"shift": self.shift, "back": self.back}
        about: dict[str, Any] = {"stage1": asdict(self.stage1), "stage2": asdict(self.stage2), "labels": self.labels}
        about |= {"training": self.training, "trained_on": self.trained_on, "dataset": self.dataset}
        if self.stance:
            tensors |= {f"stance.{k}": v for k, v in self.stance.state_dict().items()}
            about["stance"] = asdict(self.stance.config)
        checkpoint.write(path, KIND, tensors, about)


def load_nerm(where: str | Path = KIND) -> NeRM:
    """A shipped system by its name (nerm, nerm-paper), or any file that `NeRM.save` wrote."""
    stored = checkpoint.read(checkpoint.model_path(where), KIND)
    about = stored.about
    if "texture" in about:  # of a version that drew what is faster than a code
        raise checkpoint.another_version(stored.path, "NeRM model")
    try:
        stage1, stage2 = settings_of(Stage1Config, about["stage1"]), settings_of(Stage2Config, about["stage2"])
        field_, denoiser = Field(stage1.field), Denoiser(stage2.denoiser)
        field_.load_state_dict(stored.part("field."))
        denoiser.load_state_dict(stored.part("denoiser."))
        return NeRM(
            stage1,
            field_,
            stage2,
            denoiser,
            stored.tensors["shift"].float(),
            stored.tensors["back"].float(),
            about["labels"],
            load_stance(stored),
            about["training"],
            about["trained_on"],
            about.get("dataset", "multirate"),
            stored.path.stem,
            stored.digest,
        )
    except (RuntimeError, KeyError, InputError, OmegaConfBaseException):  # settings that it does not name are today's defaults
        raise checkpoint.another_version(stored.path, "NeRM model") from None


def _code(z: Tensor, mirrored: bool = False) -> Code:
    return {"z": z.detach().cpu().numpy(), "mirrored": np.array(mirrored)}
