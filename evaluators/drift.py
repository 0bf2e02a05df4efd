"""Has any metric moved? Compares the raw replications of two result folders, and knows nothing of how they were made.

A figure has drifted if the change is statistically significant *and* larger than a relative size; figures of different versions are listed
and never compared. Exit code 0: nothing drifted; 1: drift, missing rows or another number of samples; 2: wrong use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path

import numpy as np

from evaluators.intervals import disjoint
from evaluators.store import Figure, figures, read_document
from nerm.cli import parse, run
from nerm.errors import InputError

USAGE = "usage: python -m evaluators.drift OLD NEW [size=0.05] [p=0.01]"
_IDENTITY = ("dataset", "table", "tier", "system", "metric", "fps", "set", "extractor", "upsampling", "protocol")
_FEWEST = 4
FAILURES = ("missing", "drift", "other n")


@dataclass
class Settings:
    """size: relative change below which nothing is called drift.  p: level of the Mann-Whitney test."""

    size: float = 0.05
    p: float = 0.01


@dataclass(frozen=True)
class Finding:
    """The comparison of one figure. verdict: same | drift | missing | new | other n (samples) | other version (not compared)."""

    identity: tuple
    verdict: str
    old: float | None = None
    new: float | None = None
    test: str = ""


def main(arguments: Sequence[str]) -> int:
    """Compare OLD with NEW and print what differs; see the module's docstring for the exit code."""
    positional, settings = list(arguments[:2]), parse(Settings, arguments[2:], USAGE)
    if len(positional) < 2 or any(word.startswith(("size=", "p=", "-")) for word in positional):
        raise InputError(f"two result folders or raw result files are needed; {USAGE}")
    if not settings.size >= 0 or not 0 < settings.p < 1:
        raise InputError(f"size={settings.size} p={settings.p}; expected size >= 0 and p between 0 and 1")
    old, new = (load(Path(word)) for word in positional)
    findings = compare(old, new, settings.size, settings.p)
    print(describe(findings))
    return int(any(finding.verdict in FAILURES for finding in findings))


def load(path: Path) -> list[Figure]:
    """The figures of a raw result file, of a results folder (its `raw`), or of any folder below that."""
    if not path.exists():
        raise InputError(f"{path} does not exist; {USAGE}")
    folder = path / "raw" if (path / "raw").is_dir() else path
    files = [path] if path.is_file() else sorted(folder.rglob("*.json"))
    if not files:
        raise InputError(f"{path} holds no stored results; give a results folder, one below its raw/, or a raw result file")
    return figures(record for file in files for record in read_document(file)["records"])


def compare(old: Sequence[Figure], new: Sequence[Figure], size: float = 0.05, p: float = 0.01) -> list[Finding]:
    """One finding per figure of either side, by identity. size: relative; p: level of the test."""
    before, after = _by_identity(old), _by_identity(new)
    findings = []
    for identity in sorted({*before, *after}, key=str):
        first, second = before.get(identity, {}), after.get(identity, {})
        common = sorted(set(first) & set(second))
        if not first:
            findings += [Finding(identity, "new", None, _mean(figure)) for figure in second.values()]
        elif not second:
            findings += [Finding(identity, "missing", _mean(figure)) for figure in first.values()]
        elif not common:
            text = " -> ".join("/".join(f"metric v{m}, protocol v{q}" for m, q in sorted(side)) for side in (first, second))
            findings.append(Finding(identity, "other version", test=text))
        else:
            findings += [_compare(identity, first[version], second[version], size, p) for version in common]
    return findings


def significant(old: Sequence[float], new: Sequence[float], p: float = 0.01) -> tuple[bool, str]:
    """Whether two sets of replications differ, and by which test.

    Mann-Whitney where both have at least four replications and it can reach p at all (2 / C(n + m, n) < p: with p = 0.01 five each);
    otherwise 95 % intervals that do not touch.
    """
    if min(len(old), len(new)) >= _FEWEST and 2 / comb(len(old) + len(new), len(old)) < p:
        from scipy.stats import mannwhitneyu

        level = 1.0 if np.ptp([*old, *new]) == 0 else float(mannwhitneyu(old, new, alternative="two-sided").pvalue)
        return level < p, f"Mann-Whitney p={level:.2g}"
    apart = disjoint(old, new)
    return apart, "intervals apart" if apart else "intervals touch"


def describe(findings: Sequence[Finding]) -> str:
    """A table of everything that is not `same`, and a line of counts."""
    from tabulate import tabulate

    counts = {verdict: sum(f.verdict == verdict for f in findings) for verdict in ("same", *FAILURES, "new", "other version")}
    rows = [[f.verdict, *map(_text, f.identity), _text(f.old), _text(f.new), _change(f), f.test] for f in findings if f.verdict != "same"]
    table = (
        tabulate(rows, ["verdict", *_IDENTITY, "old", "new", "change", "test"], tablefmt="simple", disable_numparse=True) + "\n\n"
        if rows
        else ""
    )
    return (
        table
        + f"{len(findings)} figures: "
        + ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count or verdict == "same")
    )


def _compare(identity: tuple, old: Figure, new: Figure, size: float, p: float) -> Finding:
    means = _mean(old), _mean(new)
    if set(old.counts) != set(new.counts):  # the number of samples is part of what many metrics measure
        return Finding(identity, "other n", *means, f"n {min(old.counts)} -> {min(new.counts)}")
    differs, test = significant(old.values, new.values, p)
    large = abs(means[1] - means[0]) > size * abs(means[0])
    return Finding(identity, "drift" if differs and large else "same", *means, test)


def _by_identity(found: Sequence[Figure]) -> dict[tuple, dict[tuple[int, int], Figure]]:
    grouped: dict[tuple, dict[tuple[int, int], Figure]] = {}
    for figure in found:
        identity = tuple(getattr(figure, key) for key in _IDENTITY)
        grouped.setdefault(identity, {})[figure.version, figure.protocol_version] = figure
    return grouped


def _mean(figure: Figure) -> float:
    return float(np.mean(figure.values))


def _change(finding: Finding) -> str:
    if finding.old is None or finding.new is None:
        return ""
    return f"{100 * (finding.new - finding.old) / abs(finding.old):+.1f} %" if finding.old else "from 0"


def _text(value: object) -> str:
    return "" if value is None else f"{value:.5g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    run(main)
