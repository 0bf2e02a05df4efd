"""A run that has finished both stages without learning anything: three motions, their field and codes, and a denoiser, in two files."""

from pathlib import Path

import pandas as pd
import torch
from moving import a_motion

from nerm.data.captions import load_captions
from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.field import FieldConfig
from nerm.model import NeRM
from nerm.motion import Motion
from nerm.settings import Stage1Config, Stage2Config
from nerm.stage1 import FieldModule, save_field

LABEL = sorted(load_captions().train)[0]
SHAPE = FieldConfig(width=32, layers=2, latent=16, intervals=0)
MOTIONS = [a_motion(fps, seconds, i) for i, (fps, seconds) in enumerate([(120, 4), (60, 3), (120, 2.0)])]


class Recordings:
    """What training asks of a corpus."""

    digest = "three motions"
    windows = pd.DataFrame({"label": [LABEL, "", LABEL], "seconds": [m.seconds for m in MOTIONS], "fps": [m.fps for m in MOTIONS]})

    def select(self, split: str) -> pd.DataFrame:
        return self.windows

    def window(self, number: int) -> Motion:
        return MOTIONS[number]


def a_run(folder: Path) -> NeRM:
    """The system of a finished run: field, codes and an untrained denoiser, in two files."""
    torch.manual_seed(0)
    stage1 = Stage1Config(field=SHAPE)
    module = FieldModule(stage1, 3)
    save_field(module, [0, 1, 2], stage1, Recordings(), folder / "field.safetensors", {})
    stage2 = Stage2Config(denoiser=DenoiserConfig(latent=17, width=16, layers=1, labels=1), sampling_steps=2)
    training = {"field": {"steps": 5, "samples": 50, "seconds": 1.0}}
    system = NeRM(stage1, module.field, stage2, Denoiser(stage2.denoiser), torch.zeros(16), torch.eye(16), [LABEL], training=training)
    system.save(folder / "nerm.safetensors")
    return system
