"""The protocol of frame rates: clips of 32 frames at the rate asked for, and other metrics at that rate."""

from evaluators.protocols import ProtocolEntry

DISTANCES = ("clip_fid", "precision", "recall")
"""Metrics of clips, by every extractor that embeds clips; precision and recall by those that embed no texts."""
MOTION_METRICS = (
    "fid",
    "r_precision_top1",
    "r_precision_top2",
    "r_precision_top3",
    "multimodal_dist",
    "diversity",
    "multimodality",
    "nearest_train",
)
"""Metrics of whole motions at the base rate, by every extractor that embeds motions and texts."""
PHYSICAL = (
    "foot_skate",
    "foot_skate_ratio",
    "contact_ratio",
    "penetration",
    "float",
    "velocity",
    "acceleration",
    "jerk",
    "band_energy",
)
"""Metrics of one motion, in SI units. band_energy_error is not among them: it compares the means of two sides."""

ENTRIES = (
    ProtocolEntry(
        name="clip",
        title="clips of 32 frames at any rate, whole motions at the base rate, physical quantities",
        version=2,
        opens="evaluators.protocols.clip.protocol:ClipProtocol",
        metrics=(*DISTANCES, *MOTION_METRICS, *PHYSICAL, "band_energy_error"),
    ),
)
