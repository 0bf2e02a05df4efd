"""nerm upsample, or python -m nerm.upsample: brings a motion to another frame rate, upwards or downwards.

    nerm upsample in=clip.bvh fps=120 out=smooth.bvh

A BVH stays what it is, whatever its skeleton: hierarchy, names, offsets, channels and units come out as they went in, with other frames.
Joints in .npz, .npy and .amc are interpolated as points and keep the lengths of their bones; so is a BVH that is written as something else.
method=cubic is the default since it was nearest to recordings at 120 fps that had been brought down and up again (docs/upsampling.md).
This module knows files, fits and resamplers, but no corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from nerm.cli import MISSING, choose, parse, progress, run
from nerm.errors import InputError
from nerm.help import command
from nerm.motion import SMPL22, Motion, frame_times, resample
from nerm.motion.lengths import median_lengths, with_constant_lengths
from nerm.motion.motion import check_fps
from nerm.motion.resample import NYQUIST_SHARE, Method, frame_count
from nerm.motion.retarget import from_corpus, to_corpus

if TYPE_CHECKING:
    from nerm.field import Field
    from nerm.motion.bvh_parsing import BvhFile
    from nerm.motion.files import Reading

USAGE = "Usage: nerm upsample in=clip.bvh fps=120 out=smooth.bvh method=cubic|slerp|linear|nerm"
METHODS = ("cubic", "slerp", "linear", "nerm")
KEEP = ("detail", "nothing")
MOST_FRAMES = 1_000_000
_SAME_RATE = 1e-6


@dataclass
class UpsampleConfig:
    """Keys of the command.

    in: the motion file to read: .bvh, .npz, .npy or .amc.
    out: the motion file to write: .bvh, .glb, .npz, .npy, .gif, .mp4 or .html; not the same as in.
    fps: the rate wanted; below that of the input the motion is low-passed first.
    method: cubic (rotations by cubic splines on the sphere, positions by cubic splines), slerp (rotations along great circles, positions
    linear), linear (angles and positions), or nerm (cubic, and between frames what the field of NeRM adds; needs the 22 joints).
    keep: of method=nerm; detail keeps the input's frames as they are, nothing is the fit alone, which is off by some tens of mm.
    in_fps: rate of a .npy or .amc, which carry none, or the true rate of a file that names a wrong one.
    metres_per_unit: unit of joints in .npz and .npy (left out, metres), and of a .bvh whose joints are needed in metres (method=nerm, or
    another kind of file to write; left out, guessed).
    joints: a JSON file that names the 22 joints of a .bvh of an unknown skeleton, where they are needed.
    up: the axis that is up in the input, for example z; left out, it is y for joints, found for a .bvh, and z for files of AMASS.
    index: which motion of an input that holds several, from 0.
    body: the body model (.npz of SMPL, SMPL-H or SMPL-X) of a file of AMASS; body=mean is a mean adult.
    asf: the skeleton of an .amc.
    names: of the joints in a .glb, or in a .bvh that is made of something else: smpl or mixamo. A .bvh keeps its own.
    model: name or path of NeRM's weights, for method=nerm.
    steps: of the fit; left out, as many as it needs by default.
    seed: of the fit.
    """

    in_: str = MISSING
    out: str = MISSING
    fps: float = MISSING
    method: str = "cubic"
    keep: str = "detail"
    in_fps: float | None = None
    metres_per_unit: float | None = None
    joints: str | None = None
    up: str | None = None
    index: int | None = None
    body: str | None = None
    asf: str | None = None
    names: str = "smpl"
    model: str = "nerm"
    steps: int | None = None
    seed: int = 0

    def reading(self) -> Reading:
        """What is said of the input."""
        from nerm.motion.files import Reading
        from nerm.motion.matching import read_joint_map

        names = read_joint_map(self.joints) if self.joints else None
        return Reading(
            metres_per_unit=self.metres_per_unit,
            in_fps=self.in_fps,
            up=self.up,
            index=self.index,
            body=self.body,
            asf=self.asf,
            joints=names,
        )


@command(UpsampleConfig)
def main(arguments: Sequence[str]) -> None:
    from nerm.motion.files import check_apart, check_writable

    config = parse(UpsampleConfig, arguments, USAGE)
    check_fps(config.fps)
    choose("method", config.method, METHODS)
    choose("keep", config.keep, KEEP)
    out = check_writable(config.out)
    check_apart(config.in_, out)
    if Path(config.in_).suffix.lower() == ".bvh":
        print(_upsample_bvh(config, out))
    else:
        print(_upsample_joints(config, out))


def _upsample_bvh(config: UpsampleConfig, out: Path) -> str:
    """Read, resample and write a BVH on its own rig; the sentence that says what was done."""
    from nerm.motion.body import check_body
    from nerm.motion.bvh import person_of, without_t_pose
    from nerm.motion.bvh_text import read_bvh_text, write_bvh_text
    from nerm.motion.files import Writing, check_use, save_motion
    from nerm.motion.rig_curves import RigMethod
    from nerm.motion.rig_resample import resample_rig

    how, writing = config.reading(), Writing(names=config.names)
    check_use(how, "bvh")
    is_bvh = out.suffix.lower() == ".bvh"
    if is_bvh and config.names != "smpl":
        raise InputError(f"names={config.names} is for other files than a BVH made of a BVH, which keeps its names: leave it out")
    text = read_bvh_text(config.in_, how.in_fps)
    file = without_t_pose(text.file, how.joints)
    text = text.of_last_frames(file)
    _say_jumps(file)
    _check_frames(len(file.values), file.fps, config)
    result = _with_field(config, file, how) if config.method == "nerm" else resample_rig(file, config.fps, cast(RigMethod, config.method))
    if is_bvh:
        write_bvh_text(text, result.values, result.fps, out)
        what = f"the same {sum(not node.is_end for node in file.nodes)} joints"
    else:
        motion = person_of(result, how.metres_per_unit, how.joints, how.up, begins_with_t_pose=False).motion
        check_body(motion, config.in_, how.up)
        save_motion(motion, out, writing)
        what = f"as {len(motion.skeleton)} joints"
    return _said(config, out, len(result.values), file.fps, what)


def _upsample_joints(config: UpsampleConfig, out: Path) -> str:
    """The same for joints."""
    from nerm.motion.files import Writing, load_motion, save_motion

    writing = Writing(names=config.names)
    motion = with_constant_lengths(load_motion(config.in_, config.reading()))
    _check_frames(len(motion), motion.fps, config)
    if config.method == "nerm":
        from nerm.model import load_nerm

        result = upsample(load_nerm(config.model).field, motion, config.fps, config.keep, config.steps, config.seed)
    else:
        result = interpolate(motion, config.fps, config.method)
    save_motion(result, out, writing)
    return _said(config, out, len(result), motion.fps, "bone lengths kept")


def _say_jumps(file: BvhFile) -> None:
    """One line on stderr where the curves are broken."""
    from nerm.motion.rig_resample import jumps

    cuts = jumps(file)
    if cuts:
        after = ", ".join(str(cut) for cut in cuts[:5]) + (f" and {len(cuts) - 5} others" if len(cuts) > 5 else "")
        progress(f"{file.source}: the figure jumps after frame {after} (counted from 0); nothing is interpolated across a jump")


def _with_field(config: UpsampleConfig, file: BvhFile, how: Reading) -> BvhFile:
    """method=nerm on any rig whose 22 joints are known."""
    from nerm.field_on_rig import add_field
    from nerm.model import load_nerm
    from nerm.motion.bvh import person_of
    from nerm.motion.rig_resample import resample_rig

    person = person_of(file, how.metres_per_unit, how.joints, how.up, begins_with_t_pose=False)
    motion, turn = person.motion, person.turn
    if motion.skeleton.names != SMPL22.names:
        raise InputError(_only_smpl22(motion))
    result = resample_rig(file, config.fps, "cubic")
    times = frame_times(motion.seconds, config.fps)[: len(result.values)]
    plain, fitted = field_paths(load_nerm(config.model).field, motion, times, config.keep, config.steps, config.seed)
    return add_field(file, result, motion.joints @ turn, person.metres_per_unit, plain @ turn, fitted @ turn)


def _check_frames(frames: int, fps: float, config: UpsampleConfig) -> None:
    """A rate at which the motion would be nothing, or too much, or for which the method is no answer."""
    seconds = (frames - 1) / fps
    count = frame_count(seconds, config.fps)
    if frames > 1 and count < 2:
        raise InputError(f"fps={config.fps:g} leaves one frame of a motion of {seconds:.3g} s; give at least {1 / seconds:.3g}")
    if count > MOST_FRAMES:
        raise InputError(f"fps={config.fps:g} makes {count} frames of a motion of {seconds:.3g} s; give a rate with at most {MOST_FRAMES}")
    if config.method == "nerm" and config.fps < fps:
        raise InputError(f"method=nerm adds frames, and {config.fps:g} fps are fewer than the input's {fps:g}; use method=cubic")


def _said(config: UpsampleConfig, out: Path, frames: int, fps: float, what: str) -> str:
    seconds = (frames - 1) / config.fps
    text = f"{out}: {seconds:.3f} s at {config.fps:g} fps from {fps:g} fps by {config.method} ({what})"
    if abs(config.fps / fps - 1) < _SAME_RATE:
        return f"{text}; the input has this rate already, so its frames are as they were"
    return f"{text}, low-passed at {NYQUIST_SHARE * config.fps:g} Hz" if config.fps < fps else text


def upsample(field: Field, motion: Motion, fps: float, keep: str = "detail", steps: int | None = None, seed: int = 0) -> Motion:
    """A motion of the 22 joints, of any length, read out of the field at `fps`, in its own place, heading and (constant) bone lengths.

    keep: see `UpsampleConfig`. Says on stderr how well the field fits. Raises InputError on another skeleton or a wrong rate.
    """
    check_fps(fps)
    choose("keep", keep, KEEP)
    if motion.skeleton.names != SMPL22.names:
        raise InputError(_only_smpl22(motion))
    _, joints = field_paths(field, motion, frame_times(motion.seconds, fps), keep, steps, seed)
    return Motion(joints.astype(motion.joints.dtype), fps, motion.skeleton)


def _only_smpl22(motion: Motion) -> str:
    given = f"motion on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints"
    return f"{given}; NeRM knows the 22 joints of '{SMPL22.name}': use method=slerp or method=cubic"


def field_paths(
    field: Field, motion: Motion, times: NDArray, keep: str, steps: int | None, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joints [n, 22, 3] at times [n] s of the person, by a cubic and by the field."""
    from dataclasses import replace

    from nerm.fitted import fit_motion, held_out_credit

    joints, proportions = to_corpus(motion.joints.astype(np.float64))
    person = Motion(joints, motion.fps)
    fitted = fit_motion(field, person, steps, seed)
    error = fitted.error
    text = f"fitted {len(fitted.windows)} window{'s' * (len(fitted.windows) > 1)}: {error.mre_mm:.0f} mm per joint (root subtracted)"
    text += f", root path {error.root_mm:.0f} mm"
    if keep == "detail":
        fitted = replace(fitted, credit=held_out_credit(field, person, steps, seed))
        text += f"; the input's frames are kept, and {fitted.credit:.0%} of what the field adds between them"
    progress(text)
    told = fitted.with_detail(times) if keep == "detail" else fitted.at(times)
    return from_corpus(*fitted.without_field(times), proportions), from_corpus(*told, proportions)


def interpolate(motion: Motion, fps: float, method: str) -> Motion:
    """By the project's resampler (low-passed downwards), then on the motion's own constant bone lengths: cubic alone would stretch them."""
    choose("method", method, METHODS[:3])
    return with_constant_lengths(resample(motion, fps, cast(Method, method), "antialias"), median_lengths(motion))


if __name__ == "__main__":
    run(main)
