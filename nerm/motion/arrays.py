"""Arrays of motion in .npy files: which format a shape is, and what to do with the common ones that are none. It knows no corpus.

A plain array carries no frame rate and no name of its format; its shape alone tells what it holds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError

FORMAT_OF_SHAPE = {(22, 3): "joints22", (263,): "humanml263", (251,): "kit251"}
"""The shape of one frame -> the format."""
SHAPES = {"joints22": "[T, 22, 3]", "humanml263": "[T, 263]", "kit251": "[T, 251]"}
_MDM = "np.load(path, allow_pickle=True).item()['motion'][i].transpose(2, 0, 1) is motion i as joints [T, 22, 3]"


def open_array(path: Path) -> NDArray:
    """The array of an npy file, memory-mapped. Python objects are never loaded: they are explained."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError) as error:
        if _holds_objects(path):
            raise InputError(
                f"{path} holds Python objects and not an array, as does results.npy, the dictionary that MDM's generate.py saves: "
                f"{_MDM}; save that with np.save"
            ) from None
        text = str(error).splitlines()[0]
        raise InputError(f"{path} is not a readable npy file ({text}): damaged, cut off or something else") from None
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path} is an npz archive, not an npy array; give it the suffix .npz (in nerm.convert also from=npz)")
    return array


def format_of(array: NDArray) -> str | None:
    """The format of an array of frames, None for another shape."""
    return FORMAT_OF_SHAPE.get(array.shape[1:]) if array.ndim > 1 and len(array) else None


def explain_shape(shape: tuple[int, ...]) -> str:
    """What an array of that shape probably is, and how a motion is got out of it; '' for a shape that is not known."""
    if len(shape) == 4 and shape[1:3] == (22, 3):
        return f"; it looks like {_count(shape[0])} of MDM, [N, 22, 3, T]: save array[i].transpose(2, 0, 1), which is [T, 22, 3], for each"
    if len(shape) == 4 and shape[2:] == (22, 3):
        return f"; it looks like {_count(shape[0])}, [N, T, 22, 3]: save array[i], which is [T, 22, 3], for each"
    if len(shape) == 4 and shape[1:3] == (263, 1):
        return f"; it looks like {_count(shape[0])} of MDM, [N, 263, 1, T]: save array[i, :, 0].T, de-normalised, for each"
    if len(shape) == 3 and shape[:2] == (22, 3):
        return "; it looks like a motion of MDM, [22, 3, T]: save array.transpose(2, 0, 1), which is [T, 22, 3]"
    if len(shape) == 3 and shape[1:] == (24, 3):
        return "; it looks like the 24 joints of SMPL, of which the first 22 are wanted: save array[:, :22]"
    if len(shape) == 3 and shape[2] == 263:
        return f"; it looks like {_count(shape[0])} as features, [N, T, 263]: save array[i] for each"
    return ""


def _count(motions: int) -> str:
    return f"{motions} motion{'s' * (motions != 1)}"


def _holds_objects(path: Path) -> bool:
    """Whether the header of an npy file says that it holds Python objects."""
    with path.open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            return bool(read(file)[2].hasobject)
        except (ValueError, EOFError, SyntaxError):
            return False
