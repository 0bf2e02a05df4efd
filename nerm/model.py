"""NeRM = field + denoiser + conditions: text, an action label or nothing -> motion at any frame rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from nerm.conditions import TEXT
from nerm.denoiser import Denoiser
from nerm.diffusion import SAMPLERS, sample
from nerm.errors import InputError
from nerm.field import Field
from nerm.generator import Code, Condition, Continues, Facts, HasVariants, ReadsCodes, Reconstructs, one_each
from nerm.guidance import Given, given_of, guided_by
from nerm.known import Read, known_durations, known_meanings, trained_sentences
from nerm.lasting import DURATIONS, Known, nearest_s, parts_to_last
from nerm.motion import Motion, frame_times
from nerm.motion.motion import check_fps
from nerm.reading import decode_at
from nerm.sentence_space import KNOWN_GUIDANCE, READINGS, as_drawn, as_known, enter
from nerm.sequence import NEXT_SEED, Beginning, Joints, Placed, Span, joined, parts_of, toward
from nerm.settings import Stage1Config, Stage2Config, settings_of
from nerm.stance import RATE, HasStance, Stance, load_stance, moments_of
from nerm.text import TextEncoder, load_text_encoder
from nerm.words import mirror_caption, side_of

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

KIND = "nerm"
"""What a model file of NeRM says that it is, and the name of the shipped one."""
CHUNK = 8
"""Codes are denoised in batches of exactly this size (padded), so that a sample does not depend on what else is in the batch."""
FPS_RANGE = (1.0, 480.0)
"""The lowest and the highest rate at which NeRM is read."""


def check_rate(fps: float) -> None:
    """An InputError unless NeRM is read at that rate."""
    if not FPS_RANGE[0] <= check_fps(fps) <= FPS_RANGE[1]:
        raise InputError(f"fps={fps:g}; NeRM is read at {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g} frames per second")


@dataclass
class NeRM(ReadsCodes, Reconstructs, Continues, HasStance, HasVariants):
    """The whole system. native_fps is None: it has no rate of its own.

    shift [d], back [k, d]: from pose space to the field's codes.  stance: None for the paper's system, which has none.
    sentences [k, e]: the space that embeddings of sentences are read in (`nerm.sentence_space`), None if they are read as they are.
    training: how each stage was trained (`nerm.training.Fit.facts`).  trained_on, dataset: digest and name of what it was trained on.
    durations: known, if the denoiser is asked for the nearest durations that training has; asked, if for those that are wanted
    (`nerm.lasting`).  reading: how a sentence is read: as it is (asked), as the mean of what it may mean (known), or as one of the meanings
    that training has, which the seed draws (drawn; `nerm.sentence_space`).

    A code is z [d] float32 in the field's units, `mirrored` (whether it is read as its mirror image) and, of one that was sampled, `lasts`
    (the seconds that the denoiser was asked for). A code of several parts has one of each for every part, and where in time and in the
    world it lies: start, end, yaw [p], at [p, 3].
    """

    stage1: Stage1Config
    field: Field
    stage2: Stage2Config
    denoiser: Denoiser
    shift: Tensor
    back: Tensor
    labels: list[str]
    stance: Stance | None = None
    sentences: Tensor | None = None
    training: dict[str, dict] = field(default_factory=dict)
    trained_on: str = ""
    dataset: str = "multirate"
    name: str = KIND
    digest: str = ""
    durations: str = "asked"
    reading: str = "asked"
    native_fps = None

    def __post_init__(self) -> None:
        self.field.eval()
        self.denoiser.eval()
        self._encoder: TextEncoder | None = None
        self._lasting: dict[Condition, Known] = {}
        self._meanings: Tensor | None = None

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
        space = 0 if self.sentences is None else self.sentences.numel()
        parameters = space + sum(p.numel() for part in self._parts() for p in part.parameters()) if self.training else None
        return Facts.of_stages(self.training, parameters, self.dataset)

    def variant(self, sampler: str | None = None, stance: bool = True, durations: str | None = None, reading: str | None = None) -> NeRM:
        """The same weights with another sampler, with paths as they were sampled, asked for other durations, or reading in another way."""
        stage2 = replace(self.stage2, sampler=choose("sampler", sampler, SAMPLERS)) if sampler else self.stage2
        lasting = choose("durations", durations, DURATIONS) if durations else self.durations
        changes = [f"sampler={sampler}"] * (stage2 != self.stage2) + ["stance=false"] * (self.stands and not stance)
        changes += [f"durations={lasting}"] * (lasting != self.durations)
        wanted = choose("reading", reading, READINGS) if reading else self.reading
        has_meanings = self.sentences is not None and any(trained_sentences(self.dataset).values())
        read_as = wanted if has_meanings else self.reading
        changes += [f"reading={read_as}" + f" guidance={KNOWN_GUIDANCE:g}" * (read_as != "asked")] * (read_as != self.reading)
        kept = self.stance if stance else None
        digest = " ".join([self.digest, *changes])
        if not changes:
            return self
        return replace(self, stage2=stage2, stance=kept, durations=lasting, reading=read_as, digest=digest)

    @property
    def guidance(self) -> float:
        """Its own weight of classifier-free guidance."""
        return self.stage2.guidance if self.reading == "asked" else KNOWN_GUIDANCE

    @property
    def continues(self) -> bool:
        """Whether it makes parts that go on from each other."""
        return self.stage2.prediction == "sample"

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
        check_rate(fps)
        codes = self.sample_codes(conditions, seconds, seeds, guidance, sampler)
        return [self.read(code, length, fps) for code, length in zip(codes, seconds, strict=True)]

    def read(self, code: Code, seconds: float, fps: float) -> Motion:
        """The motion of one sampled code at a rate, on the path that its legs ask for if the system has a stance."""
        motion = self.decode(code, seconds, fps)
        if self.stance is None:
            return motion
        return self.stance.stood(motion, self._joints(code, seconds, moments_of(seconds), RATE), seconds)

    def decode(self, code: Code, seconds: float, fps: float) -> Motion:
        """What the field alone reads out of a code at a rate."""
        return Motion(self._joints(code, seconds, frame_times(seconds, fps), fps), fps, self.field.skeleton)

    def _joints(self, code: Code, seconds: float, times: NDArray, fps: float) -> NDArray[np.float32]:
        """Joints [n, J, 3] of a code that lasts `seconds`, at times [n] s."""
        if "start" in code:
            return joined(self._placed(code, fps), times, self.field.skeleton).astype(np.float32)
        slowed, read_s = _slowed(code, seconds)
        made = decode_at(self.field, self._latent(code), read_s, torch.as_tensor(times * slowed), fps)
        return (made.mirrored() if code["mirrored"] else made).joints

    def _placed(self, code: Code, fps: float) -> list[Placed]:
        """The parts of a code of several, in the world."""
        parts = []
        for place, (start, end) in enumerate(zip(code["start"].tolist(), code["end"].tolist(), strict=True)):
            span = Span(place, start, end)
            own = {name: code[name][place] for name in ("z", "mirrored", "lasts")}
            parts.append(Placed(span, partial(self._part_joints, own, span.seconds, fps), float(code["yaw"][place]), code["at"][place]))
        return parts

    def _part_joints(self, code: Code, seconds: float, fps: float, times: NDArray) -> NDArray[np.float32]:
        return self._joints(code, seconds, times, fps)

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
        parts = [self.parts(*asked) for asked in zip(conditions, seconds, strict=True)]
        single = [place for place, count in enumerate(parts) if count == 1]
        together = [conditions[k] for k in single], [seconds[k] for k in single], [seeds[k] for k in single]
        made = dict(zip(single, self._single_codes(*together, guidance, sampler, chunk), strict=True))
        for place, count in enumerate(parts):
            if count > 1:
                repeated = [conditions[place]] * count, [seconds[place] / count] * count
                made[place] = self._sequence(*repeated, seeds[place], guidance, sampler)
        return [made[place] for place in range(len(conditions))]

    def _single_codes(
        self,
        conditions: Sequence[Condition],
        seconds: Sequence[float],
        seeds: Sequence[int],
        guidance: float | None,
        sampler: str | None,
        chunk: int = CHUNK,
    ) -> list[Code]:
        """Codes of one piece each, which are made together."""
        lasts = [self._nearest_s(*asked) for asked in zip(conditions, seconds, strict=True)]
        given, other_side = self.given(conditions, lasts, seeds)
        parts = [torch.zeros(0, self.denoiser.config.latent, device=self.device)]
        for start in range(0, len(conditions), chunk):
            places = torch.arange(start, start + chunk).clamp(max=len(conditions) - 1)
            picked = Given(*(x[places] for x in given))
            parts.append(self._denoised(picked, [seeds[i] for i in places.tolist()], guidance, sampler)[: len(conditions) - start])
        return self._codes(torch.cat(parts), other_side, lasts)

    def _nearest_s(self, condition: Condition, seconds: float) -> float:
        """The duration that the denoiser is asked for."""
        return nearest_s(seconds, self._known(condition)) if self.durations == "known" else seconds

    def parts(self, condition: Condition, seconds: float) -> int:
        """See `Continues`."""
        return parts_to_last(seconds, self._known(condition)) if self.durations == "known" and self.continues else 1

    def _known(self, condition: Condition) -> Known:
        """How long training has what a condition asks for, by its sentence as the denoiser reads it."""
        if condition not in self._lasting:  # it takes a quarter of the time of a sample, and is asked for by every part
            self._lasting[condition] = known_durations(self._read_as(condition), self.dataset, self._compared_by)
        return self._lasting[condition]

    @property
    def _compared_by(self) -> Read:
        return Read(self.stage2.text_encoder, None if self.sentences is None else self.sentences.cpu().numpy())

    def _read_as(self, condition: Condition) -> Condition:
        """The condition, or that of the mirror image where its sentence names the right and only the left is learned."""
        other_side = self.stage2.one_sided and side_of(condition.text or "") < 0
        return Condition(mirror_caption(condition.text or "")) if other_side else condition

    def given(self, conditions: Sequence[Condition], seconds: Sequence[float], seeds: Sequence[int]) -> tuple[Given, list[bool]]:
        """What the denoiser is given, and of which conditions it is given the mirror image: those whose sentence names the right."""
        asked = [self._read_as(condition) for condition in conditions]
        other_side = [read is not condition for read, condition in zip(asked, conditions, strict=True)]
        given = given_of(asked, seconds, self.labels, self.denoiser.config.text, self._encoded)
        return given._replace(text=self._understood(given.text, given.kind == TEXT, seeds)), other_side

    def _denoised(
        self,
        given: Given,
        seeds: Sequence[int],
        guidance: float | None,
        sampler: str | None = None,
        change: Callable[[Tensor], Tensor] = lambda z: z,
    ) -> Tensor:
        """What the denoiser makes [B, d + 1], for each seed.

        change: what is done, in every step, to the codes [B, d + 1] that the denoiser sees behind the noise.
        """
        given = Given(*(x.to(self.device) for x in given))
        weight = self.guidance if guidance is None else guidance
        return sample(
            lambda z, k: change(guided_by(self.denoiser, z, k, given, weight)),
            (len(seeds), self.denoiser.config.latent),
            seeds,
            sampler or self.stage2.sampler,
            self.stage2.sampling_steps,
            self.stage2.prediction,
            self.device,
        )

    def _codes(self, z: Tensor, other_side: Sequence[bool], lasts: Sequence[float]) -> list[Code]:
        """Codes from what the denoiser made [B, d + 1] for conditions, or for their mirror images, and for so many seconds."""
        mirrored = [sign != other for sign, other in zip((z[:, -1] <= 0).tolist(), other_side, strict=True)]
        return [_code(*each) for each in zip(_one_by_one(self._entered, z), mirrored, lasts, strict=True)]

    def _entered(self, z: Tensor) -> Tensor:
        """Codes of the field [..., d] from what the denoiser makes [..., d + 1]."""
        return z[..., :-1] @ self.back.to(z.device) + self.shift.to(z.device)

    def sample_sequence(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seed: int, guidance: float | None = None
    ) -> Motion:
        """See `Continues`. What it is made of: `nerm.sequence`."""
        check_rate(fps)
        one_each(conditions, seconds, [seed] * len(seconds))
        parts = [self.parts(*asked) for asked in zip(conditions, seconds, strict=True)]
        repeated = [condition for condition, count in zip(conditions, parts, strict=True) for _ in range(count)]
        lasting = [length / count for length, count in zip(seconds, parts, strict=True) for _ in range(count)]
        return self.read(self._sequence(repeated, lasting, seed, guidance), sum(seconds), fps)

    def _sequence(
        self, conditions: Sequence[Condition], seconds: Sequence[float], seed: int, guidance: float | None, sampler: str | None = None
    ) -> Code:
        """The code of a motion that meets each condition for as many seconds, one after the other; of several parts unless it needs one."""
        codes: list[Code] = []
        parts = parts_of(seconds, self.longest_s, seed, partial(self._part, conditions, guidance, sampler, codes), self.field.skeleton)
        if len(parts) == 1:
            return codes[0]
        lies = {
            "start": np.array([part.span.start for part in parts]),
            "end": np.array([part.span.end for part in parts]),
            "yaw": np.array([part.yaw for part in parts]),
            "at": np.array([part.at for part in parts]),
        }
        return {name: np.stack([code[name] for code in codes]) for name in codes[0]} | lies

    @torch.no_grad()
    def _part(
        self,
        conditions: Sequence[Condition],
        guidance: float | None,
        sampler: str | None,
        codes: list[Code],
        item: int,
        seconds: float,
        seed: int,
        beginning: Beginning | None,
    ) -> Joints:
        """One part of a sequence, as `nerm.sequence.Make` wants it; its code is added to `codes`."""
        asked = [conditions[item]]
        if beginning is None:
            (code,) = self._single_codes(asked, [seconds], [seed], guidance, sampler)
        elif not self.continues:
            raise InputError(f"system '{self.name}' predicts {self.stage2.prediction}; only one that predicts codes makes several in a row")
        else:
            lasts = self._nearest_s(asked[0], seconds)
            given, other_side = self.given(asked, [lasts], [seed])
            z = self._denoised(given, [seed], guidance, sampler, partial(self._continued, beginning, seconds, lasts, other_side[0]))
            (code,) = self._codes(z, other_side, [lasts])
        codes.append(code)
        return partial(self._part_joints, code, seconds, RATE)

    def _continued(self, beginning: Beginning, seconds: float, lasts: float, other_side: bool, z: Tensor) -> Tensor:
        """A code [1, d + 1] as the denoiser sees it, moved to one that begins as it should; its mirror sign stays. lasts: see `_slowed`."""
        slowed, read_s = _slowed({"lasts": np.array(lasts)}, seconds)
        wanted = Motion(beginning.joints.astype(np.float32), RATE, self.field.skeleton)
        wanted = wanted.mirrored() if bool(z[0, -1] <= 0) != other_side else wanted
        at = torch.as_tensor(beginning.times * slowed, device=z.device)[None], torch.tensor([read_s], dtype=torch.float64, device=z.device)

        def joints(y: Tensor) -> Tensor:
            pose = self.field(*at, self._entered(torch.cat([y, z[0, -1:]]))[None])
            return (self.field.joints(pose) + pose.root[..., None, :])[0]

        moved = toward(joints, torch.tensor(wanted.joints, device=z.device), z[0, :-1])
        return torch.cat([moved, z[0, -1:]])[None]

    def _encoded(self, sentences: Sequence[str]) -> NDArray:
        self._encoder = self._encoder or load_text_encoder(self.stage2.text_encoder)
        embeddings = self._encoder.encode(sentences)
        if self.sentences is None:
            return embeddings
        return _one_by_one(partial(enter, self.sentences.cpu()), torch.from_numpy(embeddings)).numpy()

    def _understood(self, text: Tensor, spoken: Tensor, seeds: Sequence[int]) -> Tensor:
        """Sentences [B, k] as the denoiser is given them, of conditions that have one (spoken [B]). All parts of a motion have one meaning:
        their seeds are `NEXT_SEED` apart."""
        if self.reading == "asked" or not spoken.any():
            return text
        if self._meanings is None:
            self._meanings = torch.from_numpy(known_meanings(self.dataset, self._compared_by, self.stage2.one_sided))
        if not len(self._meanings):
            return text
        if self.reading == "known":
            read = _one_by_one(partial(as_known, meanings=self._meanings), text)
        else:
            read = as_drawn(text, self._meanings, [seed % NEXT_SEED for seed in seeds])
        return torch.where(spoken[:, None], read, text)

    def check_field(self, settings: Stage1Config, folder: Path) -> None:
        """Raises InputError if field.safetensors of a run, with these settings, is not the field of this system."""
        if self.stage1.field != settings.field:
            raise InputError(
                f"{folder}: nerm.safetensors and field.safetensors have fields of other settings; train the denoiser on this field"
            )

    def save(self, path: Path) -> None:
        """Weights with all settings inside, in one step: large matrices beyond the field in 8 bits, the rest in 16."""
        tensors, about = self.state()
        checkpoint.write(path, KIND, tensors, about, small=checkpoint.large_matrices(tensors, but="field."))

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All tensors, and all settings and facts: what a file of it holds."""
        tensors = {f"field.{k}": v for k, v in self.field.state_dict().items()}
        tensors |= {f"denoiser.{k}": v for k, v in self.denoiser.state_dict().items()}
        tensors |= {"shift": self.shift, "back": self.back}
        about: dict[str, Any] = {"stage1": asdict(self.stage1), "stage2": asdict(self.stage2), "labels": self.labels}
        about |= {"training": self.training, "trained_on": self.trained_on, "dataset": self.dataset}
        if self.sentences is not None:
            tensors["sentences"] = self.sentences
        if self.stance:
            tensors |= {f"stance.{k}": v for k, v in self.stance.state_dict().items()}
            about["stance"] = asdict(self.stance.config)
        return tensors, about


