"""The protocol of action labels: motion asked for by a label, and what a classifier says of it."""

from evaluators.protocols import ProtocolEntry

DISTANCES = ("trial_distance",)
FRECHET = ("fid_train", "fid_test")
DRAWN = ("diversity", "multimodality")
METRICS = ("accuracy", *FRECHET, *DISTANCES, *DRAWN, "nearest_train")

ENTRIES = (
    ProtocolEntry(
        name="action",
        title="motion asked for by its action label, seen by a classifier: ACTOR's evaluation, and intervals over trials",
        version=1,
        opens="evaluators.protocols.action.protocol:ActionProtocol",
        metrics=METRICS,
    ),
)
