"""T2M (Guo et al., CVPR 2022): text to length, snippet auto-encoder, temporal VAE."""
