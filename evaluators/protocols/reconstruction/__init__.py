"""The protocol of reconstruction: how well a system's codes reproduce the recordings that they stand for."""

from evaluators.protocols import ProtocolEntry

ENTRIES = (
    ProtocolEntry(
        name="reconstruction",
        title="training items read out of their codes, test items out of codes fitted to them",
        version=3,
        opens="evaluators.protocols.reconstruction.protocol:ReconstructionProtocol",
        metrics=("mre", "root_path", "band_error"),
    ),
)
