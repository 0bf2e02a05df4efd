"""Skeletons: joint names, parents and rest offsets, and the geometry that needs nothing else.

A skeleton knows no frame rate and no file format.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nerm.errors import InputError
from nerm.motion.rotations import matrix_from_quaternion, quaternion_between

_NO_LENGTH_M = 1e-5  # no bone of a person; joints kept in 32 bits are not more exact
_NEAR = 0.1  # the weight of a bone falls by this factor with every joint further away


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A tree of joints, parents before children.

    names: one per joint.  parents: index of the parent, -1 for the root (joint 0).
    offsets: [J, 3] metres, rest vector from the parent to the joint (y up, facing +z, left at +x).
    """

    name: str
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: NDArray[np.float64] = field(repr=False)

    def __post_init__(self) -> None:
        offsets = np.array(self.offsets, dtype=np.float64)
        offsets.setflags(write=False)
        object.__setattr__(self, "offsets", offsets)
        if not len(self.names) == len(self.parents) == len(offsets):
            raise InputError(
                f"skeleton '{self.name}': {len(self.names)} names, {len(self.parents)} parents and {len(offsets)} offsets; they must agree"
            )
        if self.parents[0] != -1 or any(not 0 <= p < j for j, p in enumerate(self.parents) if j > 0):
            raise InputError(f"skeleton '{self.name}': joint 0 must be the only root and every parent must precede its child")

    def __len__(self) -> int:
        return len(self.names)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Skeleton)
            and self.names == other.names
            and self.parents == other.parents
            and np.allclose(self.offsets, other.offsets, atol=1e-6)
        )

    def __hash__(self) -> int:
        return hash((self.names, self.parents))

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """[J] metres; 0 for the root."""
        return np.linalg.norm(self.offsets, axis=-1)

    @cached_property
    def axes(self) -> NDArray[np.float64]:
        """[J, 3] unit rest directions, 0 for the root: what a published feature format calls its raw offsets."""
        return self.offsets / np.where(self.lengths > 0, self.lengths, 1.0)[:, None]

    @cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(c for c, p in enumerate(self.parents) if p == j) for j in range(len(self)))

    @cached_property
    def bone_distances(self) -> NDArray[np.int64]:
        """[J-1, J-1] the number of joints on the way from one bone to another; bone b leads to joint b + 1."""
        paths = []
        for joint in range(1, len(self)):
            path = [joint]
            while path[-1] > 0:
                path.append(self.parents[path[-1]])
            paths.append(set(path[:-1]))
        return np.array([[len(first ^ second) for second in paths] for first in paths])

    @cached_property
    def left_right(self) -> NDArray[np.int64]:
        """[J] permutation that swaps left and right (mirroring is x -> -x and this), by the names of the joints."""
        swapped = [_other_side(name) for name in self.names]
        return np.array([self.names.index(name) if name in self.names else joint for joint, name in enumerate(swapped)])

    def index(self, name: str) -> int:
        """The place of a joint, by its own name or by its name on the 22-joint skeleton where that means the same joint."""
        for known in (name, _MMM_NAMES.get(name)):
            if known in self.names:
                return self.names.index(known)
        raise InputError(f"skeleton '{self.name}' has no joint '{name}'; it has {', '.join(self.names)}")

    def has(self, name: str) -> bool:
        """Whether it has a joint, by its own name or by that on the 22-joint skeleton."""
        return name in self.names or _MMM_NAMES.get(name) in self.names

    def with_lengths(self, lengths: ArrayLike, name: str | None = None) -> Skeleton:
        """The same directions at other bone lengths [J] in metres (the root's entry is ignored)."""
        return Skeleton(name or self.name, self.names, self.parents, self.axes * np.asarray(lengths)[:, None])

    def with_lengths_of(self, pose: NDArray, name: str | None = None) -> Skeleton:
        """The same directions at the bone lengths of a pose [J, 3]."""
        pose = np.asarray(pose, dtype=np.float64)
        return self.with_lengths(np.concatenate([[0.0], np.linalg.norm(pose[1:] - pose[list(self.parents[1:])], axis=-1)]), name)


def _other_side(name: str) -> str:
    """The name of the same joint on the other side: l_knee and r_knee, LK and RK; a joint of the trunk has a name that no joint has."""
    side = {"l_": "r_", "r_": "l_"}.get(name[:2])
    return side + name[2:] if side else {"L": "R", "R": "L"}.get(name[:1], "?") + name[1:]


