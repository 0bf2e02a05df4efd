"""Recordings of AMASS with the segments that HumanML3D's index names, as joints at their own rates. It knows no item, caption or split.

Official frame k of a recording is frame k * int(fps / 20): the official preparation keeps those and counts in them. So 20 of them are a
second of most recordings, and 0.96 s of one at 250 fps.

Source: HumanML3D's raw_pose_processing notebook.
"""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from nerm.data.t2m.texts import FRAMES_PER_SECOND
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.smpl import SHAPES, BodyModel, load_body_model

T = TypeVar("T")
TRIMS_S = {"Eyes_Japan_Dataset": 3.0, "MPI_HDM05": 3.0, "TotalCapture": 1.0, "MPI_Limits": 1.0, "Transitions_mocap": 0.5}
"""Collection -> official seconds that are left out at the head of its recordings."""
WITHOUT_BODY = "humanact12"
_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])


class Unusable(Exception):
    """A recording gives no segment: (kind, text)."""


def read_index(path: Path) -> dict[str, tuple[str, int, int]]:
    """Id -> (file under the sources, start, end in official frames), of HumanML3D's index.csv."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {
            row["new_name"].removesuffix(".npy"): (_source(row["source_path"]), int(row["start_frame"]), int(row["end_frame"]))
            for row in rows
        }
    except FileNotFoundError:
        raise InputError(f"{path} is missing; put HumanML3D's index.csv there") from None
    except (KeyError, ValueError, AttributeError, TypeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not HumanML3D's index.csv ({error}); expected source_path, start_frame, end_frame, new_name") from None


def body_file(sources: Path, gender: str) -> Path:
    """The SMPL-H model of a gender."""
    return sources / "body_models" / "smplh" / gender / "model.npz"


def official_frames(path: Path, start: int, end: int) -> tuple[float, int, tuple[int, int]]:
    """(fps, step, [first, last + 1) of the official frames of a recording), from a segment of index.csv.

    Official frame k is frame k * step. An end beyond the recording is its end, as in the original.
    """
    if WITHOUT_BODY in path.parts:
        return float(FRAMES_PER_SECOND), 1, (0, len(_poses(path)))  # these are whole clips, whatever their index says
    fps, frames = _rate_and_frames(path)
    step = int(fps / FRAMES_PER_SECOND)
    if step < 1:
        raise Unusable("recorded below 20 fps", f"{path.name}: {fps:g} fps")
    head = int(next((seconds for name, seconds in TRIMS_S.items() if name in path.parts), 0.0) * FRAMES_PER_SECOND)
    kept = range(-(-frames // step))[head:][start:end]
    return fps, step, (kept.start, max(kept.stop, kept.start))


def segment_joints(sources: Path, file: str, step: int, cut: tuple[int, int]) -> NDArray[np.float64]:
    """[T, 22, 3] metres, y up: the frames of a recording from the first official frame of a segment to its last."""
    path = sources / file
    frames = slice(cut[0] * step, (cut[1] - 1) * step + 1)
    if WITHOUT_BODY in path.parts:
        return np.array(_poses(path)[frames, : len(SMPL22)], dtype=np.float64)
    gender, poses, translation, shape = _recording(path)
    joints = _body(body_file(sources, gender)).joints(poses[frames], translation[frames], shape[:SHAPES]) @ _AXES
    return joints * np.array([-1.0, 1.0, 1.0])


def _source(path: str) -> str:
    """./pose_data/KIT/3/x_poses.npy -> amass_data/KIT/3/x_poses.npz; the clips of HumanAct12 have no body and stay."""
    place = path.removeprefix("./")
    return place if f"/{WITHOUT_BODY}/" in path else place.replace("pose_data/", "amass_data/", 1).removesuffix(".npy") + ".npz"


@lru_cache(maxsize=4096)
def _rate_and_frames(path: Path) -> tuple[float, int]:
    """Of an AMASS recording."""
    with _opened(path) as file:
        return _field(path, file, "mocap_framerate", lambda array: float(array)), _field(path, file, "trans", len)


@lru_cache(maxsize=2)
def _recording(path: Path) -> tuple[str, NDArray, NDArray, NDArray]:
    """(male or female, poses [T, 156], translation [T, 3], shape [16]) of an AMASS recording. As officially, female stands for neutral."""
    with _opened(path) as file:
        gender = _field(path, file, "gender", lambda array: array.item())
        name = gender.decode() if isinstance(gender, bytes) else str(gender)
        poses, translation, shape = (_field(path, file, key, lambda array: array) for key in ("poses", "trans", "betas"))
    if poses.ndim != 2 or poses.shape[1] < 3 * len(SMPL22) or translation.shape != (len(poses), 3):
        raise Unusable("damaged", f"{path.name}: poses of shape {list(poses.shape)}, trans of {list(translation.shape)}")
    return "male" if name == "male" else "female", poses, translation, shape


def _opened(path: Path) -> np.lib.npyio.NpzFile:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise Unusable("without a recording", str(path)) from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise Unusable("damaged", f"{path.name}: {error}") from None


def _field(path: Path, file: Mapping[str, NDArray], name: str, read: Callable[[NDArray], T]) -> T:
    try:
        return read(file[name])
    except (KeyError, ValueError, TypeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise Unusable("damaged", f"{path.name}: {name}: {error}; expected a file of AMASS's SMPL+H G release") from None


def _poses(path: Path) -> NDArray:
    """[T, 22 or more, 3] joints of HumanAct12 as published with HumanML3D, memory-mapped."""
    try:
        joints = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise Unusable("without a recording", str(path)) from None
    except (OSError, ValueError, EOFError) as error:
        raise Unusable("damaged", f"{path.name}: {error}") from None
    if joints.ndim != 3 or joints.shape[1] < len(SMPL22) or joints.shape[2] != 3:
        raise Unusable("damaged", f"{path.name}: joints of shape {list(joints.shape)}")
    return joints


@lru_cache(maxsize=2)
def _body(path: Path) -> BodyModel:
    return load_body_model(path)
