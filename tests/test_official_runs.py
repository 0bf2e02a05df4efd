"""Every system trains on an official dataset by the same command, and is measured on it: miniatures in the official layouts, few steps."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "data"))
from miniature import CAPTIONS, MINIATURES, SPLITS, write_lists

from baselines.data import load_feature_data
from baselines.train import main as train_baseline
from evaluators.run import main as run
from nerm.data.dataset import load_dataset, mirror_images, preparation
from nerm.generator import Condition
from nerm.model import load_nerm
from nerm.motion.features import FEATURES_251, FEATURES_263, format_of
from nerm.prepare import prepare
from nerm.registry import forget_plugin
from nerm.settings import Stage1Config
from nerm.stance import no_stance
from nerm.train import main as train_nerm
from nerm.windows import training_windows

TINY = [
    "stage1.clips=8",
    "stage1.field.width=16",
    "stage1.field.layers=1",
    "stage1.field.latent=20",
    "stage1.field.intervals=2",
    "stage2.batch=8",
    "stage2.denoiser.width=16",
    "stage2.denoiser.layers=1",
    "stage2.sampling_steps=2",
    "stance.width=16",
    "device=cpu",
    "precision=no",
]
EXTRACTOR = '''
"""The toy extractor, of any skeleton."""
from dataclasses import replace
from evaluators.extractors import ExtractorEntry
from heights import Heights

def load(path):
    return Heights()

ENTRIES = (ExtractorEntry("any-heights", "heights", ("clips",), 1, f"{__name__}:load", weights=False, skeletons=("smpl22", "kit21")),)
'''
TABLE = """
title: Motion of a small dataset
about: It is measured as every table is.
question: How close is it?
datasets: [kit, humanml3d]
protocols: [clip]
layout: metrics
rates: [20]
sets: [all]
extractors: [any-heights, guo]
metrics: [clip_fid, velocity, acceleration]
main: {metric: velocity, set: all}
rows:
  - {id: nerm, title: NeRM}
  - {id: mdm, title: MDM}
  - {id: real, title: Real, role: real}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder of sources and of prepared datasets."""
    root = tmp_path_factory.mktemp("official")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NERM_DATA", str(root / "data"))
        patch.setattr("nerm.training.draw_curves", lambda *arguments: None)  # takes as long as all the rest
        for name, make in MINIATURES.items():
            sources = make(root / name)
            if name in ("humanml3d", "kit"):
                write_lists(sources, SPLITS | {"test": range(10, 13)})
            prepare(preparation(name), sources, root / "data" / name, workers=1)
        yield root


@pytest.mark.parametrize("name", MINIATURES)
def test_what_systems_train_on_is_an_item_and_its_mirror_image_once(home, name):
    dataset = load_dataset(name)
    format, images = format_of(dataset.skeleton), mirror_images(dataset)
    plain = [item for item in dataset.items("train") if item.id not in images]
    data = load_feature_data(dataset)
    assert [item.id for item in data.items] == [item.id for item in plain] and data.format is format
    items, windows = training_windows(dataset, "train", Stage1Config())
    assert [item.id for item in items] == [item.id for item in plain]
    assert windows.frames.shape[1:] == (len(dataset.skeleton), 3) and windows.fps.tolist() == [item.fps for item in plain]
    if name in ("humanml3d", "kit"):
        published = {item.id: dataset.motion(item).features.values for item in dataset.items("train")}
        place = [item.id for item in plain].index("000001")
        np.testing.assert_array_equal(data.features[place], published["000001"])
        np.testing.assert_array_equal(data.mirrored[place], published["M000001"])
        np.testing.assert_allclose(data.std, np.load(home / name / "Std.npy"), rtol=1e-6)
    elif name == "humanml3d-native":
        assert data.format is FEATURES_263 and abs(len(data.features[0]) - 59) <= 1  # 60 official frames at 20 fps


def figures(path: Path) -> dict[tuple[str, str], float]:
    with path.open(newline="") as file:
        return {(line["system"].partition("+")[0], line["metric"]): float(line["value"]) for line in csv.DictReader(file)}


@pytest.mark.parametrize(("name", "format"), [("kit", FEATURES_251), ("humanml3d", FEATURES_263)])
def test_it_is_trained_sampled_scored_and_reported(home, tmp_path, monkeypatch, capsys, name, format):
    """From the same commands, on 21 joints at 12.5 fps as on 22 at 20."""
    toys = tmp_path / "plugin"
    toys.mkdir()
    (toys / "any_heights.py").write_text(EXTRACTOR)
    (toys / "small.yaml").write_text(TABLE if format is FEATURES_251 else TABLE.replace("[any-heights, guo]", "[any-heights]"))
    heights = (Path(__file__).parent / "toy" / "extractor.py").read_text()
    (tmp_path / "heights.py").write_text(heights[: heights.index("def load(")])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NERM_PLUGINS", str(toys))
    train_nerm([f"dataset={name}", f"out={tmp_path / 'nerm'}", "steps=8", *TINY])
    train_baseline([f"dataset={name}", "system=mdm", f"out={tmp_path / 'mdm'}", "steps=2", "device=cpu", "precision=no"])
    system, dataset = load_nerm(tmp_path / "nerm" / "nerm.safetensors"), load_dataset(name)
    motion = system.sample([Condition(text=CAPTIONS[0])], [2.0], 50.0, [1])[0]
    assert motion.skeleton.names == format.skeleton.names and len(motion) == 101
    assert system.stands is (no_stance(dataset.skeleton) == "")
    bones = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, motion.skeleton.parents[1:]], axis=-1)
    lengths = dataset.skeleton.lengths  # of the sample or, if it was made as a mirror image, of the other side
    own = min(lengths, lengths[dataset.skeleton.left_right], key=lambda side: np.abs(bones[0] - side[1:]).max())
    np.testing.assert_allclose(bones, np.broadcast_to(own[1:], bones.shape), atol=1e-5)
    weights = [f"{system}.checkpoint={tmp_path / system / system}.safetensors" for system in ("nerm", "mdm")]
    try:
        assert run(["table=small", f"dataset={name}", f"out={tmp_path / 'results'}", "device=cpu", *weights]) == 0
    finally:
        forget_plugin(toys)
    told = capsys.readouterr()
    assert ("extractors guo are left out" in told.err) is (format is FEATURES_251)
    assert ("stance: left out" in told.err) is not system.stands
    values = figures(tmp_path / "results" / name / "small.quick.csv")
    assert {(row, metric) for row in ("nerm", "mdm", "real") for metric in ("velocity", "acceleration")} <= values.keys()
    # The recordings walk at 0.4 m/s.
    assert 0.2 < values["real", "velocity"] < 1.0
