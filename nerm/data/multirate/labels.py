"""The labels that the training split of multirate has, with facts about their recordings. It knows no network and no model.

python -m nerm.data.multirate.labels writes the table anew, from the prepared corpus.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.cli import run
from nerm.data.dataset import Dataset, Item, LabelFacts
from nerm.data.tsv import read_tsv
from nerm.motion.spread import mean_distance

TABLE = Path(__file__).with_name("labels.tsv")
HEADER = ("label", "recordings", "seconds", "shortest_s", "longest_s", "variety_mm")
FIRST_S, MOST = 4.0, 8


@lru_cache(maxsize=1)
def labels() -> dict[str, LabelFacts]:
    """Label -> what training has of it."""
    return {
        label: LabelFacts(int(recordings), float(seconds), float(shortest), float(longest), float(variety) / 1000 if variety else None)
        for label, recordings, seconds, shortest, longest, variety in read_tsv(TABLE, HEADER)
    }


def main(_: Sequence[str]) -> int:
    """Write the table."""
    from nerm.data.dataset import load_dataset

    dataset = load_dataset("multirate")
    of_label: dict[str, list[Item]] = defaultdict(list)
    for item in dataset.items("train"):
        of_label[item.label].append(item)
    lines = ["\t".join(HEADER)]
    for label, items in sorted(of_label.items()):
        if label:
            recordings, variety = len({item.group for item in items}), variety_m(dataset, items)
            written = "" if variety is None else f"{1000 * variety:.0f}"
            lasts = [item.seconds for item in items]
            lines.append(f"{label}\t{recordings}\t{sum(lasts):.1f}\t{min(lasts):.2f}\t{max(lasts):.2f}\t{written}")
    with replacing(TABLE) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{TABLE}: {len(lines) - 1} labels")
    return 0


def variety_m(dataset: Dataset, items: Sequence[Item]) -> float | None:
    """The mean distance of two recordings among items, over their first 4 s at 20 fps; at most 8 items drawn with seed 0 are compared."""
    order = np.random.default_rng(0).permutation(len(items))[:MOST]
    read = [(items[k].group, _beginning(dataset, items[k])) for k in order]
    distances = [mean_distance(a, b) for (first, a), (second, b) in combinations(read, 2) if first != second]
    return float(np.mean(distances)) if distances else None


def _beginning(dataset: Dataset, item: Item) -> NDArray:
    motion = dataset.motion(item).canonical()
    times = np.arange(0, min(motion.seconds, FIRST_S) + 1e-9, 1 / 20)
    return motion.joints[np.minimum(np.round(times * motion.fps).astype(int), len(motion) - 1)]


if __name__ == "__main__":
    run(main)
