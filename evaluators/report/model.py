"""What a report holds: the figures of a table in the groups in which they are printed. It knows no format and computes no metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from evaluators.intervals import Difference, Resamples, difference
from evaluators.metrics import Metric, metric
from evaluators.protocols import resamples_of
from evaluators.records import Document, Figure
from evaluators.report.trainings import Spread, mean_of_trainings, spread_of_trainings
from evaluators.tables import Main, Published, Row, Table, position, training_of
from evaluators.treatments import steps_after

FALLBACK = {"quick": "full"}
"""Tier -> the tier that rows are taken from if it did not compute them; without data these are floor, oracles and controls."""
Key = tuple[str, str]
"""A row of a section: id and upsampling."""


@dataclass(frozen=True)
class PublishedFigure:
    """One line of published.csv, in the unit of our metric."""

    system: str
    metric: str
    fps: float | None
    value: float
    ci95: float | None


@dataclass(frozen=True)
class Comparison:
    """A row compared with the best of some others, at the highest rate."""

    fps: float | None
    mine: str
    rival: str
    others: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What is printed: the figures of one table at one tier, those taken over from another tier included."""

    table: Table
    dataset: str
    tier: str
    documents: tuple[Document, ...]
    figures: tuple[Figure, ...]
    published: tuple[PublishedFigure, ...]

    @cached_property
    def rows(self) -> dict[str, Row]:
        """Id -> row, of everything that is printed, in the order of the table. Several trainings of a system are one row."""
        ids = {training_of(d.system)[0]: str(d.provenance.get("checkpoint") or "") for d in self.documents}
        rows = {name: self.table.stored_row(name, checkpoint) for name, checkpoint in ids.items()}
        titles = {d.system: str(d.provenance["title"]) for d in self.documents if "title" in d.provenance}
        rows |= {name: replace(rows[name], title=title) for name, title in titles.items() if name in rows}
        return dict(sorted(rows.items(), key=lambda item: self.table.place(item[0])))

    @cached_property
    def tiers(self) -> dict[str, str]:
        """Id -> the tier that computed the row."""
        return {training_of(document.system)[0]: document.tier for document in self.documents}

    @cached_property
    def run_here(self) -> set[str]:
        """The published systems that have a row of figures."""
        return {row.published for row in self.rows.values() if row.published}

    @property
    def comparable(self) -> bool:
        """Whether some figures are of the dataset and the extractor that the published ones are of."""
        where = self.table.published
        of_ours = {figure.extractor for figure in self.figures}
        return where is not None and where.dataset == self.dataset and bool(where.official) and where.official in of_ours

    @cached_property
    def training(self) -> dict[str, dict]:
        """Id -> how it was trained, where that is known."""
        facts = {document.system: document.provenance.get("training") for document in self.documents}
        return {name: fact for name, fact in facts.items() if fact and (fact.get("parameters") or fact.get("steps"))}

    @cached_property
    def shared_steps(self) -> dict[str, list[str]]:
        """Step of training or treatment -> ids of the rows that have it, for steps that rows of different systems or weights share.

        Motion that is given a step of another system has that step, and motion read without one does not.
        """
        having: dict[str, list[str]] = {}
        for name, row in self.rows.items():
            steps = self.training.get(name, {}).get("steps")
            for step in steps_after(row.variant, list(steps) if isinstance(steps, Mapping) else []):
                having.setdefault(step, []).append(name)
        return {step: names for step, names in sorted(having.items()) if step and len({self.made_by(name) for name in names}) > 1}

    def made_by(self, name: str) -> tuple[str, str]:
        """The system of a row, and the user's weights of it, '' for the shipped ones."""
        return self.rows[name].system, self.rows[name].checkpoint

    @cached_property
    def sections(self) -> list[Section]:
        """Figures that may stand in one table: same metric, version, extractor, set and protocol; in the order of the table."""
        grouped: dict[tuple, list[Figure]] = {}
        for figure in self.figures:
            key = (figure.metric, figure.extractor, figure.set, figure.version, figure.protocol, figure.protocol_version)
            grouped.setdefault(key, []).append(figure)
        table = self.table

        def order(key: tuple) -> tuple:
            return (*(position(x, names) for x, names in zip(key, (table.metrics, table.extractors, table.sets), strict=False)), key[3:])

        return [Section(self, tuple(grouped[key]), *key) for key in sorted(grouped, key=order)]

    @cached_property
    def main(self) -> Section | None:
        """The section that answers the question of the table: that of its main metric, in its newest version, else the first of all."""
        wanted = self.table.main
        fits = [s for s in self.sections if wanted is None or s.answers(wanted)] or self._stands_in(wanted) or self.sections
        return max((s for s in fits if s.key == fits[0].key), key=lambda s: s.versions, default=None)

    @property
    def stand_in(self) -> bool:
        """Whether another metric than the table's leads, because nothing is stored of that one."""
        return self.main is not None and self.table.main is not None and not self.main.answers(self.table.main)

    def _stands_in(self, wanted: Main | None) -> list[Section]:
        """Other distances, those of the extractor and set of the main metric first."""
        distances = [section for section in self.sections if section.metric.is_distance]
        return sorted(distances, key=lambda s: wanted is not None and not s.answers(replace(wanted, metric=s.metric_id)))


