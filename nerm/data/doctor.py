"""One page about a dataset: what is there, what is missing, what is damaged. It changes nothing and knows no dataset by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nerm.data.assemble import describe
from nerm.data.corpus import Corpus, damaged_arrays, load_corpus
from nerm.data.dataset import SPLITS
from nerm.data.pack import examine_packed
from nerm.data.preparation import Finding, Preparation
from nerm.errors import InputError

_WHOLE = Finding("ok", "the content has the digest of its manifest")


def examine(preparation: Preparation, given: str | None, place: Path) -> tuple[str, bool]:
    """(the page, whether all is well). given: sources=... of the command.  place: the folder of the prepared corpus."""
    corpus, lines = examine_corpus(place)
    sources = preparation.locate(given)
    about_sources = _examine_sources(preparation, sources, _made_from(place))
    page = [
        f"dataset '{preparation.name}'",
        f"sources: {sources or 'none given'}",
        *_shown(about_sources),
        f"prepared corpus: {place}",
        *_shown(lines),
    ]
    if corpus is not None:
        page.append(describe(corpus.manifest, place))
    wrong = [line for line in (*about_sources, *lines) if not line.well]
    page.append("all is well" if not wrong else f"{len(wrong)} thing{'s' * (len(wrong) != 1)} to mend")
    return "\n".join(page), not wrong


def examine_corpus(place: Path) -> tuple[Corpus | None, list[Finding]]:
    """The corpus in a folder, if it is whole, and what there is to say about it."""
    work = place.with_name(place.name + ".partial")
    parts = len(list((work / "parts").glob("*.npz")))
    unfinished = [Finding("note", f"{work} holds {parts} parts of an unfinished run, which the command goes on with")] if parts else []
    if not (place / "manifest.json").exists():
        return None, [Finding("missing", "nothing has been prepared here"), *unfinished]
    try:
        corpus = load_corpus(place.name, place.parent)
    except InputError as error:
        return None, [Finding("damaged", str(error)), *unfinished]
    counts = (_count(corpus, split) for split in SPLITS)
    damaged = damaged_arrays(place, corpus.manifest)
    whole = Finding("damaged", f"{', '.join(damaged)}: delete the folder and prepare it again") if damaged else _WHOLE
    return corpus, [whole, Finding("ok", "; ".join(counts)), *unfinished]


def _examine_sources(preparation: Preparation, sources: Path | None, made_from: dict[str, str]) -> list[Finding]:
    if sources is None or not sources.is_file():
        fitting = preparation.of(sources) if sources else preparation
        return fitting.examine(sources, made_from)
    try:
        return [Finding("ok", examine_packed(sources))]
    except InputError as error:
        return [Finding("damaged", str(error))]


def _made_from(place: Path) -> dict[str, str]:
    """The sources that a corpus names, even if it is damaged; empty if there is no corpus."""
    try:
        return json.loads((place / "manifest.json").read_text()).get("made_from", {})
    except (OSError, ValueError):
        return {}


def _count(corpus: Corpus, split: str) -> str:
    trials, windows = corpus.trials[corpus.trials["split"] == split], corpus.windows[corpus.windows["split"] == split]
    hours = float((trials["frames"] / trials["fps"]).sum()) / 3600
    labels = len(set(windows["label"]) - {""})
    return f"{split}: {len(trials)} trials, {hours:.2f} h, {len(windows)} windows, {labels} labels"


def _shown(lines: Sequence[Finding]) -> list[str]:
    return [f"  {line.state:<8} {line.text}" for line in lines]
