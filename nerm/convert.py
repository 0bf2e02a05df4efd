"""Motion files from one format to another.

    python -m nerm.convert in=joints.npy from=joints22 to=humanml263 fps=20 out=features.npy

Formats: joints22 (npy [T, 22, 3], metres, y up), humanml263 and kit251 (npy, not normalised), bvh, amc (with asf=; read only), npz.
Features are written through their whole published pipeline (skeleton of the format, floor, start at the origin, facing +z) and have
one frame less than the motion. This module knows files and codecs, not corpora and models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nerm.cli import MISSING, choose, parse, progress, run
from nerm.errors import InputError, about
from nerm.help import command

if TYPE_CHECKING:
    from nerm.motion.motion import Motion

USAGE = "Usage: python -m nerm.convert in=PATH from=FORMAT to=FORMAT fps=20 to_fps= out=PATH"
_SUFFIXES = {".bvh": "bvh", ".amc": "amc", ".npz": "npz"}
FORMATS = ("joints22", "humanml263", "kit251", "bvh", "amc", "npz")
_WRITTEN = tuple(name for name in FORMATS if name != "amc")


@dataclass
class ConvertConfig:
    """Keys of the command.

    in: the file to read.
    out: the file to write.
    from: format of the file to read; left out, it is found by suffix and shape.
    to: format to write; left out, it is found by the suffix of `out`.
    fps: rate of an input that carries none.
    to_fps: rate to resample to; left out, the motion keeps its own (features are brought to the rate of their format).
    mode: of resampling: antialias (low-passed before a lower rate) or sample.
    method: of resampling: slerp, cubic or linear.
    asf: the skeleton file of an AMC.
    metres_per_unit: of a BVH (guessed from standing height where left out) or an AMC (0.05644, the CMU unit).
    """

    in_: str = MISSING
    out: str = MISSING
    from_: str | None = None
    to: str | None = None
    fps: float | None = None
    to_fps: float | None = None
    mode: str = "antialias"
    method: str = "slerp"
    asf: str | None = None
    metres_per_unit: float | None = None


@command(ConvertConfig)
def main(arguments: Sequence[str]) -> None:
    config = parse(ConvertConfig, arguments, USAGE)
    source, out = Path(config.in_), Path(config.out)
    if not source.is_file():
        raise InputError(f"in={source} {'is a folder' if source.is_dir() else 'does not exist'}; give the path of a motion file")
    if not out.parent.is_dir():
        raise InputError(f"out={out}: the folder {out.parent} does not exist; create it or name another")
    if out.is_dir():
        raise InputError(f"out={out} is a folder; give the path of the file to write")
    given = choose("from", config.from_ or _format_of_file(source), FORMATS)
    wanted = _wanted(config.to, out)
    _check_settings(config, given)
    motion = read(source, given, config)
    motion = _resampled(motion, wanted, config)
    write(motion, out, wanted)
    print(f"{out}: {wanted}, {motion.seconds:.3f} s at {motion.fps:g} fps from {given}")


def read(path: Path, format: str, config: ConvertConfig | None = None) -> Motion:
    """The motion in a file of one of the FORMATS. Raises InputError on a file that is not of that format or has a wrong value."""
    from nerm.motion.body import check_body
    from nerm.motion.features import FEATURES_251, FEATURES_263, motion_from_features
    from nerm.motion.motion import Motion

    config = config or ConvertConfig()
    with about(path):
        if format == "joints22":
            motion = Motion(_load_array(path, format), _rate(config, 20.0))
            check_body(motion, str(path))
            return motion
        if format == "humanml263":
            return motion_from_features(_load_array(path, format), FEATURES_263, _rate(config, FEATURES_263.fps))
        if format == "kit251":
            return motion_from_features(_load_array(path, format), FEATURES_251, _rate(config, FEATURES_251.fps))
    if format == "npz":
        from nerm.motion.files import load_motion

        if path.suffix.lower() != ".npz":
            raise InputError(f"from=npz and in={path.name} contradict each other; a file of that format has the suffix .npz")
        return load_motion(path, config.fps)
    if format == "bvh":
        from nerm.motion.bvh import read_bvh_motion

        return _with_own_rate(read_bvh_motion(path, config.metres_per_unit), path, config)
    return _read_amc(path, config)


def write(motion: Motion, path: Path, format: str) -> None:
    """The motion as a file of one of the FORMATS, written whole or not at all."""
    from nerm.motion.features import FEATURES_251, FEATURES_263, features_from_motion

    if format == "npz":
        from nerm.motion.files import save_motion

        save_motion(motion, path)
    elif format == "bvh":
        from nerm.motion.bvh_writer import write_bvh

        write_bvh(motion, path)
    elif format == "joints22":
        _save_array(path, _joints22(motion))
    else:
        features = FEATURES_263 if format == "humanml263" else FEATURES_251
        _save_array(path, features_from_motion(_smpl22(motion), features))


def _wanted(given: str | None, out: Path) -> str:
    """The format to write: as given, else by the suffix of the file."""
    by_suffix = _SUFFIXES.get(out.suffix.lower())
    if given is None and by_suffix is None:
        raise InputError(f"missing to=...: {out.name} does not tell the format; it can be {', '.join(_WRITTEN)}")
    wanted = choose("to", given or by_suffix or "", FORMATS)
    if wanted == "amc":
        raise InputError(f"to=amc cannot be written, only read; it can be {', '.join(_WRITTEN)}")
    if by_suffix not in (None, wanted) or (wanted in _SUFFIXES.values() and out.suffix.lower() == ".npy"):
        raise InputError(f"to={wanted} and out={out.name} contradict each other; give a file name with the suffix of the format")
    return wanted


def _format_of_file(path: Path) -> str:
    """The format of an input for which `from` was left out."""
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    if path.suffix.lower() == ".npy":
        from nerm.motion.arrays import SHAPES, explain_shape, format_of, open_array

        array = open_array(path)
        given = format_of(array)
        if given:
            return given
        expected = ", ".join(f"{shape} for {name}" for name, shape in SHAPES.items())
        raise InputError(f"{path}: array of shape {list(array.shape)}; expected {expected}{explain_shape(array.shape)}")
    raise InputError(f"{path.name} does not tell its format; give from=, one of {', '.join(FORMATS)}")


def _check_settings(config: ConvertConfig, given: str) -> None:
    """Raises InputError on settings that are wrong whatever the file holds."""
    from typing import get_args

    from nerm.motion.motion import check_fps
    from nerm.motion.resample import Method, Mode

    for name in ("fps", "to_fps"):
        if getattr(config, name) is not None:
            check_fps(getattr(config, name), name)
    if config.asf is not None and given != "amc":
        raise InputError(f"asf= belongs to from=amc; from={given} needs none, leave it out")
    if config.metres_per_unit is not None and given not in ("bvh", "amc"):
        raise InputError(f"metres_per_unit= is for from=bvh and from=amc; the unit of {given} is fixed, leave it out")
    unit = config.metres_per_unit
    if unit is not None and not (np.isfinite(unit) and unit > 0):
        raise InputError(f"metres_per_unit={unit}; expected a positive number, 0.01 for centimetres")
    choose("mode", config.mode, get_args(Mode))
    choose("method", config.method, get_args(Method))


def _rate(config: ConvertConfig, usual: float) -> float:
    """The rate of an array, which carries none."""
    if config.fps is None:
        progress(f"fps= was not given; the input is read as {usual:g} fps")
        return usual
    return config.fps


def _with_own_rate(motion: Motion, path: Path, config: ConvertConfig) -> Motion:
    """The motion, unless fps= contradicts the rate that the file itself carries."""
    if config.fps is not None and abs(config.fps / motion.fps - 1) > 1e-3:
        raise InputError(
            f"fps={config.fps:g}, but {path} says {motion.fps:g} fps; leave fps out, or give to_fps={config.fps:g} to resample"
        )
    return motion


def _resampled(motion: Motion, wanted: str, config: ConvertConfig) -> Motion:
    """At to_fps; features without to_fps at the rate at which their format is defined."""
    from typing import cast

    from nerm.motion.features import FEATURES_251, FEATURES_263
    from nerm.motion.resample import Method, Mode, resample

    defined = {"humanml263": FEATURES_263.fps, "kit251": FEATURES_251.fps}.get(wanted)
    rate = config.to_fps or defined or motion.fps
    if rate == motion.fps:
        return motion
    if defined and config.to_fps is None:
        progress(f"{wanted} is defined at {defined:g} fps; the motion of {motion.fps:g} fps is resampled to it")
    elif defined and rate != defined:
        progress(f"{wanted} is defined at {defined:g} fps; its steps and contacts per frame mean something else at {rate:g} fps")
    return resample(motion, rate, cast(Method, config.method), cast(Mode, config.mode))


def _read_amc(path: Path, config: ConvertConfig) -> Motion:
    from nerm.motion.amc import METRES_PER_UNIT, read_amc, read_asf
    from nerm.motion.mapping import to_smpl22
    from nerm.motion.motion import Motion

    if config.asf is None:
        raise InputError(f"{path}: an AMC holds no skeleton; give asf=PATH of the ASF file that belongs to it")
    if config.fps is None:
        raise InputError(f"{path}: an AMC carries no frame rate; give fps=, 120 for HDM05 and for most CMU recordings")
    capture = read_amc(path, read_asf(Path(config.asf)), config.fps, config.metres_per_unit or METRES_PER_UNIT)
    with about(path):
        return Motion(to_smpl22(capture), config.fps)


def _smpl22(motion: Motion) -> Motion:
    """The motion without the hands, if it has the 24 joints; else as it is."""
    from nerm.motion.motion import Motion
    from nerm.motion.skeleton import SMPL22, SMPL24

    return Motion(motion.joints[:, : len(SMPL22)], motion.fps) if motion.skeleton.names == SMPL24.names else motion


def _joints22(motion: Motion) -> NDArray[np.float32]:
    from nerm.motion.skeleton import SMPL22

    motion = _smpl22(motion)
    if motion.skeleton.names != SMPL22.names:
        raise InputError(
            f"motion on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints; joints22 holds those of '{SMPL22.name}' "
            "and no conversion between the two is defined"
        )
    return motion.joints.astype(np.float32)


def _load_array(path: Path, format: str) -> NDArray:
    """The numbers of an npy file, of the shape that the format has."""
    from nerm.motion.arrays import SHAPES, explain_shape, format_of, open_array

    array = open_array(path)
    likely = format_of(array)
    if likely != format:
        hint = f"; it looks like {likely}: give from={likely}" if likely else explain_shape(array.shape)
        raise InputError(f"array of shape {list(array.shape)}; {format} needs {SHAPES[format]}{hint}")
    if array.dtype.kind not in "fiu":
        raise InputError(f"array of type {array.dtype}; {format} needs numbers")
    return np.array(array, dtype=array.dtype if array.dtype in (np.float32, np.float64) else np.float32)


def _save_array(path: Path, array: NDArray) -> None:
    from nerm.atomic import replacing

    save: Callable[..., None] = np.save
    with replacing(path) as temporary, temporary.open("wb") as file:
        save(file, np.asarray(array, dtype=np.float32), allow_pickle=False)


if __name__ == "__main__":
    run(main)
