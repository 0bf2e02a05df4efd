"""The Markdown that a person reads, and the summary at the end of a run: one table that answers the question, the rest below it.

Every figure is in the CSV. The Markdown leaves out sets that repeat another one; of other metrics it has only the lowest and highest rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from evaluators.intervals import interval
from evaluators.metrics import Metric, metric
from evaluators.protocols import resamples_of
from evaluators.records import Figure
from evaluators.report.differences import change, comparisons_in_words, dimensions, is_dimensions
from evaluators.report.model import FALLBACK, Key, Report, Section, number
from evaluators.report.origins import UNDERTRAINED, machines, provenance, training
from evaluators.report.published import published_lines, published_note, published_tables
from evaluators.report.trainings import Spread
from evaluators.report.words import and_, better, capital, grid, heading, name_of, span, versions, with_interval

INTERVALS = "[what the intervals cover](../../docs/intervals.md)"
STORED = "†"
ARROWS = {"higher": "↑", "lower": "↓", "real": "→"}
LINES = 30
"""The most lines of a summary."""


def markdown(report: Report, pictures: Sequence[str] = ()) -> str:
    """The report as Markdown. pictures: names of the files that are shown, in the same folder."""
    main = report.main
    across = [s for s in report.sections if s.metric_id in report.table.pictured and s is not main and len(s.own_rates) > 1]
    shown = [main] if main and report.table.layout == "rates" else _columns_of_main(report)
    rest = [(s, _left(s, shown, report)) for s in report.sections if s not in across and not is_dimensions(s)]
    parts = [f"# {report.table.title}\n"]
    parts += [f"{report.table.question}\n"] if report.table.question else []
    parts += _answer(report, shown)
    parts += [f"![{name}]({name})\n" for name in pictures]
    parts.append(f"## Rows and columns\n\n{report.table.about} n is the number of samples per replication.\n")
    parts += [line + "\n" for line in (shared_steps(report), equal_sets(report), dimensions(report, heading)) if line]
    parts += [text for section in across for text in _against_rate(section)]
    parts += _by_metric(report, rest)
    if report.table.layout == "rates":
        parts += published_tables(report)
    parts += ["## Metrics\n", "\n".join(_definitions(report)) + "\n"]
    parts += training(report)
    parts += ["## Provenance\n", provenance(report) + "\n"]
    return "\n".join(parts)


def summary_lines(report: Report, computed: Sequence[str], paths: Sequence[Path]) -> list[str]:
    """See `evaluators.report.summary`."""
    stored = [name for name in report.rows if name not in computed]
    lines = [f"{report.table.title}: dataset {report.dataset}, tier {report.tier}"]
    lines.append(f"computed now: {', '.join(computed) or 'nothing'}; taken from store: {len(stored)} of {len(report.rows)} rows")
    tail = [str(path) for path in paths]
    main = report.main
    if main:
        room = LINES - len(lines) - len(tail) - 6
        keys = _most_wanted(main.rows, computed, room)
        texts = [[label(report, key, main.rows), *_cells(main, main.rates, key)] for key in keys]
        table = tabulate(texts, ["", *map(heading, main.rates)], tablefmt="plain", disable_numparse=True)
        lines += ["", f"{title(main).replace('`', '')}: {better(main.metric)}; means ± 95 % intervals", *table.splitlines()]
        lines += [f"... and {len(main.rows) - len(keys)} more rows"] if len(keys) < len(main.rows) else []
        lines += [_marks(report), ""] if _marks(report) else [""]
    return (lines + tail)[:LINES]


def line_of(report: Report, computed: Sequence[str], paths: Sequence[Path]) -> str:
    """See `evaluators.report.summary_line`."""
    main = report.main
    first = main.first if main else None
    parts = [f"{report.table.name}: {len(report.rows)} rows, {len(computed)} computed now"]
    if main and first:
        fps = main.rates[-1]
        (text,) = _cells(main, [fps], first)
        parts.append(f"{main.metric.title} of {label(report, first, main.rows)} at {heading(fps)}: {text}")
    return "; ".join([*parts, str(paths[0])])


def title(section: Section) -> str:
    """Metric, unit, extractor and set, and the versions where there are several."""
    parts = [name_of(section.metric)]
    parts += [f"extractor `{section.extractor}`"] if section.extractor else []
    parts += [f"set `{section.set}`"] if section.set else []
    parts += [versions(section)] if section.several_versions else []
    return ", ".join(parts)


def label(report: Report, key: Key, rows: Iterable[Key]) -> str:
    """What a row is called: its title, how it was brought up where that differs within it, and its marks."""
    system, upsampling = key
    several = sum(row[0] == system for row in rows) > 1
    marks = UNDERTRAINED if report.training.get(system, {}).get("undertrained") else ""
    marks += STORED if report.tiers[system] != report.tier else ""
    return report.rows[system].title + (f" ({upsampling or 'own rate'})" if several else "") + marks


# --- the answer -----------------------------------------------------------------------------------------------------------------------


def _answer(report: Report, shown: Sequence[Section]) -> list[str]:
    """The table that answers the question, how to read it, and the comparison in words."""
    if not shown:
        return []
    main = report.main
    assert main is not None  # without a main section nothing is shown
    about = f"dataset `{report.dataset}`, tier `{report.tier}`"
    if report.table.layout == "rates":
        parts = [f"**{title(main)}** ({about}):\n", _rates_table(main, main.rates) + "\n"]
        reading = capital(better(main.metric))
    else:
        fps = main.rates[0]
        where = ", ".join([heading(fps), *([f"extractor `{main.extractor}`"] if main.extractor else []), f"set `{main.set}`"])
        parts = [f"**{where}** ({about}):\n", _metrics_table(report, shown, fps) + "\n"]
        reading = "↑ higher is better, ↓ lower is better, → nearest to real is best"
    parts.append(
        f"{reading}; the best generator of a column is bold, and every other whose difference from it does not exclude zero. Real motion, "
        f"oracles and controls do not compete.\n{intervals(shown)}\n"
    )
    parts += [comparisons_in_words(main, heading) + "\n"] if main.comparisons else []
    parts += [note + "\n" for note in notes(report)]
    return parts + _differences(main)


def intervals(shown: Sequence[Section]) -> str:
    """What ± means in the sections that are shown."""
    counts = {
        kind: span(sorted({len(f.values) for s in shown if s.resamples == kind for f in s.figures}))
        for kind in ("trials", "draws", "processes")
    }
    texts = {
        "trials": f"1.96 standard deviations of {counts['trials']} bootstrap samples of trials",
        "draws": f"1.96 standard errors of {counts['draws']} draws of clips, pairs, pools or halves from the same trials",
        "processes": f"1.96 standard errors of {counts['processes']} processes on the same machine",
    }
    of = {kind: ", ".join(dict.fromkeys(s.metric.title for s in shown if s.resamples == kind)) for kind in texts}
    several = sum(map(bool, of.values())) > 1
    said = "; ".join(f"{texts[kind]}{f' ({of[kind]})' if several else ''}" for kind in texts if of[kind])
    return f"Values are means ± 95 % intervals: {said}. They are of one training, unless a cell says otherwise: {INTERVALS}."


def _differences(section: Section) -> list[str]:
    """The difference of every row from the first, rate by rate."""
    first = section.first
    rows = [key for key in section.rows if key != first and section.report.rows[key[0]].role != "real"]
    if first is None or not rows:
        return []
    name = label(section.report, first, section.rows)
    lines = [[label(section.report, key, section.rows), *(change(section, key, fps) for fps in section.rates)] for key in rows]
    return [
        f"**{section.metric.title}: difference from {name}**, ± its own 95 % interval; ▲ higher and ▼ lower where that excludes zero. Rows "
        "that saw the same draws are compared draw by draw, so a difference can be certain where the intervals of two rows overlap.\n",
        grid(lines, list(map(heading, section.rates))) + "\n",
    ]


def _columns_of_main(report: Report) -> list[Section]:
    """The sections of the main extractor and set, where metrics stand across."""
    main = report.main
    if main is None:
        return []
    return [s for s in report.sections if (s.extractor, s.set) == (main.extractor, main.set) and main.rates[0] in s.rates]


def notes(report: Report) -> list[str]:
    """What the marks of rows mean, and which metric leads in place of another."""
    notes = [published_note(report)] if report.table.layout == "metrics" and report.published else []
    wanted = report.table.main
    if report.stand_in and report.main is not None and wanted is not None:
        asked = ", ".join([metric(wanted.metric).title, *(name for name in (wanted.extractor, wanted.set) if name)])
        notes.append(f"Nothing is stored of {asked}, which decides this table; {title(report.main)} stands first in its place.")
    several = machines(report)[1:]
    notes += [" ".join(machines(report))] if several else []
    if any(facts.get("undertrained") for facts in report.training.values()):
        notes.append(f"{UNDERTRAINED} undertrained: its validation loss still fell by more than 2 % over the last fifth of the training.")
    if any(tier != report.tier for tier in report.tiers.values()):
        notes.append(
            f"{STORED} Taken from the stored run of tier `{FALLBACK[report.tier]}`, not computed in this one: such rows need data or time "
            f"that tier `{report.tier}` does without."
        )
    return notes


# --- the rest -------------------------------------------------------------------------------------------------------------------------


def _against_rate(section: Section) -> list[str]:
    """A metric with frame rates across, without the rates that repeat another set."""
    parts = [f"## {title(section)}\n", f"{capital(better(section.metric))}.\n"]
    parts.append(_rates_table(section, section.own_rates) + "\n")
    return parts + ([comparisons_in_words(section, heading) + "\n"] if section.comparisons else [])


def _left(section: Section, shown: Sequence[Section], report: Report) -> list[float | None]:
    """The rates of a section that the first table does not show and that repeat no other set."""
    if section not in shown:
        return section.own_rates
    return [] if report.table.layout == "rates" else [fps for fps in section.own_rates if fps != section.rates[0]]


def _by_metric(report: Report, sections: Sequence[tuple[Section, list[float | None]]]) -> list[str]:
    """The other metrics across, one table per extractor, set and rate; of several rates the lowest and the highest."""
    groups: dict[tuple[str, str], list[tuple[Section, list[float | None]]]] = {}
    for section, left in sections:
        if left:
            groups.setdefault((section.extractor, section.set), []).append((section, left))
    parts, left_out = [], False
    for (extractor, set_), group in groups.items():
        rates = sorted({fps for _, left in group for fps in left}, key=lambda fps: -1.0 if fps is None else fps)
        left_out |= len(rates) > 2
        for fps in dict.fromkeys((rates[0], rates[-1])):
            about = [*([f"extractor `{extractor}`"] if extractor else []), *([f"set `{set_}`"] if set_ else []), heading(fps)]
            parts += [f"### {', '.join(about)}\n", _metrics_table(report, [s for s, left in group if fps in left], fps) + "\n"]
    if not parts:
        return []
    between = f" Rates between the lowest and the highest are in `{report.table.name}.{report.tier}.csv`." if left_out else ""
    return ["## Other metrics\n", f"↑ higher is better, ↓ lower is better, → nearest to real is best.{between}\n", *parts]


def equal_sets(report: Report) -> str:
    """The sets that are not printed at some rates, because they are equal to another set there."""
    equal: dict[tuple[str, str, str], list[float | None]] = {}
    for set_ in dict.fromkeys(section.set for section in report.sections):
        sections = [section for section in report.sections if section.set == set_]
        for fps in sorted({fps for s in sections for fps in s.repeated}, key=lambda fps: fps or 0):
            here = [section for section in sections if fps in section.rates]
            for other in dict.fromkeys(section.repeated[fps] for section in here if fps in section.repeated):
                same = [section for section in here if section.repeated.get(fps) == other]
                metrics = "" if len(same) == len(here) else and_(list(dict.fromkeys(section.metric.title for section in same)))
                equal.setdefault((set_, other, metrics), []).append(fps)
    texts = [
        f"set `{set_}` holds the same as set `{other}` at {and_([heading(fps) for fps in rates])}{metrics and f' ({metrics})'}"
        for (set_, other, metrics), rates in equal.items()
    ]
    return f"Not printed twice: {'; '.join(texts)}." if texts else ""


def shared_steps(report: Report) -> str:
    """Which rows share a step of their training, or were given one that another system was trained in."""
    texts = [f"- {step}: {'; '.join(report.rows[name].title for name in names)}" for step, names in report.shared_steps.items()]
    return "\n".join(["Steps that rows of different systems share:\n", *texts]) if texts else ""


def _definitions(report: Report) -> list[str]:
    """One line per metric that is printed."""
    return [f"- {name_of(m)}: {better(m)}; {m.definition}." for m in dict.fromkeys(section.metric for section in report.sections)]


# --- tables ---------------------------------------------------------------------------------------------------------------------------


def _rates_table(section: Section, rates: Sequence[float | None]) -> str:
    """Rows down, rates across, and the number of samples per replication."""
    best = {fps: section.best(fps) for fps in rates}
    lines = []
    for key in section.rows:
        counts = sorted({n for fps in rates for n in (section.cells[*key, fps].counts if (*key, fps) in section.cells else ())})
        lines.append([label(section.report, key, section.rows), *_cells(section, rates, key, best), span(counts)])
    return grid(lines, [*map(heading, rates), "n"])


def _metrics_table(report: Report, sections: Sequence[Section], fps: float | None) -> str:
    """Rows down, metrics across at one rate, published figures below them, and the number of samples per replication."""
    best = [section.best(fps) for section in sections]
    present = {key for section in sections for key in section.rows if (*key, fps) in section.cells}
    keys = sorted(present, key=lambda key: (report.table.place(key[0]), key[1]))
    lines = []
    for key in keys:
        cells = [section.cells.get((*key, fps)) for section in sections]
        texts = [
            "" if c is None else _cell(c, s.metric, key in b, s.spreads.get((*key, fps)))
            for c, s, b in zip(cells, sections, best, strict=True)
        ]
        lines.append([label(report, key, keys), *texts])
    if report.table.layout == "metrics":
        lines += published_lines(report, sections, fps)
    spans = [span(sorted({n for f in section.figures if f.fps == fps for n in f.counts})) for section in sections]
    lines.append(["*n*", *spans])
    return grid(lines, [_column(section) for section in sections])


def _cells(
    section: Section, rates: Sequence[float | None], key: Key, best: Mapping[float | None, frozenset[Key]] | None = None
) -> list[str]:
    """The figures of a row at the rates; best: the rows that are bold."""
    cells = [section.cells.get((*key, fps)) for fps in rates]
    return [
        "" if cell is None else _cell(cell, section.metric, key in (best or {}).get(cell.fps, ()), section.spreads.get((*key, cell.fps)))
        for cell in cells
    ]


def _marks(report: Report) -> str:
    """The marks of rows in one line."""
    undertrained = any(facts.get("undertrained") for facts in report.training.values())
    stored = any(tier != report.tier for tier in report.tiers.values())
    texts = [f"{UNDERTRAINED} undertrained"] * undertrained + [f"{STORED} from the stored run of tier {FALLBACK.get(report.tier)}"] * stored
    return "; ".join(texts)


def _most_wanted(keys: Sequence[Key], computed: Sequence[str], room: int) -> list[Key]:
    """As many rows as there is room for, in their order: first those computed now."""
    chosen = sorted(keys, key=lambda key: key[0] not in computed)[: max(room, 1)]
    return [key for key in keys if key in chosen]


def _cell(figure: Figure, entry: Metric, best: bool, spread: Spread | None = None) -> str:
    text = with_interval(*interval(figure.values, resamples_of(entry, figure.protocol)), entry)
    text = f"**{text}**" if best else text
    if spread is None:
        return text
    return f"{text} ({spread.trainings} trainings: {number(spread.lowest, entry)} to {number(spread.highest, entry)})"


def _column(section: Section) -> str:
    return f"{name_of(section.metric)}{f' ({versions(section)})' if section.several_versions else ''} {ARROWS[section.metric.direction]}"
