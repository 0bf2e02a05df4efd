"""Where the motion of a table's row comes from: a system, a system brought up from a lower rate or treated, or recordings, damaged or not.

What a system makes is kept in the cache, in blocks of requests: the codes of one that reads codes (once for all rates), the motions of a
fixed-rate system at its own rate (once for all rates), the motions of any other at each rate. Embeddings are cached apart, so a new
extractor generates no motion. It knows no extractor, no metric and no protocol.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from evaluators import counterparts
from evaluators.cache import Cache
from evaluators.canonical import canonical
from evaluators.damage import VARIANTS, damaged
from evaluators.tables import REAL, Row
from evaluators.treatments import STANCE, TREATMENTS, noisy
from evaluators.treatments import VERSION as TREATMENT
from nerm.cli import choose
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.generator import Code, Condition, Generator, ReadsCodes, Reconstructs, Stands
from nerm.motion import SMPL22, Motion, frame_count
from nerm.motion.motion import Features
from nerm.motion.resample import VERSION as RESAMPLER
from nerm.motion.resample import Method, at_rate
from nerm.motion.skeleton import SKELETONS

BATCH = 32
"""Requests of a block; a system is asked for one block at a time."""


@dataclass(frozen=True)
class Request:
    """One motion that a protocol asks for. item: place, in the protocol's list, of the item that it is compared with."""

    item: int
    condition: Condition
    seconds: float
    seed: int


@dataclass(frozen=True)
class Block:
    """Requests that are made and kept together. fps: the rate they are made at, None for codes."""

    row: Row
    requests: tuple[Request, ...]
    fps: float | None


