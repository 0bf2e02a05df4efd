"""MLD: diffusion in the latent space of a motion VAE (Chen et al., Executing your Commands via Motion Diffusion, CVPR 2023)."""
