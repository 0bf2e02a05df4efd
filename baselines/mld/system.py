"""MLD behind the interface of all systems: 50 guided denoiser calls on a latent, one decode at the length that is asked for.

On a CPU every sample is computed alone, so it does not depend on what else is in the batch; batching would gain little there. On a GPU
latents are denoised in batches of exactly `TOGETHER` (padded) and decoded one by one.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from baselines.data import Texts
from baselines.diffusion import SchedulerSettings
from baselines.features import FPS, ActionReadout, FeatureReadout, Noise, Readout, action_for, load_statistics, sentence_for
from baselines.mld.config import MldConfig
from baselines.mld.denoiser import NOTHING, Denoiser
from baselines.mld.network import pack
from baselines.mld.official import inferred, networks, read_official
from baselines.mld.sampling import reverse
from baselines.mld.vae import ActorVae, MldVae
from nerm import checkpoint
from nerm.errors import InputError
from nerm.generator import Condition, Facts, one_each
from nerm.motion import Motion
from nerm.motion.actions import ROWS as ACTION_ROWS
from nerm.motion.features import FORMATS
from nerm.motion.motion import check_fps

TOGETHER = 32
"""Samples per denoiser call on a GPU."""
KIND = "mld"
_EXACT = ("shift", "scale", "mean", "std", "nothing")
"""Tensors that keep their precision in a file."""


@dataclass
class Mld:
    """The whole system. shift, scale: [tokens, width], from the denoiser's units to the VAE's (0 and 1 in official files).

    mean, std: [features] of the feature normalisation; None for the action format, which has none.
    nothing: [text] the embedding of the empty text, kept with the weights so that known sentences need no text encoder; None: computed.
    """

    config: MldConfig
    vae: MldVae | ActorVae | None
    denoiser: Denoiser
    mean: Tensor | None
    std: Tensor | None
    shift: Tensor
    scale: Tensor
    nothing: Tensor | None = None
    facts: Facts = field(default_factory=Facts)
    name: str = KIND
    digest: str = ""

    def __post_init__(self) -> None:
        for network in (self.vae, self.denoiser):
            if network is not None:
                network.eval().requires_grad_(False)
        self._texts = Texts(self.config.text_encoder)
        self._sampler = SchedulerSettings(prediction_type=self.config.prediction).sampler(self.config.sampler, self.config.steps)
        self._readout: Readout
        if self.mean is None or self.std is None:
            self._readout = ActionReadout(self.config.longest)
        else:
            self._readout = FeatureReadout(self.mean, self.std, longest=self.config.longest)

    @property
    def native_fps(self) -> float:
        """The rate of its features."""
        return self._readout.format.fps if isinstance(self._readout, FeatureReadout) else FPS

    def to(self, device: str | torch.device) -> Mld:
        """The same system on another device."""
        self.denoiser.to(device)
        if self.vae is not None:
            self.vae.to(device)
        self.shift, self.scale = self.shift.to(device), self.scale.to(device)
        return self

    @property
    def device(self) -> torch.device:
        return next(self.denoiser.parameters()).device

    @property
    def parameters(self) -> int:
        """Trained numbers of both networks."""
        return sum(p.numel() for network in (self.vae, self.denoiser) if network is not None for p in network.parameters())

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, made at its features' rate and brought to `fps`; it depends on its own condition, time and seed alone.

        A label is read as its first training sentence (by an action model: as the action's name). guidance: None is the
        configuration's; 1 leaves the unconditional half out.
        """
        check_fps(fps)
        one_each(conditions, seconds, seeds)
        frames = [self._readout.frames(duration) for duration in seconds]
        given = self.embed(conditions)
        weight = self.config.guidance if guidance is None else float(guidance)
        if not math.isfinite(weight):
            raise InputError(f"guidance={guidance}; expected a number, 1 for none")
        made = self._features(given, frames, seeds, weight)
        return [self._readout.motion(x, duration, fps) for x, duration in zip(made, seconds, strict=True)]

    def embed(self, conditions: Sequence[Condition]) -> Tensor:
        """What the denoiser takes: text embeddings [n, 1, d], or numbers of actions [n]."""
        if self.config.denoiser.condition == "action":
            actions = [action_for(condition, self.config.denoiser.classes) for condition in conditions]
            return torch.tensor([NOTHING if action is None else action for action in actions], dtype=torch.long)
        if self.config.denoiser.condition == "text_uncond" and any(c.text is not None or c.label is not None for c in conditions):
            raise InputError("this model was trained without texts and takes no condition; ask for motion without one")
        return self._embedded([sentence_for(condition, self.facts.dataset) or "" for condition in conditions])

    def latents(self, given: Tensor, seeds: Sequence[int], guidance: float) -> Tensor:
        """[n, tokens, width] in the VAE's units."""
        size = 1 if self.device.type == "cpu" else TOGETHER
        shape = tuple(self.config.denoiser.latent)
        parts = [torch.zeros(0, *shape, device=self.device)]
        for start in range(0, len(seeds), size):
            # The last batch is filled up with copies of its last sample.
            picked = torch.arange(start, start + size).clamp(max=len(seeds) - 1)
            noise = Noise([seeds[i] for i in picked.tolist()], [shape] * size)
            parts.append(self._denoised(noise, given[picked], guidance)[: len(seeds) - start])
        z = torch.cat(parts)
        return z * self.scale + self.shift

    @torch.inference_mode()
    def decode(self, z: Tensor, frames: int) -> Tensor:
        """One latent [tokens, width] -> normalised features [frames, F]."""
        assert self.vae is not None
        pack(self.vae.decoder, frames)
        return self.vae.decode(z[None], torch.tensor([frames], device=z.device))[0]

    def _features(self, given: Tensor, frames: Sequence[int], seeds: Sequence[int], guidance: float) -> Iterator[Tensor]:
        """Normalised features [frames, F] of every sample."""
        if self.vae is not None:
            for z, count in zip(self.latents(given, seeds, guidance), frames, strict=True):
                yield self.decode(z, count)
            return
        for k, (count, seed) in enumerate(zip(frames, seeds, strict=True)):
            yield self._denoised(Noise([seed], [(count, self.config.denoiser.features)]), given[k : k + 1], guidance)[0]

    def _denoised(self, noise: Noise, given: Tensor, guidance: float) -> Tensor:
        """The end of the reverse process for one batch, both halves of the guidance in one call."""
        given = given.to(self.device)
        nothing = None if guidance == 1.0 else self._nothing(given)
        draws = (torch.stack(noise.draw()).to(self.device) for _ in range(len(self._sampler) + 1))
        return deque(reverse(self.denoiser, self._sampler, next(draws), given, nothing, guidance, step_noise=draws), maxlen=1)[0]

    def _nothing(self, given: Tensor) -> Tensor:
        """The unconditional counterpart of conditions."""
        if self.config.denoiser.condition == "action":
            return torch.full_like(given, NOTHING)
        return self._embedded([""]).to(given).expand(len(given), -1, -1)

    def _embedded(self, texts: Sequence[str]) -> Tensor:
        """[n, 1, text]."""
        if self.nothing is None:
            return self._texts.embed(texts)[:, None]
        embedded = self.nothing.repeat(len(texts), 1)
        given = [place for place, text in enumerate(texts) if text]
        if given:
            embedded[given] = self._texts.embed([texts[place] for place in given])
        return embedded[:, None]

    def save(self, path: Path, **origin: Any) -> None:
        """fp16 weights with configuration, statistics and facts inside. origin: further entries of the metadata."""
        tensors = {f"denoiser.{k}": v for k, v in self.denoiser.state_dict().items()}
        if self.vae is not None:
            tensors |= {f"vae.{k}": v for k, v in self.vae.state_dict().items()}
        exact = {name: getattr(self, name) for name in _EXACT if getattr(self, name) is not None}
        about = {"config": asdict(self.config), "facts": asdict(self.facts), **origin}
        checkpoint.write(path, KIND, tensors | exact, about, exact)


