"""What is measured on motions: embeddings of clips and of whole motions, physical values, spectra. Motion in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import EXTRACTORS, Extractor
from evaluators.metrics import metric
from evaluators.metrics.detail.bands import powers_of
from evaluators.metrics.physical import acceleration_spectrum
from evaluators.protocols import PROTOCOLS, Arrays
from evaluators.protocols.clip.sets import FRAMES, Plan, unique_plans
from nerm.errors import InputError
from nerm.motion import Motion


def compares_motions(extractor: str) -> bool:
    """Is the trial distance of this extractor one of whole motions? It is where the extractor embeds no clips."""
    embeds = EXTRACTORS.get(extractor).embeds
    return "motions" in embeds and "clips" not in embeds


def of_plugin(name: str) -> bool:
    """Is this a metric of one motion that no protocol has for its own, such as a plugin's? Its figure is a mean, like those of PHYSICAL."""
    if not name or metric(name).takes != "motions" or any(name in entry.metrics for entry in PROTOCOLS):
        return False
    if metric(name).resamples != "trials":
        raise InputError(
            f"metric '{name}' is of one motion and declares resamples='{metric(name).resamples}'; the intervals of such means are over "
            "trials: declare resamples='trials', or add a protocol that computes it"
        )
    return True


def embed_clips(motions: Mapping[int, Motion], plans: Mapping[str, Plan], fps: float, extractor: Extractor) -> Arrays:
    """Set -> [P, D] of its clips; sets that share a plan share the array of the first. motions: place -> motion at fps."""
    embedded = {}
    for name, plan in unique_plans(plans).items():
        if len(plan.places):
            cut = [motions[int(k)].joints[start : start + FRAMES] for k, start in zip(plan.places, plan.starts, strict=True)]
            embedded[name] = extractor.embed_clips(np.stack(cut), fps)
    return embedded


def physical_values(motions: Sequence[Motion], name: str) -> NDArray[np.float32]:
    """[n] a metric of one motion, of each motion; NaN at rates that cannot hold it."""
    function, lowest = metric(name).load(), metric(name).lowest_fps
    return np.array([function(motion) if motion.fps >= lowest else np.nan for motion in motions], dtype=np.float32)


def band_counts(motions: Sequence[Motion]) -> Arrays:
    """counts [n, 4 * bins] and energy [n, bins] of each motion's 8-20 Hz band (`evaluators.metrics.detail.bands.Powers`)."""
    powers = [powers_of(motion) for motion in motions]
    counts = np.array([p.counts.ravel() for p in powers], dtype=np.uint32)
    return {"counts": counts, "energy": np.array([p.energy for p in powers], dtype=np.float32)}


def mean_spectrum(motions: Sequence[Motion]) -> NDArray[np.float32]:
    """[2, F] hz and mean power density of acceleration over the motions of at least a clip's length; [2, 0] without one."""
    spectra = [acceleration_spectrum(motion.joints, motion.fps) for motion in motions if len(motion) >= FRAMES]
    if not spectra:
        return np.zeros((2, 0), dtype=np.float32)
    return np.stack([spectra[0][0], np.mean([density for _, density in spectra], axis=0)]).astype(np.float32)
