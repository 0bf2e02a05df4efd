"""A motion as animation files hold it: a tree of joints with a rest pose, local rotations and, where needed, local translations.

A motion of ours is joint positions. Here each joint gets the rotation that points its bone from the T-pose to where the motion has it.
A joint turns all its children together, while the joints around a pelvis or chest of recordings and of generated motion also move
against each other (by 5 to 20 mm: a back bends below the first joint of the spine). Such a joint turns as fits its children best, and
they get a translation of their own: every joint is exactly where it was, and no joint is invented. This module knows no file format.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nerm.motion.conventions import file_names, hinges, is_smpl, t_pose, tip
from nerm.motion.lengths import median_lengths, with_constant_lengths
from nerm.motion.motion import Motion
from nerm.motion.skeleton import Skeleton, bone_directions, forward_kinematics
from nerm.motion.twist import best_fit, swing, twist_towards, without_jumps

Array = NDArray[np.float64]
_REPRODUCED_M = 1e-5
_RIGID_M = 2e-5
_HINGE_PRIOR = 0.3  # a limb bent by less than about this many radians says little about its twist
_BENT_AT_REST = 0.6  # sine of the angle between two bones from which the second says the twist of the first, as a foot does
_HEAD_RAD = np.deg2rad(45)
_ANOTHER_POSE = np.cos(np.deg2rad(30))  # a bone of a T-pose may lie this far from that of the mean body
_SHAPE_FRAMES, _SHAPE_STEPS = 256, 8


@dataclass(frozen=True, eq=False)
class Rig:
    """Joints, parents first.

    names: in the file.  parents: -1 for the root.  offsets: [J, 3] metres, rest vector from the parent; the root's is its place in the rest
    pose, in which the lowest joint or tip stands on the floor.  rotations: [T, J, 3, 3] local.  translations: [T, J, 3] metres, local (the
    root's are of the world).  moves: [J] whether a joint has translations other than its offset.  tips: [J, 3] metres, where the body
    ends beyond the last joint of a chain; 0 elsewhere.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Array = field(repr=False)
    rotations: Array = field(repr=False)
    translations: Array = field(repr=False)
    moves: NDArray[np.bool_] = field(repr=False)
    tips: Array = field(repr=False)
    fps: float

    @property
    def children(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(c for c, p in enumerate(self.parents) if p == j) for j in range(len(self.parents)))

    @property
    def rest(self) -> Array:
        """[J, 3] metres: the joints in the rest pose."""
        points = [self.offsets[0]]
        for joint in range(1, len(self.parents)):
            points.append(points[self.parents[joint]] + self.offsets[joint])
        return np.array(points)


def rig_of(motion: Motion, names: str = "smpl") -> Rig:
    """The motion's joints as a rig whose rest pose is a T-pose. names: smpl or mixamo.

    The motion's own rotations are kept where they reproduce its joints. Bones whose lengths vary are held at their medians, and how far
    joints move is said on stderr.
    """
    called = file_names(motion.skeleton, names)
    offsets, rotations, translations = _from_rotations(motion) or _from_directions(motion)
    moves = np.any(np.abs(translations - offsets).max(axis=0) > 0, axis=-1)
    moves[0] = True
    skeleton = motion.skeleton
    tips = np.array([np.zeros(3) if skeleton.children[j] else tip(skeleton, j, offsets[j]) for j in range(len(skeleton))])
    rig = Rig(called, skeleton.parents, offsets, rotations, translations, moves, tips, motion.fps)
    offsets[0] = (0, -float((rig.rest + np.minimum(tips, 0))[:, 1].min()), 0)
    return rig


def _from_rotations(motion: Motion) -> tuple[Array, Array, Array] | None:
    """Offsets [J, 3], rotations [T, J, 3, 3] and translations [T, J, 3] by the motion's rotations, if these place the joints."""
    if motion.rotations is None:
        return None
    rotations, joints = motion.rotations.astype(np.float64), motion.joints.astype(np.float64)
    if np.abs(forward_kinematics(rotations, joints[:, 0], motion.skeleton) - joints).max() > _REPRODUCED_M:
        return None
    offsets = np.array(motion.skeleton.offsets)
    turned = _turns_to_t_pose(motion.skeleton)
    parents = list(motion.skeleton.parents)
    before = np.concatenate([np.eye(3)[None], turned[parents[1:]]])
    offsets = np.einsum("jab,jb->ja", before, offsets)
    offsets[0] = 0
    translations = np.broadcast_to(offsets, joints.shape).copy()
    translations[:, 0] = joints[:, 0]
    return offsets, before @ rotations @ turned.transpose(0, 2, 1), translations


def _turns_to_t_pose(skeleton: Skeleton) -> Array:
    """[J, 3, 3]: what turns each joint's rest frame so that its bone lies as in the T-pose; none for a skeleton that stands so already."""
    turns = np.tile(np.eye(3), (len(skeleton), 1, 1))
    goal = t_pose(skeleton)
    chains = [(j, c[0]) for j, c in enumerate(skeleton.children) if len(c) == 1 and skeleton.lengths[c[0]] > 0]
    if all(skeleton.axes[child] @ goal[child] >= _ANOTHER_POSE for _, child in chains):
        return turns
    alone = dict(chains)
    for joint in range(1, len(skeleton)):
        above = turns[skeleton.parents[joint]]
        child = alone.get(joint)
        turns[joint] = above if child is None else swing(above @ skeleton.axes[child], goal[None, child])[0] @ above
    return turns


def _from_directions(motion: Motion) -> tuple[Array, Array, Array]:
    """Offsets, rotations and translations, as `_from_rotations`, that point every bone where the motion has it."""
    skeleton = motion.skeleton
    joints, lengths = _held(motion)
    directions = np.concatenate([np.zeros((len(joints), 1, 3)), bone_directions(joints, skeleton)], axis=1)
    rest = t_pose(skeleton)
    rest[1:][~rest[1:].any(axis=1)] = (0, 1, 0)
    offsets = rest * lengths[:, None]
    translations = np.broadcast_to(offsets, joints.shape).copy()
    translations[:, 0] = joints[:, 0]
    rotations = np.tile(np.eye(3), (*joints.shape[:2], 1, 1))
    world = np.tile(np.eye(3), (*joints.shape[:2], 1, 1))
    bends, head = hinges(skeleton), skeleton.names.index("head") if is_smpl(skeleton) else None
    for joint in range(len(skeleton)):
        above = world[:, skeleton.parents[joint]] if joint else np.tile(np.eye(3), (len(joints), 1, 1))
        children = [child for child in skeleton.children[joint] if lengths[child] > 0]
        local = np.einsum("tji,tcj->tci", above, directions[:, children])
        if len(children) == 1:
            if children[0] == head:
                rest[head] = _mean_direction(local[:, 0], rest[head])
                offsets[head] = translations[:, head] = rest[head] * lengths[head]
            turned = swing(rest[children[0]], local[:, 0])
            below = [child for child in skeleton.children[children[0]] if lengths[child] > 0]
            if len(below) == 1:
                goal = np.einsum("tji,tj->ti", above, directions[:, below[0]])
                turned = _with_twist(turned, local[:, 0], rest[children[0]], rest[below[0]], goal, bends.get(children[0]))
            rotations[:, joint] = without_jumps(turned, rest[children[0]], local[:, 0], motion.fps)
        elif children:
            bones = local * lengths[children, None]
            shape = _mean_shape(offsets[children], bones)
            rotations[:, joint] = best_fit(shape, bones)
            offsets[children] = translations[:, children] = shape
            own = np.einsum("tji,tcj->tci", rotations[:, joint], bones)
            loose = np.abs(own - shape).max(axis=(0, 2)) > _RIGID_M
            if loose.any():
                translations[:, children] = own
        world[:, joint] = above @ rotations[:, joint]
    return offsets, rotations, translations


def _with_twist(turned: Array, bone: Array, rest: Array, rest_below: Array, goal: Array, bend: Array | None) -> Array:
    """A swing [T, 3, 3] of one bone, with the twist that the bone below it shows: by its rest direction, or by how a hinge bends.

    bone, goal: [T, 3] unit, where the two bones point.  rest, rest_below: [3] unit.  bend: [3], of a hinge between the two.
    """
    across = rest_below - (rest_below @ rest) * rest
    size = float(np.linalg.norm(across))
    if size > _BENT_AT_REST:
        return twist_towards(turned, bone, across / size, goal, _HINGE_PRIOR)
    if bend is None:
        return turned
    across = bend - (bend @ rest) * rest
    return twist_towards(turned, bone, across / np.linalg.norm(across), goal - turned @ rest_below, _HINGE_PRIOR)


def _mean_shape(rest: Array, bones: Array) -> Array:
    """[N, 3]: how several bones [T, N, 3] of one joint stand to each other on average, turned as nearly as can be to rest [N, 3].

    Generalised Procrustes analysis (Gower, Psychometrika 40, 1975) without scale; exact for bones that never move against each other.
    """
    some = bones[:: max(len(bones) // _SHAPE_FRAMES, 1)]
    lengths = np.linalg.norm(rest, axis=-1, keepdims=True)
    shape = rest
    for _ in range(_SHAPE_STEPS):
        shape = np.einsum("tji,tnj->ni", best_fit(shape, some), some)
        shape = shape / np.maximum(np.linalg.norm(shape, axis=-1, keepdims=True), 1e-12) * lengths
    return np.asarray(shape @ best_fit(shape, rest[None])[0].T)


def _mean_direction(directions: Array, rest: Array) -> Array:
    """[3] unit, in the plane of symmetry: the mean of directions [T, 3], at most _HEAD_RAD from upright; rest where there is none.

    SMPL's head joint lies before its neck, that of most recordings above it; the head of the rest pose shall look ahead in both.
    """
    upright = np.array([0.0, *directions.mean(axis=0)[1:]])
    if np.linalg.norm(upright) < 1e-3:
        return rest
    angle = np.clip(np.arctan2(upright[2], upright[1]), -_HEAD_RAD, _HEAD_RAD)
    return np.array([0.0, np.cos(angle), np.sin(angle)])


def _held(motion: Motion) -> tuple[Array, Array]:
    """Joints [T, J, 3] whose bones have constant lengths [J], and these: the medians."""
    given = Motion(motion.joints.astype(np.float64), motion.fps, motion.skeleton)
    return with_constant_lengths(given).joints, median_lengths(given)


__all__ = ["Rig", "rig_of"]
