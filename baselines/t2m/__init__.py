"""T2M (Guo et al., CVPR 2022): text to length, snippet auto-encoder, temporal VAE."""

from baselines.base import System

ENTRIES = [
    System(
        "t2m",
        "T2M (Guo et al., CVPR 2022)",
        loads="baselines.t2m.system:load",
        trains="baselines.t2m.training:train",
        reproduces={"t2m_generator": "baselines.t2m.reproduce:reproduce"},
    )
]
