"""MDM behind the interface of all systems: conditions, seconds and seeds in, motions out.

Every sample has a random generator of its own on the CPU. On a processor each sample is denoised in a call of its own, both halves of the
guidance as one batch, at exactly the frames it needs; on other devices `rows` samples share a call whose shape never changes. Either way a
motion does not depend on its company.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from baselines.mdm import files
from baselines.mdm.diffusion import Diffusion, valid_frames
from baselines.mdm.text import Encoder, load_encoder, padded
from baselines.readout import FeatureReadout
from nerm.cli import suggest
from nerm.data.captions import load_captions
from nerm.errors import InputError
from nerm.model import model_path
from nerm.motion import Motion
from nerm.motion.features import FEATURES_263
from nerm.motion.motion import check_fps

if TYPE_CHECKING:
    from nerm.model import Condition

ROWS = 32  # samples per call on devices other than a processor
# fmt: off
HUMANACT12 = ["warm_up", "walk", "run", "jump", "drink", "lift_dumbbell", "sit", "eat", "turn_steering_wheel", "phone", "boxing", "throw"]
# fmt: on
"""In the order of the class indices."""


class MDMGenerator:
    """A trained or official MDM.

    Text models take sentences; a label (`cmu/...`, see nerm.data.captions) is read as its first training caption; no condition is the
    network without one. Action models take labels: the class name (HumanAct12) or its index.
    """

    def __init__(self, weights: files.Weights, name: str = "mdm", device: str = "cpu", rows: int | None = None) -> None:
        """rows: samples per call; default 1 on a processor."""
        self.name = name
        self.weights = weights
        self.facts = weights.facts
        self.config = weights.config
        self.network = weights.network.eval().to(device)
        self.device = torch.device(device)
        self.native_fps: float | None = self.config.fps
        # Without a mask, and along the batch of a gru, a row would see the padding or its neighbours.
        alone = self.config.network.arch == "gru" or not (self.config.fixed_frames or self.config.network.mask_frames)
        self.rows = 1 if alone else rows or (1 if self.device.type == "cpu" else ROWS)
        self.diffusion = self._schedule()
        self.readout = None
        if weights.mean is not None and weights.std is not None and self.config.network.features == FEATURES_263.dims:
            self.readout = FeatureReadout(weights.mean, weights.std, self.config.upsampling, self.config.longest)
        self._encoder: Encoder | None = None

    @property
    def digest(self) -> str:
        """sha256 of the weights, the statistics and the settings of sampling (of a text encoder the name, not where it lies)."""
        settings = replace(self.config, text_encoder=self.config.text_encoder.partition(":")[0])
        return hashlib.sha256(f"{self.weights.digest} {settings.to_json()}".encode()).hexdigest()

    def with_steps(self, steps: int) -> MDMGenerator:
        """The same system sampled with another number of steps: as many as it was trained with (1000 as published), or fewer."""
        weights = replace(self.weights, config=replace(self.config, sampling_steps=steps))
        made = MDMGenerator(weights, self.name, str(self.device), self.rows)
        made._encoder = self._encoder
        return made

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, frame_count(seconds, fps) frames each; generated at 20 fps and brought to `fps` by the resampler."""
        check_fps(fps)
        if not len(conditions) == len(seconds) == len(seeds):
            raise InputError(f"{len(conditions)} conditions, {len(seconds)} durations and {len(seeds)} seeds; give one of each per motion")
        if self.readout is None:
            raise InputError(
                f"this MDM makes {self.config.network.features} numbers per frame, which describe no 22 joints without a body model or "
                f"another skeleton; use features(...) for them, or a model with {FEATURES_263.dims}"
            )
        frames = [self.readout.frames(length) for length in seconds]
        made = self.features(conditions, frames, seeds, guidance)
        return [self.readout.motion(x.flatten(0, 1).T, length, fps) for x, length in zip(made, seconds, strict=True)]

    @torch.no_grad()
    def features(
        self, conditions: Sequence[Condition], frames: Sequence[int], seeds: Sequence[int], guidance: float | None = None
    ) -> list[Tensor]:
        """What the network makes, per sample [njoints, nfeats, frames] on the CPU: normalised, or 6D rotations of an action model."""
        for count in frames:
            if not 1 <= count <= self.config.longest:
                raise InputError(f"{count} frames; this MDM makes 1 to {self.config.longest}")
        scale = self._scale(guidance)
        given = self._encode(conditions)
        found: list[Tensor] = []
        for start in range(0, len(conditions), self.rows):
            chosen = [min(start + row, len(conditions) - 1) for row in range(self.rows)]
            made = self._denoise([given[i] for i in chosen], [frames[i] for i in chosen], [seeds[i] for i in chosen], scale)
            found += [made[row][..., : frames[i]].cpu() for row, i in enumerate(chosen[: len(conditions) - start])]
        return found

    def _denoise(self, given: list[Tensor | None], frames: list[int], seeds: list[int], scale: float) -> Tensor:
        """[rows, J, F, width] for one call's worth of samples. given: encoded conditions, None for no condition."""
        config = self.config
        made = [config.fixed_frames or count for count in frames]
        width = made[0] if self.rows == 1 else config.fixed_frames or config.longest
        noise = self._noise(made, width, seeds)
        valid = None if min(made) == width else valid_frames(torch.tensor(made), width).to(self.device)
        condition, padding = self._stack(given)
        keep = torch.tensor([item is not None for item in given], device=self.device)
        scales = torch.full((len(given),), scale, device=self.device)

        def predict(x: Tensor, step: int) -> Tensor:
            steps = torch.full((len(x),), step, device=self.device)
            # A sample that is nothing but the condition, or has none, needs one half.
            if scale == 1.0 or not bool(keep.any()):
                return self.network(x, steps, condition, keep, padding, valid)
            return self.network.guided(x, steps, scales, condition, keep, padding, valid)

        return deque(self.diffusion.ancestral(predict, next(noise), noise), maxlen=1)[0][0]

    def _noise(self, made: list[int], width: int, seeds: list[int]) -> Iterator[Tensor]:
        """[rows, J, F, width] again and again: each row from its own seed, of its own length, zeros after it."""
        shape = (self.config.network.njoints, self.config.network.nfeats)
        generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        while True:
            drawn = torch.zeros(len(made), *shape, width)
            for row, (generator, count) in enumerate(zip(generators, made, strict=True)):
                drawn[row, ..., :count] = torch.randn(*shape, count, generator=generator)
            yield drawn.to(self.device)

    def _stack(self, given: list[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
        """(conditions of a call, padding of their tokens); what is missing is zeros, and left out by `keep`."""
        network = self.config.network
        if network.cond_mode == "no_cond":
            return None, None
        if network.cond_mode == "action":
            return torch.stack([torch.tensor(0) if item is None else item for item in given]).to(self.device), None
        features, padding = padded([torch.zeros(1, network.text_dim) if item is None else item for item in given])
        return features.to(self.device), None if padding is None else padding.to(self.device)

    def _encode(self, conditions: Sequence[Condition]) -> list[Tensor | None]:
        """Text features [N, d], a class index [], or None, per condition."""
        mode = self.config.network.cond_mode
        given: list[Tensor | None] = [None] * len(conditions)
        if mode == "text":
            texts = [load_captions().train_sentences(c.label)[0] if c.label is not None else c.text for c in conditions]
            spoken = [i for i, text in enumerate(texts) if text is not None]
            if spoken:
                self._encoder = self._encoder or load_encoder(self.config.text_encoder)
                for i, features in zip(spoken, self._encoder([texts[i] or "" for i in spoken]), strict=True):
                    given[i] = features
            return given
        for i, condition in enumerate(conditions):
            if condition.text is not None or (condition.label is not None and mode == "no_cond"):
                takes = "action labels" if mode == "action" else "no condition at all"
                raise InputError(f"condition {condition.text or condition.label!r}; this MDM was trained with {takes}")
            if condition.label is not None:
                given[i] = torch.tensor(self._action(condition.label))
        return given

    def _action(self, label: str) -> int:
        count = self.config.network.num_actions
        names = HUMANACT12 if count == len(HUMANACT12) else []
        if label in names:
            return names.index(label)
        if label.isdecimal() and int(label) < count:
            return int(label)
        raise InputError(f"label '{label}' is no class of this MDM; {suggest(label, [*names, f'0 to {count - 1}'])}")

    def _scale(self, guidance: float | None) -> float:
        network = self.config.network
        scale = self.config.guidance if guidance is None else float(guidance)
        if not math.isfinite(scale):
            raise InputError(f"guidance={guidance}; expected a finite number, such as {self.config.guidance:g}")
        if guidance is not None and scale != 1.0 and network.cond_mask_prob == 0 and network.cond_mode != "no_cond":
            raise InputError(f"guidance={scale:g}; this MDM never saw a motion without its condition and takes guidance=1 alone")
        return scale

    def _schedule(self) -> Diffusion:
        config = self.config
        kept = None if config.sampling_steps == config.diffusion_steps else [config.sampling_steps]
        return Diffusion.make(config.diffusion_steps, kept, config.noise_schedule)


def load(name: str = "mdm", checkpoint: str = "", device: str = "cpu") -> MDMGenerator:
    """The shipped system, a file that we wrote (.safetensors), or an official model*.pt with its statistics beside it."""
    if not checkpoint:
        weights = files.load_own(_shipped(name))
    elif Path(checkpoint).suffix == ".safetensors":
        weights = files.load_own(Path(checkpoint))
    else:
        weights = files.load_official(Path(checkpoint))
    return MDMGenerator(weights, name, device)


def _shipped(name: str) -> Path:
    try:
        return model_path(name)
    except InputError:
        raise InputError(
            f"no weights of '{name}' are shipped; train them (python -m baselines.train system=mdm) or give a file ({name}.checkpoint=PATH)"
        ) from None
