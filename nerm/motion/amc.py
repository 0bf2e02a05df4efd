"""Acclaim motion capture: a skeleton (ASF) and its motion (AMC), with forward kinematics. It knows no corpus and no joint mapping.

Conventions (Acclaim; Lander, "Working with motion capture file formats", Game Developer, January 1998): a bone's `axis` gives a
local frame C; its degrees of freedom turn in that frame in the order listed, the first applied first, which makes M; its local
rotation is C M C^-1; it runs from its parent's end along direction * length. The root's `order` and `axis` work the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.capture import Capture, Frames, rotation_matrix

METRES_PER_UNIT = 0.05644
"""2.54 cm / 0.45: the unit of the CMU and HDM05 recordings (`length 0.45` in the ASF)."""
_CHUNK_BYTES = 1 << 22
_FRAME_LINE = re.compile(rb"\n[ \t]*\d+[ \t\r]*\n")
_ROTATIONS = ("rx", "ry", "rz")
_TRANSLATIONS = ("tx", "ty", "tz")


@dataclass(frozen=True)
class Bone:
    """offset: [3] start to end, units of the file.  axes: [3, 3] the local frame C.  dofs: rx, ry, rz (root: tx, ty, tz too)."""

    name: str
    parent: str | None
    offset: NDArray[np.float64] = field(repr=False)
    axes: NDArray[np.float64] = field(repr=False)
    dofs: tuple[str, ...]


@dataclass(frozen=True)
class AcclaimSkeleton:
    """Bones by name, parents before children, the first one `root`.  degrees: whether its angles are (else radians)."""

    source: str
    bones: dict[str, Bone]
    degrees: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.bones)


def read_asf(path_or_text: str | Path) -> AcclaimSkeleton:
    """The skeleton of an ASF file, given as a path or as its text (a string with line ends)."""
    if isinstance(path_or_text, str) and "\n" in path_or_text:
        source, text = "ASF text", path_or_text
    else:
        source, text = str(path_or_text), _read(Path(path_or_text)).decode("latin-1")
    sections = _sections(text)
    for needed in (":root", ":bonedata", ":hierarchy"):
        if needed not in sections:
            raise InputError(f"{source}: no section {needed}; expected an Acclaim skeleton (ASF), perhaps the file is cut off")
    units = dict([*line.split(), ""][:2] for line in sections.get(":units", []))
    degrees = not units.get("angle", "deg").lower().startswith("rad")
    try:
        bones = {"root": _root(sections[":root"], degrees)}
        records = _bone_records(sections[":bonedata"])
        for name, parent in _hierarchy(sections[":hierarchy"], source):
            if parent not in bones:
                raise InputError(f"{source}: bone '{name}' hangs on '{parent}', which does not come before it in :hierarchy")
            if name not in records:
                raise InputError(f"{source}: :hierarchy names the bone '{name}', which :bonedata does not describe")
            bones[name] = _bone(name, parent, records[name], degrees, source)
    except (ValueError, KeyError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source}: cannot be read as an Acclaim skeleton ({type(error).__name__}: {error})") from None
    unused = sorted(set(records) - set(bones))
    if unused:
        raise InputError(f"{source}: bone '{unused[0]}' is described but missing from :hierarchy")
    return AcclaimSkeleton(source, bones, degrees)


def read_amc(path: str | Path, asf: AcclaimSkeleton, fps: float | None, metres_per_unit: float = METRES_PER_UNIT) -> Capture:
    """The motion of an AMC file on its skeleton. Points are the ENDS of bones, and `root`; files carry no rate: give fps.

    Wrong files (bone missing or unknown, wrong number of values, not finite, cut off) are answered with file, frame, line and bone.
    """
    values, is_degrees = read_amc_values(path, asf)
    return Capture(asf.names, _bone_ends(values, asf, is_degrees) * metres_per_unit, fps)


def read_amc_values(path: str | Path, asf: AcclaimSkeleton) -> tuple[NDArray[np.float64], bool]:
    """The numbers of an AMC file [T, D], bone after bone of the skeleton as their degrees of freedom say; whether angles are degrees."""
    content = _read(Path(path))
    body, is_degrees = _header(content, str(path), asf)
    return _values(content, body, asf, str(path)), is_degrees


# ---- ASF ----


def _sections(text: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.split("#")[0].strip()
        if line.startswith(":"):
            key, _, rest = line.partition(" ")
            lines = sections.setdefault(key.lower(), [])
            line = rest.strip()
        if line:
            lines.append(line)
    return sections


def _root(lines: list[str], degrees: bool) -> Bone:
    words = {line.split()[0].lower(): line.split()[1:] for line in lines}
    order = tuple(word.lower() for word in words.get("order", ["TX", "TY", "TZ", "RX", "RY", "RZ"]))
    unknown = [word for word in order if word not in _ROTATIONS + _TRANSLATIONS]
    if unknown:
        raise InputError(f"root order '{unknown[0]}'; expected TX, TY, TZ, RX, RY, RZ")
    axes = _axes(words.get("axis", ["XYZ"])[0], words.get("orientation", ["0"] * 3), degrees)
    return Bone("root", None, np.array(words.get("position", ["0"] * 3), dtype=float), axes, order)


def _bone_records(lines: list[str]) -> dict[str, dict[str, list[str]]]:
    records: dict[str, dict[str, list[str]]] = {}
    record: dict[str, list[str]] = {}
    for line in lines:
        key, *rest = line.split()
        if key == "begin":
            record = {}
        elif key == "end":
            records[record["name"][0]] = record
        else:
            record[key.lower()] = rest
    return records


def _bone(name: str, parent: str, record: dict[str, list[str]], degrees: bool, source: str) -> Bone:
    missing = [key for key in ("direction", "length", "axis") if key not in record]
    if missing:
        raise InputError(f"{source}: bone '{name}' has no {missing[0]}")
    dofs = tuple(word.lower() for word in record.get("dof", []))
    unknown = [dof for dof in dofs if dof not in _ROTATIONS]
    if unknown:
        raise InputError(f"{source}: bone '{name}' has the degree of freedom '{unknown[0]}'; only rx, ry and rz are supported")
    direction = np.array(record["direction"], dtype=float)
    length = float(record["length"][0])
    if direction.shape != (3,) or not np.isfinite([*direction, length]).all():
        raise InputError(
            f"{source}: bone '{name}' has direction {record['direction']} and length {record['length']}; expected 3 and 1 numbers"
        )
    norm = np.linalg.norm(direction)
    return Bone(name, parent, direction / (norm or 1.0) * length, _axes(record["axis"][3], record["axis"][:3], degrees), dofs)


def _axes(order: str, angles: list[str], degrees: bool) -> NDArray[np.float64]:
    """C: the first letter of the order is applied first."""
    values = np.array(angles, dtype=float)
    return rotation_matrix(order[::-1], (values if degrees else np.rad2deg(values))[::-1])


def _hierarchy(lines: list[str], source: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        parent, *children = line.split()
        if parent in ("begin", "end"):
            continue
        if not children:
            raise InputError(f"{source}: the :hierarchy line '{line}' names no child")
        for child in children:
            yield child, parent


# ---- AMC ----


def _header(content: bytes, source: str, asf: AcclaimSkeleton) -> tuple[int, bool]:
    """(where frame 1 begins, whether angles are degrees)."""
    first = _FRAME_LINE.search(b"\n" + content)
    if first is None:
        raise InputError(
            f"{source}: no frame found; expected Acclaim motion (AMC), with a line that holds the frame number before each pose"
        )
    header = content[: first.start()].upper()
    return first.start(), False if b":RADIANS" in header else True if b":DEGREES" in header else asf.degrees


def _values(content: bytes, body: int, asf: AcclaimSkeleton, source: str) -> NDArray[np.float64]:
    """[T, D] numbers in the order of the skeleton's bones and their degrees of freedom."""
    dofs = {name: len(bone.dofs) for name, bone in asf.bones.items() if bone.dofs}
    layout = _layout(content, body, dofs)
    if layout is None:
        return _values_by_line(content, body, dofs, asf, source)
    parts = []
    frame = None
    for chunk in _chunks(content, body):
        part, frame = _bulk(chunk, layout, frame)
        if part is None:  # something is unusual: read slowly, which works or says exactly what is wrong
            return _values_by_line(content, body, dofs, asf, source)
        parts.append(part)
    values = np.concatenate(parts)
    file_order = np.cumsum([0] + [dofs[name] for name in layout])
    starts = dict(zip(layout, file_order, strict=False))
    return values[:, np.concatenate([np.arange(starts[name], starts[name] + count) for name, count in dofs.items()])]


