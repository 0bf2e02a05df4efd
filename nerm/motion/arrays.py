"""Arrays of motion: which format a shape is, and how the orders and joint counts that are common elsewhere become one that is known here.

A plain array carries no frame rate and no name of its format; its shape tells what it holds. It knows no file but npy, and no corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.body import no_body
from nerm.motion.features import FEATURES_251, FEATURES_263, FeatureFormat, motion_from_features
from nerm.motion.motion import Features, Motion
from nerm.motion.pickles import load_arrays
from nerm.motion.skeleton import KIT21, SMPL22

FORMAT_OF_SHAPE = {(22, 3): "joints22", (21, 3): "joints21", (263,): "humanml263", (251,): "kit251"}
"""The shape of one frame -> the format."""
SHAPES = {name: f"[T, {', '.join(map(str, shape))}]" for shape, name in FORMAT_OF_SHAPE.items()}
FEATURES: dict[str, FeatureFormat] = {"humanml263": FEATURES_263, "kit251": FEATURES_251}
USUAL_FPS = {"joints22": FEATURES_263.fps, "joints21": FEATURES_251.fps} | {name: format.fps for name, format in FEATURES.items()}
"""The rate of the data that the formats come from."""

_BODIES = {24: "SMPL", 45: "SMPL", 52: "SMPL-H", 55: "SMPL-X", 73: "SMPL-H", 127: "SMPL-X", 144: "SMPL-X"}
"""Number of joints -> the body model that has as many (45, 73, 127 and 144 as smplx gives them out). Their first 22 are the 22 joints."""
_JOINTS = (len(SMPL22), len(KIT21), *_BODIES)
_WIDTHS = tuple(format.dims for format in FEATURES.values())
_PARAMETERS = {
    63: "poses of SMPL's body without its root",
    156: "poses of SMPL-H",
    165: "poses of SMPL-X",
    66: "poses of SMPL-H without hands",
    72: "poses of SMPL",
    322: "parameters of SMPL-X as in Motion-X (poses are array[:, :66], trans array[:, 309:312], betas array[0, 312:])",
}


class _Order(NamedTuple):
    """An order of axes. shape: letters as in `_fits`.  take: how the frames of motion i are got, as Python.  frames: the same, done."""

    shape: str
    take: str
    frames: Callable[[NDArray, int], NDArray]


_ORDERS = (
    _Order("T J 3", "", lambda x, i: x),
    _Order("T F", "", lambda x, i: x),
    _Order("N J 3 T", "[i].transpose(2, 0, 1)", lambda x, i: x[i].transpose(2, 0, 1)),
    _Order("N T J 3", "[i]", lambda x, i: x[i]),
    _Order("J 3 T", ".transpose(2, 0, 1)", lambda x, i: x.transpose(2, 0, 1)),
    _Order("N F 1 T", "[i, :, 0].T", lambda x, i: x[i, :, 0].T),
    _Order("N 1 T F", "[i, 0]", lambda x, i: x[i, 0]),
    _Order("N T F", "[i]", lambda x, i: x[i]),
    _Order("T P", ".reshape(-1, J, 3)", lambda x, i: x.reshape(len(x), -1, 3)),
    _Order("N T P", "[i].reshape(-1, J, 3)", lambda x, i: x[i].reshape(x.shape[1], -1, 3)),
)


class Stored(NamedTuple):
    """An array of one or several motions as it is stored. name: in what is said.  about: what it lies in.

    lengths: frames of each motion, where the array is longer.  texts: what each was made for. Both where they are known.
    """

    array: NDArray
    name: str = "array"
    about: str = ""
    lengths: Sequence[int] = ()
    texts: Sequence[str] = ()


class Frames(NamedTuple):
    """Frames of motion. format: a name of SHAPES.  values: of that shape.  said: what was done to get there; '' for nothing."""

    format: str
    values: NDArray
    said: str = ""


def open_array(path: Path) -> Stored:
    """The array of an npy file, memory-mapped, or that of the dictionary in one of Python objects, of which nothing is executed."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError) as error:
        start = _objects_at(path)
        if start:
            return _in_dictionary(path, start)
        text = str(error).splitlines()[0]
        raise InputError(f"{path} is not a readable npy file ({text}): damaged, cut off or something else") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} is an npz archive, not an npy array; give it the suffix .npz")
    return Stored(array)


def format_of(array: NDArray) -> str | None:
    """The format of the frames that can be had of an array, in one of the orders that are known; None for another shape."""
    order = _order_of(array.shape)
    if order is None or not array.size:
        return None
    return _format(order.frames(array, 0).shape[1:])


def frames_of(stored: Stored, index: int | None = None) -> Frames:
    """The frames of one motion, in a known format. index: which motion, of an array of several.

    Raises InputError for a shape that is not known, for several motions without an index, and for 24, 52 ... points that are no joints.
    """
    frames = _frames(stored, index)
    values, place = frames.values, index or 0
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise InputError(f"{stored.name} of type {values.dtype}; expected numbers, {SHAPES[frames.format]} for {frames.format}")
    if place < len(stored.lengths) and 0 < stored.lengths[place] < len(values):
        values = values[: stored.lengths[place]]
    text = f" ('{stored.texts[place]}')" if place < len(stored.texts) else ""
    values = np.array(values, dtype=values.dtype if values.dtype in (np.float32, np.float64) else np.float64)
    return Frames(frames.format, values, frames.said + text)