@dataclass
class Generation:
    """The motion of every row, made once.

    items: what requests are about, with the time of each that counts.  base_fps: of the dataset.  system: gives the generator of a row.
    dataset: opens the dataset, or raises an InputError if it is not here.  seed: of the damage done to recordings and of those drawn.
    """

    cache: Cache
    items: Sequence[Item]
    base_fps: float
    dataset_digest: str
    system: Callable[[Row], Generator]
    dataset: Callable[[], Dataset]
    seed: int = 0
    _blocks: dict[str, list] = field(default_factory=dict, repr=False)

    def check(self, row: Row) -> None:
        """An error if the row cannot be made here: no weights, no dataset, a variant that does not exist."""
        if row.upsampling:
            choose(f"upsampling of row {row.id}", row.upsampling, get_args(Method))
        if row.system == REAL:
            if row.variant:
                choose(f"variant of row {row.id}, which is made of recordings,", row.variant, [*VARIANTS, counterparts.NAME])
            if row.variant and row.upsampling and row.variant != counterparts.NAME:
                raise InputError(
                    f"row {row.id}: variant={row.variant} and upsampling={row.upsampling}; damaged recordings stay at their rate"
                )
            if row.variant or row.upsampling:
                self.dataset()
            return
        system = self.system(row)
        if row.variant:
            choose(f"variant of row {row.id}, which is made by a system,", row.variant, list(TREATMENTS))
            if TREATMENTS[row.variant].only_removes and not isinstance(system, Reconstructs):
                raise InputError(
                    f"row {row.id}: variant={row.variant}; system '{row.system}' has no codes, so nothing can be left out of them"
                )
            self._stance_for(row)

    def identity(self, row: Row, fps: float) -> str:
        """What the motions of a row at a rate depend on, besides requests: equal identities mean equal motions."""
        if row.system == REAL:
            made = f"{row.variant or REAL} of {self.dataset_digest}, seed {self.seed}"
        else:
            system = self.system(row)
            made = f"{system.name} {system.digest}"
        low = self._low(row)
        if low is not None and fps != low:
            made = f"{made}, {low:g} fps, {self.upsampling(row)}, resampler {RESAMPLER}"
        if row.system == REAL or not row.variant:
            return made
        source = self._stance_for(row)
        return f"{made}, {row.variant} {TREATMENT}" + (f" of {source.name} {source.digest}" if source else "")

    def about(self, row: Row) -> dict[str, Any]:
        """What a stored row says of where its motion comes from, beyond the system."""
        if row.system == REAL and row.variant == counterparts.NAME:
            return {"counterparts": counterparts.counted(self._counterparts)}
        source = None if row.system == REAL else self._stance_for(row)
        return {"stance": f"{source.name} {source.digest}"} if source else {}

    def upsampling(self, row: Row) -> str:
        """The method that brings its motion to a rate; '' if it is made at every rate."""
        if row.upsampling or row.system == REAL:
            return row.upsampling
        return "slerp" if self.system(row).native_fps else ""

    def _low(self, row: Row) -> float | None:
        """The rate that a row is brought up from; None if it is made at every rate."""
        native = None if row.system == REAL else self.system(row).native_fps
        return native or (self.base_fps if row.upsampling else None)

    def motions(self, row: Row, requests: Sequence[Request], fps: float, wanted: Sequence[int]) -> dict[int, Motion]:
        """Place in `requests` -> motion at fps, for the wanted places."""
        low = self._low(row)
        if row.system == REAL:
            return self._recordings(row, requests, fps, wanted)
        made = self._made(row, requests, fps if low is None else low, wanted)
        source = self._stance_for(row)
        if source:
            made = {k: cast(Stands, source).stood(motion) for k, motion in made.items()}
        if low is not None and fps != low:
            made = {k: at_rate(motion, requests[k].seconds, fps, cast(Method, self.upsampling(row))) for k, motion in made.items()}
        treatment = TREATMENTS.get(row.variant)
        if treatment and treatment.noise_m:
            made = {k: noisy(motion, treatment.noise_m, requests[k].seed) for k, motion in made.items()}
        return made

    def _stance_for(self, row: Row) -> Generator | None:
        """The system whose stance a row is given."""
        treatment = TREATMENTS.get(row.variant)
        if treatment is None or not treatment.source:
            return None
        source = self.system(Row(treatment.source, treatment.source))
        if not (isinstance(source, Stands) and source.stands):
            raise InputError(f"row {row.id}: variant={row.variant} needs the stance of system '{treatment.source}', which has none here")
        return source

    def _recordings(self, row: Row, requests: Sequence[Request], fps: float, wanted: Sequence[int]) -> dict[int, Motion]:
        """The recordings of the requests' items, damaged or brought up."""
        dataset = self.dataset()
        items, seconds = [self.items[request.item] for request in requests], [request.seconds for request in requests]
        rate = self.base_fps if row.upsampling else fps
        if row.variant == counterparts.NAME:
            chosen = {k: self._counterparts[requests[k].item] for k in wanted}
            made = {k: counterparts.recorded(dataset, other, seconds[k], rate) for k, other in chosen.items()}
        elif row.variant:
            return damaged(dataset, items, seconds, wanted, fps, self.seed, VARIANTS[row.variant])
        else:
            made = {k: at_rate(dataset.motion(items[k]), seconds[k], rate) for k in wanted}
        if not row.upsampling:
            return made
        return {k: at_rate(motion, seconds[k], fps, cast(Method, row.upsampling)) for k, motion in made.items()}

    @cached_property
    def _counterparts(self) -> list[counterparts.Counterpart]:
        return counterparts.counterparts(self.dataset(), self.items, self.seed)

    # --- blocks -----------------------------------------------------------------------------------------------------------------------

    def blocks(self, row: Row, requests: Sequence[Request], fps: float, wanted: Sequence[int]) -> list[Block]:
        """The blocks that `motions` needs; none for recordings. Rows that are made of the same motion share their blocks."""
        if row.system == REAL:
            return []
        low = self._low(row)
        cut = self._cut(row, requests, fps if low is None else low, wanted)
        return [block for block, _ in cut]

    def make(self, block: Block) -> None:
        """Make a block unless it is in the cache."""
        self._load(block)

    def forget(self) -> None:
        """Free the memory of blocks."""
        self._blocks.clear()

    def digest(self, block: Block) -> str:
        """Names a block: blocks made by the same system from the same requests have the same digest."""
        return hashlib.sha256(canonical(self._key(block)).encode()).hexdigest()

    def _cut(self, row: Row, requests: Sequence[Request], fps: float, wanted: Sequence[int]) -> list[tuple[Block, list[int]]]:
        """Blocks with the places of their requests. Cut from all requests if a block serves every rate, else from the wanted ones."""
        system = self.system(row)
        rate = None if isinstance(system, ReadsCodes) else fps
        serves_all = rate is None or self._low(row) is not None
        places = list(range(len(requests))) if serves_all else list(wanted)
        needed = set(wanted)
        parts = [places[start : start + BATCH] for start in range(0, len(places), BATCH)]
        return [(Block(row, tuple(requests[k] for k in part), rate), part) for part in parts if needed.intersection(part)]

    def _made(self, row: Row, requests: Sequence[Request], fps: float, wanted: Sequence[int]) -> dict[int, Motion]:
        system, needed, motions = self.system(row), set(wanted), {}
        read = system.read if isinstance(system, ReadsCodes) else None
        if row.variant and STANCE in TREATMENTS[row.variant].without and isinstance(system, Reconstructs):
            read = system.decode
        for block, places in self._cut(row, requests, fps, wanted):
            for place, request, kept in zip(places, block.requests, self._load(block), strict=True):
                if place in needed:
                    motions[place] = read(kept, request.seconds, fps) if read else kept
        return {k: motions[k] for k in wanted}

    def _key(self, block: Block) -> dict:
        system = self.system(block.row)
        return {"made by": f"{system.name} {system.digest}", "fps": block.fps, "requests": _asked(block.requests)}

    def _load(self, block: Block) -> list:
        """Codes or motions of a block, from memory, from the cache, or made now."""
        digest = self.digest(block)
        if digest not in self._blocks:
            codes = _unpacked(self.cache.get_or(self._key(block), lambda: _packed(self._ask(block))), len(block.requests))
            self._blocks[digest] = codes if block.fps is None else [_motion_of(code) for code in codes]
        return self._blocks[digest]

    def _ask(self, block: Block) -> list[Code]:
        """Ask the system for a block."""
        system = self.system(block.row)
        conditions, seconds, seeds = ([getattr(r, name) for r in block.requests] for name in ("condition", "seconds", "seed"))
        if block.fps is None:
            return cast(ReadsCodes, system).sample_codes(conditions, seconds, seeds)
        motions = system.sample(conditions, seconds, block.fps, seeds)
        for motion, length in zip(motions, seconds, strict=True):
            expected = frame_count(length, block.fps)
            if len(motion) != expected or motion.fps != block.fps:
                raise InputError(
                    f"system '{system.name}' gave {len(motion)} frames at {motion.fps:g} fps for {length:g} s at {block.fps:g} fps; "
                    f"expected {expected} frames"
                )
        return [_motion_arrays(motion) for motion in motions]


