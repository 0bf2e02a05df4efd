"""Making a corpus of the tests' sources."""

from pathlib import Path

from nerm.data.corpus import Corpus, load_corpus
from nerm.data.multirate.preparing import MULTIRATE
from nerm.prepare import prepare


def prepared(sources: Path, target: Path, **settings) -> Corpus:
    """The multirate corpus of these sources, written to `target`."""
    prepare(MULTIRATE.of(sources), sources, target, **({"workers": 1} | settings))
    return load_corpus(target.name, target.parent)
