"""MLD behind the interface of all systems: 50 guided denoiser calls on a latent, one decode at the length that is asked for.

On a CPU every sample is computed alone, so that its company cannot matter; a call on three tokens is overhead anyway, and batching would
gain little. On a GPU latents are denoised in batches of exactly `ROWS` (padded), decoded one by one.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from baselines.data import Texts
from baselines.mld.config import MldConfig
from baselines.mld.denoiser import NOTHING, Denoiser
from baselines.mld.diffusion import NoiseSettings, reverse, sampler
from baselines.mld.network import pack
from baselines.mld.official import inferred, networks, read_official
from baselines.mld.vae import ActorVae, MldVae
from baselines.readout import FeatureReadout, load_statistics
from nerm.atomic import replacing
from nerm.cli import suggest
from nerm.data.captions import load_captions
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, frame_count
from nerm.motion.actions import ROWS as ACTION_ROWS
from nerm.motion.actions import decode_actions25
from nerm.motion.features import FEATURES_263
from nerm.motion.motion import check_fps
from nerm.motion.resample import at_times, frame_times
from nerm.motion.skeleton import SMPL24, forward_kinematics

if TYPE_CHECKING:
    from nerm.model import Condition

ROWS = 32
"""Samples per denoiser call on a GPU."""
FPS = FEATURES_263.fps
MODELS = Path("results") / "models"
SYSTEM = "mld"
# fmt: off
HUMANACT12 = (
    "warm_up", "walk", "run", "jump", "drink", "lift_dumbbell", "sit", "eat", "turn_steering_wheel", "phone", "boxing", "throw",
)
"""Actions of HumanAct12 in the order of their class numbers (Guo et al., Action2Motion, ACM MM 2020)."""
# fmt: on


class Readout(Protocol):
    """What turns decoded features into a motion."""

    def frames(self, seconds: float) -> int: ...

    def motion(self, features: Tensor, seconds: float, fps: float) -> Motion: ...


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
    facts: dict[str, Any] = field(default_factory=dict)
    name: str = SYSTEM
    digest: str = ""
    native_fps = FPS

    def __post_init__(self) -> None:
        for network in (self.vae, self.denoiser):
            if network is not None:
                network.eval().requires_grad_(False)
        self._texts = Texts(self.config.text_encoder)
        self._sampler = sampler(self.config.sampler, NoiseSettings(prediction_type=self.config.prediction), self.config.steps)
        self._readout: Readout
        if self.mean is None or self.std is None:
            self._readout = ActionReadout(self.config.longest)
        else:
            self._readout = FeatureReadout(self.mean, self.std, longest=self.config.longest)

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
        """One motion per condition, made at 20 fps and brought to `fps`; it depends on its own condition, time and seed alone.

        A label is read through its first training caption (by an action model: as the action's name). guidance: None is the
        configuration's; 1 leaves the unconditional half out.
        """
        check_fps(fps)
        wanted = list(zip(conditions, seconds, seeds, strict=True))
        frames = [self._readout.frames(duration) for _, duration, _ in wanted]
        given = self.embed([condition for condition, _, _ in wanted])
        weight = self.config.guidance if guidance is None else float(guidance)
        if not math.isfinite(weight):
            raise InputError(f"guidance={guidance}; expected a number, 1 for none")
        made = self._features(given, frames, [seed for _, _, seed in wanted], weight)
        return [self._readout.motion(x, duration, fps) for x, (_, duration, _) in zip(made, wanted, strict=True)]

    def embed(self, conditions: Sequence[Condition]) -> Tensor:
        """What the denoiser takes: text embeddings [n, 1, d], or numbers of actions [n]."""
        if self.config.denoiser.condition == "action":
            return torch.tensor([self._action(condition) for condition in conditions], dtype=torch.long)
        if self.config.denoiser.condition == "text_uncond" and any(c.text is not None or c.label is not None for c in conditions):
            raise InputError("this model was trained without texts and takes no condition; ask for motion without one")
        captions = load_captions()
        return self._embedded([c.text or "" if c.label is None else captions.train_sentences(c.label)[0] for c in conditions])

    def latents(self, given: Tensor, seeds: Sequence[int], guidance: float) -> Tensor:
        """[n, tokens, width] in the VAE's units."""
        rows = 1 if self.device.type == "cpu" else ROWS
        shape = tuple(self.config.denoiser.latent)
        found = []
        for start in range(0, len(seeds), rows):
            # The last batch is filled up with copies of its last row.
            picked = torch.arange(start, start + rows).clamp(max=len(seeds) - 1)
            drawn = [_generator(seeds[i]) for i in picked.tolist()]
            noise = torch.stack([torch.randn(shape, generator=generator) for generator in drawn])
            fresh = (torch.stack([torch.randn(shape, generator=g) for g in drawn]).to(self.device) for _ in range(len(self._sampler)))
            found.append(self._denoised(noise, given[picked], guidance, step_noise=fresh)[: len(seeds) - start])
        z = torch.cat(found) if found else torch.zeros(0, *shape, device=self.device)
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
        for row, (count, seed) in enumerate(zip(frames, seeds, strict=True)):
            generator, shape = _generator(seed), (1, count, self.config.denoiser.features)
            noise = torch.randn(shape, generator=generator)
            fresh = (torch.randn(shape, generator=generator).to(self.device) for _ in range(len(self._sampler)))
            yield self._denoised(noise, given[row : row + 1], guidance, fresh)[0]

    def _denoised(self, noise: Tensor, given: Tensor, guidance: float, step_noise: Iterator[Tensor]) -> Tensor:
        """The end of the reverse process for one batch, both halves of the guidance in one call."""
        given = given.to(self.device)
        nothing = None if guidance == 1.0 else self._nothing(given)
        start = found = noise.to(self.device)
        for found in reverse(self.denoiser, self._sampler, start, given, nothing, guidance, step_noise=step_noise):  # noqa: B007
            pass
        return found

    def _nothing(self, given: Tensor) -> Tensor:
        """The unconditional counterpart of conditions."""
        if self.config.denoiser.condition == "action":
            return torch.full_like(given, NOTHING)
        return self._embedded([""]).to(given).expand(len(given), -1, -1)

    def _embedded(self, texts: Sequence[str]) -> Tensor:
        """[n, 1, text]."""
        if self.nothing is None:
            return self._texts.embed(texts)[:, None]
        found = self.nothing.repeat(len(texts), 1)
        said = [row for row, text in enumerate(texts) if text]
        if said:
            found[said] = self._texts.embed([texts[row] for row in said])
        return found[:, None]

    def _action(self, condition: Condition) -> int:
        if condition.text is not None:
            raise InputError(f"text {condition.text!r}; this model takes actions: give a label such as '{HUMANACT12[1]}'")
        if condition.label is None:
            return NOTHING
        known = HUMANACT12 if self.config.denoiser.classes == len(HUMANACT12) else [str(k) for k in range(self.config.denoiser.classes)]
        if condition.label not in known:
            raise InputError(f"label '{condition.label}' is no action of this model; {suggest(condition.label, list(known))}")
        return list(known).index(condition.label)

    def save(self, path: Path) -> None:
        """fp16 weights with configuration, statistics and facts inside, in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"denoiser.{k}": v.half() for k, v in self.denoiser.state_dict().items()}
        if self.vae is not None:
            tensors |= {f"vae.{k}": v.half() for k, v in self.vae.state_dict().items()}
        tensors |= {"shift": self.shift, "scale": self.scale}
        kept = {"mean": self.mean, "std": self.std, "nothing": self.nothing}
        tensors |= {name: value for name, value in kept.items() if value is not None}
        facts = {"config": json.dumps(asdict(self.config)), "facts": json.dumps(self.facts), "system": SYSTEM}
        with replacing(path) as temporary:
            save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, temporary, facts)


class ActionReadout:
    """Decoded action features [n, 150] -> Motion: rotations and translation of the 24 SMPL joints, of which 22 are kept.

    The 150 numbers of a frame are the 25 x 6 format component by component. The action data stand on their head (y down, camera axes),
    so a motion is turned half about x, put on the floor, and faces +z.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def frames(self, seconds: float) -> int:
        """Frames to decode: at 20 fps, up to the first at or after `seconds`."""
        if not (isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0):
            raise InputError(f"seconds={seconds}; expected a positive number of seconds")
        count = math.ceil(seconds * FPS - 1e-6) + 1
        if count > self.longest:
            raise InputError(f"seconds={seconds:g}; this system makes at most {(self.longest - 1) / FPS:g} s ({self.longest} frames)")
        return count

    def motion(self, features: Tensor, seconds: float, fps: float) -> Motion:
        """frame_count(seconds, fps) frames at k / fps."""
        x = features.detach().float().cpu().numpy().astype(np.float64)
        rotations, translation = decode_actions25(x.reshape(len(x), 6, ACTION_ROWS).transpose(2, 1, 0))
        joints = forward_kinematics(rotations, translation, SMPL24)[:, : len(SMPL22)] * np.array([1.0, -1.0, -1.0])
        joints[..., 1] -= joints[..., 1].min()
        motion = Motion(joints.astype(np.float32), FPS).canonical()
        found = motion if fps == FPS else at_times(motion, frame_times(seconds, fps), fps)
        return found[: frame_count(seconds, fps)]


def load(name: str, checkpoint: str = "", device: str = "cpu") -> Mld:
    """The shipped system of that name, a .safetensors file that `Mld.save` wrote, or an official file (see `load_official`)."""
    path = Path(checkpoint) if checkpoint else shipped(name)
    system = load_saved(path) if path.suffix == ".safetensors" else load_official(path)
    system.name = name
    return system.to(device)


def shipped(name: str) -> Path:
    """The file of a shipped system: in results/models of the working folder, or beside the package."""
    for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
        path = root / MODELS / f"{name}.safetensors"
        if path.exists():
            return path
    raise InputError(
        f"system '{name}' has no weights at {MODELS / f'{name}.safetensors'}; train it with python -m baselines.train "
        f"system={SYSTEM}, or give a file with {name}.checkpoint=PATH"
    )


def load_saved(path: Path) -> Mld:
    """A file of this project. One of another system, or one cut short, is an InputError."""
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist or is no file; give a file that training wrote")
    try:
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
            facts = file.metadata() or {}
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); fetch or train it again") from None
    if facts.get("system") != SYSTEM:
        found = f"holds system '{facts['system']}'" if "system" in facts else f"names no system and has {', '.join(list(tensors)[:3])}"
        raise InputError(f"checkpoint {path} {found}; expected one of '{SYSTEM}'")
    try:
        config: MldConfig = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(MldConfig), json.loads(facts["config"])))  # type: ignore[assignment]
        told = json.loads(facts["facts"])
        rest = {key: tensors.pop(key) for key in ("shift", "scale")} | {key: tensors.pop(key, None) for key in ("mean", "std", "nothing")}
    except (KeyError, ValueError, OmegaConfBaseException) as error:
        raise InputError(f"checkpoint {path} lacks its settings ({str(error).splitlines()[0]}); train it again") from None
    vae, denoiser = networks(config, tensors, f"checkpoint {path}")
    return Mld(config, vae, denoiser, **rest, facts=told, digest=hashlib.sha256(path.read_bytes()).hexdigest())  # type: ignore[arg-type]


def load_official(path: Path) -> Mld:
    """An official .ckpt (text, features-only or action). Its feature statistics are read from files beside it (`load_statistics`)."""
    state = read_official(path)
    config = inferred(state, path)
    vae, denoiser = networks(config, state, f"checkpoint {path}")
    features = config.vae.features if config.vae else config.denoiser.features
    mean: Tensor | None = None
    std: Tensor | None = None
    digest = hashlib.sha256(path.read_bytes())
    if features == FEATURES_263.dims:
        mean, std = load_statistics(path)
        digest.update(mean.numpy().tobytes() + std.numpy().tobytes())
    elif features != 6 * ACTION_ROWS:
        raise InputError(f"checkpoint {path} makes {features} features per frame; motion of 22 joints is read from 263 or 150 of them")
    one = torch.ones(tuple(config.denoiser.latent))
    return Mld(config, vae, denoiser, mean, std, torch.zeros_like(one), one, name=path.stem, digest=digest.hexdigest())


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
