"""A corpus of a few synthetic recordings, small untrained extractors and their reference: enough to run a table in seconds."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nerm.motion import SMPL22
from nerm.motion.skeleton import joints_from_directions

CLIPS, POOL = 40, 90


def swinging(seconds: float, fps: float, seed: int) -> np.ndarray:
    """[T, 22, 3] a figure that travels while its bones swing at a few frequencies of its own."""
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
    from nerm.data.captions import load_captions

    labels = load_captions().labels[:3]
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
    np.save(folder / "joints.npy", np.concatenate(joints))
    (folder / "trials.csv").write_text(
        "\n".join(["trial,trial_name,source,fps,split,label,offset,frames,scale,start,floor_m", *trials]) + "\n"
    )
    (folder / "windows.csv").write_text("\n".join(["window,trial,start,end,fps,seconds,source,split,label", *windows]) + "\n")
    (folder / "manifest.json").write_text(json.dumps({"name": "multirate", "sha256": "c" * 64}))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Folders: data (NERM_DATA), shipped (models and reference)."""
    import torch

    from evaluators.extractors import EXTRACTORS, clip, guo, load_extractor
    from evaluators.protocols import clip as protocol
    from evaluators.protocols.reference import build_reference, save_reference
    from nerm.data.captions import vocabulary
    from nerm.data.corpus import load_corpus

    root = tmp_path_factory.mktemp("tiny")
    write_corpus(root / "data" / "multirate")
    shipped = root / "shipped"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = clip.ClipEncoder(clip.ClipConfig(width=16, dilations=(1,), embedding=12))
        encoder.std.copy_(torch.tensor([0.5, 1.0, 50.0]).repeat_interleave(len(encoder.std) // 3))  # m, m/s, m/s^2
        clip.save(encoder, shipped / "models" / "clip.safetensors")
        widths = dict.fromkeys(("movement_hidden", "movement_latent", "text_hidden", "motion_hidden"), 16)
        small = guo.GuoConfig(**widths, embedding=12)
        guo.save(guo.GuoEvaluator(small, len(vocabulary())), shipped / "models" / "guo.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "CLIPS", CLIPS)
        patch.setattr(protocol, "POOL", POOL)
        corpus = load_corpus("multirate", root / "data")
        extractors = {name: load_extractor(name, [shipped / "models"]) for name in EXTRACTORS.names}
        path = save_reference(build_reference(corpus, extractors), shipped / "reference")
        yield SimpleNamespace(root=root, data=root / "data", shipped=shipped, corpus=corpus, extractors=extractors, reference=path)
