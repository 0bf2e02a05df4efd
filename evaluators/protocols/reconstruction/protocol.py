"""How well motions reproduce the recordings that they stand for, at every rate: errors, frequency bands, contacts and events.

Of a system: training items with the codes that they were trained with (set `train`), the same items with codes fitted anew to a system
that stays as it is (`train-fitted`), and test items with fitted codes (`unseen`). Of recordings brought up from the base rate, and of
recordings that stand still: the same items. The truth at a rate is the recording's point values there; recordings slower than the rate
are left out. Intervals draw trials. It knows no extractor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
from evaluators.protocols.reconstruction.measuring import MEASURES, SHORTEST_S, TRIALS, figure, kind_of, same_frames, samples
from evaluators.records import Record
from evaluators.tables import Row
from nerm.checkpoint import sha256
from nerm.cli import progress
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.generator import Code, Reconstructs
from nerm.motion import Motion
from nerm.motion.resample import Method, at_rate

ENTRY = ENTRIES[0]
TRAIN, FITTED, UNSEEN = "train", "train-fitted", "unseen"
MEASURED = ("still",)
"""Kinds of damage to recordings that are measured beside reconstructions: silence, which has no error but all of the recording's energy."""


@dataclass(frozen=True)
class Tier:
    """train, unseen: how many items. Those of the fastest recordings come first: they count at every rate. A code fitted takes a second.

    replications: bootstrap samples of the trials that the items are cut from.
    """

    train: int
    unseen: int
    replications: int

    def count(self, set_: str) -> int:
        """How many items of a set are measured."""
        return self.unseen if set_ == UNSEEN else self.train


TIERS = {"quick": Tier(24, 24, 20), "full": Tier(200, 200, 100), "paper": Tier(700, 200, 100)}


class ReconstructionProtocol(EvaluationProtocol):
    """For systems that reconstruct (`nerm.generator.Reconstructs`) and for recordings, where the dataset is prepared."""

    name, version, parts_version = ENTRY.name, ENTRY.version, ENTRY.parts_version
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
        """The sets that a row is measured on: none for a row that neither reconstructs nor is made of recordings."""
        if row.system == REAL:
            return [TRAIN, UNSEEN] if row.variant in MEASURED or (row.upsampling and not row.variant) else []
        if row.upsampling or row.variant or not isinstance(self.run.system(row), Reconstructs):
            return []
        if self.run.codes_file(row) is None:
            progress(f"{row.id}: the codes of its own training are not here; {row.system}.codes=RUN/field.safetensors adds set `{TRAIN}`")
            return [FITTED, UNSEEN]
        return [TRAIN, FITTED, UNSEEN]

    def _part(self, row: Row, name: str, fps: float | None = None) -> Part:
        file = self.run.codes_file(row) if row.system != REAL else None
        kind, _, set_ = name.partition("/")
        settings: list = [self.settings.count(set_), sha256(file) if set_ == TRAIN and file else ""]
        if kind in KINDS:
            settings += [SHORTEST_S[kind], {name: metric(name).version for name in KINDS[kind]}]
        return Part(name, fps, settings=settings)

    def measure(self, row: Row, part: Part) -> Arrays:
        kind, _, set_ = part.name.partition("/")
        if kind == "codes":
            return self._codes(row, set_)
        assert part.fps is not None
        codes = {} if row.system == REAL else self._kept_codes(row, set_)
        fast = [item for item in self._items(set_, codes) if self._motion(item).fps >= part.fps - 1e-6]
        items = [item for item in fast if self._motion(item).seconds >= SHORTEST_S[kind]]
        pairs = (self._pair(row, item, codes, part.fps) for item in items)
        trials = np.unique([item.group for item in items], return_inverse=True)[1] if items else np.zeros(0, int)
        return {**MEASURES[kind](pairs, part.fps), TRIALS: trials}

    def _items(self, set_: str, codes: Mapping[str, Code]) -> list[Item]:
        """The items of a set: those with codes, or for recordings the first that a system is measured on."""
        items = self.run.dataset().items("test" if set_ == UNSEEN else "train")
        if not codes:
            return fastest(items, self.settings.count(set_))
        by_id = {item.id: item for item in items}
        return [by_id[name] for name in codes]

    def _pair(self, row: Row, item: Item, codes: Mapping[str, Code], fps: float) -> tuple[Motion, Motion]:
        """What a row makes of an item, and its recording, at fps and of the same frames."""
        motion = self._motion(item)
        if row.system != REAL:
            made = self._system(row).decode(codes[item.id], motion.seconds, fps)
        elif row.variant:
            made = damaged_alone(motion, item, fps, self.run.seed, VARIANTS[row.variant])
        else:
            low = at_rate(motion, motion.seconds, self.run.base_fps)
            made = at_rate(low, motion.seconds, fps, cast(Method, row.upsampling))
        return same_frames(made, at_rate(motion, motion.seconds, fps))

    def _kept_codes(self, row: Row, set_: str) -> dict[str, Code]:
        """Id of an item -> its code."""
        codes: dict[str, dict[str, NDArray]] = {}
        for key, array in self.run.part(row, self, self._part(row, f"codes/{set_}")).items():
            item, _, name = key.rpartition("/")
            codes.setdefault(item, {})[name] = array
        return dict(codes)

    def _system(self, row: Row) -> Reconstructs:
        system = self.run.system(row)
        assert isinstance(system, Reconstructs)  # `units` has none for other systems
        return system

    def _codes(self, row: Row, set_: str) -> Arrays:
        """Id of an item / name of an array -> array."""
        system, dataset = self._system(row), self.run.dataset()
        if set_ == TRAIN:
            file = self.run.codes_file(row)
            assert file is not None
            trained = system.training_codes(file, dataset)
            items = fastest([item for item in dataset.items("train") if item.id in trained], self.settings.train)
            codes: dict[str, Code] = {item.id: trained[item.id] for item in items}
        else:
            items = self._items(set_, {})
            codes = dict(zip([i.id for i in items], system.fit([self._motion(i) for i in items]), strict=True))
        return {f"{item}/{name}": array for item, code in codes.items() for name, array in code.items()}

    def _motion(self, item: Item) -> Motion:
        if item.id not in self._motions:
            self._motions[item.id] = self.run.dataset().motion(item)
        return self._motions[item.id]

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        """Replications draw trials with replacement, each with all of its items."""
        for unit in units:
            values, trials = samples(unit.metric, part(unit.parts[0]))
            for replication in range(self.settings.replications if trials else 0):
                chosen = np.random.default_rng([self.run.seed, replication, 6]).integers(len(trials), size=len(trials))
                drawn = values[np.concatenate([trials[k] for k in chosen])]
                yield Record(
                    metric=unit.metric,
                    value=figure(unit.metric, drawn),
                    n=len(trials),
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
