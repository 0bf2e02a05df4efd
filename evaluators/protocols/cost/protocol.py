"""The cost protocol in a run: every row of a system, in new processes, at every rate, for every duration and number of motions.

A set of its table is a request: `10s-batch32` asks for 32 motions of ten seconds in one call. A replication is a process. What it measures
holds for the machine, which is part of every key: on another machine, everything is measured again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from evaluators.generation import REAL
from evaluators.metrics import metric
from evaluators.protocols import Arrays, EvaluationProtocol, Part, Unit
from evaluators.protocols.cost import ENTRIES
from evaluators.protocols.cost.process import Asked, in_own_process
from evaluators.provenance import processor
from evaluators.records import Record
from evaluators.tables import Row
from evaluators.treatments import TREATMENTS
from nerm.errors import InputError
from nerm.generator import condition_of

ENTRY = ENTRIES[0]
THREADS = 1
_ARRAY = {"seconds_per_sample": "ms", "peak_memory": "mb"}


@dataclass(frozen=True)
class Tier:
    """processes: replications.  calls: of a process at a rate, whose median counts; fewer if they take longer than at_most_s together."""

    processes: int
    calls: int
    at_most_s: float


TIERS = {"quick": Tier(2, 3, 0.5), "full": Tier(3, 5, 1.0), "paper": Tier(5, 5, 1.0)}


class Load(NamedTuple):
    """A request: seconds of a motion, and motions of a call."""

    seconds: float
    motions: int


def load_of(name: str) -> Load:
    """'2.5s-batch32' -> 2.5 s, 32 motions."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)s-batch([1-9]\d*)", name)
    if not found or not float(found[1]):
        raise InputError(f"set '{name}' of a table of costs; expected seconds and motions in a call, as in 10s-batch32")
    return Load(float(found[1]), int(found[2]))


class CostProtocol(EvaluationProtocol):
    """For systems, as they are, brought up from the base rate, or without their stance; recordings cost nothing."""

    name, version = ENTRY.name, ENTRY.version
    tiers = TIERS
    _gflops: float | None = None

    @property
    def settings(self) -> Tier:
        return TIERS[self.run.tier]

    @property
    def rates(self) -> list[float]:
        return sorted(self.run.table.rates)

    def units(self, row: Row) -> list[Unit]:
        if row.system == REAL or (row.variant and TREATMENTS[row.variant].adds):
            return []
        wanted = [name for name in ENTRY.metrics if name in self.run.table.metrics]
        sets = {set_: self._part(row, set_) for set_ in self.run.table.sets}
        return [Unit(name, fps, (part,), set=set_) for set_, part in sets.items() for name in wanted for fps in self.rates]

    def _part(self, row: Row, set_: str) -> Part:
        """One for all rates, whose place in its key the row's way to a rate takes."""
        load_of(set_)
        settings = {"tier": asdict(self.settings), "rates": self.rates, "measured on": {**processor(), "threads": THREADS}}
        return Part(f"cost/{set_}", settings=settings | {"brought up": [row.upsampling, self.run.upsampling(row)]})

    def measure(self, row: Row, part: Part) -> Arrays:
        """ms, mb: [processes, rates].  gflops: [processes]."""
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError("time is measured by one process at a time; run this table without accelerate launch")
        seconds, motions = load_of(part.name.removeprefix("cost/"))
        items, system = self.run.items, self.run.system(row)
        weights = self.run.weights(row)
        asked = Asked(
            system=row.system,
            checkpoint=str(weights.resolve()) if weights else "",
            conditions=[asdict(condition_of(items[k % len(items)])) for k in range(motions)],
            seconds=seconds,
            rates=self.rates,
            low_fps=system.native_fps or (self.run.base_fps if row.upsampling else None),
            method=self.run.upsampling(row),
            without_stance=bool(row.variant),
            calls=self.settings.calls,
            at_most_s=self.settings.at_most_s,
            threads=THREADS,
        )
        measured = [in_own_process(asked) for _ in range(self.settings.processes)]
        return {name: np.array([getattr(m, name) for m in measured], dtype=np.float64) for name in ("ms", "mb", "gflops")}

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        for unit in units:
            arrays = part(unit.parts[0])
            self._gflops = float(np.median(arrays["gflops"]))
            for process, value in enumerate(arrays[_ARRAY[unit.metric]][:, self.rates.index(unit.fps)].tolist()):
                yield Record(
                    metric=unit.metric,
                    value=value,
                    n=load_of(unit.set).motions,
                    replication=process,
                    seed=self.run.seed,
                    fps=unit.fps,
                    set=unit.set,
                    upsampling=self.run.upsampling(row),
                    version=metric(unit.metric).version,
                    protocol=self.name,
                    protocol_version=self.version,
                )

    def about(self) -> dict[str, Any]:
        """The machine, and the rate of its matrix products in the processes that were scored last."""
        gflops = {} if self._gflops is None else {"gflops": round(self._gflops, 1)}
        return {"settings": asdict(self.settings), "measured_on": {**processor(), "threads": THREADS, **gflops}}
