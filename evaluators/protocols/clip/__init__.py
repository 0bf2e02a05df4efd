"""The protocol of frame rates: clips of 32 frames at the rate asked for, and other metrics at that rate."""

from evaluators.protocols import ProtocolEntry

TRIAL_DISTANCES = ("trial_distance", "trial_kid")
"""Metrics whose unit is the trial: of clips, by every extractor that embeds clips; of whole motions, by one that embeds only those."""
DISTANCES = ("clip_fid", "clip_dimensions", "precision", "recall")
"""Other metrics of clips, by every extractor that embeds clips; precision and recall by those that embed no texts."""
RETRIEVAL = {"r_precision_top1": 1, "r_precision_top2": 2, "r_precision_top3": 3}
"""Metrics of motions that texts have to find -> how many of the nearest count."""
RECORDING_RETRIEVAL = {"recording_precision_top1": 1, "recording_precision_top3": 3}
"""The same of motions that the recordings have to find whose texts they were made for; real motion itself has none."""
MOTION_METRICS = (
    "fid",
    "motion_dimensions",
    *RETRIEVAL,
    *RECORDING_RETRIEVAL,
    "multimodal_dist",
    "diversity",
    "multimodality",
    "nearest_train",
)
"""Metrics of whole motions at the base rate, by every extractor that embeds motions and texts."""
MATCHED = (*RETRIEVAL, *RECORDING_RETRIEVAL, "multimodal_dist")
"""Those that take a motion where texts are."""
PHYSICAL = (
    "foot_skate",
    "foot_skate_ratio",
    "skate_kimodo",
    "skate_kimodo_ratio",
    "landing_penetration",
    "event_rate",
    "contact_ratio",
    "penetration",
    "float",
    "velocity",
    "acceleration",
    "jerk",
    "band_energy",
)
"""Metrics of one motion, in SI units; a figure is their mean."""
PEAKS = {
    "peak_speed": ("peak_speed", 0.5),
    "peak_speed_90": ("peak_speed", 0.9),
    "peak_acceleration": ("peak_acceleration", 0.5),
    "peak_acceleration_90": ("peak_acceleration", 0.9),
}
"""Metrics of motions of fast actions -> the value of one motion, and the quantile over motions that is the figure."""
BANDS = ("band_median", "band_top1", "band_still", "band_distribution")
"""Metrics of the 8-20 Hz band as a distribution over all frames and joints of all motions."""
COMPARED = ("band_energy_error", "band_distribution")
"""Those that compare a row with recordings of the same items; real motion itself has none."""
OF_REAL = ("clip_dimensions", "motion_dimensions")
"""Metrics that only real motion has."""

ENTRIES = (
    ProtocolEntry(
        name="clip",
        title="clips of 32 frames at any rate, whole motions at the base rate, physical quantities",
        version=3,
        parts_version=2,
        opens="evaluators.protocols.clip.protocol:ClipProtocol",
        metrics=(*TRIAL_DISTANCES, *DISTANCES, *MOTION_METRICS, *PHYSICAL, *PEAKS, *BANDS, "band_energy_error"),
    ),
)
