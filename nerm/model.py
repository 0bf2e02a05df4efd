"""NeRM = field + denoiser + conditions: text, an action label or nothing -> motion at any frame rate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from nerm.atomic import replacing
from nerm.cli import suggest
from nerm.denoiser import Denoiser
from nerm.diffusion import guided, sample
from nerm.errors import InputError
from nerm.field import Field
from nerm.motion import Motion
from nerm.motion.motion import check_fps
from nerm.reading import decode
from nerm.settings import Stage1Config, Stage2Config
from nerm.text import TextEncoder, load_text_encoder
from nerm.texture import Texture, TextureConfig

if TYPE_CHECKING:
    from nerm.data.corpus import Corpus

CHUNK = 8
"""Codes are denoised in batches of exactly this size (padded), so that a sample does not depend on its company."""
FPS_RANGE = (1.0, 480.0)
MODELS = Path("results") / "models"


@dataclass(frozen=True)
class Condition:
    """What is asked for: a sentence, an action label, or (both None) anything."""

    text: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None and self.label is not None:
            raise InputError("a condition with text and label; give one of them or none")


class Code(NamedTuple):
    """What is sampled, before it is read at a rate.  z: [d] in the field's units.  mirrored: to be read as its mirror image.

    seed: of its texture.
    """

    z: Tensor
    mirrored: bool
    seed: int


@dataclass
class NeRM:
    """The whole system. native_fps is None: it has no rate of its own.

    shift [d], back [d, d]: from pose space to the field's codes.  texture: None for the paper's system, whose field is all that is read.
    training: how each stage was trained (`nerm.training.Fit.facts`).  trained_on: digest of the corpus.
    """

    stage1: Stage1Config
    field: Field
    stage2: Stage2Config
    denoiser: Denoiser
    shift: Tensor
    back: Tensor
    labels: list[str]
    texture: Texture | None = None
    training: dict[str, dict] = field(default_factory=dict)
    trained_on: str = ""
    name: str = "nerm"
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

    def _parts(self) -> list[Field | Denoiser | Texture]:
        return [self.field, self.denoiser, *([self.texture] if self.texture else [])]

    @property
    def device(self) -> torch.device:
        return next(self.field.parameters()).device

    @property
    def facts(self) -> dict:
        """How it was trained, as reports have it (`baselines.base.TRAINING`); empty if that is not known."""
        stages = self.training
        if not stages:
            return {}
        return {
            "parameters": sum(p.numel() for part in self._parts() for p in part.parameters()),
            **{key: {name: stage.get(key) for name, stage in stages.items()} for key in ("steps", "samples")},
            "seconds": round(sum(stage.get("seconds", 0.0) for stage in stages.values()), 1),
            "device": ", ".join(sorted({stage["device"] for stage in stages.values() if "device" in stage})),
            "undertrained": any(stage.get("undertrained") for stage in stages.values()),
        }

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
        """The motion of one sampled code at a rate."""
        if self.texture:
            motion = self.texture.read(self.field, code.z, seconds, fps, code.seed)
        else:
            motion = decode(self.field, code.z, seconds, fps)
        return motion.mirrored() if code.mirrored else motion

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
        if not len(conditions) == len(seconds) == len(seeds):
            raise InputError(f"{len(conditions)} conditions, {len(seconds)} durations and {len(seeds)} seeds; give one of each per motion")
        for length in seconds:
            if not 0 < length <= self.longest_s:
                raise InputError(f"seconds={length:g}; expected more than 0 and at most {self.longest_s:g}: ask for shorter motions")
        text, label, kind = self._encode(conditions)
        lengths = torch.as_tensor(list(seconds), dtype=torch.float32)
        found = []
        for start in range(0, len(conditions), chunk):
            rows = torch.arange(start, start + chunk).clamp(max=len(conditions) - 1)
            picked = [x[rows].to(self.device) for x in (lengths, text, label, kind)]
            chunk_seeds = [seeds[i] for i in rows.tolist()]
            z = sample(
                partial(self._guided, given=picked, guidance=self.stage2.guidance if guidance is None else guidance),
                (chunk, self.denoiser.config.latent),
                chunk_seeds,
                sampler or self.stage2.sampler,
                self.stage2.sampling_steps,
                self.stage2.prediction,
                self.device,
            )
            found.append(z[: len(conditions) - start])
        z = torch.cat(found) if found else torch.zeros(0, self.denoiser.config.latent)
        codes = z[:, :-1] @ self.back.to(z.device) + self.shift.to(z.device)
        return [Code(*each) for each in zip(codes, (z[:, -1] <= 0).tolist(), seeds, strict=True)]

    def _guided(self, z: Tensor, k: Tensor, given: list[Tensor], guidance: float) -> Tensor:
        """Both halves of the guidance in one call."""
        lengths, text, label, kind = given
        if guidance == 1.0:
            return self.denoiser(z, k, lengths, text, label, kind)
        twice = [torch.cat([x, x]) for x in (z, k, lengths, text, label)]
        both = self.denoiser(*twice, torch.cat([kind, torch.zeros_like(kind)]))
        conditional, unconditional = both.chunk(2)
        return guided(conditional, unconditional, guidance)

    def _encode(self, conditions: Sequence[Condition]) -> tuple[Tensor, Tensor, Tensor]:
        text = torch.zeros(len(conditions), self.denoiser.config.text)
        label = torch.zeros(len(conditions), dtype=torch.long)
        kind = torch.zeros(len(conditions), dtype=torch.long)
        spoken = [i for i, c in enumerate(conditions) if c.text is not None]
        if spoken:
            self._encoder = self._encoder or load_text_encoder(self.stage2.text_encoder)
            text[spoken] = torch.from_numpy(self._encoder.encode([conditions[i].text or "" for i in spoken]))
            kind[spoken] = 1
        for i, condition in enumerate(conditions):
            if condition.label is not None:
                if condition.label not in self.labels:
                    raise InputError(f"label '{condition.label}' was not trained; {suggest(condition.label, self.labels)}")
                label[i], kind[i] = self.labels.index(condition.label), 2
        return text, label, kind

    def check_field(self, settings: Stage1Config, folder: Path) -> None:
        """Raises InputError if field.safetensors of a run, with these settings, is not what this system's field was."""
        if self.stage1.field != settings.field:
            raise InputError(
                f"{folder}: nerm.safetensors and field.safetensors have fields of other settings; train the denoiser on this field"
            )

    def save(self, path: Path) -> None:
        """fp16 weights with all settings inside, in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        tensors = {f"field.{k}": v for k, v in self.field.state_dict().items()}
        tensors |= {f"denoiser.{k}": v for k, v in self.denoiser.state_dict().items()}
        tensors |= {"shift": self.shift, "back": self.back}
        facts = {"stage1": asdict(self.stage1), "stage2": asdict(self.stage2), "labels": self.labels}
        facts |= {"training": self.training, "trained_on": self.trained_on}
        if self.texture:
            tensors |= {f"texture.{k}": v for k, v in self.texture.state_dict().items()}
            facts["texture"] = asdict(self.texture.config)
        with replacing(path) as temporary:
            save_file(
                {k: v.detach().cpu().half().contiguous() for k, v in tensors.items()},
                temporary,
                {key: json.dumps(value) for key, value in facts.items()} | {"system": "nerm"},
            )


def load_nerm(where: str | Path = "nerm") -> NeRM:
    """A shipped system by its name (nerm, nerm-fixed), or any file that `NeRM.save` wrote."""
    path = model_path(where)
    tensors, facts = _read(path)
    if facts.get("system") != "nerm":
        raise InputError(f"{path} is not a NeRM model; it has keys such as {', '.join(list(tensors)[:3])}")

    try:
        stage1, stage2 = _settings(Stage1Config, facts["stage1"]), _settings(Stage2Config, facts["stage2"])
        field_, denoiser = Field(stage1.field), Denoiser(stage2.denoiser)
        for module, prefix in ((field_, "field."), (denoiser, "denoiser.")):
            module.load_state_dict({k.removeprefix(prefix): v.float() for k, v in tensors.items() if k.startswith(prefix)})
        shift, back = tensors["shift"].float(), tensors["back"].float()
        texture = _texture(tensors, facts, stage1) if "texture" in facts else None
        labels, training, trained_on = (json.loads(facts[key]) for key in ("labels", "training", "trained_on"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} has damaged settings ({error}); fetch or train it again") from None
    except (RuntimeError, KeyError, InputError, OmegaConfBaseException):  # settings that it does not name are the defaults of today
        raise _another_version(path, "NeRM model") from None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return NeRM(stage1, field_, stage2, denoiser, shift, back, labels, texture, training, trained_on, path.stem, digest)


def _texture(tensors: dict[str, Tensor], facts: dict[str, str], stage1: Stage1Config) -> Texture:
    texture = Texture(_settings(TextureConfig, facts["texture"]), stage1.field.width, stage1.field.longest_s)
    texture.load_state_dict({k.removeprefix("texture."): v.float() for k, v in tensors.items() if k.startswith("texture.")})
    return texture.eval()


def load_stage1(path: Path, corpus: Corpus | None = None) -> tuple[Stage1Config, Field, Tensor, Tensor]:
    """(settings, field, code means [n, d], window numbers [n]) of a file that `train_field` wrote."""
    tensors, facts = _read(path)
    if "codes.mean" not in tensors:
        raise InputError(f"{path} holds no codes; give the field.safetensors of a training run")
    if corpus is not None and facts["corpus"] != corpus.digest:
        raise InputError(
            f"{path} was trained on another version of the corpus ({facts['corpus'][:12]}, here {corpus.digest[:12]}); train it again"
        )
    try:
        settings = _settings(Stage1Config, facts["stage1"])
        field_ = Field(settings.field)
        field_.load_state_dict({k.removeprefix("field."): v for k, v in tensors.items() if k.startswith("field.")})
    except (RuntimeError, KeyError, InputError, OmegaConfBaseException):
        raise _another_version(path, "field") from None
    return settings, field_.eval(), tensors["codes.mean"], tensors["codes.window"]


def field_training(path: Path) -> dict:
    """How the field of a file that `train_field` wrote was trained (`nerm.training.Fit.facts`)."""
    return json.loads(_read(path)[1].get("training", "{}"))


def model_path(where: str | Path) -> Path:
    """The file of a shipped system (in results/models of the working folder or beside the package), or the path itself."""
    path = Path(where)
    if path.suffix == ".safetensors":
        if not path.exists():
            raise InputError(f"{path} does not exist; give a .safetensors file or the name of a shipped system")
        return path
    for root in (Path.cwd(), Path(__file__).resolve().parents[1]):
        candidate = root / MODELS / f"{where}.safetensors"
        if candidate.exists():
            return candidate
    shipped = sorted(p.stem for p in (Path(__file__).resolve().parents[1] / MODELS).glob("nerm*.safetensors"))
    raise InputError(f"no model '{where}'; shipped are {', '.join(shipped) or 'none'}: train one with python -m nerm.train")


def _another_version(path: Path, what: str) -> InputError:
    return InputError(f"{path} is a {what} of another version of this package; train it again, or use the version it was made with")


def _settings(schema: type, text: str):  # type: ignore[no-untyped-def]
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), json.loads(text)))


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    if not path.exists():
        raise InputError(f"{path} does not exist")
    try:
        with safe_open(path, "pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file ({error}); fetch or train it again") from None
