"""Samples of any system with their feet held, and for which files that is the default. It knows generators and feet, and no command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nerm.cli import choose
from nerm.generator import Condition, Generator
from nerm.motion import Motion
from nerm.motion.feet import GRID_HZ, Footing, has_legs

FEET = ("auto", "lock", "off")
LOOKED_AT = (".bvh", ".gif", ".mp4", ".html", ".glb", ".gltf")
"""Suffixes of the files whose feet are held where nothing is said. Arrays are for measuring, and stay as they are sampled."""


def wants_feet_held(feet: str, path: Path) -> bool:
    """feet: lock, off, or auto, which goes by the suffix of the path."""
    choose("feet", feet, FEET)
    return feet == "lock" or (feet == "auto" and path.suffix.lower() in LOOKED_AT)


def sample_held(
    system: Generator, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], **options: Any
) -> list[Motion]:
    """What `system.sample` gives, with the feet held. options: more arguments of `system.sample`."""
    return held(lambda rate: system.sample(conditions, seconds, rate, seeds, **options), fps, system.native_fps)


def held(sample: Callable[[float], list[Motion]], fps: float, native_fps: float | None) -> list[Motion]:
    """What `sample` gives at a rate, with the feet held. Motions of a skeleton without legs stay as they are.

    How they are held is found in the same samples at GRID_HZ, or at the system's own rate if it has one, whatever `fps` is. So samples at
    two rates stay equal wherever they have frames at the same time.
    """
    motions = sample(fps)
    found_at = native_fps or GRID_HZ
    fine = motions if fps == found_at else sample(found_at)
    return [Footing.of(found).hold(motion) if has_legs(motion.skeleton) else motion for found, motion in zip(fine, motions, strict=True)]
