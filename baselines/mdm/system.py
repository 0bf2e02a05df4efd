"""MDM behind the interface of all systems: conditions, seconds and seeds in, motions out.

Every sample has a random generator of its own on the CPU. On a processor each sample is denoised in a call of its own, both halves of the
guidance as one batch, at exactly the frames it needs. On other devices `together` samples share a call whose shape never changes. In both
cases a motion does not depend on what else is in the batch.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad

from baselines.diffusion import Diffusion, Sampler
from baselines.features import FeatureReadout, Noise, action_for, sentence_for, valid_frames
from baselines.mdm import files
from baselines.mdm.text import Encoder, load_encoder, padded
from nerm.checkpoint import SUFFIX, model_path
from nerm.errors import InputError
from nerm.generator import Condition, one_each
from nerm.motion import Motion
from nerm.motion.features import FORMATS
from nerm.motion.motion import check_fps

FORMAT_DIMS = [format.dims for format in FORMATS]
TOGETHER = 32  # samples per call on devices other than a processor


class MDMGenerator:
    """A trained or official MDM.

    Text models take sentences; a label is read as its first training sentence; without a condition the network runs unconditionally.
    Action models take labels: the class name (HumanAct12) or its index.
    """

    def __init__(self, weights: files.Weights, name: str = "mdm", device: str = "cpu", together: int | None = None) -> None:
        """together: samples per call; default 1 on a processor."""
        self.name = name
        self.weights = weights
        self.facts = weights.facts
        self.config = weights.config
        self.network = weights.network.eval().to(device)
        self.device = torch.device(device)
        self.native_fps: float | None = self.config.fps
        # Without a mask a sample would see the padding; a gru runs along the batch, so there it would see its neighbours.
        alone = self.config.network.arch == "gru" or not (self.config.fixed_frames or self.config.network.mask_frames)
        self.together = 1 if alone else together or (1 if self.device.type == "cpu" else TOGETHER)
        self.sampler = self._sampler()
        self.readout = None
        if weights.mean is not None and weights.std is not None and self.config.network.features in FORMAT_DIMS:
            self.readout = FeatureReadout(weights.mean, weights.std, self.config.upsampling, self.config.longest)
        self._encoder: Encoder | None = None

    @property
    def digest(self) -> str:
        """sha256 of the weights, the statistics and the settings of sampling (with the name of the text encoder, not its folder)."""
        settings = replace(self.config, text_encoder=self.config.text_encoder.partition(":")[0])
        return hashlib.sha256(f"{self.weights.digest} {settings.to_json()}".encode()).hexdigest()

    def with_steps(self, steps: int) -> MDMGenerator:
        """The same system sampled with another number of steps: as many as it was trained with (1000 as published), or fewer."""
        weights = replace(self.weights, config=replace(self.config, sampling_steps=steps))
        made = MDMGenerator(weights, self.name, str(self.device), self.together)
        made._encoder = self._encoder
        return made

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, frame_count(seconds, fps) frames each; made at its features' rate and brought to `fps`."""
        check_fps(fps)
        one_each(conditions, seconds, seeds)
        if self.readout is None:
            raise InputError(
                f"this MDM makes {self.config.network.features} numbers per frame, which describe no joints without a body model or "
                f"another skeleton; use features(...) for them, or a model with {' or '.join(map(str, FORMAT_DIMS))}"
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
        features: list[Tensor] = []
        for start in range(0, len(conditions), self.together):
            chosen = [min(start + k, len(conditions) - 1) for k in range(self.together)]
            made = self._denoise([given[i] for i in chosen], [frames[i] for i in chosen], [seeds[i] for i in chosen], scale)
            features += [made[k][..., : frames[i]].cpu() for k, i in enumerate(chosen[: len(conditions) - start])]
        return features

    def _denoise(self, given: list[Tensor | None], frames: list[int], seeds: list[int], scale: float) -> Tensor:
        """[B, J, F, width] for one call's worth of samples. given: encoded conditions, None for no condition."""
        config = self.config
        lengths = [config.fixed_frames or count for count in frames]
        width = lengths[0] if self.together == 1 else config.fixed_frames or config.longest
        noise = self._noise(lengths, width, seeds)
        valid = None if min(lengths) == width else valid_frames(torch.tensor(lengths), width).to(self.device)
        condition, padding = self._stack(given)
        keep = torch.tensor([item is not None for item in given], device=self.device)
        scales = torch.full((len(given),), scale, device=self.device)

        def predict(x: Tensor, call: int) -> Tensor:
            steps = torch.full((len(x),), int(self.sampler.timesteps[call]), device=self.device)
            # Without guidance, or without any condition, one half is enough.
            if scale == 1.0 or not bool(keep.any()):
                return self.network(x, steps, condition, keep, padding, valid)
            return self.network.guided(x, steps, scales, condition, keep, padding, valid)

        return deque(self.sampler.walk(predict, next(noise), noise), maxlen=1)[0].sample

    def _noise(self, lengths: list[int], width: int, seeds: list[int]) -> Iterator[Tensor]:
        """Endless draws [B, J, F, width]: each sample's noise comes from its own seed and has its own length, with zeros after it."""
        noise = Noise(seeds, [(self.config.network.njoints, self.config.network.nfeats, count) for count in lengths])
        while True:
            yield torch.stack([pad(drawn, (0, width - drawn.shape[-1])) for drawn in noise.draw()]).to(self.device)

    def _stack(self, given: list[Tensor | None]) -> tuple[Tensor | None, Tensor | None]:
        """(conditions of a call, padding of their tokens); a missing condition is zeros, and `keep` leaves it out."""
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
            sentences = {i: text for i, c in enumerate(conditions) if (text := sentence_for(c, self.facts.dataset)) is not None}
            if sentences:
                self._encoder = self._encoder or load_encoder(self.config.text_encoder)
                for i, features in zip(sentences, self._encoder(list(sentences.values())), strict=True):
                    given[i] = features
            return given
        for i, condition in enumerate(conditions):
            if condition == Condition():
                continue
            if mode == "no_cond":
                raise InputError(f"condition {condition.text or condition.label!r}; this MDM was trained with no condition at all")
            given[i] = torch.tensor(action_for(condition, self.config.network.num_actions))
        return given

    def _scale(self, guidance: float | None) -> float:
        network = self.config.network
        scale = self.config.guidance if guidance is None else float(guidance)
        if not math.isfinite(scale):
            raise InputError(f"guidance={guidance}; expected a finite number, such as {self.config.guidance:g}")
        if guidance is not None and scale != 1.0 and network.cond_mask_prob == 0 and network.cond_mode != "no_cond":
            raise InputError(f"guidance={scale:g}; this MDM never saw a motion without its condition and takes guidance=1 alone")
        return scale

    def _sampler(self) -> Sampler:
        config = self.config
        kept = None if config.sampling_steps == config.diffusion_steps else [config.sampling_steps]
        return Diffusion.make(config.diffusion_steps, kept, config.noise_schedule).ancestral()


def load(name: str, file: Path | None, device: str) -> MDMGenerator:
    """The shipped system of that name, a file that we wrote, or an official model*.pt with its statistics beside it."""
    path = file or model_path(name)
    return MDMGenerator(files.load_own(path) if path.suffix == SUFFIX else files.load_official(path), name, device)
