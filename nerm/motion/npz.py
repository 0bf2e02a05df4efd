"""The project's own files of motion, .npz, and those of others with the same suffix: joints under another name, and poses of AMASS.

Our own have `joints` ([T, J, 3] float32, metres), `fps`, `skeleton` (its name), where known `rotations` ([T, J, 3, 3] float32) and
`made_by` (JSON: what a sample was asked for, and of which system), and, where the skeleton is not the 22-joint one, its `names`, `parents`
and `offsets`.
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion.amass import is_amass, read_amass
from nerm.motion.arrays import SHAPES, Stored, format_of, frames_of, motion_of
from nerm.motion.motion import Motion, check_fps
from nerm.motion.skeleton import SMPL22, Skeleton

RATES = ("fps", "mocap_framerate", "mocap_frame_rate", "framerate", "frame_rate", "frameRate", "mocap_fps")
"""Names that the rate has in files of others too."""


def fields_of(motion: Motion, made_by: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What is written of a motion."""
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


def format_of_npz(path: Path) -> str:
    """npz or amass."""
    with _opened(path) as fields:
        return "amass" if is_amass(fields) and "skeleton" not in fields else "npz"


def read_npz(path: Path, fps: float | None, metres_per_unit: float | None = None, index: int | None = None) -> Motion:
    """Joints under their name, or those of the only array that can be a motion. metres_per_unit: of the joints; None: metres."""
    with _opened(path) as fields:
        rate = _rate(path, fields, fps)
        name = "joints" if "joints" in fields else _only_motion(path, fields)
        if "skeleton" in fields or {"names", "parents", "offsets"} <= set(fields):
            if index is not None:
                raise InputError(f"index={index}, but the file is one motion; leave index out")
            skeleton, joints = _skeleton(path, fields), fields[name]
            if joints.ndim != 3 or joints.shape[1:] != (len(skeleton), 3):
                raise InputError(f"joints of shape {list(joints.shape)}; expected [T, {len(skeleton)}, 3] for skeleton '{skeleton.name}'")
            return Motion(_numbers(joints) * (metres_per_unit or 1), rate, skeleton, fields.get("rotations"))
        frames = frames_of(Stored(fields[name], name), index)
        rotations = fields.get("rotations") if frames.format == "joints22" and not frames.said else None
    if name != "joints" or frames.said:
        progress(f"{path}: {frames.said or f'{name} is read as {frames.format}'}")
    return motion_of(frames, rate, metres_per_unit, rotations)


def read_amass_npz(path: Path, fps: float | None, body: str | None, up: str | None) -> Motion:
    """Poses of a body in the manner of AMASS: see `nerm.motion.amass`."""
    with _opened(path) as fields:
        if not is_amass(fields):
            raise InputError(f"{path} holds {', '.join(fields)}; expected poses and trans, as in AMASS")
        return read_amass(fields, _rate(path, fields, fps), body, up, str(path))


class _Fields(Mapping[str, NDArray]):
    """The arrays of an archive, read when they are asked for: those of others hold Python objects too, which are never loaded."""

    def __init__(self, archive: np.lib.npyio.NpzFile) -> None:
        self.archive = archive

    def __getitem__(self, name: str) -> NDArray:
        return self.archive[name]

    def __contains__(self, name: object) -> bool:
        return name in self.archive.files

    def __iter__(self) -> Iterator[str]:
        return iter(self.archive.files)

    def __len__(self) -> int:
        return len(self.archive.files)


@contextmanager
def _opened(path: Path) -> Iterator[Mapping[str, NDArray]]:
    try:
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{path} is not an npz archive; expected one with joints, fps and skeleton")
        with archive:
            yield _Fields(archive)
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError) as error:
        text = str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as npz ({text}); the file is damaged, cut off or not an npz") from None


def _rate(path: Path, fields: Mapping[str, NDArray], given: float | None) -> float:
    """Of the archive; what is given for one that has none."""
    name = next((name for name in RATES if name in fields), None)
    if name is None:
        if given is None:
            raise InputError(f"{path} carries no frame rate; give fps=")
        return given
    if fields[name].size != 1:
        raise InputError(f"{path}: {name} of shape {list(fields[name].shape)}; expected one number")
    return check_fps(fields[name].item(), f"{path}: {name}")


def _only_motion(path: Path, fields: Mapping[str, NDArray]) -> str:
    """The name of the one array that can be a motion."""
    found = [name for name in fields if _can_be_read(fields, name)]
    if len(found) == 1:
        return found[0]
    text = f"{path} holds {', '.join(fields) or 'nothing'}"
    if found:
        raise InputError(f"{text}; {' and '.join(found)} can each be a motion: name one of them 'joints'")
    raise InputError(f"{text}; expected 'joints' {SHAPES['joints22']} in metres, 'fps' and 'skeleton'")


def _can_be_read(fields: Mapping[str, NDArray], name: str) -> bool:
    try:
        return format_of(fields[name]) is not None
    except ValueError:  # Python objects
        return False


def _skeleton(path: Path, fields: Mapping[str, NDArray]) -> Skeleton:
    name = str(fields["skeleton"]) if "skeleton" in fields else SMPL22.name
    if {"names", "parents", "offsets"} <= set(fields):
        names, parents = fields["names"].tolist(), fields["parents"].tolist()
        return Skeleton(name, tuple(map(str, names)), tuple(map(int, parents)), fields["offsets"])
    if name != SMPL22.name:
        raise InputError(f"{path} names the skeleton '{name}' without its names, parents and offsets; only '{SMPL22.name}' needs none")
    return SMPL22


def _numbers(joints: NDArray) -> NDArray:
    if not np.issubdtype(joints.dtype, np.number) or np.iscomplexobj(joints):
        raise InputError(f"joints of type {joints.dtype}; expected numbers [T, 22, 3] in metres")
    return joints if joints.dtype in (np.float32, np.float64) else joints.astype(np.float64)
