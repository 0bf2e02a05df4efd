"""Writing a motion as BVH: joint rotations are found from bone directions. It knows neither corpora nor mappings.

A BVH turns all children of a joint together; joint positions need not. If a joint has several children, every child but one hangs on a
helper joint of zero length (`CHILD_base`, as LHipJoint in CMU files), so that each bone keeps a direction of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.errors import InputError
from nerm.motion.motion import Motion
from nerm.motion.skeleton import Skeleton, bone_directions, forward_kinematics

CONSTANT_LENGTH_M = 1e-3
"""A bone whose length varies by more cannot be written: a BVH holds one OFFSET per joint."""
_REPRODUCED_M = 1e-5
_ORDERS = ("zyx", "zxy", "yzx")
_TWIST_RADPS = 8 * np.pi  # four turns a second: faster than people, slow enough to be seen as motion
_TIP_SHARE = 0.5  # an End Site continues its bone by this share of it


@dataclass
class _Node:
    """A joint as it will stand in the file.  rotations: [T, 3, 3] local."""

    name: str
    parent: int
    depth: int
    offset: NDArray[np.float64]
    rotations: NDArray[np.float64] = field(repr=False)
    is_leaf: bool = False


def write_bvh(motion: Motion, path: str | Path, metres_per_unit: float = 0.01) -> None:
    """The motion as a BVH with the same joints (bone lengths are those of the motion, rest directions those of its skeleton).

    The motion's own rotations are written where they reproduce its joints; otherwise each bone swings from its rest direction without
    twist, and the twist of a joint with several children is the one that fits them best. metres_per_unit: 0.01 writes centimetres.
    Raises InputError if a bone's length varies by more than 1 mm.
    """
    if not np.isfinite(metres_per_unit) or metres_per_unit <= 0:
        raise InputError(f"metres_per_unit={metres_per_unit}; expected a positive number, 0.01 for centimetres")
    nodes = _from_rotations(motion) or _from_directions(motion)
    order, angles = _euler_angles(np.stack([node.rotations for node in nodes]))
    root = motion.root.astype(np.float64)
    channels = np.concatenate([root / metres_per_unit, np.rad2deg(angles).transpose(1, 0, 2).reshape(len(motion), -1)], axis=1)
    line = " ".join(["%.6f"] * channels.shape[1])
    lines = [
        "HIERARCHY",
        *_hierarchy(nodes, order, metres_per_unit),
        "MOTION",
        f"Frames: {len(motion)}",
        f"Frame Time: {1 / motion.fps:.10f}",
    ]
    lines += [line % tuple(values) for values in channels.tolist()]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")


def _from_rotations(motion: Motion) -> list[_Node] | None:
    """The skeleton's own joints with the motion's rotations, if these place the joints where they are."""
    if motion.rotations is None:
        return None
    rotations, joints = motion.rotations.astype(np.float64), motion.joints.astype(np.float64)
    if np.abs(forward_kinematics(rotations, joints[:, 0], motion.skeleton) - joints).max() > _REPRODUCED_M:
        return None
    nodes: list[_Node] = []
    _check_names(motion.skeleton)

    def add(joint: int, parent: int, depth: int) -> None:
        node = _Node(motion.skeleton.names[joint], parent, depth, motion.skeleton.offsets[joint], rotations[:, joint])
        index = len(nodes)
        nodes.append(node)
        for child in motion.skeleton.children[joint]:
            add(child, index, depth + 1)
        node.is_leaf = not motion.skeleton.children[joint]

    add(0, -1, 0)
    nodes[0].offset = np.zeros(3)
    return nodes


def _from_directions(motion: Motion) -> list[_Node]:
    """Joints and helpers, depth first, with rotations that point every bone where the motion has it."""
    skeleton = motion.skeleton
    joints = motion.joints.astype(np.float64)
    lengths = _constant_lengths(joints, skeleton)
    _check_names(skeleton)
    directions = np.concatenate([np.zeros((len(joints), 1, 3)), bone_directions(joints, skeleton)], axis=1)
    rest = np.where(skeleton.lengths[:, None] > 0, skeleton.axes, (0.0, 1.0, 0.0))
    still = np.broadcast_to(np.eye(3), (len(joints), 3, 3))
    nodes: list[_Node] = []

    def add(joint: int, parent: int, depth: int, world: NDArray[np.float64]) -> None:
        children = skeleton.children[joint]
        index = len(nodes)
        offset = rest[joint] * lengths[joint] if parent >= 0 else np.zeros(3)
        nodes.append(_Node(skeleton.names[joint], parent, depth, offset, still, not children))
        if not children:
            return
        main = _main_child(children, rest)
        local = {child: np.einsum("tji,tj->ti", world, directions[:, child]) for child in children}
        turned = swing(rest[main], local[main])
        turned = _best_twist(local, rest, main, turned) @ turned
        turned = _steady(turned, rest[main], local[main], motion.fps)
        nodes[index].rotations = turned
        world = world @ turned
        add(main, index, depth + 1, world)
        for child in children:
            if child != main:
                direction = np.einsum("tji,tj->ti", world, directions[:, child])
                turned = _steady(swing(rest[child], direction), rest[child], direction, motion.fps)
                nodes.append(_Node(f"{skeleton.names[child]}_base", index, depth + 1, np.zeros(3), turned))
                add(child, len(nodes) - 1, depth + 2, world @ turned)

    add(0, -1, 0, still)
    return nodes


def swing(rest: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rotations without twist that take unit vectors rest [3] or [T, 3] to direction [T, 3] (unit): [T, 3, 3].

    Rodrigues' formula with (1 - cos) / sin^2 computed without cancellation; opposite vectors turn about any perpendicular axis.
    """
    rest = np.broadcast_to(rest, direction.shape)
    cross = np.cross(rest, direction)
    cosine = np.sum(rest * direction, axis=-1)
    sine2 = np.sum(cross**2, axis=-1)
    factor = np.where(cosine > 0, 1 / (1 + np.abs(cosine)), (1 - cosine) / np.where(sine2 > 0, sine2, 1.0))
    skew = _skew(cross)
    matrices = np.eye(3) + skew + factor[:, None, None] * (skew @ skew)
    opposite = (cosine < 0) & (sine2 < 1e-20)
    if opposite.any():
        start = rest[opposite]
        across = np.cross(start, np.eye(3)[np.argmin(np.abs(start), axis=-1)])
        across /= np.linalg.norm(across, axis=-1, keepdims=True)
        matrices[opposite] = 2 * across[:, :, None] * across[:, None, :] - np.eye(3)
    return matrices


