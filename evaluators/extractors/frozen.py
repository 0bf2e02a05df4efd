"""Which extractors the numbers of this project stand on: name -> version and sha256 of the weights, in frozen.json.

An extractor is part of a metric. Other weights give other numbers, so they are another version of the metric.
"""

from __future__ import annotations

import json
from pathlib import Path

from nerm.atomic import replacing
from nerm.errors import InputError

FROZEN = Path(__file__).with_name("frozen.json")
FILES = {"multirate": "clip.safetensors", "guo": "guo.safetensors"}
"""Extractor -> its file in a folder of models."""
MODELS = Path(__file__).parents[2] / "results" / "models"


def shipped_path(name: str) -> Path:
    """The shipped weights of an extractor."""
    return MODELS / FILES[name]


def frozen(name: str) -> dict | None:
    """{version, sha256} of an extractor, or None if it has not been frozen."""
    return _read().get(name)


def check_frozen(name: str, version: int, digest: str, path: Path) -> None:
    """Weights at the shipped place must be the frozen ones; weights anywhere else are the user's own and pass."""
    entry = frozen(name)
    if entry is None or path.resolve() != shipped_path(name).resolve() or (entry["version"], entry["sha256"]) == (version, digest):
        return
    raise InputError(
        f"{path} (version {version}, sha256 {digest[:12]}) is not the frozen extractor '{name}' (version {entry['version']}, sha256 "
        f"{entry['sha256'][:12]}): a changed extractor is a new metric version, so restore the file, or raise VERSION in its module and "
        "train it with python -m evaluators.train"
    )


def check_free(name: str, version: int, path: Path) -> None:
    """Before training: a version that is frozen is not trained again into the shipped place."""
    entry = frozen(name)
    if entry is not None and entry["version"] == version and path.resolve() == shipped_path(name).resolve():
        raise InputError(
            f"extractor '{name}' version {version} is frozen, and a changed extractor is a new metric version: raise VERSION in its "
            "module, or give another out="
        )


def freeze(name: str, version: int, digest: str) -> None:
    """Record accepted weights as the ones that numbers of this version stand on."""
    with replacing(FROZEN) as temporary:
        temporary.write_text(json.dumps(_read() | {name: {"version": version, "sha256": digest}}, indent=1, sort_keys=True) + "\n")


def _read() -> dict[str, dict]:
    return json.loads(FROZEN.read_text()) if FROZEN.exists() else {}
