"""NeRM, the same trained at 20 fps or without two of its steps, and the paper's method, behind the interface of all systems."""

from baselines.base import System

ENTRIES = [
    System("nerm", "NeRM", loads="baselines.ours.system:load", trains="baselines.ours.system:train", leaves="field.safetensors"),
    System(
        "nerm-fixed",
        "NeRM trained at 20 fps",
        loads="baselines.ours.system:load",
        trains="baselines.ours.system:train_fixed",
        leaves="field.safetensors",
    ),
    System(
        "nerm-plain",
        "NeRM without refinement and texture",
        loads="baselines.ours.system:load",
        trains="baselines.ours.system:train_plain",
        leaves="field.safetensors",
    ),
    System(
        "nerm-paper",
        "NeRM as in the paper",
        loads="baselines.ours.system:load",
        trains="baselines.ours.system:train_paper",
        leaves="field.safetensors",
    ),
]
