"""The text of a BVH file: its hierarchy, its numbers and its rate, as they stand there. It knows no geometry, no layout and no person.

What many programs write and the format does not forbid is read: any encoding of names, decimal commas, rows that go on over several lines,
more rows than announced (said on stderr). What is wrong is answered with file, line and joint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion.rates import frame_rate

CHANNELS = {f"{axis}{kind}": (axis.lower(), kind) for axis in "XYZ" for kind in ("position", "rotation")}
_LINE_END = re.compile(r"\r\n|\n|\r")
_HEADER = re.compile(r"\s*(frames|frame\s*time)\s*:?\s*(\S.*?)?\s*$", re.IGNORECASE)


@dataclass
class Node:
    """A joint, or an End Site (no channels).  parent: index, -1 for the root.  offset: [3] units of the file."""

    name: str
    parent: int
    offset: NDArray[np.float64] = field(default_factory=lambda: np.full(3, np.nan), repr=False)
    channels: tuple[str, ...] = ()
    is_end: bool = False


@dataclass(frozen=True)
class BvhFile:
    """nodes: joints and End Sites, parents first.  values: [T, channels] as in the file.  encoding: of its names."""

    source: str
    nodes: list[Node]
    values: NDArray[np.float64] = field(repr=False)
    fps: float
    encoding: str = "utf-8"


def parse_bvh(path: str | Path) -> BvhFile:
    """Hierarchy and channel values. Wrong files are answered with file, line and joint."""
    source = str(path)
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of an existing BVH file") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the path of a BVH file") from None
    text, encoding = decoded(content)
    lines = _LINE_END.split(text)
    nodes, line = _hierarchy(lines, source)
    frames, fps, line = _motion_header(lines, line, source)
    return BvhFile(source, nodes, _values(lines, line, frames, nodes, source), fps, encoding)


def decoded(content: bytes) -> tuple[str, str]:
    """(text, encoding): UTF-8, UTF-16, Shift-JIS or Latin-1, whichever it is; names that differ in their bytes differ in the text."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", errors="replace"), "utf-16"
    try:
        return content.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        pass
    if re.search(rb"[\x81-\x9f]", content):  # these begin most characters of Shift-JIS, and are no letters of Latin-1
        try:
            return content.decode("cp932"), "cp932"
        except UnicodeDecodeError:
            pass
    return content.decode("latin-1"), "latin-1"


# ---- hierarchy ----


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
                if key == "ROOT" and nodes:
                    raise InputError(
                        f"{where}: a second ROOT '{' '.join(words[1:])}'; one figure a file is expected: split it into one per ROOT"
                    )
                if key != "ROOT" and not nodes:
                    raise InputError(f"{where}: {key} before ROOT; one ROOT first is expected")
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
        return Node("", open_nodes[-1], is_end=True)
    if len(words) < 2:
        raise InputError(f"{where}: {words[0]} without a name")
    name = " ".join(words[1:])
    if any(node.name == name for node in nodes):
        raise InputError(f"{where}: a second joint '{name}'; names must differ")
    return Node(name, open_nodes[-1] if open_nodes else -1)


def _channels(words: list[str], name: str, where: str) -> tuple[str, ...]:
    known = {channel.lower(): channel for channel in CHANNELS}
    channels = words[2:]
    unknown = [channel for channel in channels if channel.lower() not in known]
    if unknown:
        raise InputError(f"{where}: joint '{name}' has the channel '{unknown[0]}'; expected {', '.join(CHANNELS)}")
    if len(words) < 2 or words[1] != str(len(channels)):
        raise InputError(
            f"{where}: CHANNELS of joint '{name}' announces {words[1] if len(words) > 1 else 'no'} channels and lists {len(channels)}"
        )
    return tuple(known[channel.lower()] for channel in channels)


