"""One text for equal data: what files of results hold and what keys are made of. It knows nothing of what the data means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nerm.errors import InputError


def canonical(data: Any) -> str:
    """One-line JSON with sorted keys and floats of nine digits: equal data, equal text."""
    return json.dumps(plain(data), sort_keys=True, ensure_ascii=False, allow_nan=False)


def plain(data: Any) -> Any:
    """Data of dicts, sequences, numbers, text and paths as JSON knows them; anything else is an error."""
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [plain(value) for value in data]
    if isinstance(data, np.ndarray) and data.size <= 4096:
        return plain(data.tolist())
    if isinstance(data, np.generic):
        return plain(data.item())
    if isinstance(data, float):
        if not np.isfinite(data):
            raise InputError(f"the number {data} cannot be stored; leave out what is not defined")
        return float(f"{data:.9g}")
    if data is None or isinstance(data, (bool, int, str)):
        return data
    if isinstance(data, Path):
        return data.as_posix()
    raise InputError(f"a {type(data).__name__} cannot be stored as JSON; give numbers, text, lists and dicts")