@dataclass(frozen=True)
class Section:
    """Figures of one metric: rows down, frame rates across."""

    report: Report
    figures: tuple[Figure, ...]
    metric_id: str
    extractor: str
    set: str
    version: int
    protocol: str
    protocol_version: int

    @property
    def metric(self) -> Metric:
        return metric(self.metric_id)

    @property
    def resamples(self) -> Resamples:
        """What its replications are."""
        return resamples_of(self.metric, self.protocol)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.metric_id, self.extractor, self.set)

    @cached_property
    def rates(self) -> list[float | None]:
        return sorted({figure.fps for figure in self.figures}, key=_rate)

    @cached_property
    def rows(self) -> list[Key]:
        """In the order of the table."""
        return sorted({(f.system, f.upsampling) for f in self.figures}, key=lambda row: (self.report.table.place(row[0]), row[1]))

    @cached_property
    def cells(self) -> dict[tuple[str, str, float | None], Figure]:
        """Row and rate -> what is printed there: of several trainings their mean."""
        return {place: mean_of_trainings(of_place) for place, of_place in self._by_place.items()}

    @cached_property
    def spreads(self) -> dict[tuple[str, str, float | None], Spread]:
        """Row and rate -> how far several trainings are from each other; only where there are several."""
        return {place: spread_of_trainings(found) for place, found in self._by_place.items() if len(found) > 1}

    @cached_property
    def _by_place(self) -> dict[tuple[str, str, float | None], list[Figure]]:
        places: dict[tuple[str, str, float | None], list[Figure]] = {}
        for figure in self.figures:
            places.setdefault((figure.system, figure.upsampling, figure.fps), []).append(figure)
        return places

    @cached_property
    def repeated(self) -> dict[float | None, str]:
        """Rate -> the set of an earlier section that holds the same replications of the same rows there."""
        equal: dict[float | None, str] = {}
        for other in self.report.sections:
            if other is self:
                break
            if (other.metric_id, other.extractor, other.versions) == (self.metric_id, self.extractor, self.versions):
                for fps in self.rates:
                    if self._at(fps) == other._at(fps):
                        equal.setdefault(fps, other.set)
        return equal

    @property
    def own_rates(self) -> list[float | None]:
        """The rates at which no earlier section holds the same."""
        return [fps for fps in self.rates if fps not in self.repeated]

    @property
    def several_versions(self) -> bool:
        """Whether the report holds this metric in other versions too."""
        return len({s.versions for s in self.report.sections if s.key == self.key}) > 1

    def best(self, fps: float | None) -> frozenset[Key]:
        """The best generator at a rate, among all printed rows, and those whose difference from it does not exclude zero."""
        of_rate = [figure for figure in self.cells.values() if figure.fps == fps]
        role = {figure.system: self.report.rows[figure.system].role for figure in of_rate}
        values = {(f.system, f.upsampling): f.mean for f in of_rate if role[f.system] == "generator"}
        real = [f.mean for f in of_rate if role[f.system] == "real"]
        if len(values) < 2 or (self.metric.direction == "real" and len(real) != 1):
            return frozenset()
        score = {"higher": lambda v: -v, "lower": lambda v: v, "real": lambda v: abs(v - real[0])}[self.metric.direction]
        winner = min(values, key=lambda row: score(values[row]))
        printed = number(values[winner], self.metric)
        return frozenset(
            row
            for row, value in values.items()
            if number(value, self.metric) == printed or not self.difference(winner, row, fps).excludes_zero
        )

    def difference(self, first: Key, second: Key, fps: float | None) -> Difference:
        """The second row minus the first at a rate, in pairs if they saw the same draws.

        Rows that are made by one system are compared over the trainings that both have: one may have been computed for fewer of them.
        """
        one, other = self._by_place[*first, fps], self._by_place[*second, fps]
        both = {figure.training for figure in one} & {figure.training for figure in other}
        if both and self.report.made_by(first[0]) == self.report.made_by(second[0]):
            one, other = ([figure for figure in found if figure.training in both] for found in (one, other))
        return difference(mean_of_trainings(one).draws, mean_of_trainings(other).draws, self.resamples)

    @cached_property
    def first(self) -> Key | None:
        """The row that every other is compared with: the leading one of the table, else the first generator."""
        leading = self.report.table.leading
        fits = [row for row in self.rows if row[0] == leading] or [r for r in self.rows if self.report.rows[r[0]].role == "generator"]
        return fits[0] if fits else None

    def answers(self, wanted: Main) -> bool:
        """Whether this is the metric of a table's question."""
        return (self.metric_id, self.extractor, self.set) == (wanted.metric, wanted.extractor or self.extractor, wanted.set or self.set)

    def takes(self, published: Published | None) -> bool:
        """Whether published figures belong to this section."""
        if published is None or self.set not in ("", published.set):
            return False
        return self.extractor in ("", published.official if self.report.comparable else published.extractor)

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Those that the table asks for, as far as this metric has figures."""
        fps = self.rates[-1]
        values = {f.system: f.mean for f in self.cells.values() if f.fps == fps}
        found = (compare(values, names, fps, self.metric) for names in self.report.table.compared)
        return tuple(comparison for comparison in found if comparison)

    def key_of(self, system: str, fps: float | None) -> Key:
        """The row of a system at a rate; of several the last, as in `comparisons`."""
        return next(key for key in reversed(self.rows) if key[0] == system and (*key, fps) in self.cells)

    @property
    def versions(self) -> tuple[int, str, int]:
        """Versions of metric and protocol: only figures of equal versions are compared."""
        return (self.version, self.protocol, self.protocol_version)

    def _at(self, fps: float | None) -> dict[Key, tuple]:
        return {(f.system, f.upsampling): (f.values, f.counts) for f in self.cells.values() if f.fps == fps}


def compare(values: dict[str, float], names: tuple[str, ...], fps: float | None, entry: Metric) -> Comparison | None:
    """The first of `names` compared with the best of the others; None if one side is missing, or if neither higher nor lower is better."""
    others = tuple(name for name in names[1:] if name in values)
    if not others or names[0] not in values or entry.direction == "real":
        return None
    rival = {"lower": min, "higher": max}[entry.direction](others, key=values.__getitem__)
    return Comparison(fps, names[0], rival, others)


def number(value: float, entry: Metric) -> str:
    """A value as it is printed."""
    text = f"{value:.{entry.digits}f}"
    return text if float(text) or not value else f"{value:.1e}"


def _rate(fps: float | None) -> float:
    return -1.0 if fps is None else fps
