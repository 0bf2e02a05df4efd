"""A corpus of a few synthetic recordings, small untrained extractors and their reference: enough to run a table in seconds."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_up import few_are_enough

from nerm.motion import SMPL22
from nerm.motion.skeleton import joints_from_directions

CLIPS, POOL = 40, 90


def swinging(seconds: float, fps: float, seed: int) -> np.ndarray:
    """[T, 22, 3] a body that travels while its bones swing at a few frequencies of its own."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * fps) + 1) / fps
    swing = sum(
        rng.normal(0, 0.25 / k, (1, 21, 3)) * np.sin(2 * np.pi * k * 0.7 * t[:, None, None] + rng.uniform(0, 6, (1, 21, 3)))
        for k in (1, 2, 9)
    )
    bones = SMPL22.axes[1:] + swing
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
    root = np.stack([0.1 * np.sin(t), 0.9 + 0.02 * np.sin(9 * t), rng.uniform(0.2, 1.0) * t], axis=1)
    return joints_from_directions(root, bones, SMPL22).astype(np.float32)


def write_corpus(folder: Path) -> None:
    from nerm.data.dataset import DATASETS
    from nerm.registry import load_object

    labels = sorted(load_object(DATASETS.get("multirate").sentences)())[:3]
    joints, trials, windows = [], [], []
    offset = 0
    for trial in range(14):
        fps = 30.0 if trial in (3, 8) else 120.0
        split = "train" if trial > 10 else "test"
        x = swinging(2.0 + 0.1 * (trial % 3), fps, trial)
        label = "" if trial == 5 else labels[trial % 3]
        trials.append(f"{trial},t{trial},cmu,{fps},{split},{json.dumps(label)},{offset},{len(x)},1.0,0,0.0")
        windows.append(f"{trial},{trial},0,{len(x)},{fps},{(len(x) - 1) / fps},cmu,{split},{json.dumps(label)}")
        joints.append(x)
        offset += len(x)
    folder.mkdir(parents=True)
    values = np.concatenate(joints)
    tables = {
        "trials": ["trial,trial_name,source,fps,split,label,offset,frames,scale,start,floor_m", *trials],
        "windows": ["window,trial,start,end,fps,seconds,source,split,label", *windows],
    }
    digest = hashlib.sha256(values.tobytes())
    np.save(folder / "joints.npy", values)
    for name, lines in tables.items():
        text = "\n".join(lines) + "\n"
        (folder / f"{name}.csv").write_text(text)
        digest.update(text.encode())
    (folder / "manifest.json").write_text(json.dumps({"name": "multirate", "sha256": digest.hexdigest()}))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folders: data (NERM_DATA), shipped (models and reference)."""
    import torch
    from made_up import small_anyrate

    from evaluators.building import build_reference
    from evaluators.extractors import load_extractor
    from evaluators.extractors.anyrate import extractor as anyrate
    from evaluators.extractors.guo import extractor as guo
    from evaluators.extractors.guo.pooled import PooledConfig, PooledEvaluator
    from evaluators.protocols.clip import scoring, sets
    from evaluators.reference import load_subject
    from nerm.data.dataset import load_dataset
    from nerm.words import vocabulary

    root = tmp_path_factory.mktemp("tiny")
    write_corpus(root / "data" / "multirate")
    shipped = root / "shipped"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        anyrate.save(*small_anyrate(), shipped / "models" / "anyrate.safetensors")
        small = PooledConfig(motion_hidden=16, text_hidden=16, embedding=12)
        guo.save(PooledEvaluator(small, len(vocabulary())), shipped / "models" / "guo.safetensors")
    with pytest.MonkeyPatch.context() as patch, few_are_enough():
        patch.setattr(scoring, "CLIPS", CLIPS)
        patch.setattr(sets, "POOL", POOL)
        dataset = load_dataset("multirate", root / "data")
        extractors = {name: load_extractor(name, [shipped / "models"]) for name in ("anyrate", "guo")}
        build_reference(dataset, [shipped], shipped / "reference")
        subject, folder = load_subject("multirate", [shipped / "reference"])
        yield SimpleNamespace(
            root=root, data=root / "data", shipped=shipped, dataset=dataset, extractors=extractors, subject=subject, reference=folder
        )


@pytest.fixture
def harness_of(tiny, tmp_path):
    """harness_of(rows, ...) -> a Harness on the tiny corpus, with generators given by name."""
    from evaluators.cache import Cache
    from evaluators.harness import Harness
    from evaluators.reference import Reference
    from evaluators.store import Store
    from evaluators.tables import Table

    def make(rows, metrics=("clip_fid",), rates=(20.0, 120.0), systems=None, extractors=("anyrate",), **more):
        settings = {"protocols": ("clip",), "sets": ("matched", "all"), "name": "framerates", "title": "", "about": ""}
        table = Table(rates=rates, metrics=metrics, rows=tuple(rows), extractors=extractors, **settings)
        known = {"tier": "quick", "seed": 0, "store": Store(tmp_path / "results"), "cache": Cache(tmp_path / "cache")} | more
        return Harness(
            table=table,
            subject=tiny.subject,
            rows=list(rows),
            extractors={name: tiny.extractors[name] for name in extractors},
            references={"clip": Reference("clip", 2, tiny.reference, tiny.subject.digest)},
            systems=lambda row: (systems or {})[row.system],
            datasets=lambda: tiny.dataset,
            **known,
        )

    return make
