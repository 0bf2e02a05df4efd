"""Runs the cases of the original code for the recurrent action classifier."""

from __future__ import annotations

import torch
from numpy.typing import NDArray

from baselines.cases import Case
from evaluators.cases import arrays, require
from evaluators.extractors.action_gru.network import load_official


def reproduce(case: Case) -> dict[str, NDArray]:
    """Features, scores and best class from an official file, with zeros and with the given numbers as initial state."""
    with case.checkpoint_file() as path:
        network = load_official(path)
    own = network.config
    require(case, input_size=own.inputs, hidden_size=own.hidden, hidden_layer=own.layers, output_size=own.classes)
    x = {name: torch.from_numpy(value) for name, value in case.inputs.items()}
    frames = x["joints"].permute(0, 3, 1, 2).flatten(2)
    outputs: dict[str, torch.Tensor] = {}
    for name, hidden in (("zero", None), ("random", x["initial_hidden"])):
        with torch.no_grad():
            features, scores = network(frames, x["lengths"], hidden)
        outputs |= {f"features_{name}_hidden": features, f"logits_{name}_hidden": scores, f"label_{name}_hidden": scores.argmax(dim=1)}
    return arrays({name: value.numpy() for name, value in outputs.items()})
