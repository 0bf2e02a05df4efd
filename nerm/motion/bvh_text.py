"""A BVH with the text of its file, so that other frames of any rig can be written into the same file.

It knows the text of a BVH, not what its joints are called or do; `nerm.motion.rig_resample` makes the frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.errors import InputError
from nerm.motion.bvh import at_rate
from nerm.motion.bvh_parsing import BvhFile, parse_bvh

_MOTION = re.compile(rb"(?:\A|(?<=[\r\n]))[ \t{}]*(?<![^\s{}])MOTION(?=\s)", re.IGNORECASE)
_FRAMES = re.compile(rb"(Frames[ \t]*:?[ \t]*)(\d+)", re.IGNORECASE)
_FRAME_TIME = re.compile(rb"(Frame[ \t]*Time[ \t]*:?[ \t]*)([^\s:]+)", re.IGNORECASE)
_LEAST_DECIMALS, _MOST_DECIMALS = 6, 15
"""Fewer than 6 decimals would shake: 0.01 degrees between frames of 120 fps are accelerations of 1 m/s^2 at the end of a leg."""
_SPELLED_ROWS = 200  # as many are asked how many decimals the file has
_RATE_ERROR = 1e-6


@dataclass(frozen=True)
class BvhText:
    """file: hierarchy, values [T, channels] and rate.  head: the bytes before the first frame.  words: those of every frame."""

    file: BvhFile
    head: bytes = field(repr=False)
    words: list[list[bytes]] = field(repr=False)
    separator: bytes = b" "
    line_end: bytes = b"\n"
    trail: bytes = b""

    def of_last_frames(self, file: BvhFile) -> BvhText:
        """The same for a file that lacks some of the first frames."""
        return replace(self, file=file, words=self.words[len(self.file.values) - len(file.values) :])


def read_bvh_text(path: str | Path, in_fps: float | None = None) -> BvhText:
    """A BVH with its text. in_fps: the true rate of a file whose frame time is wrong."""
    file = at_rate(parse_bvh(path), in_fps)
    content = Path(path).read_bytes()
    motion = _MOTION.search(content)
    counted, timed = (pattern.search(content, motion.end()) if motion else None for pattern in (_FRAMES, _FRAME_TIME))
    if counted is None or timed is None:  # the parser has read it, so this is a spelling that only the parser knows
        raise InputError(f"{path}: 'MOTION', 'Frames:' and 'Frame Time:' are not found as text; save the file as ASCII or UTF-8")
    end = max(counted.end(), timed.end())
    rest = re.compile(rb"[ \t]*(\r\n|\n|\r|\Z)").match(content, end)
    line_end = (rest.group(1) if rest else b"") or b"\n"
    first = content[end:].lstrip().splitlines()[0]
    trail = first[len(first.rstrip()) :]
    return BvhText(file, content[:end], _words(content[end:], file.values), b"\t" if b"\t" in first.strip() else b" ", line_end, trail)


def write_bvh_text(text: BvhText, values: NDArray[np.float64], fps: float, path: str | Path) -> None:
    """The file of `text` with other frames, values [n, channels] at fps; a value that the file holds is spelled as in the file.

    The k-th frame is spelled as the frame of the file at the same time, if its numbers are the same.
    """
    file = text.file
    constant = (file.values == file.values[:1]).all(axis=0) & (values == file.values[:1]).all(axis=0)
    decimals = _decimals(text.words)
    templates = [text.words[0][column] if still else b"%%.%df" % decimals for column, still in enumerate(constant)]
    template = text.separator.join(templates) + text.trail
    rounded = np.round(values, decimals) + 0.0  # no -0.000000
    moving = rounded[:, ~constant].tolist()
    lines = [template % tuple(row) for row in moving]
    position = np.arange(len(values)) * (file.fps / fps)
    frames = np.round(position).astype(int)
    for index in np.flatnonzero((np.abs(position - frames) < 1e-6) & (frames < len(file.values))):
        words = text.words[frames[index]]
        same = values[index] == file.values[frames[index]]
        if same.any():
            spelled = [word if kept else b"%.*f" % (decimals, value) for word, kept, value in zip(words, same, rounded[index], strict=True)]
            lines[index] = text.separator.join(spelled) + text.trail
    head = _FRAMES.sub(lambda found: found[1] + b"%d" % len(values), _body(text.head), count=1)
    if fps != file.fps or not _says(text.head, fps):
        head = _FRAME_TIME.sub(lambda found: found[1] + _frame_time(fps, found[2]), head, count=1)
    motion = _MOTION.search(text.head)
    assert motion is not None  # read_bvh_text has found it
    with replacing(path) as temporary:
        temporary.write_bytes(text.head[: motion.start()] + head + text.line_end + text.line_end.join([*lines, b""]))


def _body(head: bytes) -> bytes:
    """From MOTION on: a joint may be called 'Frames:'."""
    motion = _MOTION.search(head)
    assert motion is not None
    return head[motion.start() :]


def _says(head: bytes, fps: float) -> bool:
    """Whether the frame time of the file is within a thousandth of the rate (otherwise in_fps= has corrected it)."""
    found = _FRAME_TIME.search(_body(head))
    return found is not None and abs(float(found[2].replace(b",", b".")) * fps - 1) < 2e-3


def _frame_time(fps: float, spelled: bytes) -> bytes:
    """1 / fps with as many decimals as the file has, or more if that would be another rate."""
    for decimals in range(max(_LEAST_DECIMALS, len(spelled.partition(b".")[2])), 18):
        text = b"%.*f" % (decimals, 1 / fps)
        if float(text) > 0 and abs(float(text) * fps - 1) < _RATE_ERROR:
            break
    return text


def _words(rows: bytes, values: NDArray[np.float64]) -> list[list[bytes]]:
    """The words of every frame as they stand in the file; those of `values` where the text is arranged in an unusual way."""
    words, width = rows.split(), values.shape[1]
    usual = len(words) >= values.size and all(_is(word, value) for word, value in zip(words, values.flat, strict=False))
    if usual and width:
        return [words[start : start + width] for start in range(0, values.size, width)]
    return [[repr(value).encode() for value in row] for row in values.tolist()]


def _is(word: bytes, value: float) -> bool:
    try:
        return float(word) == value
    except ValueError:
        return False


def _decimals(words: list[list[bytes]]) -> int:
    rows = words[:: max(len(words) // _SPELLED_ROWS, 1)]
    spelled = max((len(word.partition(b".")[2]) for row in rows for word in row if b"e" not in word.lower()), default=0)
    return min(max(spelled, _LEAST_DECIMALS), _MOST_DECIMALS)
