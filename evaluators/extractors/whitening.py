"""A linear map after which every direction counts by how unusual a difference in it is among people, and nuisances count for little.

It is fitted on embeddings of real motion as it is, and with changes that are no difference (noise, size). It knows arrays alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nerm.errors import InputError

SMALLEST = 0.02
"""Variance of a direction, relative to that of one coordinate, below which it is taken to be that large: differences in it are rounding."""


class Whitening(NamedTuple):
    """mean: [D].  matrix: [D, K].  (x - mean) @ matrix has unit variance in every direction, or less where nuisances vary."""

    mean: NDArray[np.float32]
    matrix: NDArray[np.float32]

    def __call__(self, x: NDArray) -> NDArray[np.float32]:
        return ((x - self.mean) @ self.matrix).astype(np.float32)


def fit_whitening(
    real: ArrayLike, changed: ArrayLike, weight: float = 4.0, stretched: ArrayLike | None = None, stretch: float = 1.0
) -> Whitening:
    """real: [n, D].  changed: [k, n, D] the same motions with each of k nuisances.

    The covariance that becomes the unit is that of real motion plus `weight` times the mean second moment of what nuisances change. A
    nuisance that always changes a motion by the same vector then has a length of at most 1 / sqrt(weight).
    stretched: [D] a direction of change that counts `stretch` times as much as the others.
    """
    x, y = np.asarray(real, dtype=np.float64), np.asarray(changed, dtype=np.float64)
    if x.ndim != 2 or y.ndim != 3 or y.shape[1:] != x.shape or len(x) < 2:
        raise InputError(f"embeddings of shapes {list(x.shape)} and {list(y.shape)}; expected [n, D] and [k, n, D] with n at least 2")
    mean, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
    difference = ((y - x) / scale).reshape(-1, x.shape[1])
    covariance = np.cov((x / scale).T, bias=True) + weight * len(y) * difference.T @ difference / max(len(difference), 1)
    values, vectors = np.linalg.eigh(np.atleast_2d(covariance))
    matrix = vectors / np.sqrt(np.maximum(values, SMALLEST)) / scale[:, None]
    if stretched is not None:
        along = np.asarray(stretched) @ matrix
        along = along / max(np.linalg.norm(along), 1e-9)
        matrix = matrix + (stretch - 1) * np.outer(matrix @ along, along)
    return Whitening(mean.astype(np.float32), matrix.astype(np.float32))
