"""A protocol in one file, with a metric of its own: the difference of mean joint speed from that of real motion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.generation import Request
from evaluators.items import sample_seed
from evaluators.metrics import Metric
from evaluators.protocols import Arrays, EvaluationProtocol, Part, ProtocolEntry, Unit
from evaluators.records import Record
from evaluators.tables import Row
from nerm.generator import condition_of

measured: list[str] = []
"""The name of every part that was measured."""


def mean_speed(motions: Sequence) -> NDArray[np.float32]:
    """[n] mean joint speed of each motion, m/s."""
    return np.array([np.linalg.norm(np.diff(m.joints, axis=0), axis=-1).mean() * m.fps for m in motions], dtype=np.float32)


class SpeedProtocol(EvaluationProtocol):
    """One motion per item; two replications, each of half the items."""

    name, version = "speed", 1
    tiers = {"quick": {"replications": 2}, "full": {"replications": 2}}  # noqa: RUF012

    def units(self, row: Row) -> list[Unit]:
        wanted = [name for name in ("speed_gap",) if name in self.run.table.metrics]
        return [Unit(name, fps, (self._part(fps),), (self._part(fps),)) for name in wanted for fps in self.run.table.rates]

    def _part(self, fps: float) -> Part:
        return Part("speeds", fps, asks="items")

    def requests(self, row: Row, asks: str) -> Sequence[Request]:
        seed = self.run.seed
        return [Request(k, condition_of(item), item.seconds, sample_seed(seed, item, 0)) for k, item in enumerate(self.run.items)]

    def wanted(self, part: Part) -> Sequence[int]:
        return range(len(self.run.items))

    def measure(self, row: Row, part: Part) -> Arrays:
        measured.append(part.place)
        motions = self.run.motions(row, self, part.asks, part.fps or 0, self.wanted(part))
        return {"speeds": mean_speed(list(motions.values()))}

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        for unit in units:
            own, expected = part(unit.parts[0])["speeds"], real(unit.reference[0])["speeds"]
            for replication in range(2):
                gap = float(abs(own[replication::2].mean() - expected[replication::2].mean()))
                yield Record(unit.metric, gap, len(own) // 2, replication, fps=unit.fps, protocol=self.name, protocol_version=self.version)


ENTRIES = (
    ProtocolEntry(
        name="speed",
        title="mean joint speed, compared with that of real motion",
        version=1,
        opens=f"{__name__}:SpeedProtocol",
        metrics=("speed_gap",),
        tiers=("quick", "full"),
    ),
    Metric(
        "speed_gap",
        "speed gap",
        "lower",
        "m/s",
        range=(0, float("inf")),
        takes="motions",
        invariant_to=frozenset({"order", "batch", "yaw", "translation"}),
        function=f"{__name__}:mean_speed",
        definition="difference of the mean joint speed from that of real motion",
    ),
)