def _layout(content: bytes, body: int, dofs: dict[str, int]) -> dict[str, int] | None:
    """Bones of frame 1 in file order with their number of values; None unless they are exactly the skeleton's."""
    after = content.index(b"\n", body) + 1
    second = _FRAME_LINE.search(content, after)
    frame = content[after : second.start() if second else len(content)]
    words = [line.split() for line in frame.decode("latin-1").splitlines()]
    layout = {line[0]: len(line) - 1 for line in words if line}
    return layout if layout == dofs and len([line for line in words if line]) == len(dofs) else None


def _chunks(content: bytes, body: int) -> Iterator[bytes]:
    """The frames in pieces of a few megabytes, so that the words of a long file never exist all at once."""
    start = body
    while start < len(content):
        cut = _FRAME_LINE.search(content, start + _CHUNK_BYTES)
        end = cut.start() + 1 if cut else len(content)
        yield content[start:end]
        start = end


def _bulk(chunk: bytes, layout: dict[str, int], frame: int | None) -> tuple[NDArray[np.float64] | None, int]:
    """(values [T, D] of a chunk in file order, number of its last frame); values are None if any frame differs from the layout."""
    words = chunk.split()
    stride = 1 + sum(count + 1 for count in layout.values())
    frames, rest = divmod(len(words), stride)
    if rest or not frames:
        return None, 0
    try:
        first = int(words[0]) if frame is None else frame + 1
        if list(map(int, words[::stride])) != list(range(first, first + frames)):
            return None, 0
        del words[::stride]
        position, stride = 0, stride - 1
        columns: list[int] = []
        for name, count in layout.items():
            if words[position::stride].count(name.encode()) != frames:
                return None, 0
            columns += range(position + 1, position + 1 + count)
            position += count + 1
        values = np.empty((len(columns), frames))
        for channel, column in enumerate(columns):
            values[channel] = list(map(float, words[column::stride]))
    except ValueError:
        return None, 0
    return (values.T if np.isfinite(values).all() else None), first + frames - 1


