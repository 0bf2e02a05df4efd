"""nerm labels, or python -m nerm.labels: what the shipped systems were trained on.

    nerm labels                                every label: recordings, seconds, a sentence
    nerm labels search=kick                    labels that have this word in their name or in a sentence, with all their sentences
    nerm labels dataset=humanact12

Any of these labels can be asked for: nerm sample label=LABEL. No data has to be prepared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nerm.cli import choose, parse, run
from nerm.errors import InputError
from nerm.help import command


@dataclass
class Labels:
    """Keys of the command.

    search: only labels that have this text in their name or in a sentence; all their sentences are printed.
    dataset: the dataset that systems were trained on.
    """

    search: str = ""
    dataset: str = "multirate"


@command(Labels)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Labels, arguments)
    from nerm.data.dataset import DATASETS
    from nerm.known import trained_labels, trained_sentences

    choose("dataset", settings.dataset, DATASETS.names)
    labels, sentences = trained_labels(settings.dataset), trained_sentences(settings.dataset)
    if not labels:
        raise InputError(f"dataset '{settings.dataset}' has no labels that are known without its data")
    word = settings.search.lower()
    found = [label for label in labels if any(word in text.lower() for text in (label, *sentences[label]))]
    if not found:
        raise InputError(f"search={settings.search}; no label of '{settings.dataset}' and no sentence has it: nerm labels lists all")
    for label in found:
        facts, said = labels[label], sentences[label]
        counted = f"{facts.recordings} recording{'s' * (facts.recordings != 1)}, {facts.seconds:.0f} s" if facts else ""
        print(f"{label}  {f'({counted})' if counted else ''}".rstrip())
        for text in said if settings.search else said[:1]:
            print(f"    {text}")
    total, spoken = sum(facts.recordings for label in found if (facts := labels[label])), sum(len(sentences[label]) for label in found)
    counted = f", {total} recordings" if total else ""
    print(f"{len(found)} of {len(labels)} labels of '{settings.dataset}'{counted}, {spoken} sentences")
    return 0


if __name__ == "__main__":
    run(main)
