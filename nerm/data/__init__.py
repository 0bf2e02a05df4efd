"""Native-rate corpora of recorded motion. Knows motions and files, no model."""
