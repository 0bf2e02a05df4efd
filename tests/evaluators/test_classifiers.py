"""The official action classifiers: their files, and what the extractors promise. The recorded cases are in test_conformance."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.features import ActionReadout
from evaluators.extractors import EXTRACTORS, Extractor, load_extractor
from evaluators.extractors.action_gru.extractor import ActionGruExtractor
from evaluators.extractors.action_gru.network import ActionGru, ActionGruConfig
from evaluators.extractors.action_gru.network import load_official as load_gru
from evaluators.extractors.stgcn.extractor import StgcnExtractor, load_modi, load_uestc, positions_of_15, rotations_of_24
from evaluators.extractors.stgcn.joints15 import CENTRE, EDGES, JOINTS15
from evaluators.extractors.stgcn.network import Stgcn, StgcnConfig, load_official, partitions
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.actions import FORMAT, encode_actions25, frames_of_actions25, positions_of_frames
from nerm.motion.motion import Features
from nerm.motion.rotations import rows6d
from nerm.motion.skeleton import SMPL22, SMPL24

SOURCES = os.environ.get("NERM_SOURCES")
PUBLISHED = Path(SOURCES or ".") / "data" / "action_classifiers"
published = pytest.mark.skipif(not SOURCES or not PUBLISHED.exists(), reason="NERM_SOURCES names no folder with the published classifiers")
OFFICIAL = [entry for entry in EXTRACTORS if entry.official]
MODI = StgcnConfig(15, 3, 12, (64, 64, 64, 128, 128, 256), (1, 1, 1, 2, 1, 2))


@pytest.fixture(autouse=True)
def one_seed():
    torch.manual_seed(0)


def moving(frames: int, seed: int = 0, skeleton=SMPL24, fps: float = 20.0) -> Motion:
    return Motion(np.random.default_rng(seed).normal(0, 0.05, (frames, len(skeleton), 3)).cumsum(axis=0), fps, skeleton)


def acted(frames: int, seed: int = 0) -> tuple[Motion, np.ndarray]:
    """A motion of which only the features say something, and its rotations."""
    rng = np.random.default_rng(seed)
    values = encode_actions25(rng.normal(0, 0.5, (frames, 24, 3)), rng.normal(size=(frames, 3)))
    return Motion(np.zeros((frames, 24, 3)), 20.0, SMPL24, features=Features(FORMAT, frames_of_actions25(values))), values


def gru(**more) -> ActionGruExtractor:
    return ActionGruExtractor("gru", ActionGru(ActionGruConfig()), **more)


def small_stgcn() -> Stgcn:
    graph = partitions(EDGES, len(JOINTS15), CENTRE)
    return Stgcn(StgcnConfig(15, 3, 12, (8, 8, 16), (1, 1, 2)), graph)


def uneven() -> list[Motion]:
    return [moving(frames, seed) for seed, frames in enumerate((60, 24, 41, 60, 1))]


# --- files ----------------------------------------------------------------------------------------------------------------------------


@published
@pytest.mark.parametrize(
    "entry", [entry for entry in OFFICIAL if entry.official.sha256 and "actions" in entry.embeds], ids=lambda entry: entry.name
)
def test_published_weights_load_by_their_digest_and_tell_as_many_classes_as_they_say(entry):
    extractor = load_extractor(entry.name, [])
    assert (extractor.name, extractor.version, extractor.digest) == (entry.name, entry.version, entry.official.sha256)
    joints = extractor.network.config.inputs // 3
    assert (joints, len(extractor.classes)) == {"humanact12": (24, 12), "humanact34": (24, 34), "ntu13": (18, 13), "cmu8": (20, 8)}[
        entry.name.partition("_")[0]
    ]


@pytest.mark.parametrize("entry", OFFICIAL, ids=lambda entry: entry.name)
def test_without_its_file_an_official_extractor_says_which_to_put_where(entry, tmp_path, monkeypatch):
    monkeypatch.delenv("NERM_SOURCES", raising=False)
    with pytest.raises(InputError) as error:
        load_extractor(entry.name, [tmp_path])
    assert entry.official.files[0] in str(error.value) and str(tmp_path) in str(error.value) and "does not ship" in str(error.value)


def test_another_file_than_the_published_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("NERM_SOURCES", raising=False)
    torch.save({"model": ActionGru(ActionGruConfig()).state_dict()}, tmp_path / "humanact12_gru.tar")
    with pytest.raises(InputError, match=r"has sha256 .* has e2d231fd8a42: download it again"):
        load_extractor("humanact12_gru", [tmp_path])


def test_an_official_extractor_is_not_trained_here():
    assert not any(entry.trains for entry in OFFICIAL)
    assert all(entry.licence and entry.official.source for entry in OFFICIAL)


def test_a_classifier_file_gives_its_widths_and_weights_back(tmp_path):
    network = ActionGru(ActionGruConfig(54, 13, 16, 3, 10))
    torch.save({"model": network.state_dict(), "optimizer": {}, "iteration": 3}, tmp_path / "gru.tar")
    read = load_gru(tmp_path / "gru.tar")
    assert read.config == network.config
    for name, value in network.state_dict().items():
        assert torch.equal(read.state_dict()[name], value)
    torch.save(small_stgcn().state_dict(), tmp_path / "stgcn.tar")
    assert load_official(tmp_path / "stgcn.tar").config.strides == (1, 1, 2)
    assert load_official(tmp_path / "stgcn.tar", (1, 1, 1)).config.strides == (1, 1, 1)


@pytest.mark.parametrize("load", [load_gru, load_official])
def test_a_file_of_something_else_is_refused(load, tmp_path):
    torch.save({"model": {"weight": torch.zeros(2)}}, tmp_path / "other.tar")
    with pytest.raises(InputError, match=r"is no (recurrent|graph-convolutional) action classifier"):
        load(tmp_path / "other.tar")


def test_the_published_widths_have_the_published_numbers_of_weights():
    assert sum(p.numel() for p in ActionGru(ActionGruConfig()).parameters()) == 180_882
    for config, tensors, elements in ((StgcnConfig(), 172, 3_101_375), (MODI, 112, 1_251_844)):
        state = Stgcn(config).state_dict()
        assert (len(state), sum(value.numel() for value in state.values())) == (tensors, elements)


# --- classifying ----------------------------------------------------------------------------------------------------------------------


def test_an_extractor_that_is_no_classifier_says_so():
    class Other(Extractor):
        name = "other"

    with pytest.raises(InputError, match="extractor 'other' embeds no actions"):
        Other().classify([])


def test_results_are_in_input_order_and_do_not_depend_on_batches():
    for extractor in (gru(), StgcnExtractor("modi_stgcn", small_stgcn(), positions_of_15)):
        whole = extractor.classify(uneven(), seed=3)
        for batch in (1, 2):
            parts = extractor.classify(uneven(), seed=3, batch=batch)
            np.testing.assert_allclose(parts.features, whole.features, atol=1e-5)
            np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-5)
        assert whole.scores.shape == (5, 12) and len(set(whole.scores[:, 0])) == 5
        assert len(extractor.classify([]).features) == 0


def test_the_random_state_comes_from_the_seed_and_zeros_need_none():
    motions = uneven()
    extractor = gru()
    first, again, other = (extractor.classify(motions[:3], seed).scores for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(extractor.classify(motions, 0).scores[:3], first, atol=1e-5)  # more motions change nothing
    extractor.random_state = False
    np.testing.assert_array_equal(extractor.classify(motions, 0).scores, extractor.classify(motions, 1).scores)


def test_the_recurrent_classifier_does_not_see_where_a_motion_is():
    motion, extractor = moving(30), gru()
    moved = motion.transformed(translation=(3.0, 0.5, -2.0))
    np.testing.assert_allclose(extractor.classify([moved]).scores, extractor.classify([motion]).scores, atol=1e-5)
    turned = motion.transformed(yaw=1.0)
    assert np.abs(extractor.classify([turned]).scores - extractor.classify([motion]).scores).max() > 1e-3


def test_a_motion_at_60_fps_is_classified_like_every_third_frame_of_it():
    fast = moving(91, fps=60.0)
    for extractor in (gru(fps=20.0), StgcnExtractor("modi_stgcn", small_stgcn(), positions_of_15)):
        np.testing.assert_allclose(extractor.classify([fast]).scores, extractor.classify([fast[::3]]).scores, atol=1e-5)


def test_features_that_came_with_a_motion_are_read_as_they_were_made():
    motion, values = acted(20)
    np.testing.assert_array_equal(rotations_of_24(motion), values[:24].transpose(2, 0, 1))
    joints = positions_of_frames(motion.features.values)
    extractor = gru(fps=20.0)
    assert extractor.reads == FORMAT
    same = Motion(joints, 20.0, SMPL24)
    np.testing.assert_allclose(extractor.classify([motion]).scores, extractor.classify([same]).scores, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(joints[:, 4] - joints[:, 1], axis=-1), SMPL24.lengths[4])
    np.testing.assert_allclose(joints[:, 0], values[24, :3].T)  # translation counts from the first frame


def test_what_a_system_makes_of_actions_reaches_a_classifier_as_it_was_made():
    values = acted(20)[1]
    made = torch.from_numpy(values.transpose(2, 1, 0).reshape(20, 150).copy())  # component by component, as MLD has it
    motion = ActionReadout(60).motion(made, 19 / 20, 20.0)
    np.testing.assert_allclose(motion.features.values, frames_of_actions25(values), atol=1e-6)
    np.testing.assert_allclose(rotations_of_24(motion), values[:24].transpose(2, 0, 1), atol=1e-6)
    assert gru(fps=20.0).classify([motion]).scores.shape == (1, 12)  # the motion itself has 22 joints, which say too little
    assert ActionReadout(60).motion(made, 19 / 20, 60.0).features is None


def test_rotations_are_read_where_there_are_no_features():
    rotations = np.tile(np.eye(3), (5, 24, 1, 1))
    motion = Motion(np.zeros((5, 24, 3)), 30.0, SMPL24, rotations)
    np.testing.assert_array_equal(rotations_of_24(motion), rows6d(rotations))
    with pytest.raises(InputError, match="which joint positions do not determine"):
        rotations_of_24(replace(motion, rotations=None))


def test_positions_of_15_joints_are_those_of_22_or_24_without_the_path():
    motion = moving(12)
    read = positions_of_15(motion)
    assert (read[:, JOINTS15.index("pelvis")] == 0).all()
    np.testing.assert_allclose(read[:, 0], motion.joints[:, SMPL22.index("head")] - motion.root)
    np.testing.assert_array_equal(read, positions_of_15(Motion(motion.joints[:, :22], 20.0)))


def test_other_skeletons_are_refused():
    with pytest.raises(InputError, match="'smpl22' of 22 joints; extractor 'gru' was trained on"):
        gru().classify([moving(10, skeleton=SMPL22)])


def test_official_graph_files_become_extractors(tmp_path):
    graph = partitions([(p, j) for j, p in enumerate(SMPL24.parents) if p >= 0], 24, 0)
    torch.save(Stgcn(StgcnConfig(channels=(8, 16), strides=(1, 2)), graph).state_dict(), tmp_path / "uestc.tar")
    torch.save(small_stgcn().state_dict(), tmp_path / "modi.tar")
    assert load_uestc(tmp_path / "uestc.tar").classify([acted(20)[0]]).scores.shape == (1, 40)
    extractor = load_modi(tmp_path / "modi.tar")
    assert extractor.classify([moving(20)]).features.shape == (1, 16) and extractor.classes[1] == "walk"


# --- the graph ------------------------------------------------------------------------------------------------------------------------


def test_the_published_graphs_know_distances_of_one_hop_only():
    path = [(0, 1), (1, 2), (2, 3)]
    official, whole = partitions(path, 4, 0), partitions(path, 4, 0, known_hops=4)
    for graph in (official, whole):
        np.testing.assert_allclose(graph.sum(axis=(0, 1)), 1)
        np.testing.assert_array_equal(np.count_nonzero(graph[0], axis=(0, 1)), 4)
        np.testing.assert_allclose(np.diag(graph[0]), [1 / 2, 1 / 3, 1 / 3, 1 / 2])
    # Joint 2 is nearer to the centre than joint 3, but both are further than the one hop that is known.
    assert whole[2][2, 3] == pytest.approx(1 / 2) and whole[1][2, 3] == 0
    assert official[1][2, 3] == pytest.approx(1 / 2) and official[2][2, 3] == 0
    assert (numbers(official), numbers(whole)) == ([4, 4, 2], [4, 3, 3])
    assert numbers(partitions([(p, j) for j, p in enumerate(SMPL24.parents) if p >= 0], 24, 0)) == [24, 40, 6]


def numbers(graph: np.ndarray) -> list[int]:
    return [int(np.count_nonzero(part)) for part in graph]
