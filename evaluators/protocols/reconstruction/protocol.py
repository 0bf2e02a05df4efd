"""MRE, root path and 8-20 Hz error of motions read out of their codes, at every rate: training items with the codes that they were trained
with (set `train`), and test items with codes fitted to a system that stays as it is (set `unseen`).

The truth at a rate is the recording's point values there; recordings slower than the rate are left out. It knows no extractor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.generation import REAL
from evaluators.metrics import metric
from evaluators.metrics.reconstruction import band_error, mre_mm, root_path_mm
from evaluators.protocols import Arrays, EvaluationProtocol, Part, Run, Unit
from evaluators.protocols.reconstruction import ENTRIES
from evaluators.store import Record
from evaluators.tables import Row
from nerm.checkpoint import sha256
from nerm.cli import progress
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.generator import Code, Reconstructs
from nerm.motion import Motion
from nerm.motion.resample import at_rate

ENTRY = ENTRIES[0]
SETS = ("train", "unseen")
BAND_FRAMES = 64
"""The fewest frames of a motion that has an 8-20 Hz error."""


@dataclass(frozen=True)
class Tier:
    """train, unseen: how many items. Those of the fastest recordings come first: they count at every rate. Each unseen one takes a fit."""

    train: int
    unseen: int
    replications: int


TIERS = {"quick": Tier(24, 24, 5), "full": Tier(700, 200, 20), "paper": Tier(700, 200, 20)}


class ReconstructionProtocol(EvaluationProtocol):
    """For systems that reconstruct (`nerm.generator.Reconstructs`), where the dataset is prepared."""

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
        if row.system == REAL or row.upsampling or row.variant or not isinstance(self.run.system(row), Reconstructs):
            return []
        if self._dataset is None:
            return []
        file = self.run.codes_file(row)
        if file is None:
            progress(f"{row.id}: reconstruction of training items needs their codes; give {row.system}.codes=RUN/field.safetensors")
        sets = [name for name in SETS if name != "train" or file is not None]
        return [
            Unit(name, fps, (self._part(row, f"errors/{set_}", fps),), set=set_)
            for name in ENTRY.metrics
            if name in self.run.table.metrics
            for fps in self.run.table.rates
            if fps >= metric(name).lowest_fps
            for set_ in sets
        ]

    def _part(self, row: Row, name: str, fps: float | None = None) -> Part:
        file = self.run.codes_file(row)
        train = name.endswith("/train")
        return Part(name, fps, settings=[getattr(self.settings, name.partition("/")[2]), sha256(file) if train and file else ""])

    def measure(self, row: Row, part: Part) -> Arrays:
        kind, _, set_ = part.name.partition("/")
        if kind == "codes":
            return self._codes(row, set_)
        assert part.fps is not None
        stored = self.run.part(row, self, self._part(row, f"codes/{set_}"))
        codes: dict[str, dict[str, NDArray]] = {}
        for key, array in stored.items():
            item, _, name = key.rpartition("/")
            codes.setdefault(item, {})[name] = array
        return self._errors(self._system(row), codes, set_, part.fps)

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

    def _errors(self, system: Reconstructs, codes: dict[str, dict[str, NDArray]], set_: str, fps: float) -> Arrays:
        """[n] values of every metric, for the items recorded at fps or more; NaN where a metric is not defined."""
        items = {item.id: item for item in self.run.dataset().items("train" if set_ == "train" else "test")}
        errors = []
        for name, code in codes.items():
            motion = self._motion(items[name])
            if motion.fps >= fps - 1e-6:
                truth = at_rate(motion, motion.seconds, fps).joints
                read = system.decode(code, motion.seconds, fps).joints[: len(truth)]
                high = fps >= metric("band_error").lowest_fps and len(truth) >= BAND_FRAMES
                errors.append((mre_mm(read, truth), root_path_mm(read, truth), band_error(read, truth, fps) if high else np.nan))
        return dict(zip(ENTRY.metrics, np.array(errors, dtype=np.float64).reshape(-1, 3).T, strict=True))

    def _motion(self, item: Item) -> Motion:
        if item.id not in self._motions:
            self._motions[item.id] = self.run.dataset().motion(item)
        return self._motions[item.id]

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        """Replications draw items with replacement."""
        for unit in units:
            values = part(unit.parts[0])[unit.metric]
            finite = values[np.isfinite(values)]
            for replication in range(self.settings.replications if len(finite) else 0):
                drawn = np.random.default_rng([self.run.seed, replication, 6]).integers(len(finite), size=len(finite))
                yield Record(
                    metric=unit.metric,
                    value=float(finite[drawn].mean()),
                    n=len(finite),
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
