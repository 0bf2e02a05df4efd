"""How well motions reproduce the recordings that they stand for, at every rate: errors, frequency bands, contacts and events.

Of a system: training items with the codes that they were trained with (set `train`), and test items with codes fitted to a system that
stays as it is (set `unseen`). Of recordings brought up from the base rate, and of recordings that stand still: the same items. The
truth at a rate is the recording's point values there; recordings slower than the rate are left out. It knows no extractor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from evaluators.damage import VARIANTS, damaged_alone
from evaluators.generation import REAL
from evaluators.metrics import metric
from evaluators.protocols import Arrays, EvaluationProtocol, Part, Run, Unit
from evaluators.protocols.reconstruction import ENTRIES, KINDS
from evaluators.protocols.reconstruction.measuring import MEASURES, figure, kind_of, same_frames, samples
from evaluators.store import Record
from evaluators.tables import Row
from nerm.checkpoint import sha256
from nerm.cli import progress
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.generator import Code, Reconstructs
from nerm.motion import Motion
from nerm.motion.resample import Method, at_rate

ENTRY = ENTRIES[0]
SETS = ("train", "unseen")
MEASURED = ("still",)
"""Kinds of damage to recordings that are measured beside reconstructions: silence, which has no error but all of the recording's energy."""


@dataclass(frozen=True)
class Tier:
    """train, unseen: how many items. Those of the fastest recordings come first: they count at every rate. Each unseen one takes a fit."""

    train: int
    unseen: int
    replications: int


TIERS = {"quick": Tier(24, 24, 5), "full": Tier(200, 200, 20), "paper": Tier(700, 200, 20)}