def bone_directions(joints: NDArray, skeleton: Skeleton) -> NDArray:
    """Unit vectors from parent to child. joints: [..., J, 3] -> [..., J-1, 3].

    A bone of no length keeps its rest direction relative to its parent's bone and to the bones around, so that turning the joints turns it.
    """
    bones = joints[..., 1:, :] - joints[..., skeleton.parents[1:], :]
    lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
    directions = bones / np.maximum(lengths, _NO_LENGTH_M)
    known = lengths[..., 0] > _NO_LENGTH_M
    if known.all():
        return directions
    poses, masks = directions.reshape(-1, len(skeleton) - 1, 3), known.reshape(-1, len(skeleton) - 1)
    for pattern in np.unique(masks, axis=0):
        if not pattern.all():
            frames = (masks == pattern).all(axis=1)
            poses[frames] = _with_missing(poses[frames], pattern, skeleton)
    return poses.reshape(directions.shape)


def _with_missing(directions: NDArray, known: NDArray[np.bool_], skeleton: Skeleton) -> NDArray:
    """directions [n, J-1, 3] with those of the bones that are not known [J-1] filled in, parents first."""
    rest = skeleton.axes[1:]
    distances = skeleton.bone_distances
    known = known.copy()
    if not known.any():
        return np.broadcast_to(rest, directions.shape).astype(directions.dtype)
    for bone in np.flatnonzero(~known):
        weights = np.where(known, _NEAR ** distances[bone], 0.0)
        turn = best_rotation(rest, directions, weights)
        above = skeleton.parents[bone + 1] - 1
        if above >= 0:
            turn = matrix_from_quaternion(quaternion_between(turn @ rest[above], directions[:, above])) @ turn
        directions[:, bone] = turn @ rest[bone]
        known[bone] = True
    return directions


def best_rotation(start: NDArray, end: NDArray, weights: NDArray) -> NDArray:
    """The rotations [n, 3, 3] that bring unit vectors start [B, 3] nearest to end [n, B, 3], by weighted least squares.

    Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta Crystallographica A32 (1976). Of the rotations that are
    equally good (all vectors along one line) it is one that the singular value decomposition gives.
    """
    u, _, vt = np.linalg.svd(np.einsum("nbi,b,bj->nij", end, weights, start))
    sign = np.linalg.det(u @ vt)
    u[..., :, 2] *= sign[..., None]
    return u @ vt


def joints_from_directions(root: NDArray, directions: NDArray, skeleton: Skeleton, lengths: ArrayLike | None = None) -> NDArray:
    """Inverse of `bone_directions`. root: [..., 3], directions: [..., J-1, 3] unit -> joints [..., J, 3].

    lengths: [J] or [..., J] metres, default those of the skeleton.
    """
    bone_lengths = np.asarray(skeleton.lengths if lengths is None else lengths)
    bones = directions * bone_lengths[..., 1:, None]
    joints = [root]
    for joint in range(1, len(skeleton)):
        joints.append(joints[skeleton.parents[joint]] + bones[..., joint - 1, :])
    return np.stack(joints, axis=-2)


def forward_kinematics(rotations: NDArray, root: NDArray, skeleton: Skeleton) -> NDArray:
    """Joint positions from local rotations.

    rotations: [..., J, 3, 3] local rotation matrices (parent frame <- joint frame), root: [..., 3] metres -> [..., J, 3].
    """
    world = [rotations[..., 0, :, :]]
    joints = [root]
    for joint in range(1, len(skeleton)):
        parent = skeleton.parents[joint]
        joints.append(joints[parent] + world[parent] @ skeleton.offsets[joint])
        world.append(world[parent] @ rotations[..., joint, :, :])
    return np.stack(joints, axis=-2)


def heading(joints: NDArray, skeleton: Skeleton | None = None) -> NDArray:
    """Yaw in radians of the direction that hips and shoulders face: 0 at +z, positive towards +x. joints: [..., J, 3] -> [...]."""
    left_hip, right_hip, left_shoulder, right_shoulder = (
        (skeleton or SMPL22).index(n) for n in ("l_hip", "r_hip", "l_shoulder", "r_shoulder")
    )
    across = (joints[..., left_hip, :] - joints[..., right_hip, :]) + (joints[..., left_shoulder, :] - joints[..., right_shoulder, :])
    return np.arctan2(-across[..., 2], across[..., 0])


def yaw_matrix(yaw: ArrayLike) -> NDArray:
    """Rotation about +y by `yaw` radians: [...] -> [..., 3, 3]; turns +z towards +x."""
    yaw = np.asarray(yaw, dtype=np.float64)
    c, s, o, i = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw), np.ones_like(yaw)
    return np.stack([c, o, s, o, i, o, -s, o, c], axis=-1).reshape(*yaw.shape, 3, 3)


