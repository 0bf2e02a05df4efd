"""A run that has finished both stages without learning anything: three motions, their field and codes, and a denoiser, in two files."""

from collections.abc import Sequence
from pathlib import Path

import torch
from moving import a_motion

from nerm.data.dataset import Item
from nerm.data.multirate.captions import load_captions
from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.field import FieldConfig
from nerm.model import NeRM
from nerm.motion import SMPL22, Motion
from nerm.settings import Stage1Config, Stage2Config
from nerm.stage1 import FieldModule, save_field

LABEL = load_captions().labels[0]  # the embeddings of its sentences ship
SENTENCES = load_captions().train_sentences(LABEL)
SHAPE = FieldConfig(width=32, layers=2, latent=16, intervals=0)
MOTIONS = [a_motion(fps, seconds, i) for i, (fps, seconds) in enumerate([(120, 4), (60, 3), (120, 2.0)])]


class ThreeMotions:
    """A dataset of three motions, of which the second has no label."""

    name, digest, skeleton, base_fps = "three", "three motions", SMPL22, 20.0

    def __init__(self, captions: Sequence[str] = SENTENCES, label: str = LABEL) -> None:
        self._items = [
            Item(name, name, motion.fps, motion.seconds, tuple(captions) if known else (), label if known else "")
            for name, motion, known in zip("abc", MOTIONS, (True, False, True), strict=True)
        ]

    def items(self, split: str) -> Sequence[Item]:
        return self._items if split == "train" else []

    def motion(self, item: Item) -> Motion:
        return MOTIONS["abc".index(item.id)]


def a_run(folder: Path) -> NeRM:
    """The system of a finished run: field, codes and an untrained denoiser, in two files."""
    torch.manual_seed(0)
    stage1 = Stage1Config(field=SHAPE)
    module, dataset = FieldModule(stage1, 3), ThreeMotions()
    save_field(module, dataset.items("train"), stage1, dataset, folder / "field.safetensors", {})
    stage2 = Stage2Config(denoiser=DenoiserConfig(latent=17, width=16, layers=1, labels=1), sampling_steps=2)
    training = {"field": {"steps": 5, "samples": 50, "seconds": 1.0}}
    system = NeRM(stage1, module.field, stage2, Denoiser(stage2.denoiser), torch.zeros(16), torch.eye(16), [LABEL], training=training)
    system.save(folder / "nerm.safetensors")
    return system
