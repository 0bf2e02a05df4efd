"""Reading BVH (Biovision hierarchy) as points, and as a motion of the 22 joints. It knows no corpus.

The text is read by `nerm.motion.bvh_parsing`, skeletons are found by `nerm.motion.matching`, known faults are mended by
`nerm.motion.faults`; writing is `nerm.motion.bvh_writer`. `parse_bvh` and `write_bvh` can be had from here too.

Convention: position channels are the joint's local translation and REPLACE its OFFSET, on the root and on any other joint, as in
Blender. (Some readers add the two. Files whose OFFSET is zero wherever positions are given, such as ours, mean the same to both.)
Rotation channels multiply from left to right: CHANNELS Zrotation Xrotation Yrotation is R = Rz Rx Ry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.errors import InputError, about
from nerm.motion.axes import sides_are_swapped, turn_to_y_up, up_axis, with_sides_swapped
from nerm.motion.body import STANDING_M, height_along_bones
from nerm.motion.bvh_parsing import CHANNELS, BvhFile, Node, parse_bvh
from nerm.motion.bvh_writer import write_bvh
from nerm.motion.capture import Capture, Frames
from nerm.motion.faults import Say, filled, say_jumps, with_offsets, without_frames, without_leading_pose
from nerm.motion.mapping import weighted_joints
from nerm.motion.matching import Match, Tree, is_kit21, match
from nerm.motion.motion import Motion, check_fps
from nerm.motion.rates import frame_rate
from nerm.motion.skeleton import KIT21

_UNITS = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres", 0.0254: "inches", 0.05644: "inches / 0.45 as in CMU files"}
_BVH43_UNIT = 0.0103  # metres per unit, on average over the people: all bvh43 files have one character's size
_FIRST = 96  # frames that tell whether a T-pose stands before the recording
_SAME_RATE = 1e-3


class Person(NamedTuple):
    """motion: in metres, y up.  metres_per_unit: of the file.  turn: [3, 3] from the axes of the file to those of the motion."""

    motion: Motion
    metres_per_unit: float
    turn: NDArray[np.float64]


def read_bvh(path: str | Path, metres_per_unit: float = 1.0) -> Capture:
    """Every joint of a BVH, and every End Site as `NAME_end` (`NAME_end2` ... if a joint has several), as points in metres."""
    return capture_of(parse_bvh(path), metres_per_unit)


def capture_of(file: BvhFile, metres_per_unit: float = 1.0) -> Capture:
    """The nodes of a parsed file as points in metres."""
    return Capture(tuple(node.name for node in file.nodes), positions(file) * metres_per_unit, file.fps)


def mended(
    file: BvhFile,
    thorax: Sequence[float] | None = None,
    begins_with_t_pose: bool | None = None,
    joints: Mapping[str, str] | None = None,
    say: Say = progress,
) -> BvhFile:
    """The file without the known faults of `nerm.motion.faults`. What is changed is said. Corpus and users read through it.

    thorax: the subject's own, for CMU files.  begins_with_t_pose: what is known about frame 0; None judges by the motion.
    joints: names given by the user, see `nerm.motion.matching`.
    """
    file = with_offsets(filled(file, thorax, say), say)
    if begins_with_t_pose is not None:
        return without_frames(file, 1, say=say) if begins_with_t_pose else file
    return without_t_pose(file, joints, say)


def without_t_pose(file: BvhFile, joints: Mapping[str, str] | None = None, say: Say = progress) -> BvhFile:
    """The file without a T-pose before the recording. Nothing else is changed, so that the rig stays as it is."""
    first = replace(file, values=file.values[:_FIRST])
    points = positions(first)
    try:
        known = weighted_joints(points, _names(file), match_file(file, joints).weights)
    except InputError:
        known = None
    return without_leading_pose(file, points, known, say)


def match_file(file: BvhFile, joints: Mapping[str, str] | None = None) -> Match:
    """How the 22 joints are made of a file's nodes. Raises InputError, with the nearest layout, if it is not known."""
    pose = positions(replace(file, values=file.values[:1]))[0]
    tree = Tree(_names(file), tuple(node.parent for node in file.nodes), pose, tuple(node.is_end for node in file.nodes))
    with about(file.source):
        return match(tree, joints)


def read_bvh_motion(
    path: str | Path,
    metres_per_unit: float | None = None,
    joints: Mapping[str, str] | None = None,
    in_fps: float | None = None,
    up: str | None = None,
) -> Motion:
    """A BVH of a known skeleton as a motion of 22 joints in metres, y up; our own file of KIT-ML's 21 joints as a motion of these.

    metres_per_unit: None guesses it from standing height, and says so on stderr.  joints: {"l_hip": name in the file ...} for others.
    in_fps: the rate of the recording where the file names a wrong one.  up: the axis that is up in the file, 'y', 'z', '-y' ...; None
    finds it.
    """
    return person_of(at_rate(parse_bvh(path), in_fps), metres_per_unit, joints, up).motion