def motion_of(frames: Frames, fps: float, metres_per_unit: float | None = None, rotations: NDArray | None = None) -> Motion:
    """The motion that frames are. metres_per_unit: of joints; None: metres. Features stay with the motion as they are."""
    if frames.format in FEATURES:
        if metres_per_unit is not None:
            raise InputError(f"metres_per_unit= is for joints; the unit of {frames.format} is fixed, leave it out")
        motion = motion_from_features(frames.values, FEATURES[frames.format], fps)
        return replace(motion, features=Features(frames.format, frames.values))
    joints = frames.values if metres_per_unit is None else frames.values * metres_per_unit
    return Motion(joints, fps, SMPL22 if frames.format == "joints22" else KIT21, rotations)


def _frames(stored: Stored, index: int | None) -> Frames:
    """The frames of the motion, whatever they are made of."""
    array, name, shape = stored.array, stored.name, list(stored.array.shape)
    about = f"{stored.about}; " if stored.about else ""
    order = _order_of(array.shape)
    if order is None or not array.size:
        raise InputError(f"{about}{name} of shape {shape}; expected {_expected()}{_parameters(array.shape)}")
    several = order.shape[0] == "N"
    if not several and index is not None:
        raise InputError(f"{about}index={index}, but {name} of shape {shape} is one motion; leave index out")
    count, place = len(array) if several else 1, index or 0
    values = order.frames(array, place if place in range(count) else 0)
    joints, format = values.shape[1] if values.ndim == 3 else 0, _format(values.shape[1:])
    sizes = {"J": joints, "P": 3 * joints, "F": values.shape[-1]}
    axes = ", ".join(str(sizes.get(letter, letter)) for letter in order.shape.split())
    take = order.take.replace("J", str(joints))
    mdm = ", the order of MDM" if order.shape.startswith(("N J 3", "J 3", "N F 1")) else ""
    how = f"{name} of shape {shape} is [{axes}]{mdm}: {name}{take} is {'motion i as ' * several}{format} {SHAPES[format]}"
    if place not in range(count) or (count > 1 and index is None):
        wrong = "" if index is None else f"index={index} is none of them: "
        raise InputError(f"{about}{how}; {wrong}choose one of {count} motions with index=0 to index={count - 1} (python -m nerm.convert)")
    said = [stored.about, f"{how}; motion {place} of {count} is read" if several else how] if take else []
    if joints in _BODIES:
        values = values[:, : len(SMPL22)]
        said.append(f"{joints} joints of {_BODIES[joints]}, of which the first 22 are wanted and read: {name}[..., :22, :]")
    if (joints in _BODIES or "P" in order.shape) and no_body(values):
        raise InputError(
            f"{name} of shape {shape}: no joints of a person in SMPL's order; expected {_expected()}{_parameters(array.shape)}"
        )
    return Frames(format, values, "; ".join(filter(None, said)))


def _format(frame: tuple[int, ...]) -> str:
    """The format of a frame of that shape; of more joints the first 22 are wanted."""
    return FORMAT_OF_SHAPE[(len(SMPL22), 3) if frame[0] in _BODIES else frame]


def _order_of(shape: tuple[int, ...]) -> _Order | None:
    return next((order for order in _ORDERS if _fits(shape, order.shape.split())), None)


def _fits(shape: tuple[int, ...], letters: list[str]) -> bool:
    """N, T: any number.  J: a known number of joints.  F: numbers of a format of features.  P: three numbers a joint.  1, 3: themselves."""
    known = {"J": _JOINTS, "F": _WIDTHS, "P": tuple(3 * joints for joints in _JOINTS if joints != len(KIT21)), "1": (1,), "3": (3,)}
    return len(shape) == len(letters) and all(letter not in known or n in known[letter] for n, letter in zip(shape, letters, strict=True))


def _expected() -> str:
    return ", ".join(f"{shape} for {name}" for name, shape in SHAPES.items())


def _parameters(shape: tuple[int, ...]) -> str:
    """What an array is that holds parameters of a body, and what to do with it; '' for another."""
    known = _PARAMETERS.get(shape[-1]) if len(shape) == 2 else None
    if known is None:
        return ""
    return f"; it may be {known}: save poses, trans, betas and mocap_framerate in an npz, and give body=, the file of the body model"


def _in_dictionary(path: Path, start: int) -> Stored:
    """The array of motions in the dictionary of an npy file of Python objects."""
    wanted = "expected an array, or the dictionary that MDM's generate.py saves as results.npy"
    do = "np.load(path, allow_pickle=True).item()['motion'][i].transpose(2, 0, 1) is motion i as joints22 there: save that with np.save"
    try:
        content = load_arrays(path, start)
    except InputError as error:
        raise InputError(f"{path} holds Python objects; {wanted} ({do}). {error}") from None
    if isinstance(content, np.ndarray) and content.size == 1:
        content = content.item()
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds Python objects ({type(content).__name__}); {wanted}: save each motion [T, 22, 3] with np.save")
    name = next((name for name in ("motion", "joints", *content) if _is_motion(content.get(name))), None)
    if name is None:
        raise InputError(f"{path} holds a dictionary with {', '.join(map(str, content)) or 'nothing'}; {wanted}, which has 'motion': {do}")
    about = "the dictionary that MDM's generate.py saves as results.npy" if name == "motion" else "a dictionary"
    lengths, texts = np.ravel(content.get("lengths", ())), content.get("text", ())
    frames = lengths.astype(int).tolist() if lengths.dtype.kind in "iu" else []
    return Stored(content[name], str(name), about, frames, texts if isinstance(texts, list | tuple) else ())


def _is_motion(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype != object and value.size > 0 and _order_of(value.shape) is not None


def _objects_at(path: Path) -> int:
    """Where the pickle begins in an npy file whose header says that it holds Python objects; 0 for another file."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return file.tell() if read(file)[2].hasobject else 0
        except (ValueError, EOFError, SyntaxError):
            return 0
