"""The protocol of reconstruction: how well codes reproduce the recordings that they stand for, beside interpolation and silence."""

from evaluators.protocols import ProtocolEntry

BANDS_HZ = {f"{low}_{high}": (low, high) for low, high in ((1, 2), (2, 4), (4, 8), (8, 12), (12, 20))}
"""The bands of `band_fidelity_...` and `band_correlation_...`."""
ERRORS = ("mre", "root_path", "band_error")
BANDS = (*(f"band_fidelity_{band}" for band in BANDS_HZ), *(f"band_correlation_{band}" for band in BANDS_HZ))
MOMENTS = (
    "contact_timing",
    "contacts_found",
    "events_found",
    "events_invented",
    "event_strength",
    "peak_speed_error",
    "peak_acceleration_error",
)
KINDS = {"errors": ERRORS, "bands": BANDS, "moments": MOMENTS}
"""Kind of measurement -> its metrics."""

ENTRIES = (
    ProtocolEntry(
        name="reconstruction",
        title="items read out of the codes of a training, or out of codes fitted to them; recordings brought up from the base rate",
        version=4,
        parts_version=3,
        opens="evaluators.protocols.reconstruction.protocol:ReconstructionProtocol",
        metrics=(*ERRORS, *BANDS, *MOMENTS),
    ),
)
