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
from evaluators.records import Record
from nerm.data.dataset import Item, classes_of
from nerm.errors import InputError
from nerm.generator import Condition, condition_of

ENTRY = ENTRIES[0]


class ActionProtocol(WholeMotionProtocol):
    """See `evaluators.protocols.action.scoring` for what is computed."""

    name, version, metrics = ENTRY.name, ENTRY.version, ENTRY.metrics
    trained = ("fid_train", "nearest_train")
    usable = "of an action class"

    def condition(self, item: Item) -> Condition:
        """Its label: of a class with several labels it says more than the class."""
        return condition_of(item, "label")

    def sees(self, name: str) -> bool:
        return bool(self.run.extractors[name].classes)

    def counted(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """Those whose label is of a class."""
        return np.array([place for place, name in enumerate(self._classes(items)) if name], dtype=np.int64)

    def _classes(self, items: Sequence[Item]) -> list[str]:
        """The class of each item, '' for none; the name of a class is a label too."""
        of = classes_of(items, self.run.dataset_name)
        return [of.get(item, item.label if item.label in self._known else "") for item in items]

    @cached_property
    def _known(self) -> set[str]:
        return set(classes_of(self.run.items, self.run.dataset_name).values())

    def known_labels(self) -> Sequence[str]:
        return sorted({*super().known_labels(), *self._known})

    def defined(self, metric: str, extractor: Extractor) -> bool:
        return True

    def records(self, comparison: Comparison, extractor: str, metrics: Sequence[str], train: Callable[[], NDArray]) -> Sequence[Record]:
        names = self.run.extractors[extractor].classes
        of = self._classes(comparison.row.listed(comparison.items))
        class_of = [of[place] for place in comparison.row.places]
        unknown = sorted({name for name in class_of if name not in names})
        if unknown:
            raise InputError(
                f"extractor '{extractor}' tells {len(names)} classes apart, and {', '.join(unknown[:3])} of dataset "
                f"'{self.run.dataset_name}' is none of them: use the classifier of this dataset"
            )
        classes = np.array([names.index(name) for name in class_of])
        return list(action_records(comparison, metrics, extractor, classes, len(names), train))