def person_of(
    file: BvhFile,
    metres_per_unit: float | None = None,
    joints: Mapping[str, str] | None = None,
    up: str | None = None,
    begins_with_t_pose: bool | None = None,
) -> Person:
    """The person in a parsed file; the settings are those of `read_bvh_motion` and of `mended`."""
    if metres_per_unit is not None and (not np.isfinite(metres_per_unit) or metres_per_unit <= 0):
        raise InputError(f"metres_per_unit={metres_per_unit}; expected a positive number, 0.01 for centimetres")
    if joints is None and is_kit21(_names(file)):
        return _kit21(file, metres_per_unit, up or "y")
    file = mended(file, begins_with_t_pose=begins_with_t_pose, joints=joints)
    found = match_file(file, joints)
    points = weighted_joints(positions(file), _names(file), found.weights)
    rest = weighted_joints(_rest(file)[None], _names(file), found.weights)[0]
    axis = up_axis(points, rest) if up is None else up
    turn = turn_to_y_up(axis)
    points = points @ turn.T
    if up is None and axis != "y":
        progress(f"{file.source}: the person stands along {axis}, which is up there; turned to y up")
    if not found.is_exact and sides_are_swapped(points, rest):
        points = with_sides_swapped(points)
        progress(f"{file.source}: what is named left lies on the right of the way the feet point; left and right are exchanged")
    if metres_per_unit is None:
        metres_per_unit = guess_unit(points, found.layout, file.source)
    motion = Motion(points * metres_per_unit, file.fps)
    say_jumps(motion.joints, motion.fps, file.source)
    return Person(motion, metres_per_unit, turn)


def guess_unit(joints: NDArray[np.float64], layout: str, source: str) -> float:
    """Metres per unit at which a person of these joints [T, 22, 3] is nearest to 1.45 m from ankle to head, along the bones."""
    height = height_along_bones(joints)
    least, usual, most = STANDING_M
    units = {_BVH43_UNIT: "the unit of bvh43"} if layout == "bvh43" else {}
    units |= {unit: name for unit, name in _UNITS.items() if not (layout == "bvh43" and unit == 0.01)}
    unit = min(units, key=lambda u: abs(np.log(max(height, 1e-12) * u / usual)))
    if not least <= height * unit <= most:
        raise InputError(
            f"{source}: a person of {height:.4g} units from ankle to head fits no known unit ({', '.join(f'{u:g}' for u in units)} m); "
            "give metres_per_unit="
        )
    progress(f"{source}: 1 unit = {unit:g} m ({units[unit]}), since {height:.4g} units from ankle to head are then {height * unit:.2f} m")
    return unit


def positions(file: BvhFile) -> NDArray[np.float64]:
    """[T, N, 3] positions of all nodes in units of the file."""
    series = np.ascontiguousarray(file.values.T)
    frames = len(file.values)
    points = np.empty((len(file.nodes), 3, frames))
    world: list[Frames] = []
    channel_index = 0
    for index, node in enumerate(file.nodes):
        local = np.repeat(node.offset[:, None], frames, axis=1) if _moves(node) else node.offset
        turned = Frames(world[node.parent].columns.copy()) if index else Frames.identity(frames)
        for channel in node.channels:
            axis, kind = CHANNELS[channel]
            if kind == "position":
                local["xyz".index(axis)] = series[channel_index]
            else:
                turned.turn("xyz".index(axis), np.deg2rad(series[channel_index]))
            channel_index += 1
        if index:
            points[index] = points[node.parent] + world[node.parent].apply(local)
        else:
            points[index] = local if local.ndim == 2 else local[:, None]
        world.append(turned)
    return np.ascontiguousarray(points.transpose(2, 0, 1))


def _moves(node: Node) -> bool:
    return any(CHANNELS[channel][1] == "position" for channel in node.channels)


def _names(file: BvhFile) -> tuple[str, ...]:
    return tuple(node.name for node in file.nodes)


def _rest(file: BvhFile) -> NDArray[np.float64]:
    """[N, 3] the pose without rotations, in units of the file."""
    pose = np.zeros((len(file.nodes), 3))
    for index, node in enumerate(file.nodes):
        pose[index] = node.offset + (pose[node.parent] if node.parent >= 0 else 0.0)
    return pose


def at_rate(file: BvhFile, in_fps: float | None) -> BvhFile:
    """The file at the rate that the user gives, which is said where it differs from the file's own."""
    if in_fps is None or abs(check_fps(in_fps, "in_fps") / file.fps - 1) < 1e-9:
        return file
    if abs(in_fps / file.fps - 1) > _SAME_RATE:
        progress(f"{file.source}: the file says {file.fps:g} fps; read as {in_fps:g}, as in_fps= says")
    return replace(file, fps=float(in_fps))


def _kit21(file: BvhFile, metres_per_unit: float | None, up: str) -> Person:
    """A motion of KIT-ML's joints; the unit is the one at which its bones are nearest to those of KIT21."""
    names = _names(file)
    points = positions(file)[:, [names.index(name) for name in KIT21.names]] @ turn_to_y_up(up).T
    lengths = np.median(np.linalg.norm(points[:, 1:] - points[:, KIT21.parents[1:]], axis=-1), axis=0)
    if metres_per_unit is None:
        size = float(lengths.sum() / KIT21.lengths.sum())
        metres_per_unit = min(_UNITS, key=lambda unit: abs(np.log(max(size, 1e-12) * unit)))
        progress(f"{file.source}: the 21 joints of KIT-ML, 1 unit = {metres_per_unit:g} m ({_UNITS[metres_per_unit]})")
    skeleton = KIT21.with_lengths(np.concatenate([[0.0], lengths * metres_per_unit]))
    return Person(Motion(points * metres_per_unit, file.fps, skeleton), metres_per_unit, turn_to_y_up(up))


__all__ = [
    "BvhFile",
    "Node",
    "Person",
    "at_rate",
    "capture_of",
    "frame_rate",
    "guess_unit",
    "match_file",
    "mended",
    "parse_bvh",
    "person_of",
    "positions",
    "read_bvh",
    "read_bvh_motion",
    "without_t_pose",
    "write_bvh",
]
