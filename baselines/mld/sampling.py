"""Guidance and the reverse process of MLD, with as few and as fast calls of the denoiser as possible. It knows no motion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from baselines.diffusion import Sampler
from baselines.mld.denoiser import Denoiser
from baselines.mld.network import pack

PACKED_ROWS = 6
"""Tokens of a guided call for one sample: latent, time and text, twice."""


@torch.inference_mode()
def reverse(
    denoiser: Denoiser,
    sampler: Sampler,
    noise: Tensor,
    condition: Tensor,
    unconditional: Tensor | None = None,
    guidance: float = 1.0,
    lengths: Tensor | None = None,
    step_noise: Iterable[Tensor] | None = None,
) -> Iterator[Tensor]:
    """The sample after every step, from noise [B, tokens, width] (or raw [B, T, F] with lengths [B]).

    unconditional: the condition of the first half of each call; without it there is one half and no guidance.
    step_noise: an iterator with one draw of noise's shape for every step that adds noise.
    """
    if not denoiser.config.raw:
        pack(denoiser, PACKED_ROWS)
    times = denoiser.time_tokens(torch.from_numpy(sampler.timesteps).to(noise.device))
    halves = 1 if unconditional is None else 2
    tokens = denoiser.condition_tokens(condition if unconditional is None else torch.cat([unconditional, condition]))
    times = times[:, None, None].expand(-1, len(tokens), 1, -1)
    lengths = None if lengths is None else lengths.repeat(halves)

    def predict(x: Tensor, call: int) -> Tensor:
        if halves == 1:
            return denoiser.predict(x, times[call], tokens, lengths)
        without, conditioned = denoiser.predict(torch.cat([x, x]), times[call], tokens, lengths).chunk(2)
        return without + guidance * (conditioned - without)

    for step in sampler.walk(predict, noise, step_noise):
        yield step.sample
