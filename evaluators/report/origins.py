"""Where the figures of a report come from, as Markdown: how the systems were trained, and what every row was computed with."""

from __future__ import annotations

from collections.abc import Mapping

from tabulate import tabulate

from evaluators.report.model import Report
from evaluators.tables import training_of

UNDERTRAINED = "‡"


def training(report: Report) -> list[str]:
    """How the systems were trained: parameters, steps, samples, time, device. Rows that share a generator share a line."""
    lines: dict[str, list[str]] = {}
    for document in report.documents:
        facts = report.training.get(document.system)
        model = document.provenance.get("sha256", {}).get("model", document.system)
        if facts and model not in lines:
            minutes = f"{facts['seconds'] / 60:.0f}" if facts.get("seconds") else ""
            parameters = f"{facts['parameters'] / 1e6:.2f} M" if facts.get("parameters") else ""
            row, number = training_of(document.system)
            name = report.rows[row].title + (f", training {number + 1}" if number else "") + UNDERTRAINED * bool(facts.get("undertrained"))
            counts = (_stages(facts.get("steps")), _stages(facts.get("samples")))
            lines[model] = [name, parameters, *counts, minutes, str(facts.get("device") or "")]
    heads = ["system", "parameters", "steps", "samples seen", "minutes", "device"]
    return ["## Training\n", tabulate(list(lines.values()), heads, tablefmt="github", disable_numparse=True) + "\n"] if lines else []


def _stages(count: int | Mapping[str, int] | None) -> str:
    """A number, or numbers by stage ('' for the only one)."""
    if isinstance(count, Mapping):
        return ", ".join(f"{name} {value:,}".strip() for name, value in count.items())
    return "" if count is None else f"{count:,}"


def provenance(report: Report) -> str:
    """A line for every row: device, commit, digests; then the versions of packages, and what was left out."""
    rows = []
    for document in report.documents:
        source = document.provenance
        hashes = ", ".join(f"{name} {str(digest)[:8]}" for name, digest in sorted(source.get("sha256", {}).items()))
        commit = source.get("commit") or ""
        commit = commit[:10] + "+" * commit.endswith("+")  # "+" means that the code was changed since the commit
        about = [str(source.get(key) or "") for key in ("device", "dtype")]
        rows.append([f"`{document.system}`", document.tier, *about, commit, hashes])
    parts = [tabulate(rows, ["row", "tier", "device", "dtype", "commit", "sha256"], tablefmt="github", disable_numparse=True)]
    versions = sorted({", ".join(f"{k} {v}" for k, v in sorted(d.provenance.get("packages", {}).items())) for d in report.documents})
    parts += [f"\nPackages: {line}." for line in versions if line]
    parts += [f"\n{line}" for line in machines(report)]
    lines = {_left_out(d.provenance.get("counts") or {}) for d in report.documents}
    parts += [f"\n{line}" for line in sorted(lines) if line]
    parts.append(f"\nRaw replications: `raw/{report.dataset}/{report.table.name}/<tier>/<row>.json`.")
    return "\n".join(parts)


def machines(report: Report) -> list[str]:
    """On what machine rows were timed, and which rows on which where there are several; [] where none was timed."""
    rows: dict[str, list[str]] = {}
    rates: dict[str, list[float]] = {}
    for document in report.documents:
        on = document.provenance.get("measured_on")
        if on:
            text = f"{on['cpu']} ({on['cores']} cores, {on['system']}), threads {on['threads']}, torch {on['torch']}"
            rows.setdefault(text, []).append(document.system)
            rates.setdefault(text, []).append(float(on.get("gflops") or 0.0))
    lines = []
    for text, names in rows.items():
        gflops = " to ".join(dict.fromkeys(f"{rate:.0f}" for rate in (min(rates[text]), max(rates[text]))))
        speed = f"{gflops} GFLOP/s in float32 products of matrices beside the measurements"
        lines.append(f"Measured on {text}; {speed}{': ' + ', '.join(names) if len(rows) > 1 else ''}.")
    return lines + (["Rows of different machines are not to be compared."] if len(rows) > 1 else [])


def _left_out(counts: Mapping[str, Mapping[str, int]]) -> str:
    """counts: what was measured -> recordings, clips, left_out."""
    measured = {name: c for name, c in counts.items() if isinstance(c, Mapping) and {"left_out", "recordings", "clips"} <= set(c)}
    listed = ", ".join(f"{name} fps: {c['left_out']} of {c['recordings']} ({c['clips']} clips)" for name, c in measured.items())
    return f"Recordings shorter than a clip, left out of clip metrics: {listed}." if listed else ""
