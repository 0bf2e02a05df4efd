"""Captures: named points of a recording, as the readers of motion files return them, and the forward kinematics that readers share.

A capture knows no corpus and no common skeleton; `nerm.motion.mapping` brings it to one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError


@dataclass(frozen=True, eq=False)
class Capture:
    """names: one per point.  points: [T, N, 3] metres, y up.  fps: None where the file carries no rate and none was given."""

    names: tuple[str, ...]
    points: NDArray[np.float64] = field(repr=False)
    fps: float | None

    def __post_init__(self) -> None:
        if self.points.ndim != 3 or self.points.shape[1:] != (len(self.names), 3):
            raise InputError(
                f"capture of shape {list(self.points.shape)}; expected [T, {len(self.names)}, 3] for its {len(self.names)} names"
            )

    def __len__(self) -> int:
        return len(self.points)

    def point(self, name: str) -> NDArray[np.float64]:
        """[T, 3] metres."""
        if name not in self.names:
            raise InputError(f"the capture has no point '{name}'; it has {', '.join(self.names)}")
        return self.points[:, self.names.index(name)]


class Frames:
    """One orientation per frame, [T, 3, 3], kept by columns so that every step is one operation on long contiguous rows."""

    def __init__(self, columns: NDArray[np.float64]) -> None:
        self.columns = columns  # [3 columns, 3 rows, T]

    @classmethod
    def identity(cls, frames: int) -> Frames:
        return cls(np.repeat(np.eye(3)[:, :, None], frames, axis=2))

    def then(self, matrix: NDArray[np.float64]) -> Frames:
        """This orientation times a constant matrix [3, 3]; a new object."""
        return Frames((matrix.T @ self.columns.reshape(3, -1)).reshape(self.columns.shape))

    def turn(self, axis: int, radians: NDArray[np.float64]) -> None:
        """In place: this orientation times the rotation about its own axis 0, 1 or 2 by radians [T]."""
        i, j = (axis + 1) % 3, (axis + 2) % 3
        cosine, sine = np.cos(radians), np.sin(radians)
        first, second = self.columns[i], self.columns[j]
        self.columns[i], self.columns[j] = cosine * first + sine * second, cosine * second - sine * first

    def apply(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """A vector [3], or one per frame [3, T], in world axes: [3, T]."""
        x, y, z = self.columns
        return x * vector[0] + y * vector[1] + z * vector[2]

    def matrices(self) -> NDArray[np.float64]:
        """[T, 3, 3]"""
        return np.ascontiguousarray(self.columns.transpose(2, 1, 0))


def rotation_matrix(axes: str, degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """The product R_axes[0](degrees[0]) R_axes[1](degrees[1]) ...: [3, 3]. axes: letters of 'xyz'."""
    turned = Frames.identity(1)
    for axis, angle in zip(axes.lower(), degrees, strict=True):
        turned.turn("xyz".index(axis), np.deg2rad(np.array([angle])))
    return turned.matrices()[0]