def load(name: str, file: Path | None = None, device: str = "cpu") -> Mld:
    """The shipped system of that name, a file that `Mld.save` wrote, or an official one (see `load_official`)."""
    path = file or checkpoint.model_path(name)
    system = load_saved(path) if path.suffix == checkpoint.SUFFIX else load_official(path)
    system.name = name
    return system.to(device)


def load_saved(path: Path) -> Mld:
    """A file of this project. One of another system, or one cut short, is an InputError."""
    stored = checkpoint.read(path, KIND)
    tensors = stored.part("")
    try:
        config: MldConfig = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MldConfig), stored.about["config"]))  # type: ignore[assignment]
        facts = Facts.of(stored.about["facts"])
        shift, scale = tensors.pop("shift"), tensors.pop("scale")
        mean, std, nothing = (tensors.pop(name, None) for name in ("mean", "std", "nothing"))
    except (KeyError, TypeError, ValueError, OmegaConfBaseException) as error:
        raise InputError(f"checkpoint {path} lacks its settings ({str(error).splitlines()[0]}); train it again") from None
    vae, denoiser = networks(config, tensors, f"checkpoint {path}")
    return Mld(config, vae, denoiser, mean, std, shift, scale, nothing, facts, digest=stored.digest)


def load_official(path: Path) -> Mld:
    """An official .ckpt (text, features-only or action). Its feature statistics are read from files beside it (`load_statistics`)."""
    state = read_official(path)
    config = inferred(state, path)
    vae, denoiser = networks(config, state, f"checkpoint {path}")
    features = config.vae.features if config.vae else config.denoiser.features
    mean: Tensor | None = None
    std: Tensor | None = None
    digest = hashlib.sha256(path.read_bytes())
    if features in [format.dims for format in FORMATS]:
        mean, std = load_statistics(path, features)
        digest.update(mean.numpy().tobytes() + std.numpy().tobytes())
    elif features != 6 * ACTION_ROWS:
        raise InputError(f"checkpoint {path} makes {features} features per frame; motion is read from 263, 251 or 150 of them")
    one = torch.ones(tuple(config.denoiser.latent))
    return Mld(config, vae, denoiser, mean, std, torch.zeros_like(one), one, name=path.stem, digest=digest.hexdigest())
