"""The extractors that this project's numbers were made with: name -> version and sha256 of the weights, in frozen.json.

An extractor is part of a metric. Other weights give other numbers, so they are another version of the metric.
"""

from __future__ import annotations

import json
from pathlib import Path

from nerm import checkpoint
from nerm.atomic import replacing
from nerm.errors import InputError

FROZEN = Path(__file__).with_name("frozen.json")


def shipped_path(name: str) -> Path:
    """The shipped weights of an extractor."""
    return checkpoint.RESULTS / checkpoint.MODELS / f"{name}{checkpoint.SUFFIX}"


def frozen(name: str) -> dict | None:
    """{version, sha256} of an extractor, or None if it has not been frozen."""
    return frozen_extractors().get(name)


def frozen_extractors() -> dict[str, dict]:
    """Name -> {version, sha256}."""
    return json.loads(FROZEN.read_text()) if FROZEN.exists() else {}


def check_frozen(name: str, version: int, digest: str, path: Path) -> None:
    """Weights at the shipped place must be the frozen ones; weights anywhere else are the user's own and are not checked."""
    entry = frozen(name)
    if entry is None or path.resolve() != shipped_path(name).resolve() or (entry["version"], entry["sha256"]) == (version, digest):
        return
    raise InputError(
        f"{path} (version {version}, sha256 {digest[:12]}) is not the frozen extractor '{name}' (version {entry['version']}, sha256 "
        f"{entry['sha256'][:12]}): a changed extractor is a new metric version, so restore the file, or raise VERSION of the extractor "
        "and train it with python -m evaluators.train"
    )


def check_free(name: str, version: int, path: Path) -> None:
    """Called before training: an InputError if `path` is the shipped place and this version is frozen."""
    entry = frozen(name)
    if entry is not None and entry["version"] == version and path.resolve() == shipped_path(name).resolve():
        raise InputError(
            f"extractor '{name}' version {version} is frozen, and a changed extractor is a new metric version: raise its VERSION, or give "
            "another out="
        )


def freeze(name: str, version: int, digest: str) -> None:
    """Note accepted weights as those that numbers of this version are made with."""
    entries = frozen_extractors() | {name: {"version": version, "sha256": digest}}
    with replacing(FROZEN) as temporary:
        temporary.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")
