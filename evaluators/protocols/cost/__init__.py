"""The protocol of what a sample costs: time and memory against frame rate, duration and number of motions in a call."""

from evaluators.protocols import ProtocolEntry

ENTRIES = (
    ProtocolEntry(
        name="cost",
        title="time and memory of a sample, each system in processes of its own, on one thread",
        version=1,
        opens="evaluators.protocols.cost.protocol:CostProtocol",
        metrics=("seconds_per_sample", "peak_memory"),
    ),
)
