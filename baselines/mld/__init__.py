"""MLD: diffusion in the latent space of a motion VAE (Chen et al., Executing your Commands via Motion Diffusion, CVPR 2023)."""

from baselines.base import System

ENTRIES = [
    System(
        "mld",
        "MLD (Chen et al., CVPR 2023)",
        loads="baselines.mld.system:load",
        trains="baselines.mld.training:train",
        reproduces={"mld": "baselines.mld.reproduce:reproduce"},
    )
]
