"""The clip protocol in a run: which figures it has, what motion they need, and which parts of real motion are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import EXTRACTORS
from evaluators.generation import REAL, Request
from evaluators.given import Given, Scored, ScoresFiles
from evaluators.items import sample_seed
from evaluators.metrics import metric
from evaluators.protocols import Arrays, EvaluationProtocol, Part, Unit
from evaluators.protocols.clip import (
    BANDS,
    COMPARED,
    DISTANCES,
    ENTRIES,
    MATCHED,
    MOTION_METRICS,
    OF_REAL,
    PEAKS,
    PHYSICAL,
    RECORDING_RETRIEVAL,
    TRIAL_DISTANCES,
)
from evaluators.protocols.clip.comparison import Comparison, Draw, Side
from evaluators.protocols.clip.measuring import band_counts, compares_motions, embed_clips, mean_spectrum, of_plugin, physical_values
from evaluators.protocols.clip.scoring import compare
from evaluators.protocols.clip.sets import SETS, Plan, members, set_plans, unique_plans
from evaluators.records import Record
from evaluators.tables import Row
from nerm.generator import condition_of

ENTRY = ENTRIES[0]
REPEATS = 1000
"""Index of the first motion that only multimodality reads; smaller indices are those of the other motions."""
TRAIN = 1500
"""Training items whose motions are embedded for the distance to the nearest one; each lasts at least a second."""


class Repeats(NamedTuple):
    """What multimodality reads: so many captions, motions of each, and pairs of motions of one caption."""

    captions: int
    motions: int
    pairs: int


NONE = Repeats(0, 0, 0)


@dataclass(frozen=True)
class Tier:
    """motions: per item.  replications: of figures that draw clips, pairs or halves.  trials: bootstrap samples of trials.

    anew: each replication has its own motions.  repeats: for multimodality; tier paper has the published ones.
    """

    motions: int
    replications: int
    trials: int
    anew: bool = False
    repeats: Repeats = NONE


TIERS = {
    "quick": Tier(motions=1, replications=5, trials=20),
    "full": Tier(motions=3, replications=20, trials=100, repeats=Repeats(captions=20, motions=10, pairs=5)),
    "paper": Tier(motions=20, replications=20, trials=100, anew=True, repeats=Repeats(captions=100, motions=30, pairs=10)),
}


class ClipProtocol(EvaluationProtocol, ScoresFiles):
    """See `evaluators.protocols.clip.scoring` for what is compared with what."""

    name, version, parts_version = ENTRY.name, ENTRY.version, ENTRY.parts_version
    tiers = TIERS

    @cached_property
    def _kept(self) -> dict[tuple, Any]:
        """What scoring computes of real motion alone, once for all rows."""
        return {}

    @property
    def settings(self) -> Tier:
        return TIERS[self.run.tier]

    @cached_property
    def sets(self) -> list[str]:
        return [name for name in self.run.table.sets if name in SETS]

    # --- what is asked for ------------------------------------------------------------------------------------------------------------

    def motions_of(self, row: Row) -> int:
        """Motions per item: one recording, or as many samples as the tier has."""
        return 1 if row.system == REAL else self.settings.motions

    def requests(self, row: Row, asks: str) -> Sequence[Request]:
        """'0', '1', ...: a motion for every item; 'repeats': many for a few captions."""
        if asks == "repeats":
            return self._repeats
        items, seed = self.run.items, self.run.seed
        return [Request(k, condition_of(item), item.seconds, sample_seed(seed, item, int(asks))) for k, item in enumerate(items)]

    @cached_property
    def _repeats(self) -> list[Request]:
        """For some captions, evenly spread over the items, several motions each, one after the other."""
        items, seed = self.run.items, self.run.seed
        captions, count, _ = self.settings.repeats
        last = {items[k].captions[0]: k for k in self.places(self.run.base_fps).tolist() if items[k].captions}
        chosen = [items[k] for k in last.values()][:: max(len(last) // captions, 1)][:captions]
        return [
            Request(items.index(item), condition_of(item), item.seconds, sample_seed(seed, item, REPEATS + number))
            for item in chosen
            for number in range(count)
        ]

    def wanted(self, part: Part) -> Sequence[int]:
        if part.asks == "repeats":
            return range(len(self._repeats))
        return self.places(part.fps).tolist() if part.asks else range(0)

    def places(self, fps: float | None) -> NDArray[np.int64]:
        """Places of the items that count at a rate: those of set `all`, which contains every other set."""
        assert fps is not None  # every part that asks for motion has a rate
        return members(self.run.items, "all", fps)

    # --- figures and their parts ------------------------------------------------------------------------------------------------------

    def units(self, row: Row) -> list[Unit]:
        table = self.run.table
        units = [unit for fps in table.rates for name in table.metrics for unit in self._unit(row, name, fps)]
        return units + [Unit("", fps, self._of_items(row, "spectrum", fps)) for fps in table.rates]

    def _unit(self, row: Row, name: str, fps: float) -> list[Unit]:
        """The unit of a metric at a rate; none where it is not defined."""
        at_base = fps == self.run.base_fps
        plans = Part("plans", fps, settings=list(SETS))
        parts: list[Part] = []
        reference = [plans]
        if name in (RECORDING_RETRIEVAL if self._floor(row) else OF_REAL):
            return []
        if name in (*TRIAL_DISTANCES, *DISTANCES):
            for extractor in self._extractors("clips"):
                if name not in ("precision", "recall") or "texts" not in EXTRACTORS.get(extractor).embeds:
                    parts += self._of_items(row, f"clips/{extractor}", fps, extractor=extractor)
                    reference.append(Part(f"clips/{extractor}", fps, "0", extractor))
            for extractor in self._extractors("motions"):
                if name in TRIAL_DISTANCES and compares_motions(extractor):
                    parts += self._of_items(row, f"motions/{extractor}", fps, extractor=extractor)
                    reference.append(Part(f"motions/{extractor}", fps, "0", extractor))
        elif name in MOTION_METRICS and at_base:
            for extractor in self._extractors("texts"):
                if name != "multimodality":
                    parts += self._of_items(row, f"motions/{extractor}", fps, extractor=extractor)
                    reference += [Part(f"motions/{extractor}", fps, "0", extractor)]
                    reference += [Part(f"{kind}/{extractor}", None, "", extractor) for kind in ("texts", "train")]
                    if name in MATCHED:
                        parts += self._of_items(row, f"matched/{extractor}", fps, extractor=extractor)
                        reference += [Part(f"matched/{extractor}", fps, "0", extractor)]
                elif self.settings.repeats.captions and row.system != REAL:
                    parts.append(Part(f"repeats/{extractor}", fps, "repeats", extractor))
                    parts += self._of_items(row, f"motions/{extractor}", fps, extractor=extractor)
                    reference += [Part(f"motions/{extractor}", fps, "0", extractor)]
        elif (name in (*PHYSICAL, *PEAKS, *BANDS, *COMPARED) or of_plugin(name)) and fps >= metric(name).lowest_fps:
            place, of = _measured(name)
            if name in COMPARED:
                reference.append(Part(place, fps, "0", metric=of))
            if name not in COMPARED or not self._floor(row):
                parts += self._of_items(row, place, fps, metric=of)
        return [Unit(name, fps, tuple(parts), tuple(reference))] if parts else []

    def _of_items(self, row: Row, name: str, fps: float, extractor: str = "", metric: str = "") -> tuple[Part, ...]:
        """A part for each of the motions per item."""
        return tuple(Part(name, fps, str(index), extractor, metric) for index in range(self.motions_of(row)))

    def _extractors(self, embeds: str) -> list[str]:
        return [name for name in self.run.extractors if embeds in EXTRACTORS.get(name).embeds]

    @staticmethod
    def _floor(row: Row) -> bool:
        return row.system == REAL and not row.variant and not row.upsampling

    # --- measuring --------------------------------------------------------------------------------------------------------------------

    def measure(self, row: Row, part: Part) -> Arrays:
        kind = part.name.partition("/")[0]
        if kind == "plans":
            return self._plan_arrays(part.fps)
        if kind in ("texts", "train"):
            return {kind: (self._texts if kind == "texts" else self._train)(part.extractor)}
        fps = part.fps
        assert fps is not None
        motions = self.run.motions(row, self, part.asks, fps, self.wanted(part))
        listed = list(motions.values())
        if kind == "clips":
            return embed_clips(motions, self.plans(fps), fps, self.run.extractors[part.extractor])
        if kind == "motions":
            return {"motions": self.run.extractors[part.extractor].embed_motions(listed)}
        if kind == "matched":
            return {"matched": self.run.extractors[part.extractor].match_motions(listed)}
        if kind == "repeats":
            embedded = self.run.extractors[part.extractor].embed_motions(listed)
            return {"repeats": embedded.reshape(-1, self.settings.repeats.motions, embedded.shape[1])}
        if kind == "bands":
            return band_counts(listed)
        return {"spectrum": mean_spectrum(listed)} if kind == "spectrum" else {"values": physical_values(listed, part.metric)}

    def plans(self, fps: float) -> dict[str, Plan]:
        """The clips of every set, as the reference has them."""
        arrays = self.run.real(self, Part("plans", fps, settings=list(SETS)))
        plans: dict[str, Plan] = {}
        for name in SETS:
            places = members(self.run.items, name, fps)
            same = next((other for other in plans if np.array_equal(members(self.run.items, other, fps), places)), None)
            if same is None:
                of_items, starts = arrays[name]
                plans[name] = Plan(of_items, starts, int(arrays[f"{name} left out"]))
            else:
                plans[name] = plans[same]
        return plans

    def _plan_arrays(self, fps: float | None) -> Arrays:
        assert fps is not None
        arrays: dict[str, NDArray] = {}
        for name, plan in unique_plans(set_plans(self.run.items, SETS, fps)).items():
            arrays |= {name: np.stack([plan.places, plan.starts]), f"{name} left out": np.array(plan.left_out)}
        return arrays

    def _texts(self, extractor: str) -> NDArray:
        """[items, D] embedding of the caption of every item, 0 without one."""
        sentences = sorted({item.captions[0] for item in self.run.items if item.captions})
        if not sentences:
            return np.zeros((len(self.run.items), 1), np.float16)
        embedding_of = dict(zip(sentences, self.run.extractors[extractor].embed_texts(sentences), strict=True))
        zero = np.zeros_like(next(iter(embedding_of.values())))
        return np.stack([embedding_of[item.captions[0]] if item.captions else zero for item in self.run.items]).astype(np.float16)

    def _train(self, extractor: str) -> NDArray:
        """[N, D] embeddings of motions of training items."""
        dataset = self.run.dataset()
        items = [item for item in dataset.items("train") if item.seconds >= 1.0]
        chosen = np.sort(np.random.default_rng(0).permutation(len(items))[:TRAIN])
        return self.run.extractors[extractor].embed_motions([dataset.motion(items[k]) for k in chosen]).astype(np.float16)

    def reference_parts(self, extractors: Iterable[str], rates: Sequence[float]) -> list[Part]:
        kept = [Part("plans", fps, settings=list(SETS)) for fps in rates]
        measured = dict.fromkeys((*map(_measured, (*PHYSICAL, *PEAKS, *BANDS)),))
        kept += [Part(place, fps, "0", metric=of) for fps in rates for place, of in measured if fps >= metric(of).lowest_fps]
        kept += [Part("spectrum", fps, "0") for fps in rates]
        for name in extractors:
            embeds = EXTRACTORS.get(name).embeds
            kept += [Part(f"clips/{name}", fps, "0", name) for fps in rates if "clips" in embeds]
            whole = [*rates] if compares_motions(name) else []
            if "texts" in embeds:
                whole = list(dict.fromkeys([self.run.base_fps, *whole]))
            kept += [Part(f"motions/{name}", fps, "0", name) for fps in whole]
            if "texts" in embeds:
                kept += [Part(f"matched/{name}", self.run.base_fps, "0", name)]
                kept += [Part(f"{kind}/{name}", None, "", name) for kind in ("texts", "train")]
        return kept

    # --- scoring ----------------------------------------------------------------------------------------------------------------------

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        fps = units[0].fps
        plans = self.plans(fps)
        own = {p.name: [q for q in unit.parts if q.name == p.name] for unit in units for p in unit.parts}
        kept = {p.name: p for unit in units for p in unit.reference}
        places = self.places(fps)
        comparison = Comparison(
            self.run.items,
            Side(fps, places, plans, lambda name: [real(kept[name])] if name in kept else [], kept=self._kept),
            Side(fps, places, plans, lambda name: [part(p) for p in own.get(name, ())]),
            Draw(self.settings.replications, self.run.seed, self.settings.anew and self.motions_of(row) > 1, self.settings.trials),
            (self.name, self.version),
            self.run.upsampling(row),
            self._floor(row),
            self.settings.repeats.pairs,
        )
        return compare(comparison, [unit.metric for unit in units], self.sets, list(self.run.extractors))

    def score_given(self, given: Given) -> Scored:
        from evaluators.protocols.clip.given import score_given

        return score_given(self, given)

    def asks_for(self, fps: float | None = None) -> Sequence[Request]:
        requests = self.requests(Row("files", "files"), "0")
        return requests if fps is None else [requests[k] for k in self.places(fps)]

    def known_labels(self) -> Sequence[str]:
        return sorted({item.label for item in self.run.items if item.label})

    def curves(self, units: Sequence[Unit], part: Callable[[Part], Arrays]) -> dict[float, NDArray]:
        return {unit.fps: np.mean([part(p)["spectrum"] for p in unit.parts], axis=0) for unit in units if not unit.metric}

    def about(self) -> dict[str, Any]:
        """How many items and clips count at each rate and set, and how many items are shorter than a clip."""
        counts = {}
        for fps in self.run.table.rates:
            for name, plan in self.plans(fps).items():
                if name in self.sets:
                    recordings = len(set(plan.places.tolist())) + plan.left_out
                    counts[f"{name}@{fps:g}"] = {"recordings": recordings, "clips": len(plan.places), "left_out": plan.left_out}
        return {"settings": asdict(self.settings), "counts": counts}


def _measured(name: str) -> tuple[str, str]:
    """The part that a metric without an extractor is made of, and the metric whose version that part has."""
    if name in BANDS:
        return "bands", "band_distribution"
    of = "band_energy" if name == "band_energy_error" else PEAKS[name][0] if name in PEAKS else name
    return f"values/{of}", of
