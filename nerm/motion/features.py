"""The published feature formats HumanML3D (263 numbers per frame, 22 joints) and KIT-ML (251, 21 joints), both ways.

A codec treats frames as they are: the formats are per frame by definition (20 and 12.5 frames per second), so resample first. The errors of
the original are part of the format and are reproduced: the hip term of the heading has the wrong sign, the heading is smoothed and
starts from the identity, rotations of the arms restart at the root, the turn is half the angle and changes sign when the heading passes
half a turn from the start, and contacts are a displacement per frame. Nothing here knows a corpus or a model.

Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nerm.errors import InputError
from nerm.motion.motion import Motion
from nerm.motion.rotations import (
    columns6d,
    matrix_from_columns6d,
    matrix_from_quaternion,
    quaternion_between,
    quaternion_inverse,
    quaternion_multiply,
)
from nerm.motion.skeleton import KIT21, SMPL22, Skeleton, bone_directions, joints_from_directions

_SMOOTHING_FRAMES = 20.0  # standard deviation of the heading's Gaussian; it reaches 4 of them
_FORWARD = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, eq=False)
class FeatureFormat:
    """One of the two formats: its joints and the names of its slices, to be used as `features[:, FEATURES_263.ric]`.

    fps: the rate at which the format is defined.  metres_per_unit: its unit of length.
    contact_threshold: squared displacement per frame, in squared units.
    hips, shoulders: (right, left) in the format's own reading.  feet: left pair, right pair.  leg: the two bones that set the scale.
    restarts: joints whose rotation is relative to the root and not to their parent.
    """

    name: str
    skeleton: Skeleton = field(repr=False)
    fps: float
    metres_per_unit: float
    contact_threshold: float
    hips: tuple[int, int]
    shoulders: tuple[int, int]
    feet: tuple[int, int, int, int]
    leg: tuple[int, int]
    restarts: tuple[int, int]

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Name -> columns, in order. These are also the groups over which the published statistics average."""
        bones = len(self.skeleton) - 1
        widths = {"turn": 1, "root_velocity": 2, "root_height": 1, "ric": 3 * bones, "rot": 6 * bones, "vel": 3 * bones + 3, "contacts": 4}
        ends = np.cumsum(list(widths.values())).tolist()
        return {name: slice(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}

    @property
    def turn(self) -> slice:
        """Half the turning angle to the next frame, radians."""
        return self.slices["turn"]

    @property
    def root_velocity(self) -> slice:
        """x and z displacement of the root to the next frame, in that frame's heading."""
        return self.slices["root_velocity"]

    @property
    def root_height(self) -> slice:
        """Height of the root above the floor, in units of the format."""
        return self.slices["root_height"]

    @property
    def ric(self) -> slice:
        """Joints 1... in the heading frame, x and z relative to the root, y above the floor."""
        return self.slices["ric"]

    @property
    def rot(self) -> slice:
        """6D rotations (columns) of joints 1..."""
        return self.slices["rot"]

    @property
    def vel(self) -> slice:
        """Displacement of all joints to the next frame, in this frame's heading."""
        return self.slices["vel"]

    @property
    def contacts(self) -> slice:
        """Left ankle, left toe, right ankle, right toe: 1 or 0."""
        return self.slices["contacts"]

    @property
    def dims(self) -> int:
        return self.contacts.stop


FEATURES_263 = FeatureFormat("humanml263", SMPL22, 20.0, 1.0, 0.002, (2, 1), (17, 16), (7, 10, 8, 11), (5, 8), (13, 14))
FEATURES_251 = FeatureFormat("kit251", KIT21, 12.5, 0.001, 0.05, (11, 16), (5, 8), (19, 20, 14, 15), (17, 18), (5, 8))

FORMATS = (FEATURES_263, FEATURES_251)


def format_of(skeleton: Skeleton) -> FeatureFormat:
    """The published format of the features of a skeleton."""
    known = next((format for format in FORMATS if format.skeleton.names == skeleton.names), None)
    if known is None:
        raise InputError(f"skeleton '{skeleton.name}' of {len(skeleton)} joints has no published features; smpl22 and kit21 have")
    return known


def format_of_dims(dims: int) -> FeatureFormat:
    """The published format of features of that many numbers."""
    known = next((format for format in FORMATS if format.dims == dims), None)
    if known is None:
        raise InputError(
            f"features of {dims} numbers are of no published format; {' and '.join(f'{f.name} has {f.dims}' for f in FORMATS)}"
        )
    return known


def process(joints: NDArray, format: FeatureFormat = FEATURES_263, target: Skeleton | None = None) -> tuple[NDArray, NDArray]:
    """The whole pipeline: any joints [T, J, 3], y up -> (features [T-1, dims], the canonical joints [T, J, 3] that they describe).

    target: the skeleton that all clips are brought to, in the units of the joints; default that of the format for 263, the clip's own
    lengths for 251 (its official target is not published with the statistics). Frames are taken as they are.
    """
    if target is None:
        target = SMPL22 if format is FEATURES_263 else format.skeleton.with_lengths_of(_checked_joints(joints, format)[0])
    canonical = canonicalise(uniform_skeleton(joints, target, format), format)
    return encode(canonical, format), canonical


def process_humanml(joints: NDArray, target: Skeleton = SMPL22) -> tuple[NDArray, NDArray]:
    """`process` for HumanML3D: joints [T, 22, 3] in metres -> ([T-1, 263], canonical [T, 22, 3])."""
    return process(joints, FEATURES_263, target)


def process_kit(joints: NDArray, target: Skeleton | None = None) -> tuple[NDArray, NDArray]:
    """`process` for KIT-ML: joints [T, 21, 3] in the format's units (1 mm of a body 1 m tall) -> ([T-1, 251], canonical [T, 21, 3])."""
    return process(joints, FEATURES_251, target)


def uniform_skeleton(joints: NDArray, target: Skeleton, format: FeatureFormat = FEATURES_263) -> NDArray:
    """The motion [T, J, 3] on the target's bone lengths, its root path scaled by leg length.

    The original runs inverse and then forward kinematics; every rotation there takes the rest direction to the bone's direction, so the
    result has the same bone directions at the target's lengths.
    """
    x = _checked_joints(joints, format)
    legs = list(format.leg)
    own = format.skeleton.with_lengths_of(x[0]).lengths[legs].sum()
    if own <= 0:
        raise InputError(f"first pose with a leg of length 0; {format.name} scales a motion by the leg of its first pose")
    scale = target.lengths[legs].sum() / own
    return joints_from_directions(x[:, 0] * scale, bone_directions(x, format.skeleton), target).astype(_float_type(joints))


def canonicalise(joints: NDArray, format: FeatureFormat = FEATURES_263) -> NDArray:
    """The motion [T, J, 3] with its lowest joint at y = 0, starting above the origin and facing +z (here with the correct hip sign)."""
    x = _checked_joints(joints, format)
    moved = x - np.array([x[0, 0, 0], x[..., 1].min(), x[0, 0, 2]])
    across = _hips(moved[:1], format) + _shoulders(moved[:1], format)
    facing = matrix_from_quaternion(quaternion_between(_forward(across), _FORWARD))
    return (moved @ facing[0].T).astype(_float_type(joints))


def encode(joints: NDArray, format: FeatureFormat = FEATURES_263) -> NDArray:
    """The features [T-1, dims] of canonical joints [T, J, 3] (see `canonicalise`); the format's per-frame part.

    Frames are taken as they are. `decode` gives the first T-1 poses back, unless the heading passes half a turn from the start.
    """
    x = _checked_joints(joints, format)
    if len(x) < 2:
        raise InputError(f"motion of {len(x)} frame; {format.name} describes steps between frames and needs at least 2")
    heading = _heading_quaternions(x, format)
    turn = np.arcsin(np.clip(quaternion_multiply(heading[1:], quaternion_inverse(heading[:-1]))[:, 2], -1.0, 1.0))
    # Row vectors are turned from the right by the transpose.
    to_heading = np.swapaxes(matrix_from_quaternion(heading), -1, -2)
    steps = x[1:] - x[:-1]
    local = x[:-1] - x[:-1, :1] * np.array([1.0, 0.0, 1.0])

    out = np.empty((len(steps), format.dims))
    out[:, format.turn] = turn[:, None]
    out[:, format.root_velocity] = (steps[:, :1] @ to_heading[1:])[:, 0, [0, 2]]
    out[:, format.root_height] = x[:-1, 0, 1:2]
    out[:, format.ric] = (local[:, 1:] @ to_heading[:-1]).reshape(len(steps), -1)
    out[:, format.rot] = _rotation_columns(x[:-1], heading[:-1], format)
    out[:, format.vel] = (steps @ to_heading[:-1]).reshape(len(steps), -1)
    out[:, format.contacts] = np.sum(steps[:, list(format.feet)] ** 2, axis=-1) < format.contact_threshold
    return out.astype(_float_type(joints))


def decode(features: NDArray, format: FeatureFormat = FEATURES_263) -> NDArray:
    """Joints [T, J, 3] from the position part of features [T, dims] (not normalised)."""
    x = _checked_features(features, format)
    heading, root = _root(x, format)
    joints = np.empty((len(x), len(format.skeleton), 3))
    joints[:, 0] = root
    joints[:, 1:] = x[:, format.ric].reshape(len(x), -1, 3) @ matrix_from_quaternion(heading)
    joints[:, 1:] += root[:, None] * np.array([1.0, 0.0, 1.0])
    return joints.astype(_float_type(features))


def decode_rotations(features: NDArray, format: FeatureFormat = FEATURES_263, skeleton: Skeleton | None = None) -> NDArray:
    """Joints [T, J, 3] from the rotation part of features [T, dims], on the bone lengths of `skeleton`.

    skeleton: in the format's units; default the format's own.
    """
    x = _checked_features(features, format)
    if skeleton is None:
        skeleton = format.skeleton.with_lengths(format.skeleton.lengths / format.metres_per_unit)
    heading, root = _root(x, format)
    local = matrix_from_columns6d(x[:, format.rot].reshape(len(x), -1, 6))
    world = [matrix_from_quaternion(heading)]
    for joint in range(1, len(skeleton)):
        world.append(world[_reference(joint, format)] @ local[:, joint - 1])
    directions = np.stack([world[joint] @ skeleton.axes[joint] for joint in range(1, len(skeleton))], axis=1)
    return joints_from_directions(root, directions, skeleton).astype(_float_type(features))


def decode_root(features: NDArray, format: FeatureFormat = FEATURES_263) -> tuple[NDArray, NDArray]:
    """(heading [T, 4]: quaternions (w, x, y, z) from world to heading, root positions [T, 3]) from features [T, dims]."""
    heading, root = _root(_checked_features(features, format), format)
    return heading.astype(_float_type(features)), root.astype(_float_type(features))


def append_last_pose(joints: NDArray, features: NDArray, format: FeatureFormat = FEATURES_263) -> NDArray:
    """Joints [T, J, 3] and their official features [T, dims] -> [T+1, J, 3] with the pose that only the last `vel` still holds.

    Published joints were decoded from features and so are one pose short of what was encoded. Encoding the result reproduces the official
    features to 1e-4 (1e-6 in the median, contacts exactly). Encoding T published poses alone gives T-1 frames that agree in the median, but
    the smoothed heading and everything that depends on it deviate within 80 frames of the end.
    """
    x = _checked_joints(joints, format)
    f = _checked_features(features, format)
    if len(x) != len(f):
        raise InputError(f"{len(x)} poses and {len(f)} feature vectors; the published pair of a clip has as many of both")
    heading, _ = _root(f, format)
    step = f[-1, format.vel].reshape(-1, 3) @ matrix_from_quaternion(heading[-1])
    return np.concatenate([x, (x[-1] + step)[None]]).astype(_float_type(joints))


def encode_humanml263(joints: NDArray) -> NDArray:
    """Canonical joints [T, 22, 3] in metres -> HumanML3D features [T-1, 263] (see `encode`; frames are taken as they are)."""
    return encode(joints, FEATURES_263)


def decode_humanml263(features: NDArray) -> NDArray:
    """HumanML3D features [T, 263], not normalised -> joints [T, 22, 3] in metres (see `decode`)."""
    return decode(features, FEATURES_263)


def encode_kit251(joints: NDArray) -> NDArray:
    """Canonical joints [T, 21, 3] in the format's units -> KIT-ML features [T-1, 251] (see `encode`; frames are taken as they are)."""
    return encode(joints, FEATURES_251)


def decode_kit251(features: NDArray) -> NDArray:
    """KIT-ML features [T, 251], not normalised -> joints [T, 21, 3] in the format's units (see `decode`)."""
    return decode(features, FEATURES_251)


def motion_from_features(features: NDArray, format: FeatureFormat = FEATURES_263, fps: float | None = None) -> Motion:
    """The motion, in metres, that features [T, dims] describe; fps is that of the format unless the features were made at another."""
    return Motion(decode(features, format) * format.metres_per_unit, format.fps if fps is None else fps, format.skeleton)


def features_from_motion(motion: Motion, format: FeatureFormat = FEATURES_263, target: Skeleton | None = None) -> NDArray:
    """The features [T-1, dims] of a motion through the whole `process`, in units of the format. Frames are taken as they are."""
    if motion.skeleton.names != format.skeleton.names:
        raise InputError(
            f"motion on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints; {format.name} is defined on "
            f"'{format.skeleton.name}' and no conversion between the two is"
        )
    return process(motion.joints * (1 / format.metres_per_unit), format, target)[0]


def _heading_quaternions(x: NDArray, format: FeatureFormat) -> NDArray:
    """[T, 4] from world to heading. The hip term enters with the wrong sign, as in the original's inverse kinematics."""
    forward = _forward(_shoulders(x, format) - _hips(x, format))
    smooth = gaussian_filter1d(forward, _SMOOTHING_FRAMES, axis=0, mode="nearest")
    heading = quaternion_between(smooth, _FORWARD)
    heading[0] = (1.0, 0.0, 0.0, 0.0)
    return heading


def _hips(x: NDArray, format: FeatureFormat) -> NDArray:
    return x[:, format.hips[0]] - x[:, format.hips[1]]


def _shoulders(x: NDArray, format: FeatureFormat) -> NDArray:
    return x[:, format.shoulders[0]] - x[:, format.shoulders[1]]


def _forward(across: NDArray) -> NDArray:
    """y x across, with across normalised first (its height shortens the result, which weighs in the smoothing). [T, 3] -> [T, 3]."""
    across = across / np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-12)
    return np.stack([across[:, 2], np.zeros(len(across)), -across[:, 0]], axis=-1)


