"""NeRM with dense codes: what NeRM samples, up to 2 Hz, and a detail made for it in codes that are dense in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from dataclasses import field as default
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from nerm import checkpoint
from nerm.dense.curve import points_of
from nerm.dense.detail import Detail
from nerm.dense.detail_training import DetailTraining
from nerm.dense.field import DenseField
from nerm.dense.field_training import DenseFieldTraining
from nerm.dense.person import person_of
from nerm.dense.plan import anchored, dense_of, plan_of
from nerm.errors import InputError
from nerm.generator import Code, Condition, Continues, Facts, HasVariants, ReadsCodes, Reconstructs
from nerm.model import NeRM, check_rate, nerm_in
from nerm.motion import Motion, frame_times
from nerm.sequence import NEXT_SEED, OVERLAP_S, spans_of
from nerm.settings import settings_of
from nerm.stance import HasStance, Stance, moments_of

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

KIND = "nerm-dense"
READ_FPS = 64.0
"""At which what NeRM samples is read, to be encoded."""
_DETAIL_SEED = 2_000_003
"""Between the seed of a plan and that of its detail."""
INNER = "nerm."
"""Before the names of NeRM's own tensors in a file."""


@dataclass
class DenseSettings:
    """Settings of what is added to NeRM: the dense field, and the denoiser of details."""

    field: DenseFieldTraining = default(default_factory=DenseFieldTraining)
    detail: DetailTraining = default(default_factory=DetailTraining)


