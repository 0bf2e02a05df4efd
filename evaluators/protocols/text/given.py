"""The text protocol on motions that the user brings: one for the first caption of each test item, or for captions of the user's own.

There is one motion a caption, so multimodality is left out, and pools and pairs alone are drawn anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluators.enough import Shortage, too_few
from evaluators.given import Given, Scored
from evaluators.metrics.retrieval import POOL
from evaluators.protocols.text.scoring import values_of
from evaluators.records import Record
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.protocols.text.protocol import TextProtocol


def score_given(protocol: TextProtocol, given: Given) -> Scored:
    """Records of the table's metrics, at the base rate. Motions without a caption are left out and counted."""
    run = protocol.run
    if given.fps != run.base_fps:
        raise InputError(f"protocol {protocol.name} reads whole motions at {run.base_fps:g} fps; give fps={run.base_fps:g}")
    listed = protocol.items if given.own is None else given.own
    places = [place for place in given.motions if listed[place].captions]
    if not places:
        raise InputError("no motion has a caption; conditions=FILE.csv says what each was made for")
    able = [name for name in protocol.named if name != "multimodality"]
    short = [Shortage(name, len(places)) for name in able if too_few(name, len(places))]
    wanted = [name for name in able if not too_few(name, len(places))]
    records: list[Record] = []
    for extractor in protocol.extractors:
        motions = protocol.embedded(extractor, [given.motions[place] for place in places])
        said = _texts(protocol, given, extractor, places)
        for replication in range(protocol.settings.replications):
            rng = np.random.default_rng([run.seed, replication, 5])
            order = rng.permutation(len(places))[: len(places) // POOL * POOL or len(places)]
            real = protocol.moments_of_real(extractor, replication, lambda part: run.real(protocol, part))
            for value in values_of(wanted, said[order], motions[order], real, rng):
                records.append(protocol.record(value, replication, extractor, given.upsampling))
    return Scored(records, short, {"without a caption": len(given.motions) - len(places)})


def _texts(protocol: TextProtocol, given: Given, extractor: str, places: list[int]) -> NDArray:
    """[n, D] embedding of the caption of each motion."""
    if given.own is not None:
        return protocol.run.extractors[extractor].embed_texts([given.own[place].captions[0] for place in places])
    texts = protocol.run.real(protocol, protocol.captions_part(extractor))
    return texts["texts"][texts["first"].astype(np.int64)[places]]
