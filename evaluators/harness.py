"""One run of a table: what each row depends on, measuring through the cache, scoring, and writing as soon as a row is done.

A row whose stored record has the same key is left alone, so an interrupted run resumes and a repeated one costs nothing. Several processes
share the cache: each measures its part, then the first one scores.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from baselines.base import training_facts
from evaluators.protocols.clip import PROTOCOL, TEXT_EXTRACTOR, VERSION, Draw, Extractor, Measured, Record, measure, score
from evaluators.protocols.recordings import BASE_FPS
from evaluators.protocols.reference import Reference
from evaluators.protocols.rows import BROUGHT_UP, DAMAGES, BroughtUp, Recorded, Sampled, Source
from evaluators.store import Cache, Store, canonical, machine, provenance, write_atomic
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.tables import Table
    from nerm.data.corpus import Corpus

FLOOR = "real"


@dataclass(frozen=True)
class Tier:
    """seeds: motions per recording.  anew: replications have motions of their own.  repeats: (captions, motions of each): multimodality."""

    seeds: int
    replications: int
    anew: bool = False
    repeats: tuple[int, int] = (0, 0)


TIERS = {
    "quick": Tier(seeds=1, replications=5),
    "full": Tier(seeds=3, replications=20, repeats=(20, 10)),
    "paper": Tier(seeds=20, replications=20, anew=True, repeats=(20, 10)),
}


@dataclass
class Harness:
    """Everything that a run needs. sources: system id -> where its motion comes from; None for the floor, which the reference holds."""

    table: Table
    tier: str
    seed: int
    reference: Reference
    extractors: Mapping[str, Extractor]
    sources: Mapping[str, Source | None]
    store: Store
    cache: Cache
    device: str = "cpu"
    more: Callable[[str], list[Record]] = field(default=lambda system: [])
    """Records beyond the clip protocol (reconstruction), by system id."""
    more_key: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> Tier:
        return TIERS[self.tier]

    def key(self, system: str) -> str:
        """sha256 of all that the records of a system depend on."""
        source = self.sources[system]
        parts = {
            "protocol": [PROTOCOL, VERSION],
            "table": [self.table.name, self.table.rates, self.table.sets],
            "tier": asdict(self.settings),
            "seed": self.seed,
            "reference": self.reference.digest,
            "extractors": {name: extractor.digest for name, extractor in self.extractors.items()},
            "system": [source.identity(fps) for fps in self.table.rates] if source else FLOOR,
            "more": self.more_key.get(system, ""),
        }
        return hashlib.sha256(canonical(parts).encode()).hexdigest()

    def stored(self, system: str) -> bool:
        """Whether the store holds this very row."""
        if system not in self.store.systems(self.reference.dataset, self.table.name, self.tier):
            return False
        try:
            return self.store.read(self.reference.dataset, self.table.name, self.tier, system)["provenance"].get("key") == self.key(system)
        except InputError:
            return False  # cut short or of another format: computed again

    def counts(self) -> dict[str, Any]:
        """Recordings and clips that count at each rate and set, and how many recordings are shorter than a clip."""
        found = {}
        for fps in self.table.rates:
            measured = self.reference.measured(fps)
            for name in self.table.sets:
                plan = measured.plans[name]
                recordings = len(set(plan.rows.tolist())) + plan.left_out
                found[f"{name}@{fps:g}"] = {"recordings": recordings, "clips": len(plan.rows), "left_out": plan.left_out}
        return found

    def measured(self, system: str, fps: float) -> Measured:
        """The row at a rate, from the cache where it is there."""
        source = self.sources[system]
        real = self.reference.measured(fps)
        if source is None:
            return real
        seeds = self.seeds(system)
        return Measured(fps, real.rows, real.plans, [self._measure(source, real, index) for index in range(seeds)])

    def seeds(self, system: str) -> int:
        """Motions per recording."""
        source = self.sources[system]
        return self.settings.seeds if source is not None and source.sampled is not None else 1

    def jobs(self, systems: Sequence[str]) -> list[tuple[str, float]]:
        """(system, rate) that need measuring."""
        return [(system, fps) for system in systems if self.sources[system] is not None for fps in self.table.rates]

    def run(self, system: str, step: Callable[[float], None] = lambda fps: None) -> Path:
        """Compute a row and store it. step: told each rate when it is done."""
        began = time.perf_counter()
        source = self.sources[system]
        draw = Draw(self.settings.replications, self.seed, self.settings.anew and self.seeds(system) > 1)
        records, spectra = [], {}
        for fps in self.table.rates:
            measured = self.measured(system, fps)
            upsampling = source.upsampling if source else ""
            records += score(measured, self.reference, self.table.sets, list(self.extractors), draw, upsampling)
            spectra[fps] = np.mean([arrays["spectrum"] for arrays in measured.arrays], axis=0)
            step(fps)
        records += self.more(system)
        kept = [record for record in records if record["metric"] in self.table.metrics]
        path = self.store.write(
            self.reference.dataset,
            self.table.name,
            self.tier,
            system,
            kept,
            self.provenance(system),
            machine(seconds=round(time.perf_counter() - began, 1)),
        )
        write_atomic(path.with_suffix(".spectrum.csv"), spectrum_csv(spectra))
        return path

    def provenance(self, system: str) -> dict[str, Any]:
        """What is stored with a row."""
        source = self.sources[system]
        digests = {"corpus": self.reference.corpus, "reference": self.reference.digest}
        digests |= {name: extractor.digest for name, extractor in self.extractors.items()}
        sampled = source.sampled if source is not None else None
        more: dict[str, Any] = {}
        if sampled is not None:
            digests["model"] = sampled.generator.digest
            more = {"training": training_facts(sampled.generator)}
        return provenance(
            **more,
            device=self.device if sampled is not None else "cpu",
            dtype="float32",
            seed=self.seed,
            settings=asdict(self.settings),
            counts=self.counts(),
            sha256=digests,
            key=self.key(system),
        )

    def _measure(self, source: Source, real: Measured, index: int) -> dict[str, Any]:
        listed = self.reference.recordings
        sampled = source.sampled
        repeats = self.settings.repeats if real.fps == BASE_FPS and index == 0 else (0, 0)
        key = {
            "protocol": [PROTOCOL, VERSION],
            "reference": self.reference.digest,
            "extractors": {name: extractor.digest for name, extractor in self.extractors.items()},
            "source": source.identity(real.fps),
            "fps": real.fps,
            "seed": self.seed,
            "index": index,
            "repeats": repeats,
        }

        def make() -> dict[str, Any]:
            motions = source.motions(listed, real.rows, real.fps, self.seed, index)
            found = measure(motions, real.plans, real.fps, self.extractors)
            if sampled is not None and repeats[0] and TEXT_EXTRACTOR in self.extractors:
                captions = {listed[row].caption: listed[row] for row in real.rows if listed[row].caption}
                chosen = list(captions.values())[:: max(len(captions) // repeats[0], 1)][: repeats[0]]
                made = sampled.repeats(chosen, repeats[1], self.seed)
                embedded = self.extractors[TEXT_EXTRACTOR].embed_motions(made)  # type: ignore[attr-defined]
                found[f"repeats/{TEXT_EXTRACTOR}"] = embedded.reshape(len(chosen), repeats[1], -1)
            return found

        return self.cache.get_or(key, make)


def source_of(system: str, generator: Callable[[str], Sampled], corpus: Callable[[], Corpus]) -> Source | None:
    """Where a system's motion comes from; both callables load what is asked for, at most once each."""
    if system == FLOOR:
        return None
    if system in DAMAGES:
        return Recorded(corpus(), system, DAMAGES[system])
    brought = BROUGHT_UP.fullmatch(system)
    if brought:
        return BroughtUp(generator(brought["system"]), brought["method"])  # type: ignore[arg-type]
    return generator(system)


def spectrum_csv(spectra: Mapping[float, Any]) -> bytes:
    """Mean power density of acceleration, (m/s^2)^2/Hz: columns fps, hz, density."""
    out = io.StringIO()
    out.write("fps,hz,density\n")
    for fps, (hz, density) in spectra.items():
        for x, y in zip(hz, density, strict=True):
            out.write(f"{fps:g},{x:.6g},{y:.6g}\n")
    return out.getvalue().encode()
