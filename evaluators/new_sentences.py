"""python -m evaluators.new_sentences system=nerm: how well a system follows sentences that neither training nor a table has.

What reads sentences is chosen by this: by sentences of training nothing can be told (a system knows them), and test sentences are not to
choose by. `new_sentences.tsv` has three for each label of the open corpus, as users ask: one short, one long. Each is asked for once, for
as long as a training recording of its label lasts, or for seconds=. Pools of 32 labels, by `guo`: does the recording find the motion among
31 others (recording precision), does the sentence (R-precision)? And variety: how far in the space of `guo` motions of one sentence are
from each other, beside recordings of one label from different trials.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.retrieval import hits, pools
from evaluators.resampling import draws_of
from nerm.cli import parse, progress, run
from nerm.data.dataset import Item
from nerm.data.tsv import read_tsv
from nerm.devices import device_of
from nerm.errors import InputError
from nerm.help import command
from nerm.motion import Motion

FILE = Path(__file__).with_suffix(".tsv")
FPS = 20.0
POOLINGS = 10
VARIED = 6
"""Motions of one sentence, of every label that has recordings of several trials."""
_AT_ONCE = 64
_MORE_SEEDS = 1_000_000  # motions that only variety reads have seeds of their own


@dataclass
class NewSentences:
    """system: name of a registered system.
    model: a file of weights in place of the shipped ones.
    seconds: what every motion is asked for; left out, the time of a recording of its label.
    guidance: weight of classifier-free guidance; left out, the system's own.
    durations: known or asked, as in nerm sample, for a system that has the choice; left out, its own.
    reading: likewise.
    count: sentences of each label, 1 to 3.
    variety: false leaves it out, which saves two fifths of the time.
    seed: of the samples, and of the recordings that are drawn.
    device: auto, cpu or cuda.
    """

    system: str = "nerm"
    model: str | None = None
    seconds: float | None = None
    guidance: float | None = None
    durations: str | None = None
    reading: str | None = None
    count: int = 3
    variety: bool = True
    seed: int = 0
    device: str = "auto"


class Asked(NamedTuple):
    """A sentence, and a training recording of its label."""

    text: str
    item: Item


@command(NewSentences)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(NewSentences, arguments, "For example: system=nerm reading=known seconds=4")
    if not 1 <= settings.count <= 3:
        raise InputError(f"count={settings.count}; there are 3 new sentences of each label: give 1, 2 or 3")
    if settings.seconds is not None and not 0 < settings.seconds <= 10:
        raise InputError(f"seconds={settings.seconds:g}; expected more than 0 and at most 10")
    device = device_of(settings.device)
    from baselines.base import load_system
    from evaluators.extractors import load_extractor
    from nerm.checkpoint import MODELS, RESULTS, model_path
    from nerm.data.dataset import load_dataset
    from nerm.generator import Condition, HasVariants

    system = load_system(settings.system, model_path(settings.model) if settings.model else None, device)
    if settings.durations or settings.reading:
        if not isinstance(system, HasVariants):
            raise InputError(f"system '{settings.system}' has no choice of durations or reading: leave them out")
        system = system.variant(durations=settings.durations, reading=settings.reading)
    dataset, guo = load_dataset("multirate"), load_extractor("guo", [RESULTS / MODELS])
    asked = drawn(dataset.items("train"), settings.count, settings.seed)
    guided = {} if settings.guidance is None else {"guidance": settings.guidance}

    def sampled(asked: Sequence[Asked], seed: int) -> list[Motion]:
        motions: list[Motion] = []
        for start in range(0, len(asked), _AT_ONCE):
            some = asked[start : start + _AT_ONCE]
            seconds = [settings.seconds or each.item.seconds for each in some]
            seeds = [seed + start + number for number in range(len(some))]
            motions += system.sample([Condition(each.text) for each in some], seconds, FPS, seeds, **guided)
            progress(f"{start + len(some)} of {len(asked)} motions")
        return motions

    answers = guo.match_motions(sampled(asked, settings.seed))
    recordings = guo.match_motions([dataset.motion(each.item) for each in asked])
    labels = [each.item.label for each in asked]
    print(f"{settings.model or system.name}: {len(asked)} new sentences of {len(set(labels))} labels, 95 % intervals over labels")
    for name, queries in (("recording precision", recordings), ("R-precision", guo.embed_texts([each.text for each in asked]))):
        (first, third), (wide, wider) = shares(queries, answers, labels)
        print(f"    {name}: top 1 {first:.3f} ± {wide:.3f}, top 3 {third:.3f} ± {wider:.3f}")
    if settings.variety:
        performed = several_trials(dataset.items("train"))
        varied = [each for each in drawn(dataset.items("train"), 1, settings.seed) if each.item.label in performed]
        motions = sampled([each for each in varied for _ in range(VARIED)], settings.seed + _MORE_SEEDS)
        ours = np.array([apart(each) for each in guo.embed_motions(motions).reshape(len(varied), VARIED, -1)])
        recorded = [performed[each.item.label] for each in varied]
        trials = [[item.group for item in items] for items in recorded]
        theirs = [apart(guo.embed_motions(list(map(dataset.motion, items))), of) for items, of in zip(recorded, trials, strict=True)]
        among = f"{len(varied)} labels of several trials"
        print(f"    variety: {_mean(ours)} of {VARIED} motions of a sentence, {_mean(np.array(theirs))} of recordings ({among})")
    return 0


def drawn(items: Sequence[Item], count: int, seed: int) -> list[Asked]:
    """So many new sentences of each label that the items have, each with one of its items, drawn."""
    random = np.random.default_rng(seed)
    of_label: dict[str, list[Item]] = {}
    for item in items:
        of_label.setdefault(item.label, []).append(item)
    taken: dict[str, int] = {}
    asked = []
    for label, sentence in read_tsv(FILE, ("label", "sentence")):
        taken[label] = taken.get(label, 0) + 1
        if label in of_label and taken[label] <= count:
            asked.append(Asked(sentence, of_label[label][random.integers(len(of_label[label]))]))
    return asked


def several_trials(items: Sequence[Item]) -> dict[str, list[Item]]:
    """Label -> its items, of those that items of several trials have."""
    of_label: dict[str, list[Item]] = {}
    for item in items:
        of_label.setdefault(item.label, []).append(item)
    return {label: found for label, found in of_label.items() if len({item.group for item in found}) > 1}


def apart(motions: NDArray, trials: Sequence[str] | None = None) -> float:
    """Mean distance between two of n motions [n, D]; of different trials [n], if these are given."""
    of = np.arange(len(motions)) if trials is None else np.unique(np.asarray(trials), return_inverse=True)[1]
    distances = np.linalg.norm(motions[:, None] - motions, axis=-1)
    return float(distances[of[:, None] != of].mean())


def _mean(values: NDArray) -> str:
    return f"{values.mean():.2f} ± {1.96 * values.std(ddof=1) / len(values) ** 0.5:.2f}"


def shares(queries: NDArray, answers: NDArray, labels: Sequence[str]) -> tuple[NDArray, NDArray]:
    """[2] shares of queries [n, D] whose answer [n, D] is the nearest, or among the three nearest, in a pool of 32 labels; and the 95 %
    intervals of both over labels."""
    found, times = np.zeros((len(labels), 2)), np.zeros(len(labels))
    for seed in range(POOLINGS):
        for pool in pools(len(labels), seed, labels=labels):
            found[pool] += hits(queries[pool], answers[pool])[:, [0, 2]]
            times[pool] += 1
    pooled = times > 0
    values, of = found[pooled] / times[pooled, None], np.array(labels)[pooled]
    spread = [1.96 * draws_of(of, 200, 0).means(column, of).std() for column in values.T]
    return values.mean(0), np.array(spread)


if __name__ == "__main__":
    run(main)
