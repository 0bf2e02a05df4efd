"""python -m nerm.sample text="a person walks forward" seconds=4 fps=120 out=walk.bvh: a sentence into motion at any frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nerm.cli import MISSING, InputError, parse, progress, run


@dataclass
class Sample:
    """text or label or neither.  count motions are written to out, numbered if there are several.  out: .bvh .npz .mp4 .gif .html

    feet: lock keeps feet from sliding, off leaves them as sampled, auto locks in files that people look at (.bvh .mp4 .gif .html).
    size: of .mp4 and .gif in pixels, such as 640x480.
    """

    text: str | None = None
    label: str | None = None
    seconds: float = 4.0
    fps: float = 60.0
    out: str = MISSING
    seed: int = 0
    count: int = 1
    model: str = "nerm"
    guidance: float | None = None
    sampler: str | None = None  # ddim | ddpm | dpm-solver++
    texture: bool = True  # false: the field's reading alone
    device: str = "auto"
    feet: str = "auto"  # auto | lock | off
    size: str | None = None


def main(arguments: Sequence[str]) -> int:
    settings = parse(Sample, arguments, 'For example: text="a person walks forward" seconds=4 fps=120 out=walk.bvh')
    from nerm.held import sample_held, wants_feet_held
    from nerm.motion.files import PICTURES, check_writable, save_motion
    from nerm.render import parse_size, render

    out = check_writable(settings.out)
    held = wants_feet_held(settings.feet, out)
    size = None if settings.size is None else parse_size(settings.size)
    if size and out.suffix.lower() not in (".mp4", ".gif"):
        raise InputError(f"size={settings.size} out={out.name}; a size is for .mp4 and .gif")
    if settings.count < 1:
        raise InputError(f"count={settings.count}; expected at least 1")
    if settings.device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device={settings.device}; it can be auto, cpu or cuda")
    import torch

    from nerm.generator import Condition
    from nerm.model import load_nerm

    model = load_nerm(settings.model)
    if settings.device == "cuda" or (settings.device == "auto" and torch.cuda.is_available()):
        model = model.to("cuda")
    if not settings.texture:
        model.texture = None
    conditions = [Condition(settings.text, settings.label)] * settings.count
    seeds = range(settings.seed, settings.seed + settings.count)
    sample = partial(sample_held, model) if held else model.sample
    seconds = [settings.seconds] * settings.count
    motions = sample(conditions, seconds, settings.fps, list(seeds), guidance=settings.guidance, sampler=settings.sampler)
    feet = "feet locked (feet=off leaves them as sampled)" if held else "feet as sampled (feet=lock keeps them from sliding)"
    for path, motion, seed in zip(_paths(out, settings.count), motions, seeds, strict=True):
        if out.suffix.lower() in PICTURES:
            title = settings.text or settings.label or "any motion"
            about = f"{model.name} {model.digest[:12]}, seed {seed}, {feet.partition(' (')[0]}"
            render([motion], path, [title], [about], size)
        else:
            save_motion(motion, path)
        progress(f"{path}: {len(motion)} frames at {motion.fps:g} fps, {motion.seconds:.2f} s, model '{model.name}', {feet}")
    return 0


def _paths(out: Path, count: int) -> list[Path]:
    return [out] if count == 1 else [out.with_stem(f"{out.stem}-{i}") for i in range(count)]


if __name__ == "__main__":
    run(main)