# fmt: off
_NAMES22 = (
    "pelvis", "l_hip", "r_hip", "spine1", "l_knee", "r_knee", "spine2", "l_ankle", "r_ankle", "spine3", "l_foot", "r_foot",
    "neck", "l_collar", "r_collar", "head", "l_shoulder", "r_shoulder", "l_elbow", "r_elbow", "l_wrist", "r_wrist",
)
_PARENTS22 = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
# Rest directions of the HumanML3D format, and the bone lengths (m) of its target skeleton, clip 000021.
_AXES22 = np.array([
    (0, 0, 0), (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, -1, 0), (0, 1, 0), (0, -1, 0), (0, -1, 0), (0, 1, 0), (0, 0, 1),
    (0, 0, 1), (0, 1, 0), (1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, -1, 0), (0, -1, 0), (0, -1, 0), (0, -1, 0), (0, -1, 0), (0, -1, 0),
], dtype=np.float64)
_LENGTHS22 = np.array([
    0, 0.103074, 0.109883, 0.131568, 0.393623, 0.390188, 0.143190, 0.432433, 0.425644, 0.057365, 0.143382, 0.149419,
    0.219360, 0.137487, 0.143383, 0.103039, 0.131614, 0.122984, 0.256840, 0.263092, 0.266012, 0.269876,
])
# The MMM body of KIT-ML. No clip of the official target skeleton is published with the statistics: trunk, shoulders and hips
# are those of the published mean pose (a unit is 1 mm of a body 1 m tall), limbs the usual shares of body height.
_NAMES21 = (
    "root", "BP", "BT", "BLN", "BUN", "LS", "LE", "LW", "RS", "RE", "RW", "LH", "LK", "LA", "LMrot", "LF", "RH", "RK", "RA", "RMrot", "RF",
)
_PARENTS21 = (-1, 0, 1, 2, 3, 3, 5, 6, 3, 8, 9, 0, 11, 12, 13, 14, 0, 16, 17, 18, 19)
_AXES21 = np.array([
    (0, 0, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (0, 1, 0), (1, 0, 0), (0, -1, 0), (0, -1, 0), (-1, 0, 0), (0, -1, 0), (0, -1, 0),
    (1, 0, 0), (0, -1, 0), (0, -1, 0), (0, 0, 1), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, -1, 0), (0, 0, 1), (0, 0, 1),
], dtype=np.float64)
_LENGTHS21 = np.array([
    0, 0.077, 0.107, 0.040, 0.027, 0.097, 0.186, 0.146, 0.097, 0.186, 0.146,
    0.045, 0.245, 0.246, 0.025, 0.046, 0.045, 0.245, 0.246, 0.025, 0.046,
])
# fmt: on
SMPL22 = Skeleton("smpl22", _NAMES22, _PARENTS22, _AXES22 * _LENGTHS22[:, None])
"""The 22 joints of SMPL without hands: the skeleton of the corpus, with the bone lengths of HumanML3D's 000021."""
SMPL24 = Skeleton(
    "smpl24",
    (*_NAMES22, "l_hand", "r_hand"),
    (*_PARENTS22, 20, 21),
    np.concatenate([SMPL22.offsets, [(0, -0.084, 0), (0, -0.084, 0)]]),
)
"""The 22 joints and the hands, as in the action data. The rest pose is that of SMPL22, not the zero pose of a body model."""
_MMM_NAMES = {
    f"{side}_{name}": mmm + joint
    for side, mmm in (("l", "R"), ("r", "L"))
    for name, joint in {"hip": "H", "knee": "K", "ankle": "A", "foot": "F", "shoulder": "S", "elbow": "E", "wrist": "W"}.items()
} | {"pelvis": "root", "spine1": "BP", "spine3": "BT", "neck": "BLN", "head": "BUN"}
"""Name on the 22-joint skeleton -> MMM's name. In the published data of KIT-ML the joints named L lie on -x when the person faces +z."""
KIT21 = Skeleton("kit21", _NAMES21, _PARENTS21, _AXES21 * _LENGTHS21[:, None])
"""The 21 joints of KIT-ML under MMM's names, at about the published lengths; a prepared dataset has its own."""
SKELETONS = {skeleton.name: skeleton for skeleton in (SMPL22, SMPL24, KIT21)}
"""Name -> skeleton."""

LEFT_RIGHT22 = SMPL22.left_right
"""Permutation of the 22 joints that swaps left and right (mirroring is x -> -x and this)."""
