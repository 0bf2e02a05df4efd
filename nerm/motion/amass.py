"""Recordings as AMASS publishes them, and other npz files of SMPL, SMPL-H and SMPL-X poses, both ways. It knows no corpus.

Fields: poses [T, 3 a joint] axis-angle (or root and body apart), trans [T, 3] metres, betas, mocap_framerate, gender. The first 22 joints
of all bodies are the same; hands and face are left out, and written as zeros. z is up in AMASS.

Source: Mahmood et al., AMASS: Archive of Motion Capture as Surface Shapes, ICCV 2019; body models: see `nerm.motion.smpl`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion.arrays import Stored, format_of, frames_of
from nerm.motion.body import from_y_up, stands_along, turned, turned_by
from nerm.motion.lengths import median_lengths
from nerm.motion.motion import Motion
from nerm.motion.rotations import axis_angle_from_matrix
from nerm.motion.skeleton import SMPL22, Skeleton, forward_kinematics
from nerm.motion.smpl import MEAN_BODY, WRITTEN_SHAPES, BodyModel, load_body_model, local_rotations, rotations_from_joints

MEAN = "mean"
"""The word for `MEAN_BODY`, in the place of a file."""
_POSES, _ROOT, _BODY = ("poses", "smpl_poses", "full_pose"), ("root_orient", "global_orient"), ("pose_body", "body_pose")
_TRANS, _BETAS = ("trans", "transl", "smpl_trans"), ("betas", "beta", "shape")
_JOINTS = ("joints", "jtr", "Jtr", "joints3d", "joints_3d", "keypoints3d")
_WRITTEN_JOINTS = 52  # of SMPL-H, as in AMASS
_REPRODUCED_M = 1e-4


def is_amass(names: Mapping[str, Any]) -> bool:
    """Whether an archive with fields of these names holds poses of a body."""
    return _first(names, _POSES) is not None or (_first(names, _ROOT) is not None and _first(names, _BODY) is not None)


def read_amass(fields: Mapping[str, NDArray], fps: float, body: str | None, up: str | None, source: str) -> Motion:
    """The motion of 22 joints in an archive: by the body model, or, without one, the archive's own joints.

    body: path of a model file, or `mean`.  up: None finds it (z in AMASS).  source: the file, in what is said. With a body the motion has
    rotations, on the person's T-pose.
    """
    motion = _posed(fields, fps, body) if body else _own_joints(fields, fps, source)
    if up is None:
        up = "y" if stands_along(motion.joints) == "y" else "z"
        if up == "z":
            progress(f"{source}: z is up, as in AMASS: turned to y up (up= says otherwise)")
    return turned(motion, up)


def write_amass(motion: Motion, body: str | None = None) -> dict[str, NDArray]:
    """The fields of an AMASS file of SMPL-H for a motion that has the 22 joints, z up.

    body: whose rest pose the rotations start from, fitted to the person's bones; the mean body if left out. The motion's own rotations are
    written where they reproduce its joints; otherwise they are found, and how far the body's joints then are from it is said on stderr.
    """
    joints, rotations = _first22(motion)
    model = _model(body or MEAN)
    shape = model.shape_of_rest(motion.skeleton.offsets[: len(SMPL22)])
    person = model.person(shape)
    if rotations is None or _distance(rotations, joints, person).max() > _REPRODUCED_M:
        shape = model.shape_of_lengths(median_lengths(Motion(joints, motion.fps)))
        person = model.person(shape)
        rotations = rotations_from_joints(joints, person)
        apart = 1000 * _distance(rotations, joints, person)
        progress(
            f"joints on the body of {body or 'a mean adult'} are {apart.mean():.0f} mm from the motion's, at most {apart.max():.0f} mm"
        )
    rotated = turned_by(Motion(joints, motion.fps, person, rotations), from_y_up("z"))
    assert rotated.rotations is not None
    poses = np.zeros((len(motion), 3 * _WRITTEN_JOINTS))
    poses[:, : 3 * len(SMPL22)] = axis_angle_from_matrix(rotated.rotations).reshape(len(motion), -1)
    return {
        "poses": poses,
        "trans": rotated.root - person.offsets[0],
        "betas": np.concatenate([shape, np.zeros(WRITTEN_SHAPES - len(shape))]),
        "gender": np.str_("neutral"),
        "mocap_framerate": np.float64(motion.fps),
        "dmpls": np.zeros((len(motion), 8)),
    }


def _posed(fields: Mapping[str, NDArray], fps: float, body: str) -> Motion:
    poses, trans = _poses(fields), _field(fields, _TRANS)
    if trans is None:
        raise InputError(f"poses without trans among {', '.join(fields)}; expected trans [T, 3], the place of the body in metres")
    trans = _numeric("trans", trans)
    if trans.shape != (len(poses), 3):
        raise InputError(f"trans of shape {list(trans.shape)}; expected {[len(poses), 3]}, one place for each of the poses")
    betas = _field(fields, _BETAS)
    shape = np.zeros(0) if betas is None else _numeric("betas", betas)
    person = _model(body).person(shape[0] if shape.ndim == 2 else shape)
    rotations = local_rotations(poses)
    return Motion(forward_kinematics(rotations, person.offsets[0] + trans, person), fps, person, rotations)


def _poses(fields: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """[T, 66 or more] axis-angle."""
    given = _field(fields, _POSES)
    poses = _numeric("poses", given if given is not None else np.concatenate([_flat(fields, _ROOT), _flat(fields, _BODY)], axis=-1))
    poses = poses.reshape(len(poses), -1) if poses.ndim == 3 and poses.shape[-1] == 3 else poses
    if poses.ndim != 2 or poses.shape[1] < 3 * len(SMPL22) or not len(poses):
        raise InputError(f"poses of shape {list(poses.shape)}; expected [T, 66 or more], three numbers (axis-angle) a joint")
    return poses


def _own_joints(fields: Mapping[str, NDArray], fps: float, source: str) -> Motion:
    name = next((name for name in _JOINTS if name in fields and format_of(fields[name]) == "joints22"), None)
    if name is None:
        raise InputError(
            f"poses of a body of the SMPL family ({', '.join(fields)}) and no joints; give body=, the .npz of the body model (of SMPL-H: "
            f"register at mano.is.tue.mpg.de), or body={MEAN} for the bones of a mean adult, to a centimetre"
        )
    values = frames_of(Stored(fields[name], name)).values
    progress(f"{source}: the file's own {name} are read; with body=, the .npz of the body model, its poses are")
    return Motion(values, fps)


def _model(body: str) -> BodyModel:
    return MEAN_BODY if body == MEAN else load_body_model(Path(body))


def _first22(motion: Motion) -> tuple[NDArray, NDArray | None]:
    """(joints [T, 22, 3], rotations [T, 22, 3, 3] where known) of a motion whose first joints are the 22."""
    count = len(SMPL22)
    if motion.skeleton.names[:count] != SMPL22.names:
        raise InputError(f"motion on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints; to=amass needs those of SMPL")
    rotations = None if motion.rotations is None else motion.rotations[:, :count].astype(np.float64)
    return motion.joints[:, :count].astype(np.float64), rotations


def _distance(rotations: NDArray, joints: NDArray, person: Skeleton) -> NDArray:
    """[T, 22] metres from joints to those that a person's rotations give."""
    return np.linalg.norm(forward_kinematics(rotations, joints[:, 0], person) - joints, axis=-1)


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in fields), None)


def _field(fields: Mapping[str, NDArray], names: tuple[str, ...]) -> NDArray | None:
    name = _first(fields, names)
    return None if name is None else fields[name]


def _flat(fields: Mapping[str, NDArray], names: tuple[str, ...]) -> NDArray:
    array = _field(fields, names)
    assert array is not None  # `is_amass` has looked
    return array.reshape(len(array), -1)


def _numeric(name: str, array: NDArray) -> NDArray[np.float64]:
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{name} of type {array.dtype} with values that are not finite numbers; expected finite numbers")
    return array.astype(np.float64)


__all__ = ["MEAN", "is_amass", "read_amass", "write_amass"]
