"""Damage to the clips of a training batch, so that the extractor `anyrate` learns which parts of a clip belong together.

One kind per clip, of a random amount. None of the kinds is a control of `evaluators.extractors.controls`: what the controls show was not
trained on. It knows clips of recordings.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from evaluators.damage import CHAINS
from evaluators.extractors.anyrate.clips import clips_at
from nerm.clips import canonical, on_ground
from nerm.motion import SMPL22
from nerm.motion.kinematics import lowpass
from nerm.windows import Windows

DETAIL_HZ = 4.0
Kind = Callable[[Tensor, Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]
"""(clips [k, m, 22, 3] canonical, the same windows some time later, times [m] s, random numbers) -> damaged clips, amounts [k] about 1."""


def spoil(windows: Windows, index: Tensor, start_s: Tensor, fps: float, clips: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One kind of damage per clip: (clips [n, m, 22, 3], amounts [n, kinds] in the order of DAMAGES)."""
    count, frames = clips.shape[:2]
    kind = torch.randint(len(DAMAGES), (count,), generator=generator)
    amounts = torch.zeros(count, len(DAMAGES))
    away = (0.3 + 0.7 * _random(count, generator)) * torch.where(_random(count, generator) < 0.5, -1.0, 1.0)
    last = (windows.seconds[index] - (frames - 1) / fps).clamp(min=0)
    later = clips_at(windows, index, torch.minimum((start_s + away).clamp(min=0), last), fps)
    clips, later = canonical(clips), canonical(later)
    times = torch.arange(frames) / fps
    for number, damage in enumerate(DAMAGES.values()):
        which = torch.nonzero(kind == number)[:, 0]
        if len(which):
            clips[which], amounts[which, number] = damage(clips[which], later[which], times, generator)
    return clips, amounts


def _random(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator)


def _with_limbs(clips: Tensor, generator: torch.Generator, moved: Callable[[Tensor, int], Tensor]) -> Tensor:
    """The clips with one limb each replaced. moved: (chain relative to where it is attached [k, m, j, 3], limb) -> the same shape."""
    limb = torch.randint(len(CHAINS), (len(clips),), generator=generator)
    clips = clips.clone()
    for number, (attach, names) in enumerate(CHAINS.values()):
        base, chain = SMPL22.index(attach), [SMPL22.index(name) for name in names]
        at = clips[:, :, base, None]
        changed = at + moved(clips[:, :, chain] - at, number)
        clips[:, :, chain] = torch.where((limb == number)[:, None, None, None], changed, clips[:, :, chain])
    return clips


def desynchronised_limb(clips: Tensor, later: Tensor, times: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A limb does what it did 0.3 to 1 s before or after."""

    def moved(chain: Tensor, number: int) -> Tensor:
        attach, names = list(CHAINS.values())[number]
        return later[:, :, [SMPL22.index(name) for name in names]] - later[:, :, SMPL22.index(attach), None]

    before = clips
    clips = _with_limbs(clips, generator, moved)
    return clips, ((clips - before).norm(dim=-1).mean((1, 2)) / 0.02).clamp(max=2)


def bent_limb(clips: Tensor, later: Tensor, times: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A limb turned as a whole by 0.15 to 0.8 rad, for all of the clip."""
    angle = 0.15 + 0.65 * _random(len(clips), generator)
    turn = _rotation(_directions(len(clips), generator), angle[:, None].expand(-1, len(times)))
    return _with_limbs(clips, generator, lambda chain, _: torch.einsum("kmab,kmjb->kmja", turn, chain)), angle / 0.4


def wobbling_limb(clips: Tensor, later: Tensor, times: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A limb that swings by 0.05 to 0.3 rad at 0.5 to 6 Hz."""
    size, hz = 0.05 + 0.25 * _random(len(clips), generator), 0.5 * 12 ** _random(len(clips), generator)
    phase = 2 * torch.pi * (hz[:, None] * times + _random(len(clips), generator)[:, None])
    turn = _rotation(_directions(len(clips), generator), size[:, None] * torch.sin(phase))
    return _with_limbs(clips, generator, lambda chain, _: torch.einsum("kmab,kmjb->kmja", turn, chain)), size / 0.15


def leaning_body(clips: Tensor, later: Tensor, times: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The body leans by 0.05 to 0.4 rad to one side, about the point of the floor below its root."""
    angle, to = 0.05 + 0.35 * _random(len(clips), generator), 2 * torch.pi * _random(len(clips), generator)
    axis = torch.stack([torch.cos(to), torch.zeros_like(to), torch.sin(to)], -1)
    turn = _rotation(axis, angle[:, None].expand(-1, len(times)))
    below = on_ground(clips[:, :, :1])
    return torch.einsum("kmab,kmjb->kmja", turn, clips - below) + below, angle / 0.2


def foreign_detail(clips: Tensor, later: Tensor, times: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """What another clip of the batch does above DETAIL_HZ, in place of the clip's own."""
    low = torch.einsum("ab,kbjc->kajc", _smooth(len(times), float(1 / (times[1] - times[0]))), clips)
    detail = clips - low
    changed = (detail.roll(1, 0) - detail).square().sum(-1).mean((1, 2)).sqrt()
    return low + detail.roll(1, 0), (changed / 0.005).clamp(max=2)


DAMAGES: dict[str, Kind] = {
    "desynchronised limb": desynchronised_limb,
    "bent limb": bent_limb,
    "wobbling limb": wobbling_limb,
    "leaning body": leaning_body,
    "foreign detail": foreign_detail,
}
"""The kinds of damage of the training. `evaluators.extractors.anyrate` declares their names."""


def _directions(count: int, generator: torch.Generator) -> Tensor:
    """[count, 3] random unit vectors."""
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)


def _rotation(axis: Tensor, angle: Tensor) -> Tensor:
    """Rotation matrices [k, m, 3, 3] about unit axes [k, 3] by angles [k, m] in radians (Rodrigues)."""
    x, y, z = axis.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))[:, None]
    sin, cos = torch.sin(angle)[..., None, None], torch.cos(angle)[..., None, None]
    return torch.eye(3) + sin * cross + (1 - cos) * (cross @ cross)


@lru_cache(maxsize=64)
def _smooth(frames: int, fps: float) -> Tensor:
    """[m, m] the low-pass at DETAIL_HZ."""
    return torch.from_numpy(lowpass(np.eye(frames), round(fps, 6), DETAIL_HZ).astype(np.float32))
