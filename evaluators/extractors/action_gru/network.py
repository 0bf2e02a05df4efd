"""The recurrent action classifier of Guo et al.: joint positions to 30 features and to a score of every class.

Parameter names, shapes and arithmetic are the official ones, so that official files load unchanged. It knows joints as tensors; it knows no
motion, no class by name and no dataset.

Source: Guo et al., Action2Motion: Conditioned Generation of 3D Human Motions, ACM Multimedia 2020, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.checkpoints import load_strict, safe_load, sections
from nerm.errors import InputError

DROPPED = ("optimizer", "iteration")


@dataclass(frozen=True)
class ActionGruConfig:
    """The published widths. inputs: numbers of a frame, 3 for every joint."""

    inputs: int = 72
    classes: int = 12
    hidden: int = 128
    layers: int = 2
    features: int = 30


class ActionGru(nn.Module):
    """A recurrent network whose output at the last valid frame becomes features and, from these, class scores."""

    def __init__(self, config: ActionGruConfig) -> None:
        super().__init__()
        self.config = config
        self.recurrent = nn.GRU(config.inputs, config.hidden, config.layers)
        self.linear1 = nn.Linear(config.hidden, config.features)
        self.linear2 = nn.Linear(config.features, config.classes)

    def forward(self, frames: Tensor, lengths: Tensor, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """frames: [B, T, inputs] joint by joint, lengths: [B] valid frames -> features [B, 30] in (-1, 1), scores [B, classes].

        hidden: [layers, B, hidden] initial state, see `random_hidden`; None for zeros. Frames beyond a length have no influence.
        """
        states, _ = self.recurrent(frames.transpose(0, 1), hidden)
        last = states[lengths - 1, torch.arange(len(lengths), device=states.device)]
        features = torch.tanh(self.linear1(last))
        return features, self.linear2(features)

    def random_hidden(self, batch: int, generator: torch.Generator) -> Tensor:
        """[layers, batch, hidden] from the normal distribution, sample by sample: more samples do not change the first ones.

        The published code draws an initial state at every call; its figures therefore depend on a seed.
        """
        drawn = torch.randn(batch, self.config.layers, self.config.hidden, generator=generator)
        return drawn.transpose(0, 1).contiguous()


def load_official(path: str | Path) -> ActionGru:
    """The classifier of an official `action_recognition_model_*.tar` (also named `humanact12_gru.tar`), its widths read off the file."""
    state = sections(safe_load(path), ("model",), DROPPED, path)["model"]
    try:
        config = ActionGruConfig(
            inputs=state["recurrent.weight_ih_l0"].shape[1],
            classes=state["linear2.weight"].shape[0],
            hidden=state["recurrent.weight_hh_l0"].shape[1],
            layers=sum(name.startswith("recurrent.weight_hh_l") for name in state),
            features=state["linear1.weight"].shape[0],
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"checkpoint {path} is no recurrent action classifier: {error} is missing or not a tensor") from None
    network = ActionGru(config)
    load_strict(network, state, f"checkpoint {path}")
    return network.eval()
