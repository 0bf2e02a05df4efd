"""How far a reconstructed motion is from its original. Both are on one skeleton, at one rate, frame by frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nerm.errors import InputError
from nerm.motion.kinematics import band_energy


def mre_mm(reconstructed: ArrayLike, original: ArrayLike) -> float:
    """Mean joint distance in mm with each motion's root translation subtracted frame by frame, and nothing else.

    joints [T, J, 3] in metres. The mean is over all J joints, of which the root is exact by definition.
    """
    x, y = checked(reconstructed, original)
    return float(1e3 * np.linalg.norm((x - x[:, :1]) - (y - y[:, :1]), axis=-1).mean())


def root_path_mm(reconstructed: ArrayLike, original: ArrayLike) -> float:
    """Mean distance of the roots over time in mm. joints [T, J, 3] in metres, in one world frame."""
    x, y = checked(reconstructed, original)
    return float(1e3 * np.linalg.norm(x[:, 0] - y[:, 0], axis=-1).mean())


def band_error(reconstructed: ArrayLike, original: ArrayLike, fps: float) -> float:
    """Mean power of the acceleration of the difference from 8 to 20 Hz, (m/s^2)^2 per joint. It compares signals, not energies.

    joints [T, J, 3] in metres at fps, at least 50.
    """
    x, y = checked(reconstructed, original)
    return band_energy(x - y, fps)


def checked(reconstructed: ArrayLike, original: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joints [T, J, 3] of both in double precision; an InputError if their shapes differ or a value is not finite."""
    x, y = (np.asarray(a, dtype=np.float64) for a in (reconstructed, original))
    if x.shape != y.shape or x.ndim != 3 or x.shape[2] != 3 or len(x) == 0:
        raise InputError(f"joints of shapes {list(x.shape)} and {list(y.shape)}; expected the same [T, J, 3] for both")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("joints with a value that is not finite; remove those frames before measuring a reconstruction")
    return x, y
