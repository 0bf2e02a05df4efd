"""The statistics of published features, from their files. It knows no rule of any dataset."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.features import FeatureFormat

_EVALUATORS = (
    "055100bc7b9cbe2d945d4549e2f0cca799582ff79572d59b84cccdd347c08ff3",
    "5a0049d9fe9db1c05010415bcb4fba49de6d1a17e231a8e2744402b2da11ba09",
)
"""sha256 of the values of t2m's and of kit's meta/std.npy, as float32."""


def read_statistics(sources: Path, format: FeatureFormat) -> tuple[NDArray, NDArray]:
    """(mean, deviation) [dims] of the dataset's own Mean.npy and Std.npy; an InputError if they are missing or another format's."""
    values = []
    for name in ("Mean.npy", "Std.npy"):
        path = sources / name
        try:
            array = np.load(path, allow_pickle=False)
        except FileNotFoundError:
            raise InputError(
                f"{path} is missing; features are read with the dataset's own statistics: put the published file there"
            ) from None
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path} is no array of numbers ({str(error).splitlines()[0][:80]}); restore the published file") from None
        if array.shape != (format.dims,) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise InputError(f"{path} has shape {list(array.shape)}; expected {format.dims} finite numbers, one a feature: restore it")
        values.append(array)
    if not (values[1] > 0).all():
        raise InputError(f"{sources / 'Std.npy'} has a deviation that is not above 0; restore the published file")
    return values[0], values[1]


def of_the_evaluator(std: NDArray) -> bool:
    """Whether these are the deviations published with the official evaluator, in which root and contacts weigh 25 times as much."""
    return hashlib.sha256(std.astype("<f4").tobytes()).hexdigest() in _EVALUATORS
