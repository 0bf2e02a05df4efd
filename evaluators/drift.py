"""Has any metric moved? Compares the raw replications of two result folders, and knows nothing of how they were made.

    python -m evaluators.drift OLD NEW [size=0.05] [p=0.01]       what differs; see below
    python -m evaluators.drift update OUT reason="..."            take the quick rows of OUT as the new baseline, and say why

A figure has drifted if the change is statistically significant *and* at least as large as a relative size.

Replications of the same indices and seeds saw the same draws: they are compared in pairs, which leaves only the change. A shift or a factor
that all draws share is then seen however wide the figure's own interval is, and 5 % planted in any figure is caught. Another seed is
another run: its replications are compared as two samples, and must differ by more than chance explains among so many figures. Where they
resample trials, chance is what the two intervals say, so that a change smaller than both together cannot be seen there and is not flagged.
Figures of different versions are listed and never compared; times and memory, which depend on the machine, are left out.

Exit code 0: nothing drifted; 1: drift, missing rows or replications, other numbers of samples, values that are not finite; 2: wrong use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from evaluators.metrics import METRICS
from evaluators.protocols import resamples_of
from evaluators.raw_file import read_document
from evaluators.records import Document, Figure, figures
from evaluators.significance import (
    beyond_chance,
    large_enough,
    level_over_trials,
    significant,
    significant_in_pairs,
    significant_over_trials,
    welch_level,
)
from evaluators.store import Store, write_atomic
from nerm.cli import parse, run
from nerm.errors import InputError
from nerm.help import command

USAGE = 'usage: python -m evaluators.drift OLD NEW [size=0.05] [p=0.01] | update OUT reason="..."'
HEADING = "## Next version"
TIER = "quick"
"""The tier that the baseline holds."""
FAILURES = ("missing", "drift", "other n", "not finite", "fewer replications")
_IDENTITY = ("dataset", "table", "tier", "system", "metric", "fps", "set", "extractor", "upsampling", "protocol")
_COUNTS = 0.05


@dataclass
class Settings:
    """Keys of a comparison.

    size: relative change below which nothing is called drift.
    p: level of the tests.
    """

    size: float = 0.05
    p: float = 0.01


@dataclass
class UpdateSettings:
    """Keys of `drift update`, which is for a clone of this project, from its root.

    reason: why the figures may move; it goes into the changelog.
    baseline: folder of the baseline.
    changelog: file that the reason is written into.
    """

    reason: str = ""
    baseline: str = "results/baseline"
    changelog: str = "CHANGELOG.md"


@dataclass(frozen=True)
class Finding:
    """The comparison of one figure. verdict: same, new, other version (not compared), or one of FAILURES."""

    identity: tuple
    verdict: str
    old: float | None = None
    new: float | None = None
    test: str = ""
    level: float | None = None
    """p of a test that can be corrected for the number of figures; None where replications are compared in pairs."""


@command(Settings, UpdateSettings)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    if arguments[:1] == ["update"]:
        if len(arguments) < 2 or "=" in arguments[1]:
            raise InputError(f"update needs a results folder; {USAGE}")
        print(update(Path(arguments[1]), parse(UpdateSettings, arguments[2:], USAGE)))
        return 0
    positional, settings = list(arguments[:2]), parse(Settings, arguments[2:], USAGE)
    if len(positional) < 2 or any(word.startswith(("size=", "p=", "-")) for word in positional):
        raise InputError(f"two result folders or raw result files are needed; {USAGE}")
    if not settings.size >= 0 or not 0 < settings.p < 1:
        raise InputError(f"size={settings.size} p={settings.p}; expected size >= 0 and p between 0 and 1")
    old, new = (figures(free_of_machine(load(Path(word)))) for word in positional)
    findings = compare(old, new, settings.size, settings.p)
    print(describe(findings))
    return int(any(finding.verdict in FAILURES for finding in findings))


def load(path: Path) -> list[Document]:
    """The documents of a raw result file, of a results folder (its `raw`), or of any folder below that."""
    if not path.exists():
        raise InputError(f"{path} does not exist; {USAGE}")
    folder = path / "raw" if (path / "raw").is_dir() else path
    files = [path] if path.is_file() else sorted(file for file in folder.rglob("*.json") if not file.name.startswith("."))
    if not files:
        raise InputError(f"{path} holds no stored results; give a results folder, one below its raw/, or a raw result file")
    return [read_document(file) for file in files]


def free_of_machine(documents: Sequence[Document]) -> list[Document]:
    """The documents without what depends on the machine; a document that held nothing else is left out."""
    kept = []
    for document in documents:
        records = tuple(r for r in document.records if r.metric not in METRICS or not METRICS.get(r.metric).of_machine)
        kept += [replace(document, records=records)] if records or not document.records else []
    return kept


def update(out: Path, settings: UpdateSettings) -> str:
    """Copy the quick rows of a results folder into the baseline, and the reason into the changelog; returns a sentence that says so.

    Rows of the baseline that `out` lacks stay. To remove a row for good, delete its file.
    """
    reason = " ".join(settings.reason.split()).rstrip(".")
    if not reason:
        raise InputError(f'a new baseline needs a reason, which goes into the changelog: reason="..."; {USAGE}')
    rows = [document for document in free_of_machine(load(out)) if document.tier == TIER]
    if not rows:
        raise InputError(f"{out} holds no rows of tier {TIER}; run python -m evaluators.run table=... tier={TIER} out={out} first")
    broken = sorted({f"{f.table}/{f.system}" for f in figures(rows) if not np.isfinite(f.values).all()})
    if broken:
        raise InputError(f"{out} holds values that are not finite in {', '.join(broken)}; they cannot be a baseline")
    changelog = Path(settings.changelog)
    if not changelog.is_file():
        raise InputError(f"{changelog} does not exist; give the file that the reason is written into: changelog=FILE")
    tables = ", ".join(sorted({f"{row.table} on {row.dataset}" for row in rows}))
    text = with_line(changelog.read_text(), f"- Baseline of the quick tables ({tables}): {reason}.")
    baseline = Store(settings.baseline)
    for row in rows:
        baseline.write(replace(row, machine={}))
    write_atomic(changelog, text.encode())
    return f"{len(rows)} rows of {tables} are the baseline in {settings.baseline}; the reason is in {changelog}"


def with_line(changelog: str, line: str) -> str:
    """The changelog with `line` at the end of the section for the next version. A missing section is added above the others."""
    head, heading, rest = changelog.partition(HEADING + "\n")
    if heading:
        section, mark, older = rest.partition("\n## ")
        return f"{head}{heading}{section.rstrip()}\n{line}\n{mark}{older}"
    head, mark, older = changelog.partition("\n## ")
    return f"{head.rstrip()}\n\n{HEADING}\n\n{line}\n{mark}{older}"


def compare(old: Sequence[Figure], new: Sequence[Figure], size: float = 0.05, p: float = 0.01) -> list[Finding]:
    """One finding per figure of either side, by identity. size: relative; p: level of the test."""
    before, after = _by_identity(old), _by_identity(new)
    findings = []
    for identity in sorted({*before, *after}, key=str):
        first, second = before.get(identity, {}), after.get(identity, {})
        common = sorted(set(first) & set(second))
        if not first:
            findings += [Finding(identity, "new" if _finite(figure) else "not finite", None, figure.mean) for figure in second.values()]
        elif not second:
            findings += [Finding(identity, "missing", figure.mean) for figure in first.values()]
        elif not common:
            text = " -> ".join("/".join(f"metric v{m}, protocol v{q}" for m, q in sorted(side)) for side in (first, second))
            findings.append(Finding(identity, "other version" if all(map(_finite, second.values())) else "not finite", test=text))
        else:
            findings += [_compare(identity, first[version], second[version], size, p) for version in common]
    bound = beyond_chance([finding.level for finding in findings if finding.level is not None], p)
    chance = "expected by chance among so many"
    return [
        replace(f, verdict="same", test=f"{f.test}, {chance}") if f.verdict == "drift" and (f.level or 0) > bound else f for f in findings
    ]


def describe(findings: Sequence[Finding]) -> str:
    """A table of everything that is not `same`, and a line of counts."""
    from tabulate import tabulate

    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in ("same", *FAILURES, "new", "other version")}
    lines = [[f.verdict, *map(_text, f.identity), _text(f.old), _text(f.new), _change(f), f.test] for f in findings if f.verdict != "same"]
    headings = ["verdict", *_IDENTITY, "old", "new", "change", "test"]
    table = tabulate(lines, headings, tablefmt="simple", disable_numparse=True) + "\n\n" if lines else ""
    shown = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count or verdict == "same")
    return f"{table}{len(findings)} figures: {shown}"


def _compare(identity: tuple, old: Figure, new: Figure, size: float, p: float) -> Finding:
    means = old.mean, new.mean
    if not _finite(old) or not _finite(new):
        return Finding(identity, "not finite", *means)
    if len(new.values) < len(old.values):
        return Finding(identity, "fewer replications", *means, f"{len(old.values)} -> {len(new.values)}")
    first, second = (
        dict(zip(zip(f.replications, f.seeds, strict=True), zip(f.values, f.counts, strict=True), strict=True)) for f in (old, new)
    )
    paired = set(first) <= set(second)
    if paired:
        second = {key: second[key] for key in first}
        means = means[0], float(np.mean([value for value, _ in second.values()]))
    (x, before), (y, after) = (zip(*side.values(), strict=True) for side in (first, second))
    if _other_counts(before, after, paired):  # the number of samples is part of what many metrics measure
        return Finding(identity, "other n", *means, f"n {min(before)} -> {min(after)}")
    resamples = resamples_of(METRICS.get(old.metric), old.protocol) if old.metric in METRICS else "draws"
    if paired:
        differs, test = significant_in_pairs(x, y, p, resamples)
        level = None
    elif resamples == "trials":
        (differs, test), level = significant_over_trials(x, y, p), level_over_trials(x, y)
    else:
        (differs, test), level = significant(x, y, p), welch_level(x, y)
    return Finding(identity, "drift" if differs and large_enough(x, y, size, paired) else "same", *means, test, level)


def _other_counts(old: Sequence[int], new: Sequence[int], paired: bool) -> bool:
    """Whether the numbers of samples differ. Where they depend on the draw, a difference of means up to 5 % is allowed."""
    if paired or len(set(old)) == len(set(new)) == 1:
        return set(old) != set(new)
    return abs(np.mean(new) - np.mean(old)) > _COUNTS * np.mean(old)


def _by_identity(listed: Sequence[Figure]) -> dict[tuple, dict[tuple[int, int], Figure]]:
    grouped: dict[tuple, dict[tuple[int, int], Figure]] = {}
    for figure in listed:
        identity = tuple(getattr(figure, key) for key in _IDENTITY)
        grouped.setdefault(identity, {})[figure.version, figure.protocol_version] = figure
    return grouped


def _finite(figure: Figure) -> bool:
    return bool(np.isfinite(figure.values).all())


def _change(finding: Finding) -> str:
    if finding.old is None or finding.new is None:
        return ""
    return f"{100 * (finding.new - finding.old) / abs(finding.old):+.1f} %" if finding.old else "from 0"


def _text(value: object) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run(main)
