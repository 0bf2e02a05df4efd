"""python -m evaluators.conformance DIR: the cases of original code under DIR, recomputed here and compared.

    python -m evaluators.conformance golden                         every case, one line per output
    python -m evaluators.conformance golden/mdm strict=true         a case without an adapter fails as well
    python -m evaluators.conformance golden csv=conformance.csv out=conformance.md

A case is a folder with fixture.json, at any depth. An output passes if |x - reference| <= atol + rtol |reference| everywhere, with the
tolerances of the case; integers and booleans must be equal. `worst` is the largest ratio of the two sides: up to 1 passes.
Exit code 0: all pass; 1: a failure; 2: no case, or one whose fixture.json cannot be read.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from baselines.base import SYSTEMS
from baselines.cases import FIXTURE, NotCovered, read_arrays, read_case, read_fixture
from evaluators.cases import REPRODUCES
from evaluators.extractors import EXTRACTORS
from nerm.atomic import replacing
from nerm.cli import parse, progress, run
from nerm.errors import InputError
from nerm.help import command
from nerm.registry import load_object

USAGE = "usage: python -m evaluators.conformance DIR [strict=true] [csv=FILE] [out=FILE]"
PASS, FAIL, NOT_COVERED = "pass", "FAIL", "not covered"


@dataclass
class ConformanceConfig:
    """Keys of the command, after the folder of the cases.

    strict: what is not covered fails.
    csv: file for the table with all digits.
    out: file for the printed report.
    """

    strict: bool = False
    csv: str = ""
    out: str = ""


@dataclass(frozen=True)
class Outcome:
    """One line: an output of a case, or a whole case (output '') that could not be run. worst: NaN where nothing could be compared."""

    case: str
    output: str
    worst: float
    verdict: str
    reason: str = ""


@command(ConformanceConfig)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    words = list(arguments)
    if not words or ("=" in words[0] and not Path(words[0]).exists()):
        raise InputError(f"no folder of cases given. {USAGE}")
    config = parse(ConformanceConfig, words[1:], USAGE)
    folder = Path(words[0])
    cases = find_cases(folder)
    outcomes = []
    for case in cases:
        progress(str(case.relative_to(folder)) if case != folder else case.name)
        outcomes += check_case(case)
    text = report(outcomes)
    print(text)
    if config.out:
        with replacing(_writable(config.out)) as temporary:
            temporary.write_text(text + "\n", encoding="utf-8")
    if config.csv:
        with replacing(_writable(config.csv)) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(Outcome.__dataclass_fields__))
            table.writeheader()
            table.writerows(asdict(outcome) for outcome in outcomes)
    failing = {FAIL, NOT_COVERED} if config.strict else {FAIL}
    return int(any(outcome.verdict in failing for outcome in outcomes))


def adapters() -> dict[str, str]:
    """System of a case -> "module:function" that gives its outputs: what systems, extractors and this package declare."""
    declared: dict[str, str] = {}
    for reproduces in (*(entry.reproduces for entry in SYSTEMS), *(entry.reproduces for entry in EXTRACTORS), REPRODUCES):
        for system, target in reproduces.items():
            if declared.setdefault(system, target) != target:
                raise InputError(f"cases of '{system}' have two adapters, {declared[system]} and {target}; remove one")
    return declared


def find_cases(folder: str | Path) -> list[Path]:
    """The case folders at or below a folder, in order; none, or one whose fixture.json cannot be read, is an InputError."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder that holds the cases")
    cases = sorted(path.parent for path in folder.rglob(FIXTURE))
    if not cases:
        raise InputError(f"{folder} holds no case (no {FIXTURE} at any depth); give the folder that holds them")
    for case in cases:
        read_fixture(case)
    return cases


def check_case(folder: Path) -> list[Outcome]:
    """Run one case and compare its outputs. A case whose adapter raises an error has failed."""
    fixture = read_fixture(folder)
    name = f"{fixture['system']}/{fixture['variant']}"
    declared = adapters()
    if fixture["system"] not in declared:
        return [Outcome(name, "", float("nan"), NOT_COVERED, f"no adapter for system '{fixture['system']}'")]
    try:
        outputs = load_object(declared[fixture["system"]])(read_case(folder))
        # Read after the adapter has run, so that it cannot have seen them.
        expected = read_arrays(folder / "outputs.npz")
        return [_check_output(name, output, about, outputs, expected) for output, about in fixture["outputs"].items()]
    except NotCovered as error:
        return [Outcome(name, "", float("nan"), NOT_COVERED, _one_line(error))]
    except Exception as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        return [Outcome(name, "", float("nan"), FAIL, kind + _one_line(error))]


