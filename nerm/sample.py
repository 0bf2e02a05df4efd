"""python -m nerm.sample text="a person walks forward" seconds=4 fps=120 out=walk.bvh: a sentence into motion at any frame rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nerm.cli import MISSING, InputError, parse, progress, run


@dataclass
class Sample:
    """text or label or neither.  count motions are written to out, numbered if there are several.  out: .bvh .npz .mp4 .gif .html"""

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


def main(arguments: Sequence[str]) -> int:
    settings = parse(Sample, arguments, 'For example: text="a person walks forward" seconds=4 fps=120 out=walk.bvh')
    from nerm.motion.files import check_writable, save_motion

    out = check_writable(settings.out)
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
    motions = model.sample(conditions, [settings.seconds] * settings.count, settings.fps, list(seeds), settings.guidance, settings.sampler)
    for path, motion in zip(_paths(out, settings.count), motions, strict=True):
        save_motion(motion, path)
        progress(f"{path}: {len(motion)} frames at {motion.fps:g} fps, {motion.seconds:.2f} s, model '{model.name}'")
    return 0


def _paths(out: Path, count: int) -> list[Path]:
    return [out] if count == 1 else [out.with_stem(f"{out.stem}-{i}") for i in range(count)]


if __name__ == "__main__":
    run(main)
