"""Runs the cases of the original code for the graph-convolutional action classifiers."""

from __future__ import annotations

import torch
from numpy.typing import NDArray

from baselines.cases import Case
from evaluators.cases import arrays, require
from evaluators.extractors.stgcn.joints15 import JOINTS15, ROOT
from evaluators.extractors.stgcn.network import load_official


def reproduce(case: Case) -> dict[str, NDArray]:
    """Features and scores from an official file."""
    with case.checkpoint_file() as path:
        network = load_official(path, case.config.get("strides"))
    own = network.config
    require(
        case,
        in_channels=own.inputs,
        num_class=own.classes,
        channels=list(own.channels),
        temporal_kernel=own.temporal_kernel,
        partition="spatial",
        edge_importance_weighting=True,
    )
    x = torch.from_numpy(case.inputs["x"])
    if own.joints == len(JOINTS15):
        x = x - x[:, ROOT : ROOT + 1]
    with torch.no_grad():
        features, scores = network(x)
    return arrays({"features": features, "logits": scores})
