"""The clip protocol on motions that the user brings: the same comparison as for a system, with what there is of motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from evaluators.given import Given, Scored
from evaluators.protocols import Arrays
from evaluators.protocols.clip import MOTION_METRICS
from evaluators.protocols.clip.comparison import Comparison, Draw, Side
from evaluators.protocols.clip.enough import shortages
from evaluators.protocols.clip.measuring import band_counts, embed_clips, physical_values
from evaluators.protocols.clip.scoring import compare
from evaluators.protocols.clip.sets import FRAMES, SETS, Plan, members, plan_clips
from nerm.data.dataset import Item
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.protocols.clip.protocol import ClipProtocol


def score_given(protocol: ClipProtocol, given: Given) -> Scored:
    """Records of the table's metrics. Motions that belong to no recording are compared with all real motion as a set."""
    run, fps = protocol.run, given.fps
    plans = _plans(given, run.items)
    if not any(len(plan.places) for plan in plans.values()):
        raise InputError(f"no motion holds a clip of {FRAMES} frames at {fps:g} fps, or none is of a recording of that rate")
    kept = {part.name: part for part in protocol.reference_parts(run.extractors, [fps]) if part.fps in (None, fps)}
    metrics = [name for name in run.table.metrics if fps == run.base_fps or name not in MOTION_METRICS]
    comparison = Comparison(
        run.items,
        Side(fps, protocol.places(fps), protocol.plans(fps), lambda name: [run.real(protocol, kept[name])] if name in kept else []),
        _side(protocol, given, plans),
        Draw(protocol.settings.replications, run.seed, trials=protocol.settings.trials),
        (protocol.name, protocol.version),
        given.upsampling,
    )
    short = [s for name in protocol.sets if len(plans[name].places) for s in shortages(comparison, metrics, name)]
    return Scored(compare(comparison, metrics, protocol.sets, list(run.extractors)), short)


def _side(protocol: ClipProtocol, given: Given, plans: Mapping[str, Plan]) -> Side:
    """The side of the given motions; parts are measured when they are asked for."""
    extractors, listed = protocol.run.extractors, list(given.motions.values())
    own = None if given.own is None else [replace(item, label=item.label or " ".join(item.captions)) for item in given.own]

    @cache
    def parts(name: str) -> list[Arrays]:
        kind, _, of = name.partition("/")
        if kind == "clips":
            return [embed_clips(given.motions, plans, given.fps, extractors[of])]
        if kind == "motions":
            return [{"motions": extractors[of].embed_motions(listed)}]
        if kind == "matched":
            return [{"matched": extractors[of].match_motions(listed)}]
        if kind == "texts":
            return [{"texts": _texts(own or [], extractors[of].embed_texts)}]
        if kind == "bands":
            return [band_counts(listed)]
        return [{"values": physical_values(listed, of)}] if kind == "values" else []

    return Side(given.fps, np.array(sorted(given.motions)), plans, parts, own)


def _texts(own: list[Item], embed) -> np.ndarray:
    """[n, E] embedding of the caption of each item, 0 without one."""
    sentences = sorted({caption for item in own for caption in item.captions})
    embedded = dict(zip(sentences, embed(sentences), strict=True))
    zero = np.zeros_like(next(iter(embedded.values())))
    return np.stack([embedded[item.captions[0]] if item.captions else zero for item in own])


def _plans(given: Given, items) -> dict[str, Plan]:
    """The clips of every set; sets with the same motions share them."""
    plans: dict[str, Plan] = {}
    by_counts: dict[tuple, Plan] = {}
    for name in SETS:
        places = set(members(items, name, given.fps).tolist()) if given.paired else set(given.motions)
        counts = {place: len(motion) for place, motion in given.motions.items() if place in places}
        plans[name] = by_counts.setdefault(tuple(counts), plan_clips(counts, [round(1000 * given.fps), len(counts)]))
    return plans
