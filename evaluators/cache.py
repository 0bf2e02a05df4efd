"""Arrays stored under the hash of what they were made from. The cache knows neither what they mean nor who makes them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.canonical import canonical
from nerm.atomic import replacing
from nerm.cli import progress


class Cache:
    """Arrays by the content of their key. Several processes may share one; a broken file is made again."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, key: Mapping[str, Any]) -> Path:
        """Where the arrays of a key lie."""
        digest = hashlib.sha256(canonical(key).encode()).hexdigest()
        return self.root / digest[:2] / f"{digest}.npz"

    def get_or(self, key: Mapping[str, Any], make: Callable[[], Mapping[str, NDArray]]) -> dict[str, NDArray]:
        """The arrays stored under key; if there are none, those of make(), then stored. key: everything they depend on, as plain data."""
        path = self.path(key)
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except FileNotFoundError:
            pass
        except Exception as error:  # a file cut short by a full disk or a kill, or damaged, can fail in any way
            progress(f"{path} is no whole file of the cache ({type(error).__name__}): it is made again")
        arrays = {name: np.asarray(array) for name, array in make().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
        return arrays
