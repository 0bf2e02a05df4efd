"""The protocol of motion that is asked for with nothing: how a system's motion as a whole resembles recorded motion as a whole."""

from evaluators.protocols import ProtocolEntry

TRIAL_DISTANCES = ("trial_distance", "trial_kid")
HALVED = ("precision", "recall")
METRICS = (*TRIAL_DISTANCES, "fid", "fid_train", "kid", *HALVED, "diversity", "nearest_train")

ENTRIES = (
    ProtocolEntry(
        name="unconditional",
        title="motion asked for with nothing but a length: the evaluation of MoDi and MDM, and intervals over trials",
        version=1,
        opens="evaluators.protocols.unconditional.protocol:UnconditionalProtocol",
        metrics=METRICS,
    ),
)
