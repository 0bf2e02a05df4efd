"""nerm convert, or python -m nerm.convert: motion files from one format to another.

    nerm convert in=joints.npy from=joints22 to=humanml263 fps=20 out=features.npy
    nerm convert in=walk_poses.npz body=smplh/neutral/model.npz out=walk.bvh

Formats, found by suffix and content: npz (our own), bvh of any known skeleton, amc (with asf=; read only), amass (npz with poses and
trans), and arrays in npy: joints22 [T, 22, 3] and joints21 (of KIT-ML) in metres with y up, humanml263 and kit251 (not normalised).
Also read are results.npy of MDM and arrays in other orders; also written are glb, gif, mp4 and html.
Features are written through their whole published pipeline (skeleton of the format, floor, start at the origin, facing +z) and have
one frame less than the motion. This module knows files and rates, not corpora and models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nerm.cli import MISSING, choose, parse, progress, run
from nerm.errors import InputError
from nerm.help import command

if TYPE_CHECKING:
    from nerm.motion.motion import Motion

USAGE = "Usage: nerm convert in=PATH from=FORMAT to=FORMAT fps=20 to_fps= out=PATH"


@dataclass
class ConvertConfig:
    """Keys of the command.

    in: the file to read.
    out: the file to write.
    from: format of the input; found by suffix and content if left out.
    to: format of the output; that of its suffix if left out (needed for .npy, and for amass, whose suffix is .npz too).
    fps: frame rate of an input that carries none (.npy, .amc); left out, .npy is read at the rate of its format, which is said.
    in_fps: the true rate of an input that carries a wrong one.
    to_fps: frame rate of the output; that of the input if left out. Features are brought to the rate of their format, which is said.
    mode: of going to a lower rate: antialias removes what it cannot hold first, sample takes point values.
    method: of going to another rate: slerp, linear or cubic.
    up: the axis that is up in the input, for example z; left out, it is y for joints, found for a .bvh, and z for amass.
    metres_per_unit: unit of the input. Left out, joints are in metres, a .bvh is guessed by the person's height, an .amc is CMU's 0.05644.
    index: which motion of an input that holds several, from 0.
    body: the body model (.npz of SMPL, SMPL-H or SMPL-X) of an amass input or output; body=mean is a mean adult.
    asf: the skeleton of an .amc.
    joints: a JSON file that names the 22 joints of a .bvh of an unknown skeleton.
    names: of the joints in a .bvh or .glb that is written: smpl or mixamo.
    """

    in_: str = MISSING
    out: str = MISSING
    from_: str | None = None
    to: str | None = None
    fps: float | None = None
    in_fps: float | None = None
    to_fps: float | None = None
    mode: str = "antialias"
    method: str = "slerp"
    up: str | None = None
    metres_per_unit: float | None = None
    index: int | None = None
    body: str | None = None
    asf: str | None = None
    joints: str | None = None
    names: str = "smpl"


@command(ConvertConfig)
def main(arguments: Sequence[str]) -> None:
    from nerm.motion.arrays import SHAPES, USUAL_FPS
    from nerm.motion.files import (
        WRITTEN,
        Reading,
        Writing,
        check_apart,
        check_readable,
        check_writable,
        format_of_file,
        load_motion,
        save_motion,
    )
    from nerm.motion.matching import read_joint_map

    config = parse(ConvertConfig, arguments, USAGE)
    _check_rates(config)
    source, out = check_readable(config.in_), check_writable(config.out, config.to)
    check_apart(source, out)
    if config.to is None and out.suffix.lower() == ".npy":
        raise InputError(f"missing to=...: {out.name} does not tell the format; it can be {', '.join(SHAPES)}")
    wanted = config.to or out.suffix[1:].lower()
    assert wanted in WRITTEN  # as `check_writable` has found
    given = format_of_file(source, config.from_)
    fps = config.fps
    if fps is None and config.in_fps is None and given in SHAPES:
        fps = USUAL_FPS[given]
        progress(f"fps= was not given; {source} is read as {fps:g} fps")
    body = None if wanted == "amass" and given != "amass" else config.body
    names = read_joint_map(config.joints) if config.joints else None
    how = Reading(
        fps=fps,
        metres_per_unit=config.metres_per_unit,
        in_fps=config.in_fps,
        format=given,
        up=config.up,
        index=config.index,
        body=body,
        asf=config.asf,
        joints=names,
    )
    writing = Writing(names=config.names, format=wanted, body=config.body)
    motion = _resampled(load_motion(source, how), wanted, config)
    save_motion(motion, out, writing)
    print(f"{out}: {wanted}, {motion.seconds:.3f} s at {motion.fps:g} fps from {given}")


def _check_rates(config: ConvertConfig) -> None:
    """An InputError on settings of rates that are wrong whatever the file holds."""
    from typing import get_args

    from nerm.motion.motion import check_fps
    from nerm.motion.resample import Method, Mode

    for name in ("fps", "in_fps", "to_fps"):
        if getattr(config, name) is not None:
            check_fps(getattr(config, name), name)
    choose("mode", config.mode, get_args(Mode))
    choose("method", config.method, get_args(Method))


def _resampled(motion: Motion, wanted: str, config: ConvertConfig) -> Motion:
    """At to_fps; features without to_fps at the rate at which their format is defined."""
    from typing import cast

    from nerm.motion.arrays import FEATURES
    from nerm.motion.resample import Method, Mode, resample

    defined = FEATURES[wanted].fps if wanted in FEATURES else None
    rate = config.to_fps or defined or motion.fps
    if defined and config.to_fps is None and motion.fps != defined:
        progress(f"{wanted} is defined at {defined:g} fps; the motion of {motion.fps:g} fps is resampled to it")
    elif defined and rate != defined:
        progress(f"{wanted} is defined at {defined:g} fps; its steps and contacts per frame mean something else at {rate:g} fps")
    return resample(motion, rate, cast(Method, config.method), cast(Mode, config.mode))


if __name__ == "__main__":
    run(main)
