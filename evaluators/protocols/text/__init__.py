"""The protocol of sentences as Guo et al. published it: pools of 32, 20 replications, 300 pairs, 100 x 30 motions for multimodality."""

from evaluators.protocols import ProtocolEntry

RETRIEVAL = ("r_precision_top1", "r_precision_top2", "r_precision_top3")
METRICS = ("fid", *RETRIEVAL, "multimodal_dist", "diversity", "multimodality")

ENTRIES = (
    ProtocolEntry(
        name="text",
        title="motion asked for by sentences, in the space of a text-motion evaluator: the published evaluation of HumanML3D and KIT-ML",
        version=1,
        opens="evaluators.protocols.text.protocol:TextProtocol",
        metrics=METRICS,
        resamples="draws",
    ),
)
