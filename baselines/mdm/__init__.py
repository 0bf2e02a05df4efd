"""MDM, the Motion Diffusion Model (Tevet et al., ICLR 2023): a transformer that predicts the clean motion from a noisy one."""
