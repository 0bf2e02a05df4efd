"""What every motion generator looks like from outside: conditions, seconds and seeds in, motions out. It knows no system and no metric."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from nerm.errors import InputError

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset, Item
    from nerm.motion import Motion

Code = Mapping[str, NDArray]
"""One sample before it is read at a rate: arrays by name, on the CPU, that can be written to a file."""


@dataclass(frozen=True)
class Condition:
    """What is asked for: a sentence, an action label, or (both None) anything."""

    text: str | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None and self.label is not None:
            raise InputError("a condition with text and label; give one of them or none")


@dataclass(frozen=True)
class Facts:
    """How a system was trained, as far as that is known; an official checkpoint does not say.

    steps, samples: by stage ('' for an only stage).  undertrained: a validation loss still fell by more than 2 % over the last fifth.
    dataset: the name of the dataset that it was trained on and whose labels it knows.
    """

    parameters: int | None = None
    steps: Mapping[str, int] = field(default_factory=dict)
    samples: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    device: str = ""
    undertrained: bool = False
    dataset: str = "multirate"

    @staticmethod
    def of(known: Mapping[str, Any]) -> Facts:
        """From the entries of a model file; a single number of steps or samples is that of the only stage, other keys are ignored."""
        kept = {key: value for key, value in known.items() if key in Facts.__dataclass_fields__ and value is not None}
        for key in ("steps", "samples"):
            if isinstance(kept.get(key), int):
                kept[key] = {"": kept[key]}
        return Facts(**kept)

    @staticmethod
    def of_stages(stages: Mapping[str, Mapping[str, Any]], parameters: int | None, dataset: str) -> Facts:
        """From how each stage of a training went, as `nerm.training.Fit.facts` tells it; without any, nothing is known."""
        if not stages:
            return Facts(dataset=dataset)
        return Facts(
            parameters=parameters,
            steps={name: stage["steps"] for name, stage in stages.items() if "steps" in stage},
            samples={name: stage["samples"] for name, stage in stages.items() if "samples" in stage},
            seconds=round(sum(stage.get("seconds", 0.0) for stage in stages.values()), 1),
            device=", ".join(sorted({stage["device"] for stage in stages.values() if "device" in stage})),
            undertrained=any(stage.get("undertrained") for stage in stages.values()),
            dataset=dataset,
        )

    @property
    def known(self) -> bool:
        """Whether anything is known of the training."""
        return self.parameters is not None or bool(self.steps)


class Generator(Protocol):
    """A generator of motion.

    name: its id.  native_fps: the rate it generates at before the resampler brings it to the rate asked for; None if it generates at any
    rate.  digest: sha256 of everything that its motions depend on besides conditions, seconds, fps and seeds.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def native_fps(self) -> float | None: ...

    @property
    def facts(self) -> Facts: ...

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, frames at k / fps from 0 to at most `seconds`; it depends on its own condition, time and seed alone.

        guidance: weight of classifier-free guidance; None is the system's own.  A system that makes features of a published format hands
        them over with a motion at its native rate (`Motion.features`).
        """
        ...


class ReadsCodes(ABC):
    """What a generator may also offer: codes that are sampled once and read at any rate. Its `sample` does both."""

    @abstractmethod
    def sample_codes(
        self, conditions: Sequence[Condition], seconds: Sequence[float], seeds: Sequence[int], guidance: float | None = None
    ) -> list[Code]:
        """One code per condition."""

    @abstractmethod
    def read(self, code: Code, seconds: float, fps: float) -> Motion:
        """The motion of one code at a rate."""


class Reconstructs(ABC):
    """What a generator may also offer: codes of given motions, and what a code alone says."""

    @abstractmethod
    def fit(self, motions: Sequence[Motion]) -> list[Code]:
        """One code per motion (canonical, at most as long as the system allows), found without changing the system."""

    @abstractmethod
    def training_codes(self, path: Path, dataset: Dataset) -> dict[str, Code]:
        """Id of a training item -> its code, from a file that the system's training wrote."""

    @abstractmethod
    def decode(self, code: Code, seconds: float, fps: float) -> Motion:
        """The motion of the code alone at a rate: the reading that training compares with recordings."""


class Continues(ABC):
    """What a generator may also offer: several conditions one after the other in a motion, and motions longer than it is trained on."""

    @property
    @abstractmethod
    def longest_s(self) -> float:
        """Of what `sample` makes in one piece, in seconds."""

    @abstractmethod
    def parts(self, condition: Condition, seconds: float) -> int:
        """In how many parts, which go on from each other, it makes a condition that is to last so long."""

    @abstractmethod
    def sample_sequence(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seed: int, guidance: float | None = None
    ) -> Motion:
        """A motion that meets each condition for as many seconds, one after the other; the same at every rate.

        A single condition for at most `longest_s` gives what `sample` gives.
        """


class Stands(ABC):
    """What a generator may also offer: the step that lets the legs decide where the body goes (`nerm.stance`), for any motion.

    stands: whether its weights have such a part.
    """

    @property
    @abstractmethod
    def stands(self) -> bool: ...

    @abstractmethod
    def stood(self, motion: Motion) -> Motion:
        """A motion with the path that its legs ask for; a pure function of it."""


class HasVariants(ABC):
    """What a generator may also offer: itself, sampled in another way.

    reading: how it reads sentences (`nerm.sentence_space.READINGS`).
    """

    reading: str

    @abstractmethod
    def variant(
        self, sampler: str | None = None, stance: bool = True, durations: str | None = None, reading: str | None = None
    ) -> Generator:
        """The same with another sampler of its diffusion, with paths as they were sampled, asked for other durations (`nerm.lasting`), or
        reading sentences in another way (`nerm.sentence_space`); it has a digest of its own."""


def one_each(conditions: Sequence[Condition], seconds: Sequence[float], seeds: Sequence[int]) -> None:
    """An error unless there is a duration and a seed for every condition."""
    if not len(conditions) == len(seconds) == len(seeds):
        raise InputError(f"{len(conditions)} conditions, {len(seconds)} durations and {len(seeds)} seeds; give one of each per motion")


def condition_of(item: Item, by: str = "text") -> Condition:
    """The condition that a generator is given for an item: its first sentence (by='text'), its label, or nothing."""
    if by == "text":
        return Condition(text=item.captions[0] if item.captions else None)
    return Condition(label=item.label or None) if by == "label" else Condition()