def _reference(joint: int, format: FeatureFormat) -> int:
    """The joint to whose rotation this joint's is relative."""
    return 0 if joint in format.restarts else format.skeleton.parents[joint]


def _rotation_columns(x: NDArray, heading: NDArray, format: FeatureFormat) -> NDArray:
    """[T, 6(J-1)]: 6D of the shortest rotation from rest to each bone's direction, relative to the joint before (or the heading)."""
    world = np.empty((*x.shape[:2], 3, 3))
    world[:, 0] = matrix_from_quaternion(heading)
    world[:, 1:] = matrix_from_quaternion(quaternion_between(format.skeleton.axes[1:], bone_directions(x, format.skeleton)))
    before = [_reference(joint, format) for joint in range(1, len(format.skeleton))]
    return columns6d(np.swapaxes(world[:, before], -1, -2) @ world[:, 1:, :, :2]).reshape(len(x), -1)


def _root(x: NDArray, format: FeatureFormat) -> tuple[NDArray, NDArray]:
    """(heading quaternions [T, 4], root [T, 3]): both are sums of the steps before a frame."""
    half_angle = np.concatenate([[0.0], np.cumsum(x[:-1, format.turn])])
    zero = np.zeros_like(half_angle)
    heading = np.stack([np.cos(half_angle), zero, np.sin(half_angle), zero], axis=-1)
    steps = np.zeros((len(x), 1, 3))
    steps[1:, 0, [0, 2]] = x[:-1, format.root_velocity]
    root = np.cumsum((steps @ matrix_from_quaternion(heading))[:, 0], axis=0)
    root[:, 1] = x[:, format.root_height][:, 0]
    return heading, root


