"""Uniform cubic B-splines: curves that a sequence of control points lays out in time. They know no motion.

Control point i of a curve of `rate` points a second stands at (i - 1) / rate seconds; a curve of n intervals has n + 3 of them and is twice
continuously differentiable. Knots of 4 a second are knots of 32 a second, so a coarse curve is exactly a dense one (`refined`), and every
dense curve has a nearest coarse one (`coarse`).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROUGH = 1e-4
"""Weight of third differences in fits: it decides only what the values leave open (recordings of fewer frames than control points)."""
STRAIGHT = 0.5
"""Weight of the second differences at both ends where a dense curve is brought to a coarse one. Otherwise the outermost points, which
hardly count in the curve, swing to ten times the values beside them, and what learns to make such points learns mostly that."""


def points_of(seconds: float, rate: int) -> int:
    """How many control points a curve has that lasts `seconds`."""
    return max(int(np.ceil(seconds * rate - 1e-6)), 1) + 3


def place(x: Tensor, points: int) -> tuple[Tensor, Tensor]:
    """Of positions x [..., m] in intervals from the start: the first of the four control points [..., m] that count, and their weights."""
    first = x.floor().clamp(0, points - 4)
    u = (x - first).float()
    weights = torch.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], -1) / 6
    return first.long(), weights


def on_curve(x: Tensor, z: Tensor) -> Tensor:
    """Curves z [B, P, c] at positions x [B, m] in intervals from their start -> [B, m, c].

    Positions are float64: rounded times would be seen in accelerations.
    """
    first, weights = place(x, z.shape[1])
    start = torch.arange(len(z), device=z.device)[:, None, None] * z.shape[1]
    near = z.flatten(0, 1)[start + first[..., None] + torch.arange(4, device=z.device)]
    return torch.einsum("bmk,bmkc->bmc", weights.to(z.dtype), near)


def basis(x: NDArray, points: int) -> NDArray[np.float64]:
    """[m, points]: the curve at positions x [m] is basis @ control points."""
    first = np.clip(np.floor(x), 0, points - 4).astype(int)
    u = x - first
    weights = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], -1) / 6
    matrix = np.zeros((len(x), points))
    np.put_along_axis(matrix, first[:, None] + np.arange(4), weights, axis=1)
    return matrix


def fitted(times: NDArray, values: NDArray, seconds: float, rate: int) -> NDArray[np.float64]:
    """The control points [P, c] of the curve nearest to values [m, c] at times [m] s."""
    from scipy.linalg import solveh_banded
    from scipy.sparse import csr_array

    points = points_of(seconds, rate)
    first = np.clip(np.floor(times * rate), 0, points - 4).astype(int)
    u = times * rate - first
    weights = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], -1) / 6
    rows = np.repeat(np.arange(len(times)), 4)
    matrix = csr_array((weights.ravel(), (rows, (first[:, None] + np.arange(4)).ravel())), shape=(len(times), points))
    steps = np.diff(np.eye(points), 3, axis=0)
    rough = csr_array(steps.T @ steps * (ROUGH * len(times) / points))
    normal = (matrix.T @ matrix + rough).toarray()
    bands = np.stack([np.pad(np.diagonal(normal, k), (0, k)) for k in range(4)])
    return solveh_banded(bands, matrix.T @ values, lower=True)


@cache
def to_coarse(points: int, rate: int, coarse_rate: int) -> Tensor:
    """[Q, P] float32: takes the P control points of a curve to the Q of the coarse curve nearest to it.

    The coarse curve may end up to one of its intervals later; there it stays near where the dense one ends, so that no point is left open.
    """
    seconds = (points - 3) / rate
    few = points_of(seconds, coarse_rate)
    at = np.arange(0, (few - 3) * rate / coarse_rate + 0.25, 0.5)
    fine, thin = basis(np.minimum(at, points - 3), points), basis(at * coarse_rate / rate, few)
    ends = np.diff(np.eye(few), 2, axis=0)[[0, -1]] * STRAIGHT
    wanted = np.concatenate([fine, np.zeros((2, points))])
    return torch.from_numpy(np.linalg.lstsq(np.concatenate([thin, ends]), wanted, rcond=None)[0]).float()


@cache
def to_dense(points: int, rate: int, coarse_rate: int) -> Tensor:
    """[P, Q] float32: takes the Q control points of a coarse curve to the P of the same curve with `rate` of them a second."""
    few = points_of((points - 3) / rate, coarse_rate)
    at = np.linspace(0, points - 3, 4 * points)
    return torch.from_numpy(np.linalg.lstsq(basis(at, points), basis(at * coarse_rate / rate, few), rcond=None)[0]).float()


def coarse(z: Tensor, rate: int, coarse_rate: int) -> Tensor:
    """The nearest coarse curves [..., Q, c] of curves z [..., P, c]."""
    return to_coarse(z.shape[-2], rate, coarse_rate).to(z) @ z


def refined(z: Tensor, points: int, rate: int, coarse_rate: int) -> Tensor:
    """Coarse curves z [..., Q, c] as curves of `points` control points: the same at every time."""
    return to_dense(points, rate, coarse_rate).to(z) @ z
