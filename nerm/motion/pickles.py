"""Pickles of official datasets and of published systems, read without running anything: arrays, numbers, text and plain containers alone.

A pickle is a program. This reader knows the few globals that numpy arrays need; a file that names any other is refused by that name. It
knows no dataset and no system.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy._core import multiarray

from nerm.errors import InputError


def _bytes_of(text: str, encoding: str) -> bytes:
    """How Python 2 wrote the bytes of an array."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {("_codecs", "encode"): _bytes_of}
for _name in ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric"):
    _ALLOWED |= {
        (_name, "ndarray"): np.ndarray,
        (_name, "dtype"): np.dtype,
        (_name, "_reconstruct"): multiarray._reconstruct,  # type: ignore[attr-defined]
        (_name, "scalar"): multiarray.scalar,  # type: ignore[attr-defined]
        (_name, "_frombuffer"): np._core.numeric._frombuffer,  # type: ignore[attr-defined]
    }


class _Arrays(pickle.Unpickler):
    """Finds no global that is not allowed."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("a reference to something outside of the file")


class _Refused(Exception):
    """The name of what a pickle wants and does not get."""


def load_arrays(path: Path, start: int = 0) -> Any:
    """The content of a pickle of arrays that begins at byte `start` of a file. A missing, damaged or dangerous file is an InputError."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            return _Arrays(file, encoding="latin1").load()
    except FileNotFoundError:
        raise InputError(f"{path} is missing; put the official file there") from None
    except _Refused as refused:
        raise InputError(
            f"{path} was not read: it asks for {refused}, and a pickle of motion holds numpy arrays and plain containers alone; "
            "get the official file"
        ) from None
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        AttributeError,
        IndexError,
        KeyError,
        MemoryError,
        ImportError,
    ) as error:
        text = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as a pickle ({text}); it is damaged or cut off: get it again") from None
