"""Are there enough motions for a figure? What a metric declares (`Metric.least`) against what there is. It knows no motion."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from evaluators.metrics import metric

if TYPE_CHECKING:
    from evaluators.protocols import EvaluationProtocol, Part, Unit
    from evaluators.tables import Row
    from nerm.data.dataset import Item

TRIALS = "motions of different trials"
LABELS = "captions of different labels"


class Shortage(NamedTuple):
    """A metric that is left out because there is too little. there: how many there are.  of: what is counted.  set: '' for every set."""

    metric: str
    there: int
    of: str = TRIALS
    set: str = ""


def too_few(name: str, there: int) -> bool:
    """Whether a metric needs more than there are."""
    return there < metric(name).least


def sentence(shortages: Iterable[Shortage]) -> str:
    """'FID, clip-FID (at least 32 motions of different trials are needed, there are 9 in set all); ...'; '' for none."""
    sets: dict[tuple, list[str]] = {}
    for short in shortages:
        entry = metric(short.metric)
        of_title = sets.setdefault((entry.least, short.of, short.there, entry.title), [])
        of_title += [short.set] if short.set and short.set not in of_title else []
    titles: dict[tuple, list[str]] = {}
    for (least, of, there, title), names in sets.items():
        titles.setdefault((least, of, there, " and ".join(names)), []).append(title)
    return "; ".join(
        f"{', '.join(listed)} (at least {least} {of} are needed, there {'is' if there == 1 else 'are'} {there}"
        + (f" in set {names})" if names else ")")
        for (least, of, there, names), listed in titles.items()
    )


def with_enough(protocol: EvaluationProtocol, row: Row, items: Sequence[Item]) -> tuple[list[Unit], list[Shortage]]:
    """The figures of a row for which its requests are of enough trials, and what the others lack."""
    counted: dict[tuple[str, float | None], int] = {}

    def trials(part: Part) -> int:
        if (part.asks, part.fps) not in counted:
            requests = protocol.requests(row, part.asks)
            counted[part.asks, part.fps] = len({items[requests[k].item].group for k in protocol.wanted(part)})
        return counted[part.asks, part.fps]

    units, short = [], []
    for unit in protocol.units(row):
        there = [trials(part) for part in unit.parts if part.asks]
        if unit.metric and there and too_few(unit.metric, min(there)):
            short.append(Shortage(unit.metric, min(there)))
        else:
            units.append(unit)
    return units, short
