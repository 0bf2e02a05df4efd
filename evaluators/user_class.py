"""A generator class of the user's as a system of a table: systems=package.module:Class. It knows no table and no metric.

The class is made without arguments and has `sample(conditions, seconds, fps, seeds) -> list[Motion]` (`nerm.generator.Generator`). It may
say `native_fps` (then it is asked at that rate alone), `facts`, and `digest`: something that changes with its weights. The digest that keys
its motions is of that and of the source file of the class.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from evaluators.tables import Row
from nerm.errors import InputError
from nerm.generator import Condition, Facts, one_each
from nerm.motion import Motion, frame_count
from nerm.motion.motion import check_fps

_TARGET = re.compile(r"(\w+(?:\.\w+)*):(\w+)")


class UserClass:
    """An object of the user's class as a `Generator`; whatever it gives is checked, and what is wrong is one sentence."""

    def __init__(self, target: str) -> None:
        """target: "package.module:Class"."""
        self.target, self.name = target, row_id(target)
        found = _load(target)
        self._object = _called(target, found, "cannot be made without arguments") if inspect.isclass(found) else found
        if not callable(getattr(self._object, "sample", None)):
            raise InputError(f"systems={target} has no sample(conditions, seconds, fps, seeds); docs/score-my-model.md shows one")
        native = getattr(self._object, "native_fps", None)
        self.native_fps = None if native is None else check_fps(native, f"systems={target}: native_fps")
        facts = getattr(self._object, "facts", None)
        self.facts = facts if isinstance(facts, Facts) else Facts()
        self.digest = _digest(found, getattr(self._object, "digest", ""))

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, as the user's class makes them."""
        one_each(conditions, seconds, seeds)
        made = _called(self.target, lambda: self._object.sample(conditions, seconds, fps, seeds), "sample failed")
        if not isinstance(made, (list, tuple)) or len(made) != len(conditions):
            given = f"{len(made)} motions" if isinstance(made, (list, tuple)) else f"a {type(made).__name__}"
            raise InputError(
                f"systems={self.target}: sample gave {given} for {len(conditions)} conditions; expected a list of one Motion each"
            )
        for number, (motion, length) in enumerate(zip(made, seconds, strict=True)):
            self._check(motion, number, length, fps)
        return list(made)

    def _check(self, motion: Any, number: int, seconds: float, fps: float) -> None:
        where = f"systems={self.target}: motion {number} of sample"
        if not isinstance(motion, Motion):
            raise InputError(f"{where} is a {type(motion).__name__}; expected nerm.motion.Motion(joints [T, 22, 3] in metres, fps)")
        if len(motion.skeleton) != 22:
            raise InputError(f"{where} has {len(motion.skeleton)} joints; expected the 22 of SMPL")
        if motion.fps != fps:
            raise InputError(f"{where} is at {motion.fps:g} fps and was asked for at {fps:g}; a class of one rate says native_fps")
        expected = frame_count(seconds, fps)
        if len(motion) != expected:
            raise InputError(f"{where} has {len(motion)} frames for {seconds:g} s at {fps:g} fps; expected {expected}, from 0 to the end")


def is_class(name: str) -> bool:
    """Whether a word of systems= names a class rather than a row."""
    return ":" in name


def row_id(target: str) -> str:
    """The id of its row: '-' for ':', and for what a file's name cannot hold."""
    if not _TARGET.fullmatch(target):
        raise InputError(f"systems={target}; a class of your own is given as package.module:Class")
    return re.sub(r"[^A-Za-z0-9._+-]", "-", target.replace(":", "-")).lstrip("._+-") or "class"


def row_of(target: str) -> Row:
    """Its row; the title says the class."""
    return Row(row_id(target), f"{target} (own class)")


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise InputError(f"systems={target}: there is no module '{error.name}', neither in {here} nor installed") from None
        raise InputError(f"systems={target}: module '{module}' needs module '{error.name}', which is not installed") from None
    except Exception as error:  # somebody else's code can fail in any way
        raise InputError(f"systems={target}: module '{module}' cannot be imported ({_place(error)})") from error
    if not hasattr(found, name):
        classes = [k for k, v in vars(found).items() if inspect.isclass(v) and v.__module__ == module]
        raise InputError(f"systems={target}: module '{module}' has no '{name}'; its classes are {', '.join(classes) or 'none'}")
    return getattr(found, name)


def _called(target: str, call: Any, failed: str) -> Any:
    """What the user's code gives; what it raises is one sentence that says where."""
    try:
        return call()
    except Exception as error:  # somebody else's code can fail in any way
        raise InputError(f"systems={target}: {failed} ({_place(error)})") from error


def _place(error: Exception) -> str:
    """'ValueError: text, at file.py line 12', the line outside of this project that led to it."""
    here = Path(__file__).parents[1]
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_file()]
    own = [f for f in frames if not any(Path(f.filename).is_relative_to(here / package) for package in ("evaluators", "nerm"))] or frames
    text = (str(error).splitlines() or [""])[0]
    return (text if isinstance(error, InputError) else f"{type(error).__name__}: {text}") + (
        f", at {Path(own[-1].filename).name} line {own[-1].lineno}" if own else ""
    )


def _digest(found: Any, own: object) -> str:
    """sha256 of the source file of a class (or of an object's class), and of what it says of itself."""
    kind = found if inspect.isclass(found) else type(found)
    digest = hashlib.sha256(f"{kind.__qualname__} {own}".encode())
    with suppress(OSError, TypeError):  # without a file, only what it says of itself tells two versions apart
        digest.update(Path(inspect.getsourcefile(kind) or "").read_bytes())
    return digest.hexdigest()
