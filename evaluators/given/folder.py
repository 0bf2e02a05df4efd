"""Reading a folder of motion files, of any readable formats and at any rates. It knows no dataset and no condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.body import check_unit, other_axis
from nerm.motion.files import RATELESS, READABLE, Reading, format_of_file, read_motion
from nerm.motion.motion import check_fps
from nerm.motion.resample import Method, at_rate

METHOD = "slerp"
"""How files are brought to another rate."""


@dataclass
class Folder:
    """The motions of a folder by name (the file's, without its suffix), and how many files were left out for which reason."""

    path: Path
    motions: dict[str, Motion]
    left_out: dict[str, int] = field(default_factory=dict)

    def leave_out(self, reason: str, count: int = 1) -> None:
        """Count files that are not used."""
        if count:
            self.left_out[reason] = self.left_out.get(reason, 0) + count


def stem_of(name: str) -> str:
    """A file's name without the suffix of a motion file; a name without such a suffix is left as it is."""
    path = Path(name)
    return path.name[: -len(path.suffix)] if path.suffix.lower() in READABLE else path.name


def read_folder(path: Path, in_fps: float | None, rates: Mapping[str, float], how: Reading = Reading()) -> Folder:  # noqa: B008
    """Every motion file of a folder; files that cannot be used are counted by reason, and named on stderr.

    in_fps: of files that carry no rate (.npy, .amc); in a folder without them, the true rate of files that name a wrong one.
    rates: name -> rate, where a list of conditions gives it.
    how: the unit, the axis that is up, the body model and so on, of the files that have a use for them.
    A folder whose bodies mostly have another unit, or another axis up, is an InputError.
    """
    files = _files(path)
    _check_rates(path, files, in_fps, rates)
    folder = Folder(path, {})
    corrects = all(file.suffix.lower() not in RATELESS for file in files)
    folder.leave_out(
        "of another kind than a motion file", sum(p.is_file() and p.suffix.lower() not in (*READABLE, ".csv") for p in path.iterdir())
    )
    for file in files:
        name, suffix = stem_of(file.name), file.suffix.lower()
        try:
            rate = rates.get(name) or (in_fps if suffix in RATELESS else None)
            motion = read_motion(file, replace(how.of(format_of_file(file)), fps=rate, in_fps=in_fps if corrects else None))
        except InputError as error:
            progress(f"left out: {error}")
            folder.leave_out("unreadable")
            continue
        if motion.skeleton.names != SMPL22.names:
            progress(f"left out: {file} is on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints")
            folder.leave_out("not on the 22 joints")
        else:
            folder.motions[name] = motion
    if not folder.motions:
        raise InputError(f"{path}: no file that could be used, of {len(files)}; see the lines above")
    check_unit(list(folder.motions.values()), str(path))
    axis = "" if how.up else other_axis(list(folder.motions.values()))
    if axis:
        raise InputError(f"{path}: {axis}")
    return folder


def rate_of(folder: Folder, fps: float | None) -> float:
    """The rate to score at: fps, or the files' own."""
    rates = sorted({motion.fps for motion in folder.motions.values()})
    if fps is None and len(rates) > 1:
        raise InputError(f"{folder.path}: files at {', '.join(f'{rate:g}' for rate in rates)} fps; give fps=, the rate to score at")
    return rates[0] if fps is None else check_fps(fps)


def at_one_rate(motions: Mapping[int, Motion], fps: float) -> tuple[dict[int, Motion], int]:
    """The motions at fps in the order of their keys, and how many were resampled. Those at fps stay as they are, with their features."""
    others = sum(motion.fps != fps for motion in motions.values())
    method = cast(Method, METHOD)
    return {k: m if m.fps == fps else at_rate(m, m.seconds, fps, method) for k, m in sorted(motions.items())}, others


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        raise InputError(f"motions={path} {'is a file' if path.exists() else 'does not exist'}; give the folder with the motions to score")
    files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix.lower() in READABLE)
    if not files:
        raise InputError(f"{path} holds no {', '.join(READABLE)} file; give the folder with the motions to score")
    seen: dict[str, Path] = {}
    for file in files:
        other = seen.setdefault(stem_of(file.name), file)
        if other is not file:
            raise InputError(f"{path} holds {other.name} and {file.name}, two motions of one name; remove or rename one")
    return files


def _check_rates(path: Path, files: list[Path], in_fps: float | None, rates: Mapping[str, float]) -> None:
    """An InputError if a file has no rate."""
    if in_fps is not None:
        check_fps(in_fps, "in_fps")
        return
    without = [file for file in files if file.suffix.lower() in RATELESS and stem_of(file.name) not in rates]
    if without:
        text = (
            f"{path} holds {len(without)} {without[0].suffix} file{'s' * (len(without) > 1)} ({without[0].name}), which carry no frame rate"
        )
        raise InputError(f"{text}; give in_fps=, or a column fps in conditions=")
