"""NeRM with dense codes = field + denoiser of plans + denoiser of details: text, an action label or nothing -> motion at any frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import field as default
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from nerm import checkpoint
from nerm.cli import choose
from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.dense.curve import points_of
from nerm.dense.detail import Detail
from nerm.dense.detail_training import DetailTraining
from nerm.dense.field import DenseField
from nerm.dense.field_training import DenseFieldTraining
from nerm.dense.person import person_of
from nerm.dense.plan import anchored, dense_of
from nerm.diffusion import SAMPLERS, sample
from nerm.errors import InputError
from nerm.generator import Code, Condition, Facts, HasVariants, ReadsCodes, Reconstructs, one_each
from nerm.guidance import Given, given_of, guided_by
from nerm.model import CHUNK, check_rate
from nerm.motion import Motion, frame_times
from nerm.settings import Stage2Config, settings_of
from nerm.stance import HasStance, Stance, StanceConfig, load_stance, moments_of
from nerm.text import TextEncoder, load_text_encoder

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

KIND = "nerm-dense"


@dataclass
class DenseSettings:
    """Settings of all stages: of the field, of plans (as large as their coordinates need, learned from whole recordings) and of details."""

    field: DenseFieldTraining = default(default_factory=DenseFieldTraining)
    plan: Stage2Config = default(
        default_factory=lambda: Stage2Config(DenoiserConfig(width=320, last=640), keep=640, crop=0.0, one_sided=False, sentence_space=0)
    )
    detail: DetailTraining = default(default_factory=DetailTraining)
    stance: StanceConfig = default(default_factory=StanceConfig)


@dataclass
class DenseNeRM(ReadsCodes, Reconstructs, HasStance, HasVariants):
    """The whole system. native_fps is None: it has no rate of its own.

    shift [d], back [k, d]: from pose space to plans.  training: how each stage was trained (`nerm.training.Fit.facts`).
    trained_on, dataset: digest and name of what it was trained on.  A code is z [P, 4 + pose] float32.
    """

    settings: DenseSettings
    field: DenseField
    denoiser: Denoiser
    shift: Tensor
    back: Tensor
    detail: Detail
    labels: list[str]
    stance: Stance | None = None
    training: dict[str, dict] = default(default_factory=dict)
    trained_on: str = ""
    dataset: str = "multirate"
    name: str = KIND
    digest: str = ""
    native_fps = None

    def __post_init__(self) -> None:
        for part in self._parts():
            part.eval()
        self._encoder: TextEncoder | None = None

    def _parts(self) -> list[nn.Module]:
        return [self.field, self.denoiser, self.detail, *([self.stance] if self.stance else [])]

    def to(self, device: str | torch.device) -> DenseNeRM:
        """The same system on another device."""
        for part in self._parts():
            part.to(device)
        return self

    @property
    def device(self) -> torch.device:
        return self.back.device if self.back.device.type != "cpu" else next(self.field.parameters()).device

    @property
    def longest_s(self) -> float:
        return self.settings.field.field.longest_s

    @property
    def facts(self) -> Facts:
        """How it was trained, as far as that is known."""
        parameters = sum(p.numel() for part in self._parts() for p in part.parameters()) if self.training else None
        return Facts.of_stages(self.training, parameters, self.dataset)

    def variant(self, sampler: str | None = None, stance: bool = True) -> DenseNeRM:
        """The same weights with another sampler of plans, or with paths as they were sampled."""
        chosen = choose("sampler", sampler, SAMPLERS) if sampler else self.settings.plan.sampler
        changes = [f"sampler={sampler}"] * (chosen != self.settings.plan.sampler) + ["stance=false"] * (self.stands and not stance)
        settings = replace(self.settings, plan=replace(self.settings.plan, sampler=chosen))
        kept = self.stance if stance else None
        return replace(self, settings=settings, stance=kept, digest=" ".join([self.digest, *changes])) if changes else self

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, at any rate from 1 to 480 fps; the same seed gives the same motion at every rate, in any batch.

        seconds: each above 0 and at most `longest_s`.
        """
        check_rate(fps)
        codes = self.sample_codes(conditions, seconds, seeds, guidance)
        return [self.read(code, length, fps) for code, length in zip(codes, seconds, strict=True)]

    def read(self, code: Code, seconds: float, fps: float) -> Motion:
        """The motion of one sampled code at a rate, on the path that its legs ask for if the system has a stance."""
        motion = self.decode(code, seconds, fps)
        return self.stance.stood(motion, self._joints(code, moments_of(seconds)), seconds) if self.stance else motion

    def decode(self, code: Code, seconds: float, fps: float) -> Motion:
        """What the field alone reads out of a code at a rate."""
        return Motion(self._joints(code, frame_times(seconds, fps)), fps, self.field.skeleton)

    @torch.no_grad()
    def _joints(self, code: Code, times: NDArray) -> NDArray[np.float32]:
        device = self.device
        pose = self.field(torch.as_tensor(times)[None].to(device), torch.from_numpy(code["z"])[None].to(device))
        joints = self.field.joints(pose) + pose.root[..., None, :]
        return joints[0].cpu().numpy().astype(np.float32)

    def fit(self, motions: Sequence[Motion]) -> list[Code]:
        """One code per motion (canonical), as the encoder makes it."""
        for number, motion in enumerate(motions):
            if motion.skeleton.names != self.field.skeleton.names:
                raise InputError(f"motion {number} is on skeleton '{motion.skeleton.name}'; codes are made on '{self.field.skeleton.name}'")
        return [self._code(self.field.encode(person_of(motion, self.field.config.rates))) for motion in motions]

    def training_codes(self, path: Path, dataset: Dataset) -> dict[str, Code]:
        """Id of a training item -> its code; nothing is read from the path, the encoder makes them."""
        items = dataset.items("train")
        return {item.id: code for item, code in zip(items, self.fit([dataset.motion(item) for item in items]), strict=True)}

    @torch.no_grad()
    def sample_codes(
        self,
        conditions: Sequence[Condition],
        seconds: Sequence[float],
        seeds: Sequence[int],
        guidance: float | None = None,
        chunk: int = CHUNK,
        level: float | None = None,
        steps: int = 0,
    ) -> list[Code]:
        """One code per condition.  chunk: a larger one is faster and differs in the last digits.

        level, steps: of the detail; None and 0 are the system's own, a negative level leaves details out.
        """
        one_each(conditions, seconds, seeds)
        level = self.settings.detail.detail.level if level is None else level
        given = given_of(conditions, seconds, self.labels, self.denoiser.config.text, self._encoded)
        config, codes = self.field.config, []
        for y, length, seed, *asked in zip(self._plans(given, seeds, guidance, chunk), seconds, seeds, *given[1:], strict=True):
            points = points_of(length, config.rate)
            noise = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed + 1_000_003)).to(y)
            smooth = dense_of((y + max(level, 0) * noise) @ self.back.to(y) + self.shift.to(y), points, config)
            if level >= 0:
                smooth = self.detail.sample(smooth, level, [x[None].to(y.device) for x in asked], seed + 2_000_003, config, steps)
            codes.append(self._code(anchored(smooth)))
        return codes

    def _plans(self, given: Given, seeds: Sequence[int], guidance: float | None, chunk: int) -> list[Tensor]:
        """Sampled plans, each [k] in pose space."""
        for length in given.seconds.tolist():
            if not 0 < length <= self.longest_s + 1e-6:
                raise InputError(f"seconds={length:g}; expected more than 0 and at most {self.longest_s:g}: ask for shorter motions")
        config, count, plans = self.settings.plan, len(given.seconds), []
        for start in range(0, count, chunk):
            places = torch.arange(start, start + chunk).clamp(max=count - 1)
            picked = Given(*(x[places].to(self.device) for x in given))
            y = sample(
                partial(guided_by, self.denoiser, given=picked, guidance=config.guidance if guidance is None else guidance),
                (chunk, self.denoiser.config.latent),
                [seeds[i] for i in places.tolist()],
                config.sampler,
                config.sampling_steps,
                config.prediction,
                self.device,
            )
            plans += list(y[: count - start])
        return plans

    def _encoded(self, sentences: Sequence[str]) -> NDArray:
        self._encoder = self._encoder or load_text_encoder(self.settings.plan.text_encoder)
        return self._encoder.encode(sentences)

    def _code(self, z: Tensor) -> Code:
        return {"z": z.detach().cpu().numpy()}

    def save(self, path: Path) -> None:
        """Weights with all settings inside, in one step: large matrices of the denoisers in 8 bits, the rest in 16."""
        tensors = {"shift": self.shift, "back": self.back}
        for name, part in (("field", self.field), ("denoiser", self.denoiser), ("detail", self.detail)):
            tensors |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
        about: dict[str, Any] = {"settings": asdict(self.settings), "labels": self.labels, "training": self.training}
        if self.stance:
            tensors |= {f"stance.{key}": value for key, value in self.stance.state_dict().items()}
            about["stance"] = asdict(self.stance.config)
        about |= {"trained_on": self.trained_on, "dataset": self.dataset}
        checkpoint.write(path, KIND, tensors, about, small=checkpoint.large_matrices(tensors, but="field."))


def load_dense(where: str | Path = KIND) -> DenseNeRM:
    """A shipped system by its name, or any file that `DenseNeRM.save` wrote."""
    stored = checkpoint.read(checkpoint.model_path(where), KIND)
    about = stored.about
    try:
        settings = settings_of(DenseSettings, about["settings"])
        parts = DenseField(settings.field.field), Denoiser(settings.plan.denoiser), Detail(settings.detail.detail)
        for name, part in zip(("field.", "denoiser.", "detail."), parts, strict=True):
            part.load_state_dict(stored.part(name))
        field_, denoiser, detail = parts
        shift, back = stored.tensors["shift"].float(), stored.tensors["back"].float()
        training, labels = about["training"], about["labels"]
        known = load_stance(stored), training, about["trained_on"], about["dataset"], stored.path.stem, stored.digest
        return DenseNeRM(settings, field_, denoiser, shift, back, detail, labels, *known)
    except (RuntimeError, KeyError, InputError, OmegaConfBaseException):
        raise checkpoint.another_version(stored.path, "dense NeRM model") from None
