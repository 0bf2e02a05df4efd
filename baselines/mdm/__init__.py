"""MDM, the Motion Diffusion Model (Tevet et al., ICLR 2023): a transformer that predicts the clean motion from a noisy one."""

from baselines.base import System

ENTRIES = [
    System(
        "mdm",
        "MDM (Tevet et al., ICLR 2023)",
        loads="baselines.mdm.system:load",
        trains="baselines.mdm.training:train",
        reproduces={"mdm": "baselines.mdm.reproduce:reproduce"},
    )
]
