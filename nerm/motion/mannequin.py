"""A neutral body for a rig: one rounded, tapered limb a bone, fixed to the joint that turns it. It knows no file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nerm.motion.conventions import body_size, is_smpl
from nerm.motion.rig import Rig
from nerm.motion.skeleton import Skeleton

_SIDES = 8
_CAP_RAD = (0.0, np.pi / 4)  # latitudes of the rings of either half sphere; its pole is one point
_THINNEST_M, _SHORTEST_M = 0.012, 0.01
# Radii in metres at the start and the end of the bone to a joint, and its depth as a share of its width; `_tip`: from a joint to its tip.
_SHAPES = {
    "hip": (0.088, 0.084, 0.9),
    "knee": (0.08, 0.055, 1.0),
    "ankle": (0.056, 0.038, 1.0),
    "foot": (0.042, 0.04, 0.85),
    "spine1": (0.118, 0.118, 0.75),
    "spine2": (0.118, 0.122, 0.75),
    "spine3": (0.122, 0.115, 0.75),
    "neck": (0.118, 0.055, 0.75),
    "head": (0.052, 0.052, 1.0),
    "collar": (0.08, 0.07, 0.8),
    "shoulder": (0.07, 0.054, 0.9),
    "elbow": (0.053, 0.041, 1.0),
    "wrist": (0.042, 0.028, 0.9),
    "hand": (0.038, 0.034, 0.5),
    "head_tip": (0.07, 0.085, 1.1),
    "foot_tip": (0.042, 0.03, 0.7),
    "wrist_tip": (0.036, 0.03, 0.5),
    "hand_tip": (0.036, 0.03, 0.5),
}


@dataclass(frozen=True, eq=False)
class Mesh:
    """points: [V, 3] metres, in the rest pose.  normals: [V, 3] unit.  triangles: [F, 3] outside seen counter-clockwise.  joints: [V]."""

    points: NDArray[np.float64] = field(repr=False)
    normals: NDArray[np.float64] = field(repr=False)
    triangles: NDArray[np.int64] = field(repr=False)
    joints: NDArray[np.int64] = field(repr=False)


def mannequin(rig: Rig, skeleton: Skeleton) -> Mesh:
    """A limb for every bone and tip of a rig of this skeleton, each vertex fixed to the joint at the start of its bone."""
    rest, size = rig.rest, body_size(skeleton)
    limbs = []
    for joint, name in enumerate(skeleton.names):
        part = name.rpartition("_")[2] if is_smpl(skeleton) else ""
        if joint:
            limbs.append((skeleton.parents[joint], rest[skeleton.parents[joint]], rest[joint], _SHAPES.get(part)))
        if rig.tips[joint].any():
            limbs.append((joint, rest[joint], rest[joint] + rig.tips[joint], _SHAPES.get(f"{part}_tip")))
    parts, triangles, joints, count = [], [], [], 0
    for joint, start, end, shape in limbs:
        length = float(np.linalg.norm(end - start))
        if length < _SHORTEST_M:
            continue
        first, last, depth = (size * shape[0], size * shape[1], shape[2]) if shape else (_slim(length), _slim(length), 1.0)
        points, normals = _limb(start, end, first, last, depth)
        parts.append((points, normals))
        triangles.append(_TRIANGLES + count)
        joints.append(np.full(len(points), joint))
        count += len(points)
    if not parts:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 3), int), np.zeros(0, int))
    points, normals = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Mesh(points, normals, np.concatenate(triangles), np.concatenate(joints))


def _slim(length: float) -> float:
    """The radius of a bone of which only the length is known."""
    return min(max(0.15 * length, _THINNEST_M), 0.05)


def _limb(start: NDArray, end: NDArray, first: float, last: float, depth: float) -> tuple[NDArray, NDArray]:
    """Points and normals [V, 3] of two half ellipsoids of radii first and last about start and end, and what lies between them."""
    axis = (end - start) / np.linalg.norm(end - start)
    across = np.eye(3)[2 if abs(axis[0]) > 0.7 else 0]
    wide = across - (across @ axis) * axis
    wide /= np.linalg.norm(wide)
    deep = np.cross(axis, wide)
    round_ = 2 * np.pi * np.arange(_SIDES) / _SIDES
    points, normals = [], []
    for centre, radius, sign in ((start, first, -1), (end, last, 1)):
        for latitude in _CAP_RAD:
            spread, along = np.cos(latitude), sign * depth * np.sin(latitude)
            ring = spread * (np.cos(round_)[:, None] * wide + depth * np.sin(round_)[:, None] * deep) + along * axis
            normal = spread * (np.cos(round_)[:, None] * wide + np.sin(round_)[:, None] * deep / depth) + along / depth**2 * axis
            points.append(centre + radius * ring)
            normals.append(normal / np.linalg.norm(normal, axis=-1, keepdims=True))
        points.append((centre + sign * radius * depth * axis)[None])
        normals.append(sign * axis[None])
    return np.concatenate(points), np.concatenate(normals)


def _triangles() -> NDArray[np.int64]:
    """[F, 3] of one limb: rings of _SIDES vertices from the start's pole over both half spheres to the end's pole."""
    rings, half = len(_CAP_RAD), len(_CAP_RAD) * _SIDES + 1
    order = [r * _SIDES for r in reversed(range(rings))] + [half + r * _SIDES for r in range(rings)]  # first vertices, from start to end
    faces = []
    for k in range(_SIDES):
        n = (k + 1) % _SIDES
        faces.append((half - 1, order[0] + n, order[0] + k))
        for low, high in pairwise(order):
            faces += [(low + k, low + n, high + n), (low + k, high + n, high + k)]
        faces.append((2 * half - 1, order[-1] + k, order[-1] + n))
    return np.array(faces)


_TRIANGLES = _triangles()

__all__ = ["Mesh", "mannequin"]
