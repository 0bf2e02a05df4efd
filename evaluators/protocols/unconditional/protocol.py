"""The unconditional protocol in a run: motions of the lengths of the test items, asked for with nothing, at the base rate.

As MoDi and MDM publish it: FID, KID over random subsets, precision and recall with k = 3, and 200 pairs for diversity, between all real and
all generated motions. Unlike there, a subset of KID is half of the smaller set and not the whole of it, whose subsets would all be equal.
Published figures compare with the training motions, which have their labels in other shares than the test recordings: FID (train) does too.

Source: Raab et al., MoDi: Unconditional Motion Synthesis from Diverse Data, CVPR 2023; Tevet et al., Human Motion Diffusion Model, ICLR
2023.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import EXTRACTORS, Extractor
from evaluators.protocols.clip.comparison import Comparison
from evaluators.protocols.unconditional import ENTRIES
from evaluators.protocols.unconditional.scoring import unconditional_records
from evaluators.protocols.whole import WholeMotionProtocol
from evaluators.records import Record
from nerm.data.dataset import Item
from nerm.generator import Condition

ENTRY = ENTRIES[0]


class UnconditionalProtocol(WholeMotionProtocol):
    """See `evaluators.protocols.unconditional.scoring` for what is computed."""

    name, version, metrics = ENTRY.name, ENTRY.version, ENTRY.metrics
    trained = ("fid_train", "nearest_train")
    pairs_items = False

    def condition(self, item: Item) -> Condition:
        return Condition()

    def sees(self, name: str) -> bool:
        return bool(self.run.extractors[name].classes) or (name in EXTRACTORS and "motions" in EXTRACTORS.get(name).embeds)

    def counted(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """All of them."""
        return np.arange(len(items))

    def defined(self, metric: str, extractor: Extractor) -> bool:
        return True

    def records(self, comparison: Comparison, extractor: str, metrics: Sequence[str], train: Callable[[], NDArray]) -> Sequence[Record]:
        return list(unconditional_records(comparison, metrics, extractor, train))
