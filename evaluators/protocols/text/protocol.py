"""The text protocol in a run: passes over the whole test set, a motion for every caption and length of a pass, embeddings of both.

Real motion is drawn anew in every replication: crop, caption and pool. So is what it is compared with, which is why its own FID is not
zero. A system is asked for the captions and lengths of a pass. In tier paper it is asked anew in every replication, as published, and
the interval covers its draws too; in the other tiers it is asked once, and only pools, pairs and recordings are drawn anew.

Source: Guo et al., CVPR 2022; lengths are those of the ground truth, as in Tevet et al., Human Motion Diffusion Model, ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import EXTRACTORS, Extractor, ReadsTokens
from evaluators.generation import REAL, Request
from evaluators.given import Given, Scored, ScoresFiles
from evaluators.items import sample_seed
from evaluators.metrics import metric
from evaluators.metrics.distribution import Moments, moments
from evaluators.protocols import Arrays, EvaluationProtocol, Part, Unit
from evaluators.protocols.text import ENTRIES
from evaluators.protocols.text.drawing import UNIT, Pass, draw_items, draw_pass
from evaluators.protocols.text.given import score_given
from evaluators.protocols.text.scoring import REPEAT_PAIRS, Value, values_of
from evaluators.protocols.whole_parts import at_frames
from evaluators.records import Record
from evaluators.tables import Row
from nerm.data.dataset import HoldsTokens, Item
from nerm.generator import Condition
from nerm.motion import Motion

ENTRY = ENTRIES[0]
SET = "all"
REPEATS = "repeats"
FIRST_REPEAT = 1000
"""Index of the first motion that only multimodality reads; smaller indices are those of the passes."""
_AT_ONCE = 512  # recordings in memory


class Repeats(NamedTuple):
    """What multimodality reads: so many captions, and motions of each."""

    captions: int
    motions: int


@dataclass(frozen=True)
class Tier:
    """anew: the k-th replication has motions of its own, as published; else all have the same.  repeats: None leaves multimodality out."""

    replications: int
    anew: bool = False
    repeats: Repeats | None = None


PUBLISHED = Repeats(captions=100, motions=30)
TIERS = {"quick": Tier(5), "full": Tier(20, repeats=PUBLISHED), "paper": Tier(20, anew=True, repeats=PUBLISHED)}


class TextProtocol(EvaluationProtocol, ScoresFiles):
    """See `evaluators.protocols.text.scoring` for what is computed."""

    name, version, tiers = ENTRY.name, ENTRY.version, TIERS

    @property
    def settings(self) -> Tier:
        return TIERS[self.run.tier]

    # --- what is drawn ----------------------------------------------------------------------------------------------------------------

    @cached_property
    def items(self) -> Sequence[Item]:
        """The test items with all of their captions, which only the dataset has."""
        return self.run.dataset().items("test")

    @cached_property
    def _passes(self) -> dict[int, Pass]:
        return {}

    def drawn(self, number: int) -> Pass:
        """The pass of that number: the k-th replication has pass k, and compares with recordings of pass `replications` + k."""
        if number not in self._passes:
            frames = [round(item.seconds * self.run.base_fps) + 1 for item in self.items]
            self._passes[number] = draw_pass(frames, [len(item.captions) for item in self.items], self.run.seed, number)
        return self._passes[number]

    def set_of(self, row: Row, replication: int) -> int:
        """The pass whose captions and lengths the motions of a replication were made for."""
        return replication if self.settings.anew or _recorded(row) else 0

    # --- what is asked for ------------------------------------------------------------------------------------------------------------

    def requests(self, row: Row, asks: str) -> Sequence[Request]:
        """'0', '1', ...: a motion for the caption and the length of every item in that pass; 'repeats/0', ...: many for some captions."""
        kind, _, number = asks.rpartition("/")
        drawn = self.drawn(int(number))
        if kind == REPEATS:
            assert self.settings.repeats  # else no part asks for them
            captions, count = self.settings.repeats
            places = draw_items(len(self.items), captions, self.run.seed, int(number))
            first = FIRST_REPEAT + count * int(number)
            return [self._request(place, drawn, first + k) for place in places.tolist() for k in range(count)]
        return [self._request(place, drawn, int(number)) for place in range(len(self.items))]

    def _request(self, place: int, drawn: Pass, index: int) -> Request:
        item = self.items[place]
        seconds = float(drawn.lengths[place] - 1) / self.run.base_fps
        return Request(place, Condition(text=item.captions[drawn.captions[place]]), seconds, sample_seed(self.run.seed, item, index))

    def wanted(self, part: Part) -> Sequence[int]:
        if part.asks.startswith(REPEATS):
            assert self.settings.repeats
            return range(min(self.settings.repeats.captions, len(self.items)) * self.settings.repeats.motions)
        return range(len(self.items)) if part.asks else range(0)

    # --- figures and their parts ------------------------------------------------------------------------------------------------------

    @cached_property
    def extractors(self) -> list[str]:
        """Those of the table that embed texts and motions in one space."""
        return [name for name in self.run.extractors if {"texts", "motions"} <= {*EXTRACTORS.get(name).embeds}]

    def units(self, row: Row) -> list[Unit]:
        fps = self.run.base_fps
        if fps not in self.run.table.rates or not self.extractors:
            return []
        self.drawn(0)  # says what is wrong with a dataset that is too small
        without = {"multimodality"} if row.system == REAL or not self.settings.repeats else set()
        return [self._unit(row, name) for name in self.named if name not in without]

    @property
    def named(self) -> list[str]:
        """Those of its metrics that the table has."""
        return [name for name in ENTRY.metrics if name in self.run.table.metrics]

    def _unit(self, row: Row, name: str) -> Unit:
        count = self.settings.replications
        parts: list[Part] = []
        reference: list[Part] = []
        for extractor in self.extractors:
            parts += dict.fromkeys(self._motions(row, extractor, k) for k in range(count))
            reference.append(self.captions_part(extractor))
            if name == "fid":
                reference += [self._recordings(extractor, count + k) for k in range(count)]
            if name == "multimodality":
                parts += dict.fromkeys(self._repeats(extractor, k) for k in range(count))
        return Unit(name, self.run.base_fps, tuple(parts), tuple(reference))

    def _motions(self, row: Row, extractor: str, replication: int) -> Part:
        number = self.set_of(row, replication)
        if _recorded(row):
            return self._recordings(extractor, number)
        return Part(f"motions/{extractor}/{number}", self.run.base_fps, str(number), extractor)

    def _recordings(self, extractor: str, number: int) -> Part:
        return Part(f"passes/{extractor}/{number}", self.run.base_fps, "", extractor, settings=("pass", number, self.run.seed))

    def captions_part(self, extractor: str) -> Part:
        return Part(f"captions/{extractor}", None, "", extractor)

    def _repeats(self, extractor: str, replication: int) -> Part:
        number = replication if self.settings.anew else 0
        return Part(f"repeats/{extractor}/{number}", self.run.base_fps, f"{REPEATS}/{number}", extractor)

    # --- measuring --------------------------------------------------------------------------------------------------------------------

    def measure(self, row: Row, part: Part) -> Arrays:
        kind = part.name.partition("/")[0]
        if kind == "captions":
            return self._embedded_captions(self.run.extractors[part.extractor])
        if kind == "passes":
            return {"motions": self._embedded_pass(part.extractor, self.drawn(int(part.name.rpartition("/")[2])))}
        motions = self.run.motions(row, self, part.asks, self.run.base_fps, self.wanted(part))
        embedded = self.embedded(part.extractor, list(motions.values()))
        self.run.forget()  # the motions of twenty passes are too many to hold
        if kind == REPEATS:
            assert self.settings.repeats
            embedded = embedded.reshape(-1, self.settings.repeats.motions, embedded.shape[-1])
        return {"motions": embedded}

    def embedded(self, extractor: str, motions: Sequence[Motion]) -> NDArray[np.float32]:
        """[n, D] motions where texts are."""
        return self.run.extractors[extractor].match_motions([_closed(motion) for motion in motions])

    def _embedded_captions(self, extractor: Extractor) -> Arrays:
        """texts: [C, D] every caption of every item.  first: [n] where those of each item begin."""
        dataset = self.run.dataset()
        first = np.cumsum([0, *(len(item.captions) for item in self.items)])[:-1]
        if isinstance(dataset, HoldsTokens) and isinstance(extractor, ReadsTokens):
            tokens = [dataset.tokens(item) for item in self.items]
            if all(len(of) == len(item.captions) for of, item in zip(tokens, self.items, strict=True)):
                return {"texts": extractor.embed_tokens([text for of in tokens for text in of]), "first": first}
        return {"texts": extractor.embed_texts([text for item in self.items for text in item.captions]), "first": first}

    def _embedded_pass(self, extractor: str, drawn: Pass) -> NDArray[np.float32]:
        """[n, D] the crops of a pass."""
        dataset = self.run.dataset()
        crops = list(zip(self.items, drawn.starts.tolist(), drawn.lengths.tolist(), strict=True))
        embedded = []
        for begin in range(0, len(crops), _AT_ONCE):
            cut = [at_frames(dataset.motion(item), np.arange(at, at + length)) for item, at, length in crops[begin : begin + _AT_ONCE]]
            embedded.append(self.embedded(extractor, cut))
        return np.concatenate(embedded)

    # --- scoring ----------------------------------------------------------------------------------------------------------------------

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        wanted = [unit.metric for unit in units]
        return [record for extractor in self.extractors for record in self._records(row, wanted, extractor, part, real)]

    def _records(
        self, row: Row, wanted: Sequence[str], extractor: str, part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]
    ) -> Iterator[Record]:
        texts = real(self.captions_part(extractor))
        for replication in range(self.settings.replications):
            order, made_for = self.drawn(replication).order, self.drawn(self.set_of(row, replication))
            motions = part(self._motions(row, extractor, replication))["motions"][order]
            said = texts["texts"][texts["first"].astype(np.int64) + made_for.captions][order]
            repeats = part(self._repeats(extractor, replication))["motions"] if "multimodality" in wanted else None
            rng = np.random.default_rng([self.run.seed, replication, 5])
            of = self.moments_of_real(extractor, replication, real) if "fid" in wanted else _NOTHING
            for value in values_of(wanted, said, motions, of, rng, repeats):
                yield self.record(value, replication, extractor, self.run.upsampling(row))

    def record(self, figure: Value, replication: int, extractor: str, upsampling: str) -> Record:
        """One replication of one figure."""
        return Record(
            metric=figure.metric,
            value=figure.value,
            n=figure.n,
            replication=replication,
            seed=self.run.seed,
            fps=self.run.base_fps,
            set=SET,
            extractor=extractor,
            upsampling=upsampling,
            version=metric(figure.metric).version,
            protocol=self.name,
            protocol_version=self.version,
        )

    @cached_property
    def _kept(self) -> dict[tuple[str, int], Moments]:
        return {}

    def moments_of_real(self, extractor: str, replication: int, real: Callable[[Part], Arrays]) -> Moments:
        """Moments of the pass of recordings that a replication is compared with, computed once for all rows."""
        number = self.settings.replications + replication
        if (extractor, number) not in self._kept:
            features = real(self._recordings(extractor, number))["motions"]
            self._kept[extractor, number] = moments(features[self.drawn(number).order])
        return self._kept[extractor, number]

    # --- files of the user ------------------------------------------------------------------------------------------------------------

    def score_given(self, given: Given) -> Scored:
        return score_given(self, given)

    def asks_for(self, fps: float | None = None) -> Sequence[Request]:
        """A motion for the first caption of every item, as long as the longest crop."""
        seconds = [float(round(item.seconds * self.run.base_fps + 1) // UNIT * UNIT - 1) / self.run.base_fps for item in self.items]
        return [
            Request(place, Condition(text=item.captions[0]), seconds[place], sample_seed(self.run.seed, item, 0))
            for place, item in enumerate(self.items)
        ]

    def known_labels(self) -> Sequence[str]:
        return []

    def about(self) -> dict[str, Any]:
        return {self.name: asdict(self.settings) | {"items": len(self.items), "repeat_pairs": REPEAT_PAIRS}}


_NOTHING = Moments(np.zeros(0), np.zeros((0, 0)), 0)


def _recorded(row: Row) -> bool:
    """Whether a row is the ground truth: recordings as they are, with the crops of the passes."""
    return row.system == REAL and not (row.variant or row.upsampling)


def _closed(motion: Motion) -> Motion:
    """A motion without features with one more pose, in line with its last two: T poses are encoded as T - 1 features."""
    if motion.features is not None or len(motion) < 2:
        return motion
    joints = np.concatenate([motion.joints, 2 * motion.joints[-1:] - motion.joints[-2:-1]])
    return replace(motion, joints=joints, rotations=None)
