"""Where a result comes from: versions, commit and machine. It knows nothing of what was computed."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("nerm", "numpy", "scipy", "torch", "transformers", "diffusers", "accelerate")


def provenance(**extra: Any) -> dict[str, Any]:
    """Package versions, Python, commit, and what the caller adds.

    The caller adds device, dtype, seeds, counts and the sha256 of corpus, split, extractor and model as keywords.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"packages": versions, "python": platform.python_version(), "commit": _commit(), **extra}


def processor() -> dict[str, Any]:
    """The processor and what multiplies matrices on it: times measured on one are not compared with those of another."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system(), "torch": metadata.version("torch")}


def cpu_name() -> str:
    """The model of the processor, as the system calls it."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor() or "unknown CPU")


def machine(**extra: Any) -> dict[str, Any]:
    """The machine a result was computed on, for the `machine` block; the caller adds seconds and memory."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count(), **extra}


def _commit() -> str | None:
    """The commit of the checkout this package runs from, '+' appended if its code was changed; None outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "nerm", "baselines", "evaluators")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20).stdout.strip()