def _float_type(array: NDArray) -> np.dtype:
    """Results come in the floating type of the input; the arithmetic is double."""
    kind = np.asarray(array).dtype
    return kind if np.issubdtype(kind, np.floating) else np.dtype(np.float64)


def _checked_joints(joints: NDArray, format: FeatureFormat) -> NDArray[np.float64]:
    x = np.asarray(joints)
    if x.ndim != 3 or x.shape[1:] != (len(format.skeleton), 3) or len(x) == 0:
        raise InputError(f"joints of shape {list(x.shape)}; {format.name} needs [T, {len(format.skeleton)}, 3]")
    return _finite(x, "joints")


def _checked_features(features: NDArray, format: FeatureFormat) -> NDArray[np.float64]:
    x = np.asarray(features)
    if x.ndim != 2 or x.shape[1] != format.dims or len(x) == 0:
        other = next((f.name for f in (FEATURES_263, FEATURES_251) if x.ndim == 2 and x.shape[1] == f.dims), None)
        hint = f"; {other} has that many" if other else ""
        raise InputError(f"features of shape {list(x.shape)}; {format.name} needs [T, {format.dims}]{hint}")
    return _finite(x, "features")


def _finite(x: NDArray, what: str) -> NDArray[np.float64]:
    if x.dtype.kind not in "fiu":
        raise InputError(f"{what} of type {x.dtype}; expected numbers")
    bad = ~np.isfinite(x.reshape(len(x), -1)).all(axis=1)
    if bad.any():
        raise InputError(f"{what} with a value that is not finite in frame {int(np.argmax(bad))} ({int(bad.sum())} of {len(x)} frames)")
    return x.astype(np.float64)