def _best_twist(
    local: dict[int, NDArray[np.float64]], rest: NDArray[np.float64], main: int, swung: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The turn [T, 3, 3] about the main bone that brings the other children's rest directions nearest to their present ones."""
    axis = local[main]
    sine, cosine = np.zeros(len(axis)), np.zeros(len(axis))
    for child, present in local.items():
        if child != main:
            moved = swung @ rest[child]
            across = moved - np.sum(moved * axis, axis=-1, keepdims=True) * axis
            cosine += np.sum(present * across, axis=-1)
            sine += np.sum(present * np.cross(axis, across), axis=-1)
    size = np.hypot(sine, cosine)
    known = size > 1e-6
    cosine, sine = np.where(known, cosine / np.where(known, size, 1), 1.0), np.where(known, sine / np.where(known, size, 1), 0.0)
    return _turn(axis, cosine, sine)


def _steady(rotations: NDArray[np.float64], rest: NDArray[np.float64], direction: NDArray[np.float64], fps: float) -> NDArray[np.float64]:
    """The rotations [T, 3, 3], which take rest [3] to direction [T, 3], with a twist about rest added where their own twist would jump.

    The shortest swing is discontinuous where a bone points against its rest direction. Twist is measured against moving the last frame
    along without twist (parallel transport), and follows the given one at no more than _TWIST_RADPS.
    """
    carried = swing(direction[:-1], direction[1:]) @ rotations[:-1]
    across = np.cross(rest, np.eye(3)[np.argmin(np.abs(rest))])
    across /= np.linalg.norm(across)
    moved = np.einsum("tji,tj->ti", rotations[1:], carried @ across)  # where the carried frame stands, seen from the given one
    jumps = np.arctan2(moved @ np.cross(rest, across), moved @ across)
    limit = _TWIST_RADPS / fps
    if not (np.abs(jumps) > limit).any():
        return rotations
    twists = [0.0]
    for jump in jumps.tolist():
        lag = (twists[-1] + jump + np.pi) % (2 * np.pi) - np.pi
        twists.append(lag - min(max(lag, -limit), limit))
    return rotations @ _turn(np.broadcast_to(rest, direction.shape), np.cos(twists), np.sin(twists))


def _turn(axis: NDArray[np.float64], cosine: NDArray[np.float64], sine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations [T, 3, 3] about unit axes [T, 3]."""
    skew = _skew(axis)
    return np.eye(3) + sine[:, None, None] * skew + (1 - cosine)[:, None, None] * (skew @ skew)


def _skew(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """[T, 3] -> [T, 3, 3]: the matrix of the cross product."""
    x, y, z = vectors.T
    o = np.zeros_like(x)
    return np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(-1, 3, 3)


def _main_child(children: tuple[int, ...], rest: NDArray[np.float64]) -> int:
    """The child in the middle of the others (the spine between the hips, the neck between the collars)."""
    middle = rest[list(children)].sum(axis=0)
    return max(children, key=lambda child: round(float(rest[child] @ middle), 6))


def _constant_lengths(joints: NDArray[np.float64], skeleton: Skeleton) -> NDArray[np.float64]:
    """[J] metres; 0 for the root."""
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, skeleton.parents[1:]], axis=-1)
    spread = lengths.max(axis=0) - lengths.min(axis=0)
    if len(spread) and spread.max() > CONSTANT_LENGTH_M:
        worst = int(np.argmax(spread)) + 1
        raise InputError(
            f"the bone to '{skeleton.names[worst]}' changes its length between {lengths[:, worst - 1].min():.4f} and "
            f"{lengths[:, worst - 1].max():.4f} m; a BVH needs constant ones (within 1 mm): write .npz, or bring it to a skeleton first"
        )
    return np.concatenate([[0.0], lengths.mean(axis=0)])


def _check_names(skeleton: Skeleton) -> None:
    bad = [name for name in skeleton.names if not name.isascii() or not name or name.split() != [name] or set(name) & set("{}")]
    if bad:
        raise InputError(f"joint name {bad[0]!r} cannot stand in a BVH; expected letters, digits and '_'")


def _euler_angles(rotations: NDArray[np.float64]) -> tuple[str, NDArray[np.float64]]:
    """(channel order, angles [N, T, 3] in radians) of rotations [N, T, 3, 3]; the usual order unless it jumps clearly more."""
    candidates = {order: _in_order(rotations, order) for order in _ORDERS}
    jumps = {order: float(np.abs(np.diff(angles, axis=1)).max(initial=0)) for order, angles in candidates.items()}
    order = next(order for order in _ORDERS if jumps[order] <= 1.25 * min(jumps.values()))
    return order, candidates[order]


def _in_order(rotations: NDArray[np.float64], order: str) -> NDArray[np.float64]:
    """Angles [N, T, 3] of rotations [N, T, 3, 3] = R_order[0] R_order[1] R_order[2], each next to the one of the frame before.

    Two triples give the same rotation, and whole turns may be added. Where the middle angle is 90 degrees (gimbal lock) only a sum or
    difference of the outer ones is defined, and the last is kept as it was.
    """
    a, b, c = ("xyz".index(axis) for axis in order)
    sign = 1.0 if (b - a) % 3 == 1 else -1.0
    r = rotations
    level = np.hypot(r[..., a, a], r[..., a, b])
    middle = np.arctan2(sign * r[..., a, c], level)
    first = np.stack([np.arctan2(-sign * r[..., b, c], r[..., c, c]), middle, np.arctan2(-sign * r[..., a, b], r[..., a, a])], axis=-1)
    second = np.stack([first[..., 0] + np.pi, np.pi - middle, first[..., 2] + np.pi], axis=-1)
    options = np.stack([first, second])
    locked = level < 1e-6
    outer = np.arctan2(sign * r[..., c, b], r[..., b, b])
    side = sign * np.sign(middle)
    angles = np.empty_like(first)
    previous = np.zeros((len(r), 3))
    joints = np.arange(len(r))
    for t in range(r.shape[1]):
        option = options[:, :, t]
        if locked[:, t].any():
            held = np.stack([outer[:, t] - side[:, t] * previous[:, 2], middle[:, t], previous[:, 2]], axis=-1)
            option = np.where(locked[:, t, None], held, option)
        option = option + 2 * np.pi * np.round((previous - option) / (2 * np.pi))
        nearer = np.argmin(np.abs(option - previous).sum(axis=-1), axis=0)
        angles[:, t] = previous = option[nearer, joints]
    return angles


def _hierarchy(nodes: list[_Node], order: str, metres_per_unit: float) -> list[str]:
    rotation = " ".join(f"{axis.upper()}rotation" for axis in order)
    lines: list[str] = []
    for index, node in enumerate(nodes):
        tab = "\t" * node.depth
        lines += [
            f"{tab}{'JOINT' if index else 'ROOT'} {node.name}",
            f"{tab}{{",
            f"{tab}\tOFFSET {_numbers(node.offset / metres_per_unit)}",
        ]
        lines.append(f"{tab}\tCHANNELS 3 {rotation}" if index else f"{tab}\tCHANNELS 6 Xposition Yposition Zposition {rotation}")
        if node.is_leaf:
            tip = node.offset * _TIP_SHARE / metres_per_unit
            lines += [f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {_numbers(tip)}", f"{tab}\t}}"]
        following = nodes[index + 1].depth if index + 1 < len(nodes) else 0
        lines += ["\t" * depth + "}" for depth in range(node.depth, following - 1, -1)]
    return lines


def _numbers(vector: NDArray[np.float64]) -> str:
    return " ".join(f"{value:.6f}" for value in vector)


__all__ = ["write_bvh"]
