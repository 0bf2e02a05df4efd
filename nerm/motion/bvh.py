"""Reading BVH (Biovision hierarchy): joints and End Sites as named points. It knows no corpus; layouts come from `nerm.motion.mapping`.

Writing is `nerm.motion.bvh_writer`; `write_bvh` can be had from here too.

Convention: position channels are the joint's local translation and REPLACE its OFFSET, on the root and on any other joint, as in
Blender. (Some readers add the two. Files whose OFFSET is zero wherever positions are given, such as ours, mean the same to both.)
Rotation channels multiply from left to right: CHANNELS Zrotation Xrotation Yrotation is R = Rz Rx Ry.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion.body import STANDING_M, height_along_bones
from nerm.motion.bvh_writer import write_bvh
from nerm.motion.capture import Capture, Frames
from nerm.motion.mapping import detect_layout, to_smpl22, unknown_layout
from nerm.motion.motion import Motion

_CHANNELS = {f"{axis}{kind}": (axis.lower(), kind) for axis in "XYZ" for kind in ("position", "rotation")}
_RATE_TOLERANCE = 1e-4
_UNITS = {1.0: "metres", 0.01: "centimetres", 0.001: "millimetres", 0.0254: "inches", 0.05644: "inches / 0.45 as in CMU files"}
_BVH43_UNIT = 0.0103  # metres per unit, on average over the people: all bvh43 files have one character's size


@dataclass
class Node:
    """A joint, or an End Site (no channels).  parent: index, -1 for the root.  offset: [3] units of the file."""

    name: str
    parent: int
    offset: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan), repr=False)
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class BvhFile:
    """nodes: joints and End Sites, parents first.  values: [T, channels] as in the file."""

    source: str
    nodes: list[Node]
    values: NDArray[np.float64] = field(repr=False)
    fps: float


def read_bvh(path: str | Path, metres_per_unit: float = 1.0) -> Capture:
    """Every joint of a BVH, and every End Site as `NAME_end` (`NAME_end2` ... if a joint has several), as points in metres."""
    file = parse_bvh(path)
    return Capture(tuple(node.name for node in file.nodes), positions(file) * metres_per_unit, file.fps)


def read_bvh_motion(path: str | Path, metres_per_unit: float | None = None) -> Motion:
    """A BVH of a known layout (our own 22 joints, bvh31, bvh43, bandai) as a motion of 22 joints.

    metres_per_unit: None guesses it from standing height, and says so on stderr.
    """
    capture = read_bvh(path)
    layout = detect_layout(capture.names)
    if layout is None:
        raise InputError(f"{path}: {unknown_layout(capture.names)}")
    if metres_per_unit is not None and (not np.isfinite(metres_per_unit) or metres_per_unit <= 0):
        raise InputError(f"metres_per_unit={metres_per_unit}; expected a positive number, 0.01 for centimetres")
    joints = to_smpl22(capture, layout)
    if metres_per_unit is None:
        metres_per_unit = guess_unit(joints, layout, str(path))
    return Motion(joints * metres_per_unit, capture.fps or 0.0)


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


def parse_bvh(path: str | Path) -> BvhFile:
    """Hierarchy and channel values. Wrong files are answered with file, line and joint."""
    source = str(path)
    try:
        lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of an existing BVH file") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the path of a BVH file") from None
    nodes, line = _hierarchy(lines, source)
    frames, fps, line = _motion_header(lines, line, source)
    return BvhFile(source, nodes, _values(lines, line, frames, nodes, source), fps)


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
            axis, kind = _CHANNELS[channel]
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


def frame_rate(frame_time: float) -> float:
    """Frames per second of a printed frame time; a rate within 0.01 % of a whole one is rounded to it (0.0083333 is 120)."""
    rate = 1.0 / frame_time
    rounded = round(rate)
    return float(rounded) if rounded and abs(rate / rounded - 1) < _RATE_TOLERANCE else rate


def _moves(node: Node) -> bool:
    return any(_CHANNELS[channel][1] == "position" for channel in node.channels)


def _hierarchy(lines: list[str], source: str) -> tuple[list[Node], int]:
    """(nodes, index of the line MOTION)."""
    nodes: list[Node] = []
    open_nodes: list[int] = []
    pending = False  # a node was named and its brace has not come yet
    for number, line in enumerate(lines):
        for words in _statements(line):
            where = f"{source}: line {number + 1}"
            key = words[0].upper()
            if key == "MOTION":
                if open_nodes or not nodes:
                    raise InputError(f"{where}: MOTION begins, but the hierarchy is not complete; a closing brace is missing")
                return _checked(nodes, source), number
            if key in ("ROOT", "JOINT", "END"):
                if (key == "ROOT") != (not nodes):
                    raise InputError(f"{where}: {'a second ROOT' if nodes else key + ' before ROOT'}; one ROOT first is expected")
                if key != "ROOT" and not open_nodes:
                    raise InputError(f"{where}: {' '.join(words)} lies outside the root's braces")
                nodes.append(_node(key, words, nodes, open_nodes, where))
                pending = True
            elif key == "{" and pending:
                open_nodes.append(len(nodes) - 1)
                pending = False
            elif key == "}" and open_nodes:
                open_nodes.pop()
            elif key == "OFFSET" and open_nodes:
                nodes[open_nodes[-1]].offset = np.array(_floats(words[1:], 3, f"{where}: OFFSET of '{nodes[open_nodes[-1]].name}'"))
            elif key == "CHANNELS" and open_nodes:
                nodes[open_nodes[-1]].channels = _channels(words, nodes[open_nodes[-1]].name, where)
            elif key != "HIERARCHY":
                raise InputError(f"{where}: '{line.strip()[:60]}' is not understood here; expected a BVH hierarchy")
    raise InputError(f"{source}: no MOTION section; the file is cut off or is not a BVH")


def _statements(line: str) -> list[list[str]]:
    """The words of a line; braces stand alone."""
    statements: list[list[str]] = [[]]
    for word in line.replace("{", " { ").replace("}", " } ").split():
        if word in "{}":
            statements += [[word], []]
        else:
            statements[-1].append(word)
    return [words for words in statements if words]


def _node(key: str, words: list[str], nodes: list[Node], open_nodes: list[int], where: str) -> Node:
    if key == "END":
        parent = open_nodes[-1]
        name = f"{nodes[parent].name}_end"
        count = sum(node.parent == parent and node.name.startswith(name) for node in nodes)
        return Node(f"{name}{count + 1}" if count else name, parent)
    if len(words) < 2:
        raise InputError(f"{where}: {words[0]} without a name")
    name = " ".join(words[1:])
    if any(node.name == name for node in nodes):
        raise InputError(f"{where}: a second joint '{name}'; names must differ")
    return Node(name, open_nodes[-1] if open_nodes else -1)


def _channels(words: list[str], name: str, where: str) -> tuple[str, ...]:
    known = {channel.lower(): channel for channel in _CHANNELS}
    channels = words[2:]
    unknown = [channel for channel in channels if channel.lower() not in known]
    if unknown:
        raise InputError(f"{where}: joint '{name}' has the channel '{unknown[0]}'; expected {', '.join(_CHANNELS)}")
    if len(words) < 2 or words[1] != str(len(channels)):
        raise InputError(
            f"{where}: CHANNELS of joint '{name}' announces {words[1] if len(words) > 1 else 'no'} channels and lists {len(channels)}"
        )
    return tuple(known[channel.lower()] for channel in channels)


def _checked(nodes: list[Node], source: str) -> list[Node]:
    for node in nodes:
        if np.isnan(node.offset).any():
            raise InputError(f"{source}: joint '{node.name}' has no OFFSET")
    return nodes


def _motion_header(lines: list[str], line: int, source: str) -> tuple[int, float, int]:
    """(frames, frames per second, index of the first line of values)."""
    header: dict[str, str] = {}
    for number in range(line + 1, len(lines)):
        key, colon, value = lines[number].partition(":")
        if colon:
            header[key.strip().lower()] = value.strip()
        elif lines[number].strip():
            break
        if {"frames", "frame time"} <= set(header):
            break
    for key in ("frames", "frame time"):
        if key not in header:
            raise InputError(f"{source}: no '{key.title()}:' after MOTION; the file is cut off or is not a BVH")
    frame_time = _floats([header["frame time"]], 1, f"{source}: Frame Time")[0]
    if frame_time <= 0:
        raise InputError(f"{source}: Frame Time {frame_time:g}; expected a positive number of seconds")
    if not header["frames"].isdigit() or int(header["frames"]) == 0:
        raise InputError(f"{source}: Frames: {header['frames']}; expected a positive whole number")
    return int(header["frames"]), frame_rate(frame_time), number + 1


def _values(lines: list[str], first: int, frames: int, nodes: list[Node], source: str) -> NDArray[np.float64]:
    """[T, channels], checked line by line."""
    width = sum(len(node.channels) for node in nodes)
    values = np.empty((frames, width))
    count = 0
    for number in range(first, len(lines)):
        words = lines[number].split()
        if not words:
            continue
        where = f"{source}: line {number + 1}, frame {count}"
        if count == frames:
            raise InputError(f"{where}: more lines than the {frames} that 'Frames:' announces")
        if len(words) != width:
            raise InputError(f"{where}: {len(words)} values; the hierarchy has {width} channels")
        try:
            values[count] = list(map(float, words))
        except ValueError:
            _floats(words, width, where)
        count += 1
    if count < frames:
        raise InputError(f"{source}: {count} lines of values, but 'Frames:' announces {frames}; the file is cut off")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        owner = [node.name for node in nodes for _ in node.channels][bad[0][1]]
        raise InputError(
            f"{source}: frame {bad[0][0]}: joint '{owner}' has a value that is not finite; every value must be a finite number"
        )
    return values


def _floats(words: list[str], count: int, where: str) -> list[float]:
    if len(words) != count:
        raise InputError(f"{where}: {len(words)} numbers; expected {count}")
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            raise InputError(f"{where}: '{word}' is not a number") from None
    if not np.isfinite(numbers).all():
        raise InputError(f"{where}: a value that is not finite; every value must be a finite number")
    return numbers


__all__ = ["BvhFile", "Node", "frame_rate", "guess_unit", "parse_bvh", "positions", "read_bvh", "read_bvh_motion", "write_bvh"]