def _checked(nodes: list[Node], source: str) -> list[Node]:
    """The nodes; End Sites are named NAME_end (NAME_end2 ... if a joint has several, or if a joint has that name)."""
    taken = {node.name for node in nodes if not node.is_end}
    for node in nodes:
        if node.is_end:
            stem = f"{nodes[node.parent].name}_end"
            names = (f"{stem}{number}" if number > 1 else stem for number in range(1, len(nodes) + 2))
            node.name = next(name for name in names if name not in taken)
            taken.add(node.name)
        if np.isnan(node.offset).any():
            raise InputError(f"{source}: {'End Site' if node.is_end else 'joint'} '{node.name}' has no OFFSET")
    return nodes


# ---- motion ----


def _motion_header(lines: list[str], line: int, source: str) -> tuple[int, float, int]:
    """(frames, frames per second, index of the first line of values)."""
    header: dict[str, str] = {}
    for number in range(line + 1, len(lines)):
        found = _HEADER.match(lines[number])
        if found:
            header["frames" if found[1].lower() == "frames" else "frame time"] = found[2] or ""
        elif lines[number].strip():
            break
        if len(header) == 2:
            break
    for key in ("frames", "frame time"):
        if key not in header:
            raise InputError(f"{source}: no '{key.title()}:' after MOTION; the file is cut off or is not a BVH")
    try:
        fps = frame_rate(header["frame time"])
    except ValueError:
        raise InputError(f"{source}: Frame Time '{header['frame time']}'; expected a positive number of seconds") from None
    frames = re.fullmatch(r"(\d+)(\.0*)?", header["frames"])
    if frames is None or int(frames[1]) == 0:
        raise InputError(f"{source}: Frames: {header['frames']}; expected a positive whole number")
    return int(frames[1]), fps, number + 1


def _values(lines: list[str], first: int, frames: int, nodes: list[Node], source: str) -> NDArray[np.float64]:
    """[T, channels], checked line by line."""
    width = sum(len(node.channels) for node in nodes)
    rows: list[list[float]] = []
    numbers: list[int] = []  # of the lines
    for number in range(first, len(lines)):
        words = _words(lines[number])
        if not words:
            continue
        where = f"{source}: line {number + 1}, frame {len(rows)}"
        if len(words) != width:
            if len(rows) >= frames:
                progress(
                    f"{source}: what stands from line {number + 1} on, after the {frames} frames that 'Frames:' announces, is left out"
                )
                break
            joined = _joined(lines[first:], frames, width)
            if joined is None:
                raise InputError(f"{where}: {len(words)} values; the hierarchy has {width} channels")
            rows, numbers = joined, []
            break
        try:
            rows.append(list(map(float, words)))
        except ValueError:
            _floats(words, width, where)
        numbers.append(number + 1)
    if len(rows) < frames:
        raise InputError(f"{source}: {len(rows)} lines of values, but 'Frames:' announces {frames}; the file is cut off")
    if len(rows) > frames:
        progress(f"{source}: {len(rows)} frames are read, {len(rows) - frames} more than the {frames} that 'Frames:' announces")
    values = np.array(rows).reshape(len(rows), width)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        frame, channel = bad[0]
        owner = [node.name for node in nodes for _ in node.channels][channel]
        where = f"line {numbers[frame]}, frame {frame}" if numbers else f"frame {frame}"
        raise InputError(
            f"{source}: {where}: joint '{owner}' has a value that is not finite; every value must be a finite number: "
            f"{len(set(bad[:, 0]))} of {len(values)} frames have such values, remove them or fill them in"
        )
    return values


def _joined(lines: list[str], frames: int, width: int) -> list[list[float]] | None:
    """Rows that go on over several lines; None if the numbers do not come out even."""
    words = [word for line in lines for word in _words(line)]
    if len(words) != frames * width:
        return None
    try:
        numbers = list(map(float, words))
    except ValueError:
        return None
    return [numbers[start : start + width] for start in range(0, len(numbers), width)]


def _words(line: str) -> list[str]:
    """The numbers of a line: a comma is a decimal point if there is no other, else it separates."""
    if "," in line:
        line = line.replace(",", " " if "." in line or ", " in line else ".")
    return line.split()


def _floats(words: list[str], count: int, where: str) -> list[float]:
    words = _words(" ".join(words))
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


__all__ = ["CHANNELS", "BvhFile", "Node", "decoded", "parse_bvh"]
