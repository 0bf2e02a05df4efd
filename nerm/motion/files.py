"""Motions as files: one function to save and one to load, by suffix. It knows no corpus and no model.

The project's own format is .npz with `joints` ([T, J, 3] float32, metres), `fps`, `skeleton` (its name), where known `rotations`
([T, J, 3, 3] float32) and `made_by` (JSON: what a sample was asked for, and of which system), and, where the skeleton is not the 22-joint
one, its `names`, `parents` and `offsets`.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.errors import InputError, about
from nerm.motion.arrays import SHAPES, explain_shape, format_of, open_array
from nerm.motion.body import check_body
from nerm.motion.bvh import read_bvh_motion, write_bvh
from nerm.motion.features import FEATURES_251, FEATURES_263, motion_from_features
from nerm.motion.motion import Features, Motion, check_fps
from nerm.motion.skeleton import SMPL22, Skeleton

READABLE = (".npz", ".bvh", ".npy")
PICTURES = (".gif", ".mp4", ".html")
WRITABLE = READABLE + PICTURES
_RATE_TOLERANCE = 1e-4


def check_writable(path: str | Path) -> Path:
    """The path, if a motion can be written there; to be asked before any work. Its folder must exist."""
    path = Path(path)
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: a motion cannot be written as '{path.suffix or path.name}'; the suffix can be {', '.join(WRITABLE)}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it or choose another")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: the folder {path.parent} cannot be written to; choose another")
    if path.suffix.lower() == ".mp4":
        from nerm.render import check_video

        check_video()
    return path


def save_motion(motion: Motion, path: str | Path, metres_per_unit: float = 0.01, made_by: Mapping[str, Any] | None = None) -> None:
    """Write a motion, whole or not at all. metres_per_unit: of a .bvh (0.01 writes centimetres). A .npy keeps joints alone: no rate.

    made_by: what a sample was asked for, and of which system; kept by formats that can hold it (.npz).
    """
    path = check_writable(path)
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        write_bvh(motion, path, metres_per_unit)
    elif suffix in PICTURES:
        from nerm.render import render

        render([motion], path)
    else:
        with replacing(path) as temporary, temporary.open("wb") as file:
            if suffix == ".npy":
                np.save(file, motion.joints.astype(np.float32))
            else:
                np.savez_compressed(file, **_fields(motion, made_by))


def load_motion(path: str | Path, fps: float | None = None, metres_per_unit: float | None = None) -> Motion:
    """Read a motion, and check that it is of a person in metres (an error) with y up (said on stderr). See `read_motion`."""
    motion = read_motion(path, fps, metres_per_unit)
    if motion.skeleton.names == SMPL22.names and Path(path).suffix.lower() != ".bvh":
        check_body(motion, str(path))
    return motion


def read_motion(path: str | Path, fps: float | None = None, metres_per_unit: float | None = None) -> Motion:
    """Read a motion as it is. fps: needed for .npy, which carries none; features in one are recognised by their width.

    metres_per_unit: of a .bvh; None guesses it and says so on stderr.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        raise InputError(f"{path}: a motion cannot be read from '{path.suffix or path.name}'; the suffix can be {', '.join(READABLE)}")
    if not path.is_file():
        raise InputError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}; give the path of an existing motion file")
    if fps is not None:
        check_fps(fps)
    if metres_per_unit is not None and suffix != ".bvh":
        raise InputError(f"{path}: metres_per_unit is for .bvh; joints in {suffix} are in metres")
    if suffix == ".bvh":
        motion = read_bvh_motion(path, metres_per_unit)
        _agree(path, motion.fps, fps)
        return motion
    return _load_npz(path, fps) if suffix == ".npz" else _load_npy(path, fps)


def _fields(motion: Motion, made_by: Mapping[str, Any] | None) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "joints": motion.joints.astype(np.float32),
        "fps": np.float64(motion.fps),
        "skeleton": np.str_(motion.skeleton.name),
    }
    if made_by:
        fields["made_by"] = np.str_(json.dumps(made_by, ensure_ascii=False))
    if motion.rotations is not None:
        fields["rotations"] = motion.rotations.astype(np.float32)
    if motion.skeleton != SMPL22:
        fields |= {
            "names": np.array(motion.skeleton.names),
            "parents": np.array(motion.skeleton.parents),
            "offsets": motion.skeleton.offsets,
        }
    return fields


def _load_npz(path: Path, fps: float | None) -> Motion:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is not an npz archive; expected one with joints, fps and skeleton")
        with archive:
            fields = {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as npz ({error}); the file is damaged, cut off or not an npz") from None
    if "joints" not in fields:
        raise InputError(f"{path} holds {', '.join(fields) or 'nothing'}; expected 'joints' [T, 22, 3] in metres, 'fps' and 'skeleton'")
    if "fps" in fields:
        _single(path, "fps", fields["fps"])
        rate = check_fps(fields["fps"].item(), f"{path}: fps")
        _agree(path, rate, fps)
    elif fps is None:
        raise InputError(f"{path} carries no frame rate; give fps=")
    else:
        rate = fps
    skeleton, joints = _skeleton(path, fields), _numbers(path, fields["joints"])
    if joints.ndim != 3 or joints.shape[1:] != (len(skeleton), 3):
        expected = f"expected [T, {len(skeleton)}, 3] for skeleton '{skeleton.name}'{explain_shape(joints.shape)}"
        raise InputError(f"{path}: joints of shape {list(joints.shape)}; {expected}")
    with about(path):
        return Motion(joints, rate, skeleton, fields.get("rotations"))


def _skeleton(path: Path, fields: Mapping[str, NDArray]) -> Skeleton:
    name = str(fields.get("skeleton", SMPL22.name))
    if {"names", "parents", "offsets"} <= set(fields):
        names, parents = fields["names"].tolist(), fields["parents"].tolist()
        return Skeleton(name, tuple(map(str, names)), tuple(map(int, parents)), fields["offsets"])
    if name != SMPL22.name:
        raise InputError(f"{path} names the skeleton '{name}' without its names, parents and offsets; only '{SMPL22.name}' needs none")
    return SMPL22


def _load_npy(path: Path, fps: float | None) -> Motion:
    if fps is None:
        raise InputError(f"{path} carries no frame rate; give fps=")
    array = open_array(path)
    given = format_of(array)
    if given is None:
        expected = ", ".join(f"{shape} for {name}" for name, shape in SHAPES.items())
        raise InputError(f"{path}: array of shape {list(array.shape)}; expected {expected}{explain_shape(array.shape)}")
    values = _numbers(path, np.array(array))
    with about(path):
        if given == "joints22":
            return Motion(values, fps)
        motion = motion_from_features(values, FEATURES_263 if given == "humanml263" else FEATURES_251, fps)
        return replace(motion, features=Features(given, values))


def _numbers(path: Path, joints: NDArray) -> NDArray:
    if not np.issubdtype(joints.dtype, np.number) or np.iscomplexobj(joints):
        raise InputError(f"{path}: joints of type {joints.dtype}; expected numbers [T, 22, 3] in metres")
    return joints if joints.dtype in (np.float32, np.float64) else joints.astype(np.float64)


def _single(path: Path, name: str, value: NDArray) -> None:
    if value.size != 1:
        raise InputError(f"{path}: {name} of shape {list(value.shape)}; expected one number")


def _agree(path: Path, carried: float, given: float | None) -> None:
    if given is not None and abs(given / carried - 1) > _RATE_TOLERANCE:
        raise InputError(f"{path} carries {carried:g} fps, but fps={given:g} was given; leave fps out, or resample the motion afterwards")
