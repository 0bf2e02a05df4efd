"""NeRM, and the same trained at 20 fps, behind the interface of all systems."""

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
]