@dataclass
class DenseNeRM(ReadsCodes, Reconstructs, Continues, HasStance, HasVariants):
    """The whole system. native_fps is None: it has no rate of its own.

    base: NeRM, which samples what the plan is of; its stance says where the body goes.  training: how the dense field and the details were
    trained (`nerm.training.Fit.facts`).  A code is z [P, 4 + pose] float32.
    """

    settings: DenseSettings
    base: NeRM
    field: DenseField
    detail: Detail
    training: dict[str, dict] = default(default_factory=dict)
    name: str = KIND
    digest: str = ""
    native_fps = None

    def __post_init__(self) -> None:
        self.field.eval()
        self.detail.eval()

    def to(self, device: str | torch.device) -> DenseNeRM:
        """The same system on another device."""
        self.base.to(device)
        self.field.to(device)
        self.detail.to(device)
        return self

    @property
    def device(self) -> torch.device:
        return self.base.device

    @property
    def stance(self) -> Stance | None:  # type: ignore[override]
        return self.base.stance

    @property
    def reading(self) -> str:  # type: ignore[override]
        """See `HasVariants`."""
        return self.base.reading

    def parts(self, condition: Condition, seconds: float) -> int:
        """See `Continues`."""
        return self.base.parts(condition, seconds)

    @property
    def longest_s(self) -> float:
        return min(self.base.longest_s, self.settings.field.field.longest_s)

    @property
    def facts(self) -> Facts:
        """How it was trained, as far as that is known."""
        own, stages = self.base.facts, self.base.training | self.training
        parameters = sum(p.numel() for part in (self.field, self.detail) for p in part.parameters()) + (own.parameters or 0)
        return Facts.of_stages(stages, parameters if self.training else None, self.base.dataset)

    def variant(
        self, sampler: str | None = None, stance: bool = True, durations: str | None = None, reading: str | None = None
    ) -> DenseNeRM:
        """The same weights with another variant of what NeRM samples."""
        base = self.base.variant(sampler, stance, durations, reading)
        changes = base.digest.removeprefix(self.base.digest)
        return replace(self, base=base, digest=self.digest + changes) if changes else self

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
        return [_code(self._encoded(motion)) for motion in motions]

    def _encoded(self, motion: Motion) -> Tensor:
        return self.field.encode(person_of(motion, self.field.config.rates))

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
        level: float | None = None,
        steps: int = 0,
    ) -> list[Code]:
        """One code per condition.

        level, steps: of the detail; None and 0 are the system's own, a negative level leaves details out.
        """
        sampled = self.base.sample_codes(conditions, seconds, seeds, guidance)
        given, _ = self.base.given(conditions, seconds, seeds)
        codes = []
        for code, length, seed, *asked in zip(sampled, seconds, seeds, *given[1:], strict=True):
            smooth = self._plan(self.base.decode(code, length, READ_FPS), length)
            codes.append(_code(anchored(self._detailed(smooth, asked, seed, level, steps))))
        return codes

    def _plan(self, motion: Motion, seconds: float) -> Tensor:
        """The plan of a motion as a dense curve [P, 4 + pose] that lasts `seconds`."""
        config = self.field.config
        return dense_of(plan_of(self._encoded(motion), config), points_of(seconds, config.rate), config)

    def _detailed(self, smooth: Tensor, asked: Sequence[Tensor], seed: int, level: float | None = None, steps: int = 0) -> Tensor:
        """The dense code of a plan with a detail. asked: a sentence's embedding [d], a label and a kind, as in `nerm.guidance.Given`."""
        level = self.settings.detail.detail.level if level is None else level
        if level < 0:
            return smooth
        return self.detail.sample(smooth, level, [x[None].to(smooth.device) for x in asked], seed + _DETAIL_SEED, self.field.config, steps)

    @torch.no_grad()
    def sample_sequence(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seed: int, guidance: float | None = None
    ) -> Motion:
        """See `Continues`. NeRM makes the plan of the whole; each condition makes the detail of its part, and where parts overlap one goes
        over into the other."""
        check_rate(fps)
        lasts, rate = sum(seconds), self.field.config.rate
        made = self.base.variant(stance=False).sample_sequence(conditions, seconds, READ_FPS, seed, guidance)
        smooth = self._plan(made, lasts)
        given, _ = self.base.given(conditions, seconds, [seed] * len(seconds))
        z = smooth.clone()
        for number, span in enumerate(spans_of(seconds, self.longest_s)):
            first, last = floor(span.start * rate), min(ceil(span.end * rate) + 3, len(smooth))
            part = self._detailed(smooth[first:last], [x[span.item] for x in given[1:]], seed + number * NEXT_SEED)
            share = (torch.arange(last - first) / (OVERLAP_S * rate)).clamp(max=1).to(z) if number else torch.ones(last - first).to(z)
            z[first:last] = torch.lerp(z[first:last], part, share[:, None])
        return self.read(_code(anchored(z)), lasts, fps)

    def save(self, path: Path) -> None:
        """Weights with all settings inside, in one step: large matrices of the denoisers in 8 bits, the rest in 16."""
        inner, of_inner = self.base.state()
        tensors = {INNER + name: value for name, value in inner.items()}
        for name, part in (("field", self.field), ("detail", self.detail)):
            tensors |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
        about: dict[str, Any] = {"settings": asdict(self.settings), "training": self.training, "nerm": of_inner}
        small = [name for name in checkpoint.large_matrices(tensors, but="field.") if not name.startswith(f"{INNER}field.")]
        checkpoint.write(path, KIND, tensors, about, small=small)


def load_dense(where: str | Path = KIND) -> DenseNeRM:
    """A shipped system by its name, or any file that `DenseNeRM.save` wrote."""
    stored = checkpoint.read(checkpoint.model_path(where), KIND)
    try:
        settings = settings_of(DenseSettings, stored.about["settings"])
        field_, detail = DenseField(settings.field.field), Detail(settings.detail.detail)
        field_.load_state_dict(stored.part("field."))
        detail.load_state_dict(stored.part("detail."))
        base = nerm_in(replace(stored, tensors=stored.part(INNER), about=stored.about["nerm"]))
        return DenseNeRM(settings, base, field_, detail, stored.about["training"], stored.path.stem, stored.digest)
    except (RuntimeError, KeyError, InputError, OmegaConfBaseException):
        raise checkpoint.another_version(stored.path, "dense NeRM model") from None


def _code(z: Tensor) -> Code:
    return {"z": z.detach().cpu().numpy()}
