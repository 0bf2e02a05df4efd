"""The denoising network of MDM: noisy features, a timestep and a condition -> the features without noise.

Parameters have the official names, so an official file loads without renaming. It knows only tensors: no text, no schedule, no file.

Source: Tevet et al., Human Motion Diffusion Model, ICLR 2023, section 3 and figure 2.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from baselines.mdm.config import NetworkConfig
from nerm.errors import InputError


class MDM(nn.Module):
    """x_t -> x_0. Layers are post-norm; the encoder sees [condition + time, frame 0, frame 1, ...], the decoder reads the condition."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.latent_dim
        gru = config.arch == "gru"
        self.input_process = InputProcess(config.features + (width if gru else 0), width, config.data_rep)
        self.sequence_pos_encoder = PositionalEncoding(width, config.pos_embed_max_len, config.dropout)
        shape = {"d_model": width, "nhead": config.num_heads, "dim_feedforward": config.ff_size}
        layer: dict[str, Any] = shape | {"dropout": config.dropout, "activation": config.activation}
        # Sequence first, as the original: PyTorch's fused encoder path, which zeroes padding frames, is for batch-first layers alone.
        if config.arch == "trans_enc":
            self.seqTransEncoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), config.num_layers, enable_nested_tensor=False)
        elif config.arch == "trans_dec":
            self.seqTransDecoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), config.num_layers)
        else:
            self.gru = nn.GRU(width, width, config.num_layers, batch_first=True)
        self.embed_timestep = TimestepEmbedder(width, self.sequence_pos_encoder)
        if config.cond_mode == "text":
            self.embed_text = nn.Linear(config.text_dim, width)
        elif config.cond_mode == "action":
            self.embed_action = EmbedAction(config.num_actions, width)
        self.output_process = OutputProcess(config.features, width, config.data_rep)

    def layer_matrices(self) -> list[nn.Parameter]:
        """The matrices of the layers: what maps width to width between input and output."""
        stack = {"trans_enc": "seqTransEncoder", "trans_dec": "seqTransDecoder", "gru": "gru"}[self.config.arch]
        return [p for p in getattr(self, stack).parameters() if p.dim() == 2]

    def forward(
        self,
        x: Tensor,
        step: Tensor,
        condition: Tensor | None = None,
        keep: Tensor | None = None,
        text_padding: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """x [B, njoints, nfeats, T], step [B] long -> [B, njoints, nfeats, T].

        condition: text features [B, N, d] (N = 1 where pooled), class indices [B], or None if there are no conditions.
        keep: [B] bool, False where the condition is left out; None keeps all.  text_padding: [B, N] bool, True where there is no token.
        valid: [B, T] bool, False for padding frames; has an effect with mask_frames.
        """
        config = self.config
        batch, frames = len(x), x.shape[-1]
        self._check(step, frames, condition)
        flat = x.flatten(1, 2).permute(2, 0, 1)  # [T, B, F]
        time = self.embed_timestep(step)  # [1, B, D]
        memory = time if config.cond_mode == "no_cond" else time + self._embed(condition, keep)  # [N, B, D]
        if config.arch == "gru":
            # The original gives [T, B, D] to a batch-first GRU: it runs along the batch, and frames do not see each other.
            tokens = self.sequence_pos_encoder(self.input_process(torch.cat([flat, memory.expand(frames, -1, -1)], -1)))
            out = self.gru(tokens)[0]
        else:
            tokens = self.input_process(flat)
            first = {"trans_enc": memory, "trans_dec": time if config.emb_trans_dec else None}[config.arch]
            if first is not None:
                tokens = torch.cat([first, tokens])
            ignored = None
            if config.mask_frames and valid is not None:
                ignored = torch.cat([valid.new_zeros(batch, len(tokens) - frames), ~valid], 1)
            tokens = self.sequence_pos_encoder(tokens)
            if config.arch == "trans_enc":
                out = self.seqTransEncoder(tokens, src_key_padding_mask=ignored)
            else:
                out = self.seqTransDecoder(tokens, memory, tgt_key_padding_mask=ignored, memory_key_padding_mask=text_padding)
            out = out[len(tokens) - frames :]
        return self.output_process(out).permute(1, 2, 0).unflatten(1, (config.njoints, config.nfeats))

    def guided(
        self,
        x: Tensor,
        step: Tensor,
        scale: Tensor,
        condition: Tensor | None,
        keep: Tensor | None = None,
        text_padding: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Classifier-free guidance, equation 7: G(null) + s (G(c) - G(null)), scale s [B]. Both halves are one batch of 2B samples.

        The gru runs along the batch, so with it the halves are two calls.
        """
        if keep is None:
            keep = torch.ones(len(x), dtype=torch.bool, device=x.device)
        none = torch.zeros_like(keep)
        if self.config.arch == "gru":
            given, null = (self(x, step, condition, mask, text_padding, valid) for mask in (keep, none))
        else:
            twice = [None if y is None else torch.cat([y, y]) for y in (x, step, condition, text_padding, valid)]
            given, null = self(*twice[:3], torch.cat([keep, none]), *twice[3:]).chunk(2)
        return null + scale.reshape(-1, 1, 1, 1) * (given - null)

    def _embed(self, condition: Tensor | None, keep: Tensor | None) -> Tensor:
        """[N, B, D]. A condition that is left out becomes a zero text (the bias stays) or a zero embedding of the action."""
        assert condition is not None
        if self.config.cond_mode == "text":
            kept = condition if keep is None else condition * keep[:, None, None].to(condition.dtype)
            return self.embed_text(kept.transpose(0, 1))
        embedded = self.embed_action(condition)[None]
        return embedded if keep is None else embedded * keep[None, :, None].to(embedded.dtype)

    def _check(self, step: Tensor, frames: int, condition: Tensor | None) -> None:
        longest = self.config.pos_embed_max_len
        if frames >= longest:
            raise InputError(f"{frames} frames; this network has positions for {longest - 1} (pos_embed_max_len={longest})")
        if self.config.cond_mode != "no_cond" and condition is None:
            raise InputError(f"no condition; a network with cond_mode={self.config.cond_mode} needs one, and keep= to leave it out")
        if step.numel() and int(step.max()) >= longest:
            raise InputError(f"diffusion step {int(step.max())}; this network has positions for {longest} (pos_embed_max_len)")


class PositionalEncoding(nn.Module):
    """Adds sin(p w_k), cos(p w_k), w_k = 10000^(-2k/D), in columns 2k and 2k + 1. The table is computed and never stored."""

    pe: Tensor

    def __init__(self, width: int, longest: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        rate = torch.exp(torch.arange(0, width, 2).float() * (-math.log(10000.0) / width))
        angle = torch.arange(longest, dtype=torch.float32)[:, None] * rate
        self.register_buffer("pe", torch.stack([angle.sin(), angle.cos()], -1).flatten(1), persistent=False)  # [longest, D]

    def forward(self, x: Tensor) -> Tensor:
        """[S, B, D] -> [S, B, D]."""
        return self.dropout(x + self.pe[: len(x), None])


class TimestepEmbedder(nn.Module):
    """Step [B] -> [1, B, D]: the row of the position table through two layers."""

    def __init__(self, width: int, positions: PositionalEncoding) -> None:
        super().__init__()
        self.sequence_pos_encoder = positions
        self.time_embed = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, step: Tensor) -> Tensor:
        return self.time_embed(self.sequence_pos_encoder.pe[step])[None]


class InputProcess(nn.Module):
    """Features of a frame -> a token. [T, B, F] -> [T, B, D]"""

    def __init__(self, features: int, width: int, data_rep: str) -> None:
        super().__init__()
        self.poseEmbedding = nn.Linear(features, width)
        self.velEmbedding = nn.Linear(features, width) if data_rep == "rot_vel" else None

    def forward(self, x: Tensor) -> Tensor:
        return _first_and_rest(x, self.poseEmbedding, self.velEmbedding)


class OutputProcess(nn.Module):
    """A token -> features of a frame. [T, B, D] -> [T, B, F]"""

    def __init__(self, features: int, width: int, data_rep: str) -> None:
        super().__init__()
        self.poseFinal = nn.Linear(width, features)
        self.velFinal = nn.Linear(width, features) if data_rep == "rot_vel" else None

    def forward(self, x: Tensor) -> Tensor:
        return _first_and_rest(x, self.poseFinal, self.velFinal)


class EmbedAction(nn.Module):
    """Class [B] -> [B, D]."""

    def __init__(self, actions: int, width: int) -> None:
        super().__init__()
        self.action_embedding = nn.Parameter(torch.randn(actions, width))

    def forward(self, action: Tensor) -> Tensor:
        return self.action_embedding[action]


def _first_and_rest(x: Tensor, pose: nn.Linear, velocity: nn.Linear | None) -> Tensor:
    return pose(x) if velocity is None else torch.cat([pose(x[:1]), velocity(x[1:])])
