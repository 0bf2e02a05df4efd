"""Pictures of motions as files: GIF, MP4, a page, and film strips. It knows motions, not corpora or models.

Motions stand side by side, each with a camera that follows smoothly, on one clock: every picture shows each motion's latest frame at
that time, so that a low frame rate looks like what it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nerm.atomic import replacing
from nerm.drawing import PANEL, draw
from nerm.errors import InputError
from nerm.figure import Figure, figures
from nerm.motion.made_by import as_text
from nerm.motion.motion import Motion

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".gif", ".mp4", ".html")
_GIF_CENTISECONDS = 4  # the shortest delay between pictures of a .gif, which are whole hundredths of a second: 25 pictures a second
_GIF_COLOURS = 20
_STRIP = (160, 240)


def render(
    motions: Sequence[Motion],
    path: str | Path,
    titles: Sequence[str] | None = None,
    about: Sequence[str] | None = None,
    size: tuple[int, int] | None = None,
    made_by: Mapping[str, Any] | None = None,
) -> None:
    """An animation of one or several motions side by side.

    path: .mp4 (at the highest rate of the motions; needs imageio-ffmpeg), .gif (at most 25 pictures a second, which is said on stderr
    where the motions have more) or .html (one page, every motion at its own rate; needs nothing).
    about: a line on where each motion comes from, for the page.  size: pixels of the whole picture; not of a page, which fits its window.
    made_by: kept in the file, for `nerm.motion.made_by.read_made_by`.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: an animation cannot be written as '{path.suffix or path.name}'; the suffix can be {', '.join(SUFFIXES)}")
    shown = figures(motions, titles, about)
    with replacing(path) as temporary:
        if suffix == ".html":
            from nerm.page import page

            temporary.write_text(page(shown, made_by), encoding="utf-8")
        elif suffix == ".gif":
            _write_gif(shown, temporary, size, path.name, made_by)
        else:
            _write_video(shown, temporary, size, made_by)


def filmstrip(motions: Sequence[Motion], path: str | Path, titles: Sequence[str] | None = None, poses: int = 8) -> None:
    """A PNG with one strip per motion, of `poses` moments spread evenly over its time."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError(f"{path}: a film strip is written as .png")
    from PIL import Image

    shown = figures(motions, titles)
    width, height = _STRIP
    sheet = Image.new("RGB", (width * poses, height * len(shown)))
    for strip, figure in enumerate(shown):
        for column, time in enumerate(np.linspace(0, figure.motion.seconds, poses)):
            moment = draw(figure, time, _STRIP, None if column == 0 else "", clock=True)
            sheet.paste(moment, (column * width, strip * height))
    with replacing(path) as temporary:
        sheet.quantize(64).save(temporary, optimize=True)


def parse_size(text: str) -> tuple[int, int]:
    """'640x480' in pixels; both even, as videos need."""
    width, cross, height = text.lower().partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise InputError(f"size={text}; expected width x height in pixels, such as size=640x480")
    size = int(width), int(height)
    if min(size) < 64 or max(size) > 4096 or size[0] % 2 or size[1] % 2:
        raise InputError(f"size={text}; expected two even numbers from 64 to 4096, such as size=640x480")
    return size


def check_video() -> None:
    """An error that says what to install, if MP4 cannot be written here."""
    try:
        import imageio_ffmpeg  # noqa: F401
    except ImportError:
        raise InputError("writing .mp4 needs imageio-ffmpeg: pip install 'nerm[video]', or write .gif or .html") from None


def gif_centiseconds(fps: float) -> int:
    """The delay between pictures of a .gif: the shortest that shows no motion of this rate faster than it is, and no shorter than 4."""
    return max(int(np.ceil(100 / fps - 1e-6)), _GIF_CENTISECONDS)


def _pictures(shown: list[Figure], hz: float, size: tuple[int, int]) -> Iterator[Image]:
    """The panels of all motions side by side, at k / hz."""
    from PIL import Image

    edges = [round(column * size[0] / len(shown)) for column in range(len(shown) + 1)]
    seconds = max(figure.motion.seconds for figure in shown)
    for k in range(int(np.floor(seconds * hz + 1e-6)) + 1):
        sheet = Image.new("RGB", size)
        for figure, left, right in zip(shown, edges, edges[1:], strict=False):
            sheet.paste(draw(figure, k / hz, (right - left, size[1])), (left, 0))
        yield sheet


def _size(shown: list[Figure], size: tuple[int, int] | None) -> tuple[int, int]:
    return size or (PANEL[0] * len(shown), PANEL[1])


def _write_gif(shown: list[Figure], path: Path, size: tuple[int, int] | None, name: str, made_by: Mapping[str, Any] | None) -> None:
    """One palette for all pictures, so that they differ only where something moves."""
    from PIL import Image

    fastest = max(figure.motion.fps for figure in shown)
    centiseconds = gif_centiseconds(fastest)
    if abs(100 / centiseconds - fastest) > 1e-6:
        said = (
            f"{name}: {100 / centiseconds:.4g} pictures a second, of a motion at {fastest:g} fps; a .gif waits whole hundredths of a second"
        )
        print(said, file=sys.stderr, flush=True)
    pictures = list(_pictures(shown, 100 / centiseconds, _size(shown, size)))
    palette = pictures[0].quantize(_GIF_COLOURS)
    frames = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    comment: dict[str, Any] = {"comment": as_text(made_by).encode()} if made_by else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=10 * centiseconds, loop=0, optimize=False, **comment)


def _write_video(shown: list[Figure], path: Path, size: tuple[int, int] | None, made_by: Mapping[str, Any] | None) -> None:
    check_video()
    import imageio_ffmpeg

    hz = max(figure.motion.fps for figure in shown)
    size = _size(shown, size)
    comment = ["-metadata", f"comment={as_text(made_by)}"] if made_by else []
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=hz, quality=7, macro_block_size=2, output_params=comment)
    writer.send(None)
    try:
        for picture in _pictures(shown, hz, size):
            writer.send(np.ascontiguousarray(picture))
    finally:
        writer.close()
