"""The text-motion evaluator of Guo et al.: movement, text and motion encoders in the official layout.

Parameter names, shapes and arithmetic are the official ones, so that an official `finest.tar` loads unchanged. What ships is in `pooled`.
It knows features and words as tensors; it knows no motion and no dataset.

Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from baselines.checkpoints import load_strict, safe_load, sections
from baselines.t2m.layers import CONTACTS, UNIT, MovementConvEncoder, SequenceGRU, WordGRU
from nerm.errors import InputError
from nerm.words import WORD_CLASSES

NETWORKS = ("text_encoder", "motion_encoder", "movement_encoder")
DROPPED = ("opt_text_encoder", "opt_motion_encoder", "opt_movement_encoder", "epoch", "iter")


@dataclass
class GuoConfig:
    """The published widths."""

    dim_pose: int = 263
    dim_word: int = 300
    movement_hidden: int = 512
    movement_latent: int = 512
    text_hidden: int = 512
    motion_hidden: int = 1024
    embedding: int = 512


class TextEncoder(WordGRU):
    """Word vectors and word classes -> embedding."""

    def __init__(self, config: GuoConfig) -> None:
        super().__init__(config.dim_word, len(WORD_CLASSES), config.text_hidden)
        self.output_net = _head(config.text_hidden, config.embedding)

    def forward(self, words: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """words: [B, N, dim_word], classes: [B, N, 15] one-hot, lengths: [B] words (sos and eos included) -> [B, embedding]."""
        return self.output_net(self.read(words, classes, lengths)[1])


class MotionEncoder(SequenceGRU):
    """Movement tokens -> embedding."""

    def __init__(self, config: GuoConfig) -> None:
        super().__init__(config.movement_latent, config.motion_hidden)
        self.output_net = _head(config.motion_hidden, config.embedding)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens: [B, N, latent], lengths: [B] tokens -> [B, embedding]."""
        return self.output_net(self.run(tokens, lengths)[1])


def _head(hidden: int, embedding: int) -> nn.Sequential:
    """The two last states of a recurrent network, side by side -> embedding."""
    return nn.Sequential(nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, embedding))


class GuoEvaluator(nn.Module):
    """The three networks. Their statistics and word vectors are published in files of their own."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: GuoConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.dim_pose))
        self.register_buffer("std", torch.ones(config.dim_pose))
        self.movement_encoder = MovementConvEncoder(config.dim_pose - CONTACTS, config.movement_hidden, config.movement_latent)
        self.text_encoder = TextEncoder(config)
        self.motion_encoder = MotionEncoder(config)

    def motion(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalised features [B, T, dim_pose], lengths [B] frames -> [B, embedding]. Frames beyond a length are padding."""
        return self.motion_encoder(self.movement_encoder(features[..., :-CONTACTS]), lengths // UNIT)

    def text(self, words: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """Word vectors [B, N, dim_word], one-hot classes [B, N, 15], lengths [B] -> [B, embedding]."""
        return self.text_encoder(words, classes, lengths)

    def caption(self, ids: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """Sentences as indices need word vectors, which an official file does not hold: an InputError."""
        raise InputError("an official evaluator has no word vectors of its own (they come with GloVe); use text(vectors, ...)")

    def parameter_counts(self) -> dict[str, int]:
        """Learned numbers of every part, and their sum."""
        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        return counts | {"all": sum(counts.values())}


def load_official(path: str | Path, mean: ArrayLike | None = None, std: ArrayLike | None = None) -> GuoEvaluator:
    """The evaluator of an official `text_mot_match/model/finest.tar`, its widths read off the file.

    mean, std: [dim_pose] the statistics published with it; without them the caller normalises. Optimiser states and counters are
    dropped by name. A missing entry, any other unknown entry and one of another shape are InputErrors.
    """
    parts = sections(safe_load(path), NETWORKS, DROPPED, path)
    movement, text, motion = (parts[name] for name in ("movement_encoder", "text_encoder", "motion_encoder"))
    try:
        config = GuoConfig(
            dim_pose=movement["main.0.weight"].shape[1] + CONTACTS,
            dim_word=text["pos_emb.weight"].shape[0],
            movement_hidden=movement["main.0.weight"].shape[0],
            movement_latent=movement["out_net.weight"].shape[0],
            text_hidden=text["hidden"].shape[-1],
            motion_hidden=motion["hidden"].shape[-1],
            embedding=motion["output_net.3.weight"].shape[0],
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"checkpoint {path} is not a text-motion evaluator: {error} is missing or not a tensor") from None
    evaluator = GuoEvaluator(config)
    for name in NETWORKS:
        load_strict(getattr(evaluator, name), parts[name], f"checkpoint {path}, {name}")
    for name, values in (("mean", mean), ("std", std)):
        if values is not None:
            array = torch.as_tensor(np.asarray(values, dtype=np.float32))
            if array.shape != (config.dim_pose,):
                raise InputError(f"{name} of shape {list(array.shape)}; this evaluator needs [{config.dim_pose}]")
            getattr(evaluator, name).copy_(array)
    return evaluator.eval()