def load_nerm(where: str | Path = KIND) -> NeRM:
    """A shipped system by its name (nerm, nerm-paper), or any file that `NeRM.save` wrote."""
    return nerm_in(checkpoint.read(checkpoint.model_path(where), KIND))


def nerm_in(stored: checkpoint.Checkpoint) -> NeRM:
    """The system that a file holds."""
    about = stored.about
    if "texture" in about:  # of a version that drew what is faster than a code
        raise checkpoint.another_version(stored.path, "NeRM model")
    try:
        unsaid = {"one_sided": False, "sentence_space": 0}  # of a file that does not say
        stage1, stage2 = settings_of(Stage1Config, about["stage1"]), settings_of(Stage2Config, unsaid | about["stage2"])
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
            stored.tensors["sentences"].float() if "sentences" in stored.tensors else None,
            about["training"],
            about["trained_on"],
            about.get("dataset", "multirate"),
            stored.path.stem,
            stored.digest,
        )
    except (RuntimeError, KeyError, InputError, OmegaConfBaseException):  # settings that it does not name are today's defaults
        raise checkpoint.another_version(stored.path, "NeRM model") from None


def _code(z: Tensor, mirrored: bool = False, lasts: float | None = None) -> Code:
    made = {"z": z.detach().cpu().numpy(), "mirrored": np.array(mirrored)}
    return made if lasts is None else made | {"lasts": np.array(lasts)}


def _one_by_one(change: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """A change of rows [n, d], of each alone: the last digits of a product depend on how many rows it has."""
    return torch.cat([change(row) for row in rows.split(1)])


def _slowed(code: Code, seconds: float) -> tuple[float, float]:
    """How a code is read for so many seconds: (its time over that of the motion, its seconds). One that lasts less is read more slowly, of
    one that lasts more the middle is read."""
    lasts = min(float(code.get("lasts", seconds)), seconds)
    return lasts / seconds, lasts