def _values_by_line(content: bytes, body: int, dofs: dict[str, int], asf: AcclaimSkeleton, source: str) -> NDArray[np.float64]:
    """The same, line by line: bones may come in any order, and whatever is wrong is named."""
    first_line = content.count(b"\n", 0, body) + 1
    poses: list[list[float]] = []
    pose: dict[str, list[float]] = {}
    frame: int | None = None

    def close() -> None:
        missing = [name for name in dofs if name not in pose]
        if missing:
            raise InputError(
                f"{source}: frame {frame} has no line for bone '{missing[0]}' ({len(missing)} of {len(dofs)} are missing); "
                "the file is damaged or cut off, or belongs to another skeleton"
            )
        poses.append([value for name in dofs for value in pose[name]])

    for number, line in enumerate(content[body:].decode("latin-1").splitlines(), first_line):
        words = line.split("#")[0].split()
        if not words:
            continue
        if len(words) == 1 and words[0].isdigit():
            if frame is not None:
                close()
                if int(words[0]) != frame + 1:
                    raise InputError(f"{source}: line {number}: frame {words[0]} follows frame {frame}; expected frame {frame + 1}")
            frame, pose = int(words[0]), {}
            continue
        name, values = words[0], words[1:]
        where = f"{source}: frame {frame}, line {number}"
        if name not in asf.bones:
            raise InputError(f"{where}: bone '{name}' is not in the skeleton {asf.source}; give the ASF that belongs to this AMC")
        if name in pose:
            raise InputError(f"{where}: bone '{name}' appears twice in one frame")
        expected = dofs.get(name, 0)
        if len(values) != expected:
            raise InputError(f"{where}: bone '{name}' has {len(values)} values; its skeleton has {expected} degrees of freedom")
        pose[name] = [_number(value, where, name) for value in values]
    close()
    return np.array(poses)


def _number(word: str, where: str, bone: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise InputError(f"{where}: bone '{bone}' has the value '{word}', which is not a number") from None
    if not np.isfinite(value):
        raise InputError(f"{where}: bone '{bone}' has the value '{word}'; every value must be finite")
    return value


def _bone_ends(values: NDArray[np.float64], asf: AcclaimSkeleton, is_degrees: bool) -> NDArray[np.float64]:
    """[T, N, 3] ends of all bones in units of the file.

    V = (rotation of the parent) C M is carried along instead of the rotation W = V C^-1, so that constant factors merge.
    """
    series = np.ascontiguousarray(values.T)
    ends = np.empty((len(asf.bones), 3, len(values)))
    local: dict[str, Frames] = {}
    channel = 0
    for index, (name, bone) in enumerate(asf.bones.items()):
        if bone.parent is None:
            turned = Frames.identity(len(values)).then(bone.axes)
            end = np.repeat(bone.offset[:, None], len(values), axis=1)
        else:
            turned = local[bone.parent].then(asf.bones[bone.parent].axes.T @ bone.axes)
        rotations = []
        for dof in bone.dofs:
            if dof in _TRANSLATIONS:
                end[_TRANSLATIONS.index(dof)] += series[channel]
            else:
                rotations.append((_ROTATIONS.index(dof), np.deg2rad(series[channel]) if is_degrees else series[channel]))
            channel += 1
        for axis, angle in reversed(rotations):
            turned.turn(axis, angle)
        if bone.parent is not None:
            end = ends[asf.names.index(bone.parent)] + turned.apply(bone.axes.T @ bone.offset)
        ends[index] = end
        local[name] = turned
    return np.ascontiguousarray(ends.transpose(2, 0, 1))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of an existing ASF or AMC file") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the path of an ASF or AMC file") from None
