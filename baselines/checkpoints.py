"""Reading official checkpoints safely: tensors and plain values only, names checked, and one clear sentence if something is wrong.

It knows files and names of tensors; what the networks compute is the adapters' business.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nerm.cli import suggest
from nerm.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn


def safe_load(path: str | Path) -> Any:
    """What a checkpoint file holds, on the CPU, without running any code of it (weights_only).

    A file that does not exist, is cut short, is no checkpoint or needs a class outside plain tensors is an InputError that says so.
    """
    import pickle

    import torch

    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist or is no file; give the path of the official file")
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise InputError(f"checkpoint {path} is empty; download it again")
    if head.startswith((b"version https://git-lfs", b"<!DOCTYPE", b"<html")):
        raise InputError(f"checkpoint {path} is a pointer or a web page and not the file itself; download it again")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, UnicodeDecodeError) as error:
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if foreign:
            raise InputError(
                f"checkpoint {path} needs the Python object '{foreign[1]}', which a file of plain tensors does not; "
                "it is not loaded because that could run code: save its tensors alone and give that file"
            ) from None
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise InputError(f"checkpoint {path} cannot be read: cut short, or no PyTorch file ({reason}); download it again") from None


def sections(checkpoint: Any, wanted: Iterable[str], drop: Iterable[str], path: str | Path) -> dict[str, Any]:
    """The wanted top-level entries of a checkpoint; every other one must be in the drop list (optimiser states, counters)."""
    wanted, drop = list(wanted), set(drop)
    if not isinstance(checkpoint, Mapping):
        raise InputError(f"checkpoint {path} holds a {type(checkpoint).__name__}; expected a dictionary with {', '.join(wanted)}")
    missing = [name for name in wanted if name not in checkpoint]
    unknown = [str(name) for name in checkpoint if name not in wanted and name not in drop]
    if missing or unknown:
        names = ", ".join(str(name) for name in list(checkpoint)[:8])
        what = f"lacks {', '.join(missing)}" if missing else f"holds {', '.join(unknown[:5])}, which is not part of this system"
        raise InputError(f"checkpoint {path} {what}; it has {names}; expected {', '.join(wanted)}")
    return {name: checkpoint[name] for name in wanted}


def load_strict(module: nn.Module, state: Any, what: str, drop: Iterable[str] = ()) -> None:
    """Fill a module with a state dict whose names and shapes must be the module's own, except for names in the drop list."""
    import torch

    if not isinstance(state, Mapping):
        raise InputError(f"{what} holds a {type(state).__name__}; expected tensors by name")
    dropped = set(drop)
    own = module.state_dict()
    given: dict[str, Tensor] = {name: value for name, value in state.items() if name not in dropped}
    missing = [name for name in own if name not in given]
    unknown = [name for name in given if name not in own]
    if missing or unknown:
        first = f"lacks '{missing[0]}'" if missing else f"has '{unknown[0]}', unknown here ({suggest(unknown[0], list(own)[:200])})"
        raise InputError(f"{what} {first}; {len(missing)} names missing, {len(unknown)} unknown: it is of another system or version")
    for name, value in given.items():
        if not isinstance(value, torch.Tensor) or value.shape != own[name].shape:
            shape = list(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            raise InputError(f"{what}: '{name}' is {shape}; expected {list(own[name].shape)}")
    module.load_state_dict(given)


def build_from_recipe(folder: str | Path) -> dict[str, Any]:
    """The checkpoint of a case that is described by `checkpoint_recipe.json` instead of being stored: nested dictionaries.

    One RandomState(seed) is used for all entries in their order; the sum of what was drawn is checked.
    """
    import torch

    folder = Path(folder)
    file = folder / "checkpoint_recipe.json"
    if not file.exists():
        raise InputError(f"{folder} holds no checkpoint_recipe.json; give the folder of a case")
    recipe = json.loads(file.read_text())
    random = np.random.RandomState(recipe["seed"])
    stored = np.load(folder / "stored_tensors.npz") if (folder / "stored_tensors.npz").exists() else {}
    digest = hashlib.sha256()
    checkpoint: dict[str, Any] = {}
    for entry in recipe["entries"]:
        kind, shape, path = entry["kind"], tuple(entry["shape"]), entry["path"]
        value: Any
        if kind in ("normal", "uniform"):
            if kind == "normal":
                drawn = entry["mean"] + entry["std"] * random.standard_normal(shape)
            else:
                drawn = entry["low"] + (entry["high"] - entry["low"]) * random.random_sample(shape)
            array = np.asarray(drawn, dtype=np.float32)
            digest.update(array.astype("<f4").tobytes())
            value = torch.from_numpy(array)
        elif kind == "sinusoid":
            value = torch.from_numpy(_sinusoid(shape))
        elif kind == "keep":
            value = torch.from_numpy(np.array(stored[".".join(path) if ".".join(path) in stored else path[-1]]))
        elif kind == "const_int":
            value = torch.full(shape, entry["value"], dtype=torch.int64)
        elif kind == "int":
            value = int(entry["value"])
        else:
            raise InputError(f"{file}: kind '{kind}' of {'.'.join(path)} is not known; {suggest(kind, _KINDS)}")
        place = checkpoint
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    if digest.hexdigest() != recipe["sha256_of_drawn_values"]:
        raise InputError(f"{file}: the values drawn here do not have the sha256 of the recipe; this NumPy draws differently")
    return checkpoint


_KINDS = ["normal", "uniform", "sinusoid", "keep", "const_int", "int"]


def _sinusoid(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """sin(p w_k) in column 2k and cos(p w_k) in column 2k + 1, w_k = exp(-2k ln(10000) / d), in float32 arithmetic."""
    import torch

    count, width = shape[0], shape[-1]
    position = torch.arange(count, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-np.log(10000.0) / width))
    table = torch.zeros(count, width)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)
    return table.reshape(shape).numpy()
