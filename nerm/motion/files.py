"""Motions as files: one function to save and one to load, by suffix. It knows no corpus and no model.

What a format looks like inside is known by the modules named in `_READERS` and `_WRITERS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from nerm.atomic import replacing
from nerm.cli import choose, progress
from nerm.errors import InputError, about
from nerm.motion.amass import write_amass
from nerm.motion.amc import METRES_PER_UNIT, read_amc, read_asf
from nerm.motion.arrays import FEATURES, SHAPES, format_of, frames_of, motion_of, open_array
from nerm.motion.body import check_body, turned
from nerm.motion.bvh import read_bvh_motion, write_bvh
from nerm.motion.conventions import NAMES
from nerm.motion.features import features_from_motion
from nerm.motion.mapping import to_smpl22
from nerm.motion.motion import Motion, check_fps
from nerm.motion.npz import fields_of, format_of_npz, read_amass_npz, read_npz
from nerm.motion.skeleton import KIT21, SMPL22

_SUFFIX = {"npz": ".npz", "amass": ".npz", "bvh": ".bvh", "glb": ".glb", **dict.fromkeys(SHAPES, ".npy"), "amc": ".amc"}
_SUFFIX |= {"gif": ".gif", "mp4": ".mp4", "html": ".html"}
"""Format -> suffix of its files."""
RATELESS = (".npy", ".amc")
"""Files that carry no frame rate."""
PICTURES = (".gif", ".mp4", ".html")
VIDEOS = (".mp4", ".gif")
_SAME_RATE = 1e-3


@dataclass(frozen=True)
class Reading:
    """How a file is read, where it does not say so itself. What a format has no use for is an error.

    fps: of a file that carries none.  in_fps: the true rate, whatever the file says.  format: None finds it by suffix and content.
    metres_per_unit: of joints in .npy and .npz (None: metres), of a .bvh (None: guessed, and said) and of an .amc.
    up: the axis that is up in the file, one of `nerm.motion.axes.UP_AXES`.  index: which motion, of an array of several.
    body: path of the body model of poses, or `mean`.  asf: path of the skeleton of an .amc.
    joints: of a .bvh of an unknown skeleton, {"l_hip": name in the file ...} (`nerm.motion.matching.read_joint_map`).
    """

    fps: float | None = None
    metres_per_unit: float | None = None
    in_fps: float | None = None
    format: str | None = None
    up: str | None = None
    index: int | None = None
    body: str | None = None
    asf: str | None = None
    joints: Mapping[str, str] | None = None

    def of(self, format: str) -> Reading:
        """The same for one file of a folder, without what its format has no use for."""
        unused = {name: None for name, known in _FOR.items() if format not in known}
        return replace(self, format=format, **unused)

    @property
    def given_fps(self) -> float | None:
        """The rate of a file that carries none."""
        return self.fps if self.in_fps is None else self.in_fps


@dataclass(frozen=True)
class Writing:
    """How a file is written.

    metres_per_unit: of a .bvh (0.01 writes centimetres).  names: of the joints in a .bvh or .glb, smpl or mixamo.
    format: None is that of the suffix (joints of any number for .npy).
    body: path of the body model that poses are written for; None is a mean adult.
    made_by: what the motion was asked for, and of which system; kept in the file, but for .bvh and .npy (`nerm.motion.made_by`), and shown
    on pages.
    size: of a .mp4 or .gif in pixels, such as 640x480.
    """

    metres_per_unit: float = 0.01
    names: str = "smpl"
    format: str | None = None
    body: str | None = None
    made_by: Mapping[str, Any] | None = None
    size: str | None = None

    def __post_init__(self) -> None:
        choose("names", self.names, list(NAMES))
        _check_unit(self.metres_per_unit)
        _ = self.size and self.pixels  # which checks it

    def check(self, path: Path) -> None:
        """An InputError if something is given that a file of this name has no use for."""
        if self.size is not None and path.suffix.lower() not in VIDEOS:
            raise InputError(f"size={self.size} is for {' and '.join(VIDEOS)}; {path.name} has none: leave it out")

    @property
    def pixels(self) -> tuple[int, int] | None:
        """Width and height; None is the usual size."""
        from nerm.render import parse_size

        return parse_size(self.size) if self.size else None


def load_motion(path: str | Path, how: Reading = Reading()) -> Motion:
    """Read a motion, and check that it is of a person in metres (an error) with y up (said on stderr). See `read_motion`."""
    motion = read_motion(path, how)
    check_body(motion, str(path), how.up)
    return motion


def read_motion(path: str | Path, how: Reading = Reading()) -> Motion:
    """Read a motion as it is, with y up. Raises InputError, which names the file, on one that is damaged or of no known format."""
    path = check_readable(path)
    with about(path):
        for name in ("fps", "in_fps"):
            if getattr(how, name) is not None:
                check_fps(getattr(how, name), name)
        if how.metres_per_unit is not None:
            _check_unit(how.metres_per_unit)
        given = format_of_file(path, how.format)
        check_use(how, given)
        motion = _READERS[given](path, how)
        motion = motion if given in _TURNED else turned(motion, how.up)
        if how.in_fps is not None and motion.fps != how.in_fps:
            progress(f"{path}: the file says {motion.fps:g} fps; read as {how.in_fps:g}, as in_fps= says")
            return replace(motion, fps=how.in_fps)
        if how.fps is not None and how.in_fps is None:
            _agree(motion.fps, how.fps)
        return motion


def _check_unit(metres_per_unit: float) -> None:
    if not np.isfinite(metres_per_unit) or metres_per_unit <= 0:
        raise InputError(f"metres_per_unit={metres_per_unit}; expected a positive number, 0.01 for centimetres")


def check_use(how: Reading, format: str) -> None:
    """An InputError if something is given that a file of the format has no use for."""
    for name, known in _FOR.items():
        if getattr(how, name) is not None and format not in known:
            raise InputError(f"{name}= is for {', '.join(known)}; this file is {format}: leave it out")


def check_apart(source: str | Path, out: str | Path) -> None:
    """An InputError if what is read and what is written are one file."""
    if Path(out).exists() and Path(source).exists() and Path(out).samefile(source):
        raise InputError(f"in= and out= are the same file {out}, which would be lost; give another name to out=")


def check_readable(path: str | Path) -> Path:
    """The path, if there is a file with a suffix that can be read."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a motion file")
    if path.suffix.lower() not in READABLE:
        raise InputError(f"{path}: a motion cannot be read from '{path.suffix or path.name}'; the suffix can be {', '.join(READABLE)}")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the path of a motion file")
    if not os.access(path, os.R_OK):
        raise InputError(f"{path} may not be read; change its permissions")
    return path


