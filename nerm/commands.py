"""The commands by name, as data: what each is for, and where it is. It imports none of them.

The table is the one place that knows of packages above this one; they are imported when their command is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Command:
    """A command.

    title: one line.  main: "module:function", which takes the words after the command's name.
    by_key: key -> "module:function" that takes the words in its place, if that key is among them.
    """

    title: str
    main: str
    by_key: Mapping[str, str] = field(default_factory=dict)

    def target(self, words: list[str]) -> str:
        """The function that takes these words."""
        given = {word.partition("=")[0] for word in words}
        return next((main for key, main in self.by_key.items() if key in given), self.main)

    @property
    def targets(self) -> list[str]:
        """Every function of the command."""
        return list(dict.fromkeys([self.main, *self.by_key.values()]))


COMMANDS = {
    "sample": Command("a sentence or many into motion at any frame rate, by NeRM or any other system", "nerm.sample:main"),
    "upsample": Command("your motion file at another frame rate", "nerm.upsample:main"),
    "convert": Command("motion files from one format to another", "nerm.convert:main"),
    "show": Command("motion files side by side: a page with a viewer, a video, a .gif or a film strip", "nerm.show:main"),
    "labels": Command("what a system was trained on: labels, sentences, how many recordings", "nerm.labels:main"),
    "run": Command("compute a table and write its report", "evaluators.run:main"),
    "list": Command("tables, systems, metrics, extractors, datasets and protocols by name", "evaluators.listing:main"),
    "score": Command("score your own motion files against real motion", "evaluators.score:main"),
    "drift": Command("which figures differ between two folders of results", "evaluators.drift:main"),
    "conformance": Command("the cases of original code, computed again here", "evaluators.conformance:main"),
    "prepare": Command("raw archives of a dataset into a corpus", "nerm.prepare:main"),
    "train": Command(
        "train NeRM; with system= another system, with extractor= an extractor, with recipe= everything that ships",
        "nerm.train:main",
        {"system": "baselines.train:main", "extractor": "evaluators.train:main", "recipe": "evaluators.train:main"},
    ),
    "showcase": Command("motions of several systems for the page of results", "evaluators.showcase:main"),
}
