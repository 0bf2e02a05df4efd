"""Motion files as something to look at, side by side, each at its own rate.

python -m nerm.show in=[before.bvh,after.bvh] out=compare.html          also .mp4 .gif, and .png for a film strip
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nerm.cli import MISSING, parse, progress, run
from nerm.errors import InputError
from nerm.help import command

USAGE = "For example: in=[before.bvh,after.bvh] out=compare.html"


@dataclass
class Show:
    """in: up to four motion files (.bvh .npz .npy) between commas, with or without brackets.
    out: .html, .mp4 or .gif, or .png for a film strip.
    titles: one each; left out, the files' names.
    feet: lock keeps feet from sliding, off leaves them as they are.
    size: of .mp4 and .gif in pixels, such as 640x480.
    in_fps: of .npy files, which have no rate.
    """

    in_: str = MISSING
    out: str = MISSING
    titles: list[str] = field(default_factory=list)
    feet: str = "off"
    size: str | None = None
    in_fps: float | None = None


@command(Show)
def main(arguments: Sequence[str]) -> int:
    settings = parse(Show, arguments, USAGE)
    from nerm.cli import choose
    from nerm.motion.feet import lock
    from nerm.motion.files import Reading, load_motion
    from nerm.render import filmstrip, parse_size, render

    choose("feet", settings.feet, ("lock", "off"))
    files = [Path(name.strip()) for name in settings.in_.removeprefix("[").removesuffix("]").split(",") if name.strip()]
    if not files:
        raise InputError(f"in={settings.in_}; give at least one file. {USAGE}")
    size = None if settings.size is None else parse_size(settings.size)
    out = Path(settings.out)
    if size and out.suffix.lower() not in (".mp4", ".gif"):
        raise InputError(f"size={settings.size} out={out.name}; a size is for .mp4 and .gif")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist; create it or choose another")
    motions = [load_motion(path, Reading(fps=settings.in_fps) if path.suffix.lower() == ".npy" else Reading()) for path in files]
    if settings.feet == "lock":
        motions = [lock(motion) for motion in motions]
    titles = settings.titles or [path.name for path in files]
    if out.suffix.lower() == ".png":
        filmstrip(motions, out, titles)
    else:
        about = ["feet locked" if settings.feet == "lock" else ""] * len(motions)
        render(motions, out, titles, about, size)
    progress(f"{out}: {', '.join(f'{motion.seconds:.2f} s at {motion.fps:g} fps' for motion in motions)}")
    return 0


if __name__ == "__main__":
    run(main)