def format_of_file(path: Path, given: str | None = None) -> str:
    """The format of an existing file, by suffix and content; an InputError if that is another than the given one."""
    suffix = path.suffix.lower()
    if given is not None and choose("from", given, READ) and suffix != _SUFFIX[given]:
        raise InputError(f"from={given} and {path.name} contradict each other; a file of that format has the suffix {_SUFFIX[given]}")
    if suffix == ".npy":
        stored = open_array(path)
        with about(path):
            found = format_of(stored.array) or frames_of(stored).format  # which says what another shape is
    else:
        found = format_of_npz(path) if suffix == ".npz" else suffix[1:]
    if given not in (None, found):
        raise InputError(f"{path} is not {given}; it looks like {found}: give from={found}, or leave it out")
    return found


def check_writable(path: str | Path, format: str | None = None) -> Path:
    """The path, if a motion can be written there (in a format); to be asked before any work. Its folder must exist."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise InputError(f"{path}: a motion cannot be written as '{path.suffix or path.name}'; the suffix can be {', '.join(WRITABLE)}")
    if format is not None and format in READ and format not in _WRITERS:
        raise InputError(f"to={format} cannot be written, only read; it can be {', '.join(_WRITERS)}")
    if format is not None and choose("to", format, list(_WRITERS)) and suffix != _SUFFIX[format]:
        raise InputError(f"to={format} and {path.name} contradict each other; a file of that format has the suffix {_SUFFIX[format]}")
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist; create it or choose another")
    if not os.access(path.parent, os.W_OK):
        raise InputError(f"{path}: the folder {path.parent} cannot be written to; choose another")
    if suffix == ".mp4":
        from nerm.render import check_video

        check_video()
    return path


def save_motion(motion: Motion, path: str | Path, how: Writing = Writing()) -> None:
    """Write a motion, whole or not at all. A .npy keeps joints alone: no rate."""
    path = check_writable(path, how.format)
    how.check(path)
    suffix = path.suffix.lower()
    if how.format is None and suffix == ".npy":
        _save(path, np.save, motion.joints)
    else:
        _WRITERS[how.format or suffix[1:]](motion, path, how)


def _read_npy(path: Path, how: Reading) -> Motion:
    if how.given_fps is None:
        raise InputError(f"{path} carries no frame rate; give fps=")
    frames = frames_of(open_array(path), how.index)
    if frames.said:
        progress(f"{path}: {frames.said}")
    return motion_of(frames, how.given_fps, how.metres_per_unit)


def _read_amc(path: Path, how: Reading) -> Motion:
    if how.asf is None:
        raise InputError(f"{path}: an AMC holds no skeleton; give asf=PATH of the ASF file that belongs to it")
    if how.given_fps is None:
        raise InputError(f"{path}: an AMC carries no frame rate; give fps=, 120 for HDM05 and for most CMU recordings")
    capture = read_amc(path, read_asf(Path(how.asf)), how.given_fps, how.metres_per_unit or METRES_PER_UNIT)
    return Motion(to_smpl22(capture), how.given_fps)


_READERS: dict[str, Callable[[Path, Reading], Motion]] = {
    "npz": lambda path, how: read_npz(path, how.given_fps, how.metres_per_unit, how.index),
    "amass": lambda path, how: read_amass_npz(path, how.given_fps, how.body, how.up),
    "bvh": lambda path, how: read_bvh_motion(path, how.metres_per_unit, how.joints, how.in_fps, how.up),
    **dict.fromkeys(SHAPES, _read_npy),
    "amc": _read_amc,
}
READ = tuple(_READERS)
"""The formats that can be read."""
READABLE = tuple(dict.fromkeys(_SUFFIX[name] for name in READ))
_ARRAYS = tuple(SHAPES)
_TURNED = ("amass", "bvh")
"""The formats whose readers see to the axis that is up: poses are turned with their body, a rest pose tells it."""
_FOR = {
    "metres_per_unit": ("joints22", "joints21", "npz", "bvh", "amc"),
    "index": (*_ARRAYS, "npz"),
    "body": ("amass",),
    "asf": ("amc",),
    "joints": ("bvh",),
}
"""Field of a Reading -> the formats that it is for."""


def _agree(carried: float, given: float) -> None:
    """An InputError if the rate that a file carries is contradicted."""
    if abs(given / carried - 1) > _SAME_RATE:
        text = f"the file carries {carried:g} fps, but fps={given:g} was given"
        raise InputError(
            f"{text}; leave fps out (to_fps={given:g} of nerm.convert resamples), or give in_fps={given:g} if the file is wrong"
        )


def _save(path: Path, save: Callable[..., None], *arrays: np.ndarray, **named: np.ndarray) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        save(file, *(np.asarray(array, dtype=np.float32) for array in arrays), **named)


def _write_glb(motion: Motion, path: Path, how: Writing) -> None:
    from nerm.motion.gltf import write_glb

    write_glb(motion, path, how.names, how.made_by)


def _write_array(name: str, motion: Motion, path: Path, how: Writing) -> None:
    """Joints or features: of the first joints of the motion, so that one of 24 joints loses its hands."""
    skeleton = FEATURES[name].skeleton if name in FEATURES else KIT21 if name == "joints21" else SMPL22
    if motion.skeleton.names[: len(skeleton)] != skeleton.names:
        given = f"motion on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints"
        raise InputError(f"{given}; {name} is on the {len(skeleton)} of '{skeleton.name}' and no conversion between the two is defined")
    motion = Motion(motion.joints[:, : len(skeleton)], motion.fps, skeleton)
    _save(path, np.save, features_from_motion(motion, FEATURES[name]) if name in FEATURES else motion.joints)


def _write_picture(motion: Motion, path: Path, how: Writing) -> None:
    from nerm.render import render

    by = how.made_by or {}
    asked = ", then ".join(filter(None, by.get("texts", []))) or by.get("text") or by.get("label")
    title = str(asked or ("any motion" if by else path.stem))
    feet = "feet locked" if by.get("feet") == "lock" else "feet as sampled"
    about = f"{by['system']} {str(by.get('model', ''))[:12]}, seed {by.get('seed')}, {feet}" if "system" in by else ""
    render([motion], path, [title], [about], how.pixels, how.made_by)


_WRITERS: dict[str, Callable[[Motion, Path, Writing], None]] = {
    "npz": lambda motion, path, how: _save(path, np.savez_compressed, **fields_of(motion, how.made_by)),
    "amass": lambda motion, path, how: _save(path, np.savez_compressed, **write_amass(motion, how.body)),
    "bvh": lambda motion, path, how: write_bvh(motion, path, how.metres_per_unit, how.names),
    "glb": _write_glb,
    **{name: partial(_write_array, name) for name in SHAPES},
    "gif": _write_picture,
    "mp4": _write_picture,
    "html": _write_picture,
}
WRITTEN = tuple(_WRITERS)
"""The formats that can be written."""
WRITABLE = tuple(dict.fromkeys(_SUFFIX[name] for name in WRITTEN))
