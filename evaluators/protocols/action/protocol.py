"""The action protocol in a run: a motion for the label of every test item that has a class, at the base rate.

As ACTOR publishes it: labels are drawn as in the data (one motion of each item for every seed), accuracy, FID of the generated features
against those of training and of test motions, 200 pairs for diversity and 20 pairs a class for multimodality, 20 seeds in tier paper. What
is added: intervals come from bootstrap samples of trials, and the trial distance has no bias.

Source: Petrovich et al., Action-Conditioned 3D Human Motion Synthesis with Transformer VAE, ICCV 2021, section 4.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import Extractor
from evaluators.protocols.action import ENTRIES
from evaluators.protocols.action.scoring import action_records
from evaluators.protocols.clip.comparison import Comparison
from evaluators.protocols.whole import WholeMotionProtocol
from evaluators.store import Record
from nerm.data.dataset import Item, classes_of
from nerm.errors import InputError
from nerm.generator import Condition, condition_of

ENTRY = ENTRIES[0]


class ActionProtocol(WholeMotionProtocol):
    """See `evaluators.protocols.action.scoring` for what is computed."""

    name, version, metrics = ENTRY.name, ENTRY.version, ENTRY.metrics
    trained = ("fid_train", "nearest_train")

    def condition(self, item: Item) -> Condition:
        """Its label: of a class with several labels it says more than the class."""
        return condition_of(item, "label")

    def sees(self, name: str) -> bool:
        return bool(self.run.extractors[name].classes)

    def counted(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """Those whose label is of a class."""
        of = classes_of(items, self.run.dataset_name)
        return np.array([place for place, item in enumerate(items) if item in of], dtype=np.int64)

    def defined(self, metric: str, extractor: Extractor) -> bool:
        return True

    @cached_property
    def class_of(self) -> list[str]:
        """The class of every item that counts."""
        of = classes_of(self.run.items, self.run.dataset_name)
        return [of[self.run.items[place]] for place in self.places]

    def records(self, comparison: Comparison, extractor: str, metrics: Sequence[str], train: Callable[[], NDArray]) -> Sequence[Record]:
        names = self.run.extractors[extractor].classes
        unknown = sorted({name for name in self.class_of if name not in names})
        if unknown:
            raise InputError(
                f"extractor '{extractor}' tells {len(names)} classes apart, and {', '.join(unknown[:3])} of dataset "
                f"'{self.run.dataset_name}' is none of them: use the classifier of this dataset"
            )
        classes = np.array([names.index(name) for name in self.class_of])
        return list(action_records(comparison, metrics, extractor, classes, len(names), train))
