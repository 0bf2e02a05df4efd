"""A small store with what a page shows: two tables, several rates, extractors and roles, published figures, and motions."""

from pathlib import Path

import numpy as np
from made_up import walker

from evaluators.records import Document, Record
from evaluators.showcase import FILE, Showcase, document, encode
from evaluators.store import Store
from nerm.motion import Motion

RATES = (20, 60, 120)
PUBLISHED = """table,dataset,system,metric,fps,value,ci95,note
text,humanml3d,JL2P,fid,20,11.02,.046,
text,humanml3d,NeRM (native-framerate),fid,20,0.389,.011,
framerates,humanml3d,MDM,clip_fid,20,0.544,,
framerates,humanml3d,MDM,clip_fid,120,7.878,,
"""
ORIGIN = {"commit": "c" * 40, "device": "cpu", "seed": 7, "packages": {"numpy": "2.0"}, "sha256": {"corpus": "a" * 64}}
MEANS = {"nerm": 0.4, "nerm-fixed": 0.6, "t2m": 0.9, "oracle-slerp": 0.2, "control-still": 3.0, "real": 0.1}


def replications(mean: float, metric: str, extractor: str, set_: str, rates=RATES) -> tuple[Record, ...]:
    """20 draws about mean * fps / 20, the same noise for every row."""
    noise = np.random.default_rng(0).normal(0, 0.01, 20)
    noise -= noise.mean()
    shared = {"metric": metric, "extractor": extractor, "set": set_, "protocol": "clip", "n": 100}
    return tuple(Record(**shared, fps=fps, replication=i, value=mean * fps / 20 + x) for fps in rates for i, x in enumerate(noise))


def small_store(folder: Path, motions: bool = True) -> Store:
    store = Store(folder)
    folder.mkdir(exist_ok=True)
    (folder / "published.csv").write_text(PUBLISHED)
    for system, mean in MEANS.items():
        frames = [replications(mean, "trial_distance", extractor, set_) for extractor in ("anyrate", "guo") for set_ in ("matched", "all")]
        more = [replications(5 * mean, "clip_fid", "anyrate", "all"), replications(1 / mean, "jerk", "", "matched")]
        store.write(Document("multirate", "framerates", "full", system, sum([*frames, *more], ()), ORIGIN))
        if not system.startswith(("oracle", "control")):
            text = [replications(k * mean, name, "guo", "all", (20,)) for k, name in ((1, "trial_distance"), (30, "fid"), (2, "diversity"))]
            store.write(Document("multirate", "text", "full", system, sum(text, ()), ORIGIN))
    if motions:
        shown = [
            {"id": name, "title": name, "native_fps": native, "sha256": "", "motions": [encode(walk(seed)), encode(walk(seed + 9))]}
            for seed, (name, native) in enumerate({"nerm": None, "t2m": 20.0}.items())
        ]
        (folder / FILE).write_bytes(document(Showcase(sentences=["a person walks", "a person runs"]), shown))
    return store


def walk(seed: int) -> Motion:
    """Two seconds at 120 fps."""
    return Motion(walker(241, seed=seed), 120.0)
