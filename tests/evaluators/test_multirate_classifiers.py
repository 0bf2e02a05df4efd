"""The classes of multirate, what its classifiers see, and what they must not depend on."""

import numpy as np
import pytest
import torch
from made_up import walker

from evaluators.extractors.acceptance import accept
from evaluators.extractors.multirate.extractor import NETWORKS, ActionClassifier, load, save
from evaluators.extractors.multirate.networks import STEP, WINDOW, windows_of
from evaluators.extractors.multirate.seen import frames_of
from evaluators.extractors.multirate.training import ClassifierTask, ClassifierTraining, held_out
from nerm.data.dataset import Item, action_items, classes_of
from nerm.data.multirate.classes import classes
from nerm.errors import InputError
from nerm.motion import Motion


def test_labels_of_multirate_have_21_classes_of_which_walking_and_running_are_merged():
    known = classes()
    assert len(set(known.values())) == 21
    assert known["bandai/walk/tired"] == known["cmu/walk"] == "walk" and known["cmu/run/jog"] == known["bandai/run/old"] == "run"
    assert known["hdm05/grabHighR"] == "grab-high" and known["bandai/walk-turn-left/normal"] == "walk-turn-left"
    assert not {"cmu/walk, veer left", "cmu/WalkStraight", "bandai/bow/old", "cmu/boxing"} & set(known)


def test_a_label_of_a_dataset_without_classes_is_a_class_of_its_own():
    items = [Item("a", "a", 20.0, 1.0, (), "spin"), Item("b", "b", 20.0, 1.0)]
    assert classes_of(items, "nowhere") == {items[0]: "spin"}
    walk = Item("c", "c", 20.0, 1.0, (), "bandai/walk/old")
    assert classes_of([walk, items[0]], "multirate") == {walk: "walk"}


@pytest.mark.parametrize("name", list(NETWORKS))
def test_place_heading_size_and_rate_do_not_matter_and_neither_do_other_motions_of_a_batch(name):
    torch.manual_seed(0)
    network = NETWORKS[name](5)
    classifier = ActionClassifier(name, network, "abcde")
    motion = Motion(walker(481, seed=3), 120.0)
    others = [Motion(walker(count, seed=count), 120.0) for count in (181, 961)]
    scores = classifier.classify([motion]).scores[0]
    changed = motion.transformed(yaw=2.0, translation=(3.0, 0.0, -1.0))
    larger = Motion(motion.joints * 1.2, 120.0)
    slower = Motion(walker(241, 60.0, seed=3), 60.0)
    for same in (changed, larger, slower):
        assert np.allclose(classifier.classify([same]).scores[0], scores, atol=3e-5)
    together = classifier.classify([others[0], motion, others[1]])
    assert np.allclose(together.scores[1], scores, atol=1e-5)
    assert np.abs(together.scores[0] - scores).max() > 5e-5


def test_frames_are_those_of_20_fps_with_the_first_root_above_the_origin_facing_forward():
    frames = frames_of(Motion(walker(241, seed=1), 120.0).transformed(yaw=1.0, translation=(5.0, 0.0, 2.0)))
    assert frames.shape == (41, 22, 3) and np.allclose(frames[0, 0, [0, 2]], 0, atol=1e-6)
    across = frames[0, 1] - frames[0, 2] + frames[0, 16] - frames[0, 17]
    assert abs(across[2]) < 1e-5 < across[0]


def test_windows_cover_a_motion_and_a_short_one_stands_still_at_its_end():
    joints = torch.arange(150.0)[None, :, None, None].expand(2, -1, 15, 3).clone()
    joints[1, 30:] = 29.0
    windows, owner = windows_of(joints, torch.tensor([150, 30]))
    of = [windows[owner == k, :, 0, 0] for k in (0, 1)]
    assert of[0][:, 0].tolist() == [*range(0, 150 - WINDOW, STEP), 150 - WINDOW] and of[0][-1, -1] == 149
    assert len(of[1]) == 1 and (of[1][0, 29:] == 29).all()


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_file_gives_the_same_answers(name, tmp_path):
    torch.manual_seed(1)
    network = NETWORKS[name](3)
    save(name, network, ("a", "b", "c"), tmp_path / "file.safetensors")
    read, motions = load(tmp_path / "file.safetensors", name), [Motion(walker(200, seed=2), 120.0)]
    expected = ActionClassifier(name, network, "abc").classify(motions)
    assert read.classes == ("a", "b", "c") and len(read.digest) == 64
    assert np.allclose(read.classify(motions).scores, expected.scores, atol=5e-3)
    with pytest.raises(InputError):
        load(tmp_path / "file.safetensors", next(other for other in NETWORKS if other != name))


def two_actions():
    """Recordings in which people stand, or bend up and down, of ten trials each for training and four for tests."""
    from made_up import MadeUp

    def move(item: Item) -> Motion:
        frames = walker(241, seed=sum(map(ord, item.id)), highest_hz=0.5)
        if item.label == "bend":
            frames[:, :, 1] *= (1 + 0.3 * np.sin(np.arange(241) / 120 * 2 * np.pi))[:, None]
        return Motion(frames, 120.0)

    def items(split: str, count: int) -> list[Item]:
        return [
            Item(f"{split}-{label}-{k}", f"{split} {label} {k}", 120.0, 2.0, (), label) for label in ("stand", "bend") for k in range(count)
        ]

    return MadeUp({"train": items("train", 10), "test": items("test", 4)}, move)


def test_trials_that_validate_are_not_trained_on():
    data = two_actions()
    training = action_items(data, "train")
    apart = held_out(training, 5)
    assert len(apart) == 4 and {training[item] for item in apart} == {"stand", "bend"} and not held_out(training, 0)
    task = ClassifierTask("multirate_gru", data, ClassifierTraining(held_out=5, batch=4))
    assert len(task.train.classes) == 16 and len(task.val.classes) == 4 and task.classes == ["bend", "stand"]
    joints, lengths, drawn = task.batch(torch.Generator().manual_seed(0), 0.0)
    assert joints.shape[0] == 4 and joints.shape[2:] == (22, 3) and (lengths <= 41).all() and drawn.max() <= 1


def test_a_classifier_that_knows_nothing_fails_its_controls_and_one_that_knows_passes_accuracy():
    data = two_actions()
    torch.manual_seed(0)
    blind = ActionClassifier("multirate_gru", NETWORKS["multirate_gru"](2), ("bend", "stand"))
    checks = accept(blind, data, draws=20).checks
    share = checks[checks["demand"].str.startswith("accuracy")].iloc[0]
    assert not share.passed and float(share.detail) < 0.9

    class Heights(ActionClassifier):
        def classify_frames(self, listed, batch=64):
            high = np.array([[x[:, 0, 1].std() > 0.13, x[:, 0, 1].std() <= 0.13] for x in listed], np.float32)
            return type(blind.classify_frames(listed))(high, high)

    knows = accept(Heights("multirate_gru", NETWORKS["multirate_gru"](2), ("bend", "stand")), data, draws=20).checks
    assert knows[knows["demand"].str.startswith("accuracy")].iloc[0].passed
    assert {d.partition(":")[0].partition(",")[0] for d in knows["demand"]} >= {"frozen", "backwards", "foreign limb", "turned", "noise"}
