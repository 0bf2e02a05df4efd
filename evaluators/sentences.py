"""python -m evaluators.sentences: film strips of samples beside recordings, of test sentences drawn at random, to be judged by eye.

Ten sentences of labels that training has, ten of labels that it lacks; one sample each, as long as the recording that the sentence belongs
to. What is drawn depends on the seed alone, and was fixed before any of it was looked at. docs/sentences.md says what was seen.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerm.cli import parse, progress, run
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.help import command


@dataclass
class Sentences:
    """out: the folder of the pictures.
    count: sentences of either kind.
    seed: of the draw, and of every sample.
    system: what is sampled.
    dataset: a prepared one.
    """

    out: str = "docs/pictures"
    count: int = 10
    seed: int = 0
    system: str = "nerm"
    dataset: str = "multirate"


@command(Sentences)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Sentences, arguments, "For example: out=docs/pictures")
    from baselines.base import load_system
    from nerm.data.dataset import load_dataset
    from nerm.generator import Condition
    from nerm.known import trained_labels
    from nerm.motion.resample import resample
    from nerm.render import filmstrip

    dataset, system, out = load_dataset(settings.dataset), load_system(settings.system, None), Path(settings.out)
    if not out.is_dir():
        raise InputError(f"out={out} is no folder; create it or choose another")
    for kind, items in drawn(dataset.items("test"), trained_labels(settings.dataset), settings.count, settings.seed).items():
        for number, item in enumerate(items, 1):
            seconds = min(item.seconds, 10.0)
            (sample,) = system.sample([Condition(item.captions[0])], [seconds], 30.0, [settings.seed])
            recorded = resample(dataset.motion(item).canonical(), 30.0).cut(0, seconds)
            path = out / f"{kind}-{number:02d}.png"
            filmstrip([sample, recorded], path, ["sample", "recording"])
            progress(f"{path}: {item.captions[0]} ({item.label}, {seconds:.1f} s, {item.id})")
    return 0


def drawn(items: Sequence[Item], trained: Container[str], count: int, seed: int) -> dict[str, list[Item]]:
    """Items of so many labels drawn from those that training has ('seen'), and from the others ('unseen'); of each label the first item."""
    random = np.random.default_rng(seed)
    first = {item.label: item for item in reversed(items) if item.captions and item.label}
    kinds = {
        "seen": sorted(label for label in first if label in trained),
        "unseen": sorted(label for label in first if label not in trained),
    }
    return {kind: [first[str(label)] for label in random.permutation(labels)[:count]] for kind, labels in kinds.items()}


if __name__ == "__main__":
    run(main)