def _check_output(case: str, output: str, about: dict, outputs: dict[str, NDArray], expected: dict[str, NDArray]) -> Outcome:
    if output not in expected:
        worst, reason = float("nan"), "outputs.npz does not hold it"
    elif output not in outputs:
        worst, reason = float("nan"), "the adapter does not give it"
    else:
        worst, reason = compare(outputs[output], expected[output], about["tolerance"]["rtol"], about["tolerance"]["atol"])
    return Outcome(case, output, worst, PASS if worst <= 1 else FAIL, reason)


def compare(output: ArrayLike, reference: NDArray, rtol: float, atol: float) -> tuple[float, str]:
    """(max |x - reference| / (atol + rtol |reference|), reason if that is not a number or above 1)."""
    x = np.asarray(output)
    if x.shape != reference.shape:
        return float("nan"), f"shape {list(x.shape)}, expected {list(reference.shape)}"
    if x.dtype.kind not in "biuf":
        return float("nan"), f"values of type {x.dtype}, expected {reference.dtype}"
    if reference.size == 0:
        return 0.0, ""
    wrong = np.isnan(x) & ~np.isnan(reference) if x.dtype.kind == "f" else np.zeros(x.shape, dtype=bool)
    if wrong.any():
        return float("nan"), f"{int(wrong.sum())} of {x.size} values are NaN"
    if reference.dtype.kind != "f":
        differing = int(np.sum(x != reference))
        return (float("inf"), f"{differing} of {x.size} values differ") if differing else (0.0, "")
    x, y = x.astype(np.float64), reference.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.abs(x - y) / (atol + rtol * np.abs(y))
    # Equal infinities, two NaN, and equal numbers pass at any tolerance, 0 included.
    ratio = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.where(np.isnan(ratio), np.inf, ratio))
    worst = np.unravel_index(int(ratio.argmax()), ratio.shape)
    if ratio[worst] <= 1:
        return float(ratio[worst]), ""
    outside = int(np.sum(ratio > 1))
    place = [int(k) for k in worst]
    return float(ratio[worst]), f"{outside} of {x.size} values outside, at {place} {x[worst]:.7g} for {y[worst]:.7g}"


def report(outcomes: Sequence[Outcome]) -> str:
    """The table, a line of counts, and the failures again."""
    from tabulate import tabulate

    lines = [[o.case, o.output, "" if np.isnan(o.worst) else f"{o.worst:.3g}", o.verdict, o.reason] for o in outcomes]
    alignment = ("left", "left", "right", "left", "left")
    table = tabulate(lines, ["case", "output", "worst", "verdict", "reason"], "github", disable_numparse=True, colalign=alignment)
    failed = [f"FAIL {' '.join(filter(None, (o.case, o.output)))}: {o.reason}" for o in outcomes if o.verdict == FAIL]
    return "\n".join([table, "", summary(outcomes), *failed])


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many cases and outputs pass, fail and are not covered."""
    verdicts: dict[str, set[str]] = {}
    for outcome in outcomes:
        verdicts.setdefault(outcome.case, set()).add(outcome.verdict)
    cases = [next(v for v in (FAIL, NOT_COVERED, PASS) if v in of_case) for of_case in verdicts.values()]
    compared = [outcome.verdict for outcome in outcomes if outcome.output]
    counts = {v: (cases.count(v), compared.count(v)) for v in (PASS, FAIL, NOT_COVERED)}
    return (
        f"{len(cases)} cases: {counts[PASS][0]} pass, {counts[FAIL][0]} fail, {counts[NOT_COVERED][0]} not covered; "
        f"{len(compared)} outputs compared: {counts[PASS][1]} pass, {counts[FAIL][1]} fail"
    )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."


def _writable(path: str) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)


if __name__ == "__main__":
    run(main)
