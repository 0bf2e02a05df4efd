"""How near upsampling comes to recordings of a high rate that were brought down and up again, each on its own rig.

    python -m benchmarks.upsampling sources=DIR scratch=DIR            DIR/cmu.tar.xz, hdm05.tar.xz and their .csv

Twenty recordings of multirate that no model was trained on, at most 10 s of each: sixteen of split test at 120 fps and, since that split
has none at 60, the four of split val at 60 fps. Every n-th frame is kept (20 and 30 fps) and brought back to the recording's own rate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.cli import MISSING, parse, progress, run
from nerm.data.archives import folder
from nerm.data.multirate.packaged import read_capture, recordings
from nerm.data.multirate.trials import SourceFile
from nerm.motion import Motion, frame_times
from nerm.motion.amc import read_asf
from nerm.motion.amc_rig import rig_of_amc
from nerm.motion.bvh import BvhFile, parse_bvh
from nerm.motion.kinematics import derivative
from nerm.motion.mapping import to_smpl22
from nerm.motion.rig_curves import RigCurves
from nerm.motion.rig_resample import resample_rig

RATES = (20.0, 30.0)
LONGEST_S = 10.0
WANTED = (("cmu", "test", 120.0, 10), ("hdm05", "test", 120.0, 6), ("cmu", "val", 60.0, 4))
Array = NDArray[np.float64]


@dataclass
class UpsamplingConfig:
    """Keys of the command.

    sources: folder of the packaged archives and their tables.
    scratch: folder to unpack them into.
    nerm: whether method=nerm is measured too, which takes minutes.
    steps: of its fits.
    """

    sources: str = MISSING
    scratch: str = MISSING
    nerm: bool = True
    steps: int = 200


@dataclass(frozen=True)
class Recording:
    """file: its rig.  joints: [T, 22, 3] metres, for the field."""

    name: str
    file: BvhFile
    joints: Array
    metres_per_unit: float


def main(arguments: Sequence[str]) -> None:
    config = parse(UpsamplingConfig, arguments, "Usage: python -m benchmarks.upsampling sources=DIR scratch=DIR")
    methods = dict(METHODS)
    if config.nerm:
        from nerm.model import load_nerm

        field = load_nerm("nerm").field
        methods["nerm"] = lambda low, fps, recording: points_by_field(field, low, fps, recording, config.steps)
    chosen = choose_recordings(Path(config.sources), Path(config.scratch))
    errors = {(rate, method): np.empty((len(chosen), 2)) for rate in RATES for method in methods}
    for number, recording in enumerate(chosen):
        for rate in RATES:
            for method, values in measure(recording, rate, methods).items():
                errors[rate, method][number] = values
        progress(f"{number + 1} of {len(chosen)}: {recording.name}")
    for rate in RATES:
        print(table(rate, {method: errors[rate, method] for method in methods}))


def measure(recording: Recording, rate: float, methods: dict[str, Callable[[BvhFile, float, Recording], Array]]) -> dict[str, Array]:
    """Method -> (mean distance of points in mm, mean error of their accelerations below 8 Hz in m/s^2)."""
    fps = recording.file.fps
    step = round(fps / rate)
    frames = (len(recording.file.values) - 1) // step * step + 1
    whole = replace(recording.file, values=recording.file.values[:frames])
    truth = points(whole) * recording.metres_per_unit
    low = replace(whole, values=whole.values[::step], fps=fps / step)
    found = {}
    for name, method in methods.items():
        made = method(low, fps, recording) * recording.metres_per_unit
        distance = np.linalg.norm(made - truth, axis=-1).mean()
        acceleration = np.linalg.norm(derivative(made, fps, 2) - derivative(truth, fps, 2), axis=-1).mean()
        found[name] = np.array([1000 * distance, acceleration])
    return found


def points(file: BvhFile) -> Array:
    """[T, N, 3] units of the file: joints and End Sites."""
    return RigCurves(file.nodes, file.values, 1.0, 1.0, "linear").points(file.values).transpose(1, 0, 2)


def points_by_field(field, low: BvhFile, fps: float, recording: Recording, steps: int) -> Array:  # type: ignore[no-untyped-def]
    """method=nerm of `nerm.upsample` on a rig."""
    from nerm.field_on_rig import add_field
    from nerm.upsample import field_paths

    step = round(fps / low.fps)
    motion = Motion(recording.joints[::step][: len(low.values)], low.fps)
    plain, fitted = field_paths(field, motion, frame_times(motion.seconds, fps), "detail", steps, 0)
    return points(add_field(low, resample_rig(low, fps), motion.joints, recording.metres_per_unit, plain, fitted))


METHODS: dict[str, Callable[[BvhFile, float, Recording], Array]] = {
    "linear": lambda low, fps, _: points(resample_rig(low, fps, "linear")),
    "slerp": lambda low, fps, _: points(resample_rig(low, fps, "slerp")),
    "cubic, each joint beside its parent": lambda low, fps, _: points(resample_rig(low, fps, "cubic", "local")),
    "cubic, each joint in the world": lambda low, fps, _: points(resample_rig(low, fps, "cubic", "world")),
    "cubic (the default: the clip decides)": lambda low, fps, _: points(resample_rig(low, fps, "cubic")),
}


def choose_recordings(sources: Path, scratch: Path) -> list[Recording]:
    """The same twenty every time: the first of each kind by the hash of their names."""
    listed = recordings(sources, ("cmu", "hdm05"))
    chosen = []
    for source, split, fps, count in WANTED:
        kind = [item for item in listed if (item.source, item.split, item.fps) == (source, split, fps)]
        kind.sort(key=lambda item: hashlib.sha256(item.name.encode()).hexdigest())
        chosen += [load(item, folder(sources, source, scratch)) for item in kind[:count]]
    return chosen


def load(item: SourceFile, home: Path) -> Recording:
    """The first seconds of the longest run without a tracking jump."""
    start, end = item.clean or (0, item.frames)
    end = min(end, start + int(LONGEST_S * item.fps) + 1)
    path = home / item.file
    file = rig_of_amc(path, read_asf(home / item.asf), item.fps) if item.asf else replace(parse_bvh(path), fps=item.fps)
    joints = to_smpl22(read_capture(item, home), item.layout)[start:end]
    return Recording(item.name, replace(file, values=file.values[start:end]), joints, item.metres_per_unit)


def table(rate: float, errors: dict[str, Array]) -> str:
    """Markdown: means with 95 % intervals over recordings, and in how many of them the default is not further from the recording."""
    default = errors["cubic (the default: the clip decides)"]
    lines = [
        f"| from {rate:g} fps | joints, mm | accelerations below 8 Hz, m/s² | the default is as near or nearer (mm, m/s²) |",
        "|---|---|---|---|",
    ]
    for method, values in errors.items():
        cells = [f"{values[:, k].mean():.3f} ({low:.3f} to {high:.3f})" for k in (0, 1) for low, high in [interval(values[:, k])]]
        nearer = ", ".join(str(int((default[:, k] <= values[:, k] * (1 + 1e-9)).sum())) for k in (0, 1))
        lines.append(f"| {method} | {' | '.join(cells)} | {nearer} of {len(values)} |")
    return "\n".join([*lines, ""])


def interval(values: Array, draws: int = 10_000) -> tuple[float, float]:
    """95 % of means over recordings drawn with replacement."""
    chosen = np.random.default_rng(0).integers(len(values), size=(draws, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    run(main)
