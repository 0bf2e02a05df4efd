"""Spatio-temporal graph convolution over a skeleton: features and class scores of a motion.

One class serves both official classifiers: rotations of 24 joints (UESTC; ACTOR) and positions of 15 joints (HumanAct12; MoDi, MDM). They
differ in their joints, widths and number of blocks, and in nothing else. Parameter names, shapes and arithmetic are the official ones.
It knows joints as tensors; it knows no motion, no class by name and no dataset.

Source: Yan et al., Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action Recognition, AAAI 2018.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.checkpoints import load_strict, safe_load
from nerm.errors import InputError


@dataclass(frozen=True)
class StgcnConfig:
    """The published widths of the classifier of UESTC. inputs: numbers of a joint.  channels, strides: of every block, in frames."""

    joints: int = 24
    inputs: int = 6
    classes: int = 40
    channels: tuple[int, ...] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
    strides: tuple[int, ...] = (1, 1, 1, 1, 2, 1, 1, 2, 1, 1)
    temporal_kernel: int = 9
    partitions: int = 3
    dropout: float = 0.0


class GraphConvolution(nn.Module):
    """A 1 x 1 convolution for every partition of the neighbours, and their weighted sum."""

    def __init__(self, inputs: int, outputs: int, partitions: int) -> None:
        super().__init__()
        self.partitions = partitions
        self.conv = nn.Conv2d(inputs, outputs * partitions, 1)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """x: [B, C, T, J], graph: [partitions, J, J] -> [B, C', T, J]."""
        apart = self.conv(x).unflatten(1, (self.partitions, -1))
        return torch.einsum("bkctv,kvw->bctw", apart, graph)


class Block(nn.Module):
    """Graph convolution over joints, then convolution over time, and a shortcut. first: the first block has no shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, config: StgcnConfig, first: bool) -> None:
        super().__init__()
        kernel = config.temporal_kernel
        self.gcn = GraphConvolution(inputs, outputs, config.partitions)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, (kernel, 1), (stride, 1), ((kernel - 1) // 2, 0)),
            nn.BatchNorm2d(outputs),
            nn.Dropout(config.dropout),
        )
        self.residual: nn.Module | None = None
        if not first:
            same = inputs == outputs and stride == 1
            self.residual = nn.Identity() if same else nn.Sequential(nn.Conv2d(inputs, outputs, 1, (stride, 1)), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """x: [B, C, T, J] -> [B, C', T', J]."""
        y = self.tcn(self.gcn(x, graph))
        return torch.relu(y if self.residual is None else y + self.residual(x))


class Stgcn(nn.Module):
    """Blocks of graph convolutions, averaged over joints and time. The graph `A` is stored with the weights."""

    A: Tensor

    def __init__(self, config: StgcnConfig, graph: NDArray | None = None) -> None:
        """graph: [partitions, joints, joints], see `partitions`; without it the graph is read from a file afterwards."""
        super().__init__()
        if len(config.channels) != len(config.strides):
            raise InputError(f"{len(config.channels)} channels and {len(config.strides)} strides; a block has one of each")
        self.config = config
        shape = (config.partitions, config.joints, config.joints)
        self.register_buffer("A", torch.zeros(shape) if graph is None else torch.as_tensor(graph, dtype=torch.float32))
        if self.A.shape != shape:
            raise InputError(f"graph of shape {list(self.A.shape)}; expected {list(shape)}")
        self.data_bn = nn.BatchNorm1d(config.joints * config.inputs)
        before = (config.inputs, *config.channels[:-1])
        widths = zip(before, config.channels, config.strides, strict=True)
        self.st_gcn_networks = nn.ModuleList(Block(i, o, stride, config, place == 0) for place, (i, o, stride) in enumerate(widths))
        self.edge_importance = nn.ParameterList(nn.Parameter(torch.ones(shape)) for _ in config.channels)
        self.fcn = nn.Conv2d(config.channels[-1], config.classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [B, joints, inputs, T] -> features [B, channels[-1]], scores [B, classes]. All frames count: there is no mask."""
        normal = self.data_bn(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
        y = normal.permute(0, 2, 3, 1)  # [B, C, T, J]
        for block, importance in zip(self.st_gcn_networks, self.edge_importance, strict=True):
            y = block(y, self.A * importance)
        features = y.mean(dim=(2, 3))
        return features, self.fcn(features[:, :, None, None])[:, :, 0, 0]


def partitions(edges: Iterable[tuple[int, int]], joints: int, centre: int, known_hops: int = 1) -> NDArray[np.float64]:
    """[3, joints, joints] weights with which each joint (last axis) reads itself and its neighbours, by their place.

    0: the joint itself.  1: neighbours that are as far from the centre, or further.  2: neighbours nearer to the centre. All weights of a
    joint have the sum 1.  known_hops: how many hops from the centre a distance is known; beyond, all joints count as equally far. The
    official graphs are made with 1 hop, by accident; `joints` hops give the split that the paper describes.
    """
    hops = np.full((joints, joints), np.inf)
    np.fill_diagonal(hops, 0)
    for a, b in edges:
        hops[a, b] = hops[b, a] = 1
    near = hops <= 1
    for step in range(2, known_hops + 1):
        reached = np.linalg.matrix_power(near.astype(int), step) > 0
        hops[reached & np.isinf(hops)] = step
    weights = near / near.sum(axis=0)
    away = hops[:, centre]
    neighbours, nearer = hops == 1, away[:, None] < away[None, :]
    return np.stack([weights * (hops == 0), weights * (neighbours & ~nearer), weights * (neighbours & nearer)])


def load_official(path: str | Path, strides: Sequence[int] | None = None) -> Stgcn:
    """The classifier of an official file (a bare state dict), its widths read off the file.

    strides: of every block; a file does not hold them. None for the official ones: 2 wherever a block has a shortcut of its own.
    """
    state = safe_load(path)
    try:
        blocks = sum(name.endswith(".gcn.conv.weight") for name in state)
        names = [f"st_gcn_networks.{block}" for block in range(blocks)]
        joints, weights = state["A"].shape[-1], [state[f"{name}.tcn.2.weight"] for name in names]
        read = tuple(2 if f"{name}.residual.0.weight" in state else 1 for name in names)
        config = StgcnConfig(
            joints=joints,
            inputs=state["data_bn.weight"].shape[0] // joints,
            classes=state["fcn.weight"].shape[0],
            channels=tuple(weight.shape[0] for weight in weights),
            strides=read if strides is None else tuple(strides),
            temporal_kernel=weights[0].shape[2],
            partitions=state["A"].shape[0],
        )
    except (KeyError, TypeError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise InputError(f"checkpoint {path} is no graph-convolutional action classifier: {error} is missing or not a tensor") from None
    network = Stgcn(config)
    load_strict(network, state, f"checkpoint {path}")
    return network.eval()
