"""Networks that embed motions and texts in a metric space, by name. Listing them imports none."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evaluators.extractors.frozen import FILES, check_frozen
from nerm.errors import InputError
from nerm.registry import Registry

EXTRACTORS = Registry(
    "extractor", {"multirate": "evaluators.extractors.clip:ClipExtractor", "guo": "evaluators.extractors.guo:GuoExtractor"}
)


def load_extractor(name: str, folders: Iterable[Path]) -> Any:
    """The trained extractor of that name from the first folder that holds its file. A shipped one must be the frozen one."""
    kind = EXTRACTORS.load(name)
    folders = list(folders)
    path = next((folder / FILES[name] for folder in folders if (folder / FILES[name]).exists()), None)
    if path is None:
        command = FILES[name].removesuffix(".safetensors")
        where = " or ".join(map(str, folders))
        raise InputError(f"no {FILES[name]} in {where}; train the extractor: python -m evaluators.train extractor={command}")
    extractor = kind.load(path)
    check_frozen(name, extractor.version, extractor.digest, path)
    return extractor
