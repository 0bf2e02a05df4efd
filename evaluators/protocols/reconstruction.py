"""MRE, root path and 8-20 Hz error of motions read out of their codes, at every rate: training windows with the codes they were trained
with (`train`) and test windows with codes fitted to a frozen field (`unseen`).

The truth at a rate is the recording's point values there; recordings slower than the rate are left out. It needs motion and the field; it
knows no extractor.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluators.metrics import metric
from evaluators.metrics.reconstruction import band_error, mre_mm, root_path_mm
from evaluators.protocols.clip import Draw, Record
from evaluators.protocols.rows import Sampled, at_rate
from nerm.cli import progress
from nerm.errors import InputError
from nerm.motion import Motion

if TYPE_CHECKING:
    from torch import Tensor

    from evaluators.harness import Harness
    from nerm.data.corpus import Corpus
    from nerm.field import Field

PROTOCOL, VERSION = "reconstruction", 3
WINDOWS = {"quick": (24, 24), "full": (700, 200), "paper": (700, 200)}
"""Training and unseen windows, of recordings of 120 fps first: these count at every rate. Unseen ones take a fit each."""
BAND_FRAMES = 64
"""A window needs as many frames for its 8-20 Hz error."""


def reconstruct(field: Field, motions: Sequence[Motion], codes: Tensor, rates: Sequence[float], set_: str, draw: Draw) -> list[Record]:
    """Records of mre and root_path at every rate, of band_error where the rate allows it.

    motions: canonical, at native rates; codes: [n, d] as `fit_codes` gives them. Replications draw windows with replacement.
    """
    from nerm.reading import decode

    found: list[Record] = []
    for fps in rates:
        errors: list[tuple[float, float, float]] = []
        for motion, code in zip(motions, codes, strict=True):
            if motion.fps >= fps - 1e-6:
                truth = at_rate(motion, motion.seconds, fps).joints
                read = decode(field, code, motion.seconds, fps).joints[: len(truth)]
                high = fps >= metric("band_error").lowest_fps and len(truth) >= BAND_FRAMES
                errors.append((mre_mm(read, truth), root_path_mm(read, truth), band_error(read, truth, fps) if high else np.nan))
        if not errors:
            continue
        values = np.array(errors)
        for name, column in zip(("mre", "root_path", "band_error"), values.T, strict=True):
            known = column[np.isfinite(column)]
            shared = {"fps": fps, "set": set_, "protocol": PROTOCOL, "protocol_version": VERSION, "seed": draw.seed, "n": len(known)}
            shared |= {"metric": name, "version": metric(name).version}
            for replication in range(draw.replications if len(known) else 0):
                drawn = np.random.default_rng([draw.seed, replication, 6]).integers(len(known), size=len(known))
                found.append(shared | {"replication": replication, "value": known[drawn].mean()})
    return found


def attach(harness: Harness, corpus: Callable[[], Corpus], codes: Mapping[str, Path]) -> None:
    """Let the harness compute reconstruction too: of systems with a field, with the corpus. codes: system -> field.safetensors."""
    fields: dict[str, Field] = {}
    for name, source in harness.sources.items():
        if isinstance(source, Sampled) and hasattr(source.generator, "field"):
            fields[name] = source.generator.field
    try:
        opened = corpus() if fields else None
    except InputError as error:
        if codes:
            raise
        progress(f"reconstruction: left out here ({error})")
        return
    draw = Draw(harness.settings.replications, harness.seed)
    training, tested = WINDOWS[harness.tier]

    def more(system: str) -> list[Record]:
        if system not in fields or opened is None:
            return []
        found = []
        if system in codes:
            motions, known = trained(codes[system], opened, training)
            if known.shape[1] != fields[system].config.latent:
                raise InputError(
                    f"{system}.codes={codes[system]} has codes of {known.shape[1]} numbers and the system's field reads "
                    f"{fields[system].config.latent}; give the field.safetensors of the run that its checkpoint came from"
                )
            found += reconstruct(fields[system], motions, known, harness.table.rates, "train", draw)
        else:
            progress(f"{system}: reconstruction of training windows needs their codes; give {system}.codes=RUN/field.safetensors")
        found += unseen(fields[system], opened, tested, harness.table.rates, draw)
        return found

    harness.more = more
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in codes.items()}
    harness.more_key = {
        name: f"{opened.digest} {VERSION} {training} {tested} {digests.get(name, '')}" for name in fields if opened is not None
    }


def trained(path: Path, corpus: Corpus, count: int) -> tuple[list[Motion], Any]:
    """`count` windows of a training run with their codes."""
    import torch

    from nerm.model import load_stage1

    _, _, means, windows = load_stage1(path, corpus)
    numbers = windows.tolist()
    known = {int(number): place for place, number in reversed(list(enumerate(numbers))) if int(number) in corpus.windows.index}
    chosen = _choose(corpus, list(known), count)
    return [corpus.window(number) for number in chosen], means[torch.tensor([known[number] for number in chosen])]


def unseen(field: Field, corpus: Corpus, count: int, rates: Sequence[float], draw: Draw) -> list[Record]:
    """Test windows, each with a code fitted to it."""
    from nerm.fitting import fit_codes

    motions = [corpus.window(number) for number in _choose(corpus, corpus.select("test").index.tolist(), count)]
    return reconstruct(field, motions, fit_codes(field, motions), rates, "unseen", draw)


def _choose(corpus: Corpus, windows: Sequence[int], count: int) -> list[int]:
    """`count` windows at random, the fastest recordings first."""
    order = np.random.default_rng(0).permutation(np.array(sorted(windows)))
    fps = corpus.windows.loc[order, "fps"].to_numpy()
    return [int(number) for number in order[np.argsort(-fps, kind="stable")][:count]]
