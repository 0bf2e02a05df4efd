"""Damage to the clips of a training batch, so that the extractor `anyrate` learns to see it: one kind per clip, of a random amount.

It knows clips of recordings. Tables and controls damage whole motions, with the functions of `evaluators.damage`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from evaluators.damage import CHAINS
from evaluators.extractors.anyrate.clips import clips_at
from evaluators.extractors.anyrate.network import CLIP_FRAMES
from nerm.clips import canonical
from nerm.motion import SMPL22
from nerm.motion.kinematics import lowpass
from nerm.windows import Windows

DAMAGES = {"noise": 1.0, "lowpass": 1.0, "corners": 1.5, "drift": 0.75, "speed": 0.5, "limbs": 2.5}
"""Kinds of damage, and how often each is drawn."""
KINDS = tuple(DAMAGES)
CUTOFFS_HZ = tuple(float(f) for f in np.geomspace(1.5, 15.0, 10))
KNOTS_FPS = (6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 24.0, 30.0)
CONTEXT = 48  # frames on both sides of a clip that its low-pass sees


def spoil(windows: Windows, index: Tensor, start_s: Tensor, fps: float, clips: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One kind of damage per clip, of a random amount: (clips [n, m, 22, 3], amounts [n, 6] in the order of DAMAGES, about 1 in size)."""
    count, frames = clips.shape[:2]
    kind = torch.multinomial(torch.tensor(list(DAMAGES.values())), count, replacement=True, generator=generator)
    u = torch.rand(count, generator=generator)
    amounts = torch.zeros(count, len(DAMAGES))
    clips = clips.clone()

    def chosen(name: str) -> Tensor:
        return torch.nonzero(kind == KINDS.index(name))[:, 0]

    def set_amount(name: str, which: Tensor, values: Tensor) -> None:
        amounts[which, KINDS.index(name)] = values

    def loss_of_band(cutoff_hz: Tensor) -> Tensor:
        octaves = torch.log2(min(0.4 * fps, 20.0) / cutoff_hz).clamp(min=0)
        return 0.25 * octaves**2  # the octave from 10 to 20 Hz matters less than the one from 2 to 4

    which = chosen("noise")
    noise_m = 0.0003 * 100 ** u[which]  # 0.3 to 30 mm
    clips[which] += noise_m[:, None, None, None] * torch.randn(len(which), *clips.shape[1:], generator=generator)
    set_amount("noise", which, torch.log2(1 + noise_m / 0.004) / 2)

    which = chosen("lowpass")
    choice = (u[which] * len(CUTOFFS_HZ)).long()
    wide = clips_at(windows, index[which], start_s[which] - CONTEXT / fps, fps, frames + 2 * CONTEXT)
    clips[which] = torch.einsum("nab,nbjk->najk", _lowpass_matrices(fps, frames)[choice], wide)
    set_amount("lowpass", which, loss_of_band(torch.tensor(CUTOFFS_HZ)[choice]))

    which = chosen("corners")
    knots = torch.tensor(KNOTS_FPS)[(u[which] * len(KNOTS_FPS)).long()].clamp(max=fps)
    phase = torch.rand(len(which), generator=generator) * (knots < fps)  # no damage where fps is not above knots_fps
    clips[which] = between_knots(windows, index[which], start_s[which], fps, knots, phase, frames)
    lost = loss_of_band(0.4 * knots)
    set_amount("lowpass", which, lost)
    set_amount("corners", which, (lost > 0).float())

    which = chosen("drift")
    speed, angle = 0.03 + 0.3 * u[which], 2 * torch.pi * torch.rand(len(which), generator=generator)
    velocity = torch.stack([speed * torch.cos(angle), torch.zeros_like(angle), speed * torch.sin(angle)], -1)
    clips[which] += velocity[:, None, None] * (torch.arange(frames) / fps)[:, None, None]
    set_amount("drift", which, speed / 0.15)

    which = chosen("speed")
    factor = 2 ** (u[which] - 0.5).double()
    shift = (CLIP_FRAMES - 1) / 2 / fps * (1 - factor)  # about the same middle
    clips[which] = clips_at(windows, index[which], (start_s[which] + shift).clamp(min=0), fps / factor)
    set_amount("speed", which, 4 * (u[which] - 0.5))

    which = chosen("limbs")
    own, foreign = canonical(clips[which]), canonical(clips[which.roll(1)])
    limb = torch.randint(len(CHAINS), (len(which),), generator=generator)
    for number, (attach, names) in enumerate(CHAINS.values()):
        root, chain = SMPL22.index(attach), [SMPL22.index(name) for name in names]
        moved = own[:, :, root, None] + foreign[:, :, chain] - foreign[:, :, root, None]
        own[:, :, chain] = torch.where((limb == number)[:, None, None, None], moved, own[:, :, chain])
    clips[which] = own
    set_amount("limbs", which, torch.full_like(u[which], 4.0))
    return clips, amounts


def between_knots(windows: Windows, index: Tensor, start_s: Tensor, fps: float, knots_fps: Tensor, phase: Tensor, frames: int) -> Tensor:
    """Clips at fps, linear between point values at knots_fps [n]; phase: [n] in [0, 1), place of the first frame between two knots."""
    time = torch.arange(frames) / fps  # of the clip
    position = time * knots_fps[:, None] + phase[:, None]
    last = int(np.ceil((frames - 1) / fps * min(max(KNOTS_FPS), fps))) + 1
    poses = clips_at(windows, index, start_s - (phase / knots_fps).double(), knots_fps, last + 1)
    low = position.floor().long()
    which = torch.arange(len(index))[:, None]
    return torch.lerp(poses[which, low], poses[which, low + 1], (position - low)[..., None, None])


@lru_cache(maxsize=64)
def _lowpass_matrices(fps: float, frames: int) -> Tensor:
    """[cut-offs, frames, frames + 2 CONTEXT]: the low-pass of a clip that is seen with its surroundings."""
    identity = np.eye(frames + 2 * CONTEXT)
    matrices = [lowpass(identity, fps, cutoff)[CONTEXT : CONTEXT + frames] for cutoff in CUTOFFS_HZ]
    return torch.from_numpy(np.stack(matrices).astype(np.float32))
