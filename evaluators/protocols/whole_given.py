"""Whole motions that the user brings, in the protocols of labels and of nothing: compared as those of a system are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from evaluators.enough import Shortage, too_few
from evaluators.given import Given, Scored
from evaluators.protocols import Arrays
from evaluators.protocols.clip.comparison import Comparison, Draw, Side
from evaluators.protocols.whole_parts import nothing_cut, published, seen, windows
from evaluators.records import Record
from nerm.data.dataset import Item
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.protocols.whole import WholeMotionProtocol


def score_given(protocol: WholeMotionProtocol, given: Given) -> Scored:
    """Records of the table's metrics, at the base rate. Motions that the protocol cannot use (of no class) are left out and counted."""
    run = protocol.run
    if given.fps != run.base_fps:
        raise InputError(f"protocol {protocol.name} compares whole motions at {run.base_fps:g} fps; give fps={run.base_fps:g}")
    own = _own(protocol, given)
    listed: Sequence[Item] = run.items if own is None else own
    counted = set(protocol.counted(listed).tolist())
    places = [place for place in given.motions if place in counted]
    if not places:
        raise InputError(f"no motion is {protocol.usable}; conditions=FILE.csv says what each was asked for")
    motions = [given.motions[place] for place in places]
    records: list[Record] = []
    short: list[Shortage] = []
    there = len({listed[place].group for place in places})
    for name in [name for name in run.extractors if protocol.sees(name)]:
        of_real = protocol.parts_of_real(name)
        cut = windows(motions, [listed[k] for k in places], protocol.frames, run.seed, 0) if published(name) else motions
        row = Side(given.fps, np.array(places), nothing_cut(), _parts(seen(run.extractors[name], cut, 0)), own)
        real = protocol.side(lambda part: run.real(protocol, part), of_real)
        draw = Draw(protocol.settings.replications, run.seed, trials=protocol.settings.trials)
        comparison = Comparison(run.items, real, row, draw, (protocol.name, protocol.version), given.upsampling)
        wanted = [m for m in protocol.metrics if m in run.table.metrics and protocol.defined(m, run.extractors[name])]
        short += [Shortage(m, there) for m in wanted if too_few(m, there)]
        records += protocol.records(comparison, name, [m for m in wanted if not too_few(m, there)], partial(protocol.train, name))
    return Scored(records, short, {f"not {protocol.usable}": len(given.motions) - len(places)})


def _parts(made: Arrays) -> Callable[[str], list[Arrays]]:
    """The only part that there is."""
    return lambda name: [made] if name.startswith("motions/") else []


def _own(protocol: WholeMotionProtocol, given: Given) -> list[Item] | None:
    """What the motions were made for; None for items of the dataset, to which they belong where something of an item was asked for."""
    if given.own is not None:
        return list(given.own)
    return None if protocol.pairs_items else [replace(item, group=f"motion {place}") for place, item in enumerate(protocol.run.items)]