class ReconstructionProtocol(EvaluationProtocol):
    """For systems that reconstruct (`nerm.generator.Reconstructs`) and for recordings, where the dataset is prepared."""

    name, version = ENTRY.name, ENTRY.version
    tiers = TIERS

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self._motions: dict[str, Motion] = {}

    @property
    def settings(self) -> Tier:
        return TIERS[self.run.tier]

    @cached_property
    def _dataset(self) -> Dataset | None:
        """The dataset; if it is not prepared, None, and a line that says so."""
        try:
            return self.run.dataset()
        except InputError as error:
            progress(f"reconstruction: left out here ({error})")
            return None

    def units(self, row: Row) -> list[Unit]:
        sets = self._sets(row)
        if not sets or self._dataset is None:
            return []
        return [
            Unit(name, fps, (self._part(row, f"{kind_of(name)}/{set_}", fps),), set=set_)
            for name in ENTRY.metrics
            if name in self.run.table.metrics
            for fps in self.run.table.rates
            if fps >= metric(name).lowest_fps
            for set_ in sets
        ]

    def _sets(self, row: Row) -> list[str]:
        """The sets that a row is measured on: both for recordings, those with codes for a system, none for a row that does neither."""
        if row.system == REAL:
            return list(SETS) if row.upsampling or row.variant in MEASURED else []
        if row.upsampling or row.variant or not isinstance(self.run.system(row), Reconstructs):
            return []
        if self.run.codes_file(row) is None:
            progress(f"{row.id}: reconstruction of training items needs their codes; give {row.system}.codes=RUN/field.safetensors")
            return [name for name in SETS if name != "train"]
        return list(SETS)

    def _part(self, row: Row, name: str, fps: float | None = None) -> Part:
        file = self.run.codes_file(row) if row.system != REAL else None
        kind, _, set_ = name.partition("/")
        settings = [getattr(self.settings, set_), sha256(file) if set_ == "train" and file else ""]
        if kind in KINDS and kind != "errors":
            settings.append({name: metric(name).version for name in KINDS[kind]})
        return Part(name, fps, settings=settings)

    def measure(self, row: Row, part: Part) -> Arrays:
        kind, _, set_ = part.name.partition("/")
        if kind == "codes":
            return self._codes(row, set_)
        assert part.fps is not None
        return MEASURES[kind](self._pairs(row, set_, part.fps), part.fps)

    def _pairs(self, row: Row, set_: str, fps: float) -> Iterator[tuple[Motion, Motion]]:
        """Motion and recording of every item of a set that was recorded at fps or more, at fps and of the same frames."""
        made = self._brought_up(row, set_, fps) if row.system == REAL else self._decoded(row, set_, fps)
        for motion, read in made:
            yield same_frames(read, at_rate(motion, motion.seconds, fps))

    def _brought_up(self, row: Row, set_: str, fps: float) -> Iterator[tuple[Motion, Motion]]:
        """Recordings, and what a row makes of them."""
        items = self.run.dataset().items("train" if set_ == "train" else "test")
        for item in fastest(items, getattr(self.settings, set_)):
            motion = self._motion(item)
            if motion.fps >= fps - 1e-6:
                if row.variant:
                    yield motion, damaged_alone(motion, item, fps, self.run.seed, VARIANTS[row.variant])
                else:
                    low = at_rate(motion, motion.seconds, self.run.base_fps)
                    yield motion, at_rate(low, motion.seconds, fps, cast(Method, row.upsampling))

    def _decoded(self, row: Row, set_: str, fps: float) -> Iterator[tuple[Motion, Motion]]:
        """Recordings, and what a system reads out of their codes."""
        codes: dict[str, dict[str, NDArray]] = {}
        for key, array in self.run.part(row, self, self._part(row, f"codes/{set_}")).items():
            item, _, name = key.rpartition("/")
            codes.setdefault(item, {})[name] = array
        items = {item.id: item for item in self.run.dataset().items("train" if set_ == "train" else "test")}
        for name, code in codes.items():
            motion = self._motion(items[name])
            if motion.fps >= fps - 1e-6:
                yield motion, self._system(row).decode(code, motion.seconds, fps)

    def _system(self, row: Row) -> Reconstructs:
        system = self.run.system(row)
        assert isinstance(system, Reconstructs)  # `units` has none for other systems
        return system

    def _codes(self, row: Row, set_: str) -> Arrays:
        """Id of an item / name of an array -> array."""
        system, dataset = self._system(row), self.run.dataset()
        if set_ == "train":
            file = self.run.codes_file(row)
            assert file is not None
            trained = system.training_codes(file, dataset)
            items = fastest([item for item in dataset.items("train") if item.id in trained], self.settings.train)
            codes: dict[str, Code] = {item.id: trained[item.id] for item in items}
        else:
            items = fastest(dataset.items("test"), self.settings.unseen)
            codes = dict(zip([i.id for i in items], system.fit([self._motion(i) for i in items]), strict=True))
        return {f"{item}/{name}": array for item, code in codes.items() for name, array in code.items()}

    def _motion(self, item: Item) -> Motion:
        if item.id not in self._motions:
            self._motions[item.id] = self.run.dataset().motion(item)
        return self._motions[item.id]

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        """Replications draw items with replacement."""
        for unit in units:
            of_items = samples(unit.metric, part(unit.parts[0]))
            for replication in range(self.settings.replications if len(of_items) else 0):
                drawn = np.random.default_rng([self.run.seed, replication, 6]).integers(len(of_items), size=len(of_items))
                yield Record(
                    metric=unit.metric,
                    value=figure(unit.metric, of_items[drawn]),
                    n=len(of_items),
                    replication=replication,
                    seed=self.run.seed,
                    fps=unit.fps,
                    set=unit.set,
                    version=metric(unit.metric).version,
                    protocol=self.name,
                    protocol_version=self.version,
                )

    def about(self) -> dict[str, Any]:
        return {"reconstruction": asdict(self.settings)}


def fastest(items: Sequence[Item], count: int) -> list[Item]:
    """`count` items at random, those of the fastest recordings first."""
    order = np.random.default_rng(0).permutation(len(items))
    fps = np.array([items[k].fps for k in order])
    return [items[k] for k in order[np.argsort(-fps, kind="stable")][:count]]