def _asked(requests: Iterable[Request]) -> list[list]:
    """What a system is told of requests, as plain data."""
    return [[asdict(request.condition), request.seconds, request.seed] for request in requests]


def _motion_arrays(motion: Motion) -> Code:
    arrays = {"joints": motion.joints, "fps": np.array(motion.fps)}
    if motion.skeleton != SMPL22:
        arrays |= {"skeleton": np.array(motion.skeleton.name), "lengths": motion.skeleton.lengths}
    if motion.features is not None:
        arrays |= {"features": motion.features.values, "format": np.array(motion.features.format)}
    return arrays


def _motion_of(arrays: Mapping[str, NDArray]) -> Motion:
    features = Features(str(arrays["format"]), arrays["features"]) if "features" in arrays else None
    skeleton = SKELETONS[str(arrays["skeleton"])].with_lengths(arrays["lengths"]) if "skeleton" in arrays else SMPL22
    return Motion(arrays["joints"], float(arrays["fps"]), skeleton, features=features)


def _packed(codes: Sequence[Code]) -> dict[str, NDArray]:
    return {f"{place}/{name}": np.asarray(array) for place, code in enumerate(codes) for name, array in code.items()}


def _unpacked(stored: Mapping[str, NDArray], count: int) -> list[dict[str, NDArray]]:
    codes: list[dict[str, NDArray]] = [{} for _ in range(count)]
    for key, array in stored.items():
        place, _, name = key.partition("/")
        codes[int(place)][name] = array
    return codes
