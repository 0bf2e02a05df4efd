"""Rotations in the conventions of the published formats: quaternions with the real part first, 6D by columns and by rows.

scipy is used where it computes the same; what is here differs in order, sign or degenerate cases. It knows no joint and no format.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12


def quaternion_multiply(a: NDArray, b: NDArray) -> NDArray:
    """Hamilton product of quaternions (w, x, y, z): rotate by b, then by a. [..., 4] x [..., 4] -> [..., 4]; no sign is normalised."""
    aw, ax, ay, az = np.moveaxis(np.asarray(a), -1, 0)
    bw, bx, by, bz = np.moveaxis(np.asarray(b), -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        axis=-1,
    )


def quaternion_inverse(q: NDArray) -> NDArray:
    """The conjugate of unit quaternions [..., 4]."""
    return np.asarray(q) * np.array([1.0, -1.0, -1.0, -1.0])


def quaternion_rotate(q: NDArray, v: NDArray) -> NDArray:
    """Vectors v [..., 3] turned by unit quaternions q [..., 4]."""
    return (matrix_from_quaternion(q) @ np.asarray(v)[..., None])[..., 0]


def quaternion_between(a: NDArray, b: NDArray) -> NDArray:
    """The shortest rotation that takes direction a to direction b, normalise([|a||b| + a.b, a x b]). [..., 3] x [..., 3] -> [..., 4].

    The real part is never negative. For opposite directions it is a half turn about the axis perpendicular to a that is as
    near to y as possible, for a zero vector the identity: the original formula has no value there.
    """
    a, b = np.broadcast_arrays(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    product = np.sqrt((ax * ax + ay * ay + az * az) * (bx * bx + by * by + bz * bz))
    q = np.stack([product + ax * bx + ay * by + az * bz, ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)
    size = np.sqrt(np.sum(q * q, axis=-1, keepdims=True))
    undefined = size[..., 0] <= _TINY * np.maximum(product, _TINY)
    if undefined.any():
        q = np.where(undefined[..., None], _half_turn(a, product), q)
        size = np.where(undefined[..., None], 1.0, size)
    return q / size


def _half_turn(a: NDArray, product: NDArray) -> NDArray:
    """Half turns about an axis perpendicular to a; the identity where product is 0."""
    a = a / np.maximum(np.linalg.norm(a, axis=-1, keepdims=True), _TINY)
    vertical = np.abs(a[..., 1:2]) > 0.9
    reference = np.where(vertical, np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0]))
    axis = reference - a * np.sum(a * reference, axis=-1, keepdims=True)
    axis = axis / np.linalg.norm(axis, axis=-1, keepdims=True)
    turn = np.concatenate([np.zeros_like(axis[..., :1]), axis], axis=-1)
    return np.where(product[..., None] > _TINY, turn, np.array([1.0, 0.0, 0.0, 0.0]))


def matrix_from_quaternion(q: NDArray) -> NDArray:
    """Unit quaternions (w, x, y, z) [..., 4] -> matrices [..., 3, 3]."""
    w, x, y, z = np.moveaxis(np.asarray(q), -1, 0)
    xx, yy, zz, xy, xz, yz, wx, wy, wz = x * x, y * y, z * z, x * y, x * z, y * z, w * x, w * y, w * z
    out = np.empty((*w.shape, 3, 3), dtype=w.dtype)
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = 1 - 2 * (yy + zz), 2 * (xy - wz), 2 * (xz + wy)
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = 2 * (xy + wz), 1 - 2 * (xx + zz), 2 * (yz - wx)
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = 2 * (xz - wy), 2 * (yz + wx), 1 - 2 * (xx + yy)
    return out


def quaternion_from_matrix(matrix: NDArray) -> NDArray:
    """Rotation matrices [..., 3, 3] -> quaternions (w, x, y, z) [..., 4] whose real part is not negative."""
    from scipy.spatial.transform import Rotation

    matrix = np.asarray(matrix)
    q = Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_quat()[:, [3, 0, 1, 2]]
    return np.where(q[:, :1] < 0, -q, q).reshape(*matrix.shape[:-2], 4)


def quaternion_from_axis_angle(axis_angle: NDArray) -> NDArray:
    """Axis times angle in radians [..., 3] -> quaternions (w, x, y, z) [..., 4]; beyond pi the real part is negative, as the angle says."""
    axis_angle = np.asarray(axis_angle)
    half = np.linalg.norm(axis_angle, axis=-1, keepdims=True) / 2
    return np.concatenate([np.cos(half), 0.5 * axis_angle * np.sinc(half / np.pi)], axis=-1)


def matrix_from_axis_angle(axis_angle: NDArray) -> NDArray:
    """Axis times angle in radians [..., 3] -> matrices [..., 3, 3]."""
    from scipy.spatial.transform import Rotation

    axis_angle = np.asarray(axis_angle)
    return Rotation.from_rotvec(axis_angle.reshape(-1, 3)).as_matrix().reshape(*axis_angle.shape, 3)


def axis_angle_from_matrix(matrix: NDArray) -> NDArray:
    """Rotation matrices [..., 3, 3] -> axis times angle in radians (0 to pi) [..., 3]."""
    from scipy.spatial.transform import Rotation

    matrix = np.asarray(matrix)
    return Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_rotvec().reshape(*matrix.shape[:-2], 3)


def columns6d(matrix: NDArray) -> NDArray:
    """The first two columns of matrices [..., 3, 3] one after the other -> [..., 6]: the 263-d and 251-d features."""
    matrix = np.asarray(matrix)
    return np.concatenate([matrix[..., 0], matrix[..., 1]], axis=-1)


def matrix_from_columns6d(values: NDArray) -> NDArray:
    """Any 6 numbers [..., 6] -> matrices [..., 3, 3] with these as first two columns, made orthonormal (inverse of `columns6d`)."""
    return np.swapaxes(matrix_from_rows6d(values), -1, -2)


def rows6d(matrix: NDArray) -> NDArray:
    """The first two rows of matrices [..., 3, 3] one after the other -> [..., 6]: the action data. Not the columns."""
    matrix = np.asarray(matrix)
    return np.concatenate([matrix[..., 0, :], matrix[..., 1, :]], axis=-1)


def matrix_from_rows6d(values: NDArray) -> NDArray:
    """Any 6 numbers [..., 6] -> matrices [..., 3, 3] with these as first two rows, made orthonormal by Gram-Schmidt
    (Zhou et al., CVPR 2019, section B; inverse of `rows6d`). Parallel or zero rows leave zero rows."""
    values = np.asarray(values)
    first, second = values[..., :3], values[..., 3:]
    first = first / np.maximum(np.linalg.norm(first, axis=-1, keepdims=True), _TINY)
    second = second - np.sum(first * second, axis=-1, keepdims=True) * first
    second = second / np.maximum(np.linalg.norm(second, axis=-1, keepdims=True), _TINY)
    return np.stack([first, second, np.cross(first, second)], axis=-2)
