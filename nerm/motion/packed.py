"""Motions as short text: whole units, second differences in time, deflated, base64. What pages hold and their scripts read."""

from __future__ import annotations

import base64
import zlib

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError

FARTHEST = np.iinfo(np.int16).max
"""In units."""


def pack(joints: NDArray, unit_m: float) -> str:
    """Joints [T, J, 3] in metres, one coordinate after the other. InputError beyond FARTHEST units.

    Second differences of a smooth motion are small numbers, which deflate to a seventh.
    """
    steps = np.round(joints.astype(np.float64) / unit_m).astype(np.int64).reshape(len(joints), -1)
    if np.abs(steps).max() > FARTHEST:
        raise InputError(
            f"a motion that goes {np.abs(steps).max() * unit_m:.0f} m from its start; the file holds {FARTHEST * unit_m:.0f} m"
        )
    changes = np.diff(steps, n=2, axis=0, prepend=np.zeros((2, steps.shape[1]), np.int64))
    return base64.b64encode(zlib.compress(np.ascontiguousarray(changes.T).astype("<i2").tobytes(), 9)).decode()


def unpack(text: str, joints: int, unit_m: float) -> NDArray[np.float64]:
    """[T, J, 3] metres: what a page's script reads, in the same steps."""
    changes = np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i2").reshape(3 * joints, -1)
    steps = changes.astype(np.int16).cumsum(axis=1, dtype=np.int16).cumsum(axis=1, dtype=np.int16)
    return steps.T.reshape(-1, joints, 3) * unit_m
