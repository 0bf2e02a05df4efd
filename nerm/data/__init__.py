"""Datasets: motion at native rates with captions and labels, stored and prepared. Knows motions and files, no model."""
