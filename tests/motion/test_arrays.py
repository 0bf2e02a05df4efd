"""Arrays as other people's code saves them: what a shape is, how its frames are got, and that nothing in a file is executed."""

import numpy as np
import pytest

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.features import FEATURES_251, FEATURES_263, canonicalise, encode_kit251, features_from_motion
from nerm.motion.files import Reading, load_motion, read_motion
from nerm.motion.skeleton import KIT21, joints_from_directions


def walker(frames: int = 30, skeleton=SMPL22, fps: float = 20.0) -> Motion:
    """A figure that waves its bones about their rest directions and moves on."""
    t = np.arange(frames)[:, None] / fps
    phases = np.linspace(0, 6, 3 * (len(skeleton) - 1))
    directions = skeleton.axes[1:] + 0.2 * np.sin(3 * t + phases).reshape(frames, -1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    root = np.concatenate([0.1 * np.sin(t), 0.9 + 0 * t, 0.5 * t], axis=1)
    return Motion(joints_from_directions(root, directions, skeleton).astype(np.float32), fps, skeleton)


X = walker().joints
OTHER = walker(40).joints[:30] + np.float32([1, 0, 0])


def hands(x, more: int):
    """[T, 22 + more, 3]: points beyond the wrists."""
    return np.concatenate([x, np.repeat(x[:, -1:], more, axis=1) + 0.05], axis=1)


ONE = {
    "order of MDM, one motion": (X.transpose(1, 2, 0)[None], "the order of MDM: array[i].transpose(2, 0, 1) is motion i as joints22"),
    "order of MDM": (X.transpose(1, 2, 0), "[22, 3, T], the order of MDM: array.transpose(2, 0, 1) is joints22"),
    "a batch of one": (X[None], "[N, T, 22, 3]: array[i] is motion i as joints22"),
    "flat": (X.reshape(len(X), 66), "array of shape [30, 66] is [T, 66]: array.reshape(-1, 22, 3) is joints22"),
    "flat joints of SMPL": (hands(X, 2).reshape(len(X), -1), "24 joints of SMPL, of which the first 22 are wanted"),
    "joints of SMPL": (hands(X, 2), "24 joints of SMPL, of which the first 22 are wanted"),
    "joints of SMPL, as MDM has those of actions": (hands(X, 2).transpose(1, 2, 0)[None], "the first 22 are wanted"),
    "joints of SMPL-H": (hands(X, 30), "52 joints of SMPL-H"),
    "joints of SMPL-X": (hands(X, 33), "55 joints of SMPL-X"),
    "joints that smplx gives for SMPL-X": (hands(X, 105), "127 joints of SMPL-X"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_common_array_of_one_motion_is_read_and_how_is_said(tmp_path, capsys, name, suffix):
    array, said = ONE[name]
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    else:
        np.savez(path, array=array, fps=20.0)
    read = load_motion(path, Reading(fps=20.0))
    np.testing.assert_array_equal(read.joints, X)
    assert (
        said.replace("[T, 66]", f"array of shape [{len(X)}, 66] is [T, 66]" if said == "[T, 66]" else "[T, 66]") in capsys.readouterr().err
    )


@pytest.mark.parametrize("shape", ["N 22 3 T", "N T 22 3"])
def test_of_several_motions_one_is_chosen(tmp_path, capsys, shape):
    both = np.stack([X, OTHER])
    np.save(tmp_path / "a.npy", both.transpose(0, 2, 3, 1) if shape == "N 22 3 T" else both)
    for wrong in (None, 2, -1):
        with pytest.raises(InputError, match=r"a\.npy: array .* choose one of 2 motions with index=0 to index=1"):
            load_motion(tmp_path / "a.npy", Reading(fps=20.0, index=wrong))
    np.testing.assert_array_equal(load_motion(tmp_path / "a.npy", Reading(fps=20.0, index=1)).joints, OTHER)
    assert "motion 1 of 2 is read" in capsys.readouterr().err
    np.save(tmp_path / "b.npy", X)
    with pytest.raises(InputError, match="leave index out"):
        load_motion(tmp_path / "b.npy", Reading(fps=20.0, index=0))


def results(path, **content):
    """What generate.py of MDM saves."""
    np.save(path, content, allow_pickle=True)
    return path


def test_the_results_of_mdm_are_read_each_at_its_length(tmp_path, capsys):
    motion = np.stack([X, OTHER]).transpose(0, 2, 3, 1)
    content = {"text": ["a person walks", "a person stands"], "lengths": np.array([30, 21]), "num_samples": 2, "num_repetitions": 1}
    path = results(tmp_path / "results.npy", motion=motion, **content)
    with pytest.raises(
        InputError, match=r"results\.npy: the dictionary that MDM's generate.py saves.*motion\[i\]\.transpose\(2, 0, 1\).*index=1"
    ):
        load_motion(path, Reading(fps=20.0))
    read = load_motion(path, Reading(fps=20.0, index=1))
    np.testing.assert_array_equal(read.joints, OTHER[:21])
    assert "motion[i].transpose(2, 0, 1) is motion i as joints22" in (said := capsys.readouterr().err) and "('a person stands')" in said
    np.testing.assert_array_equal(load_motion(results(path, motion=motion[:1]), Reading(fps=20.0)).joints, X)


class Malicious:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (open, (str(self.place), "w"))


def test_a_pickle_that_would_run_something_is_refused_and_told_from_a_damaged_file(tmp_path):
    path = results(tmp_path / "results.npy", motion=X.transpose(1, 2, 0)[None], more=Malicious(tmp_path / "written"))
    with pytest.raises(InputError, match=r"holds Python objects; .*results\.npy.*transpose\(2, 0, 1\).*asks for (_?io)\.open"):
        load_motion(path, Reading(fps=20.0))
    assert not (tmp_path / "written").exists()
    for content, answer in (({"text": ["walk"]}, "a dictionary with text"), ([1, 2], "holds Python objects")):
        np.save(path, np.array(content, dtype=object), allow_pickle=True)
        with pytest.raises(InputError, match=answer):
            load_motion(path, Reading(fps=20.0))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"results\.npy"):
        load_motion(path, Reading(fps=20.0))


@pytest.mark.parametrize(
    ("shape", "answer"),
    [
        ((30, 63), "poses of SMPL's body without its root"),
        ((30, 72), "poses of SMPL: save poses, trans"),
        ((30, 156), "poses of SMPL-H"),
        ((30, 322), r"Motion-X \(poses are array\[:, :66\], trans array\[:, 309:312\]"),
        ((30, 24, 3), "no joints of a person in SMPL's order"),
        ((30, 23, 3), r"shape \[30, 23, 3\]; expected \[T, 22, 3\] for joints22"),
        ((30, 22, 2), r"shape \[30, 22, 2\]; expected"),
        ((0, 22, 3), r"shape \[0, 22, 3\]; expected"),
        ((), r"shape \[\]; expected"),
    ],
)
def test_what_holds_no_joints_is_answered_with_what_it_may_be(tmp_path, shape, answer):
    np.save(tmp_path / "a.npy", np.random.default_rng(0).normal(0, 0.4, shape))
    with pytest.raises(InputError, match=rf"a\.npy: .*{answer}"):
        load_motion(tmp_path / "a.npy", Reading(fps=20.0))


def test_the_joints_of_kit_are_read_and_their_unit_is_checked(tmp_path):
    joints = walker(skeleton=KIT21).joints
    np.save(tmp_path / "a.npy", joints)
    read = load_motion(tmp_path / "a.npy", Reading(fps=12.5))
    assert read.skeleton == KIT21
    np.testing.assert_array_equal(read.joints, joints)
    np.save(tmp_path / "a.npy", 1000 * joints)
    with pytest.raises(InputError, match=r"a person of 7\d\d(\.\d)? m .* metres_per_unit=0\.001"):
        load_motion(tmp_path / "a.npy", Reading(fps=12.5))


def test_joints_in_another_order_than_that_of_smpl_are_noticed(tmp_path, capsys):
    order = [0, 1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12, 15, 13, 16, 18, 20, 14, 17, 19, 21]  # limb by limb, as LAFAN1 has them
    np.save(tmp_path / "a.npy", X[:, order])
    load_motion(tmp_path / "a.npy", Reading(fps=20.0))
    assert (
        "a.npy: the bones are those of no person; joints in the order of SMPL are expected (pelvis, l_hip, r_hip" in capsys.readouterr().err
    )
    noise = 0.02 * np.random.default_rng(0).standard_normal(X.shape).astype(np.float32)
    np.save(tmp_path / "a.npy", X + noise)
    load_motion(tmp_path / "a.npy", Reading(fps=20.0))
    assert capsys.readouterr().err == "", "joints of a bad generator are joints"


@pytest.mark.parametrize("name", ["humanml263", "kit251"])
def test_normalised_features_are_noticed_and_others_are_not(tmp_path, name):
    if name == "kit251":
        features = encode_kit251(canonicalise(1000 * walker(80, KIT21, 12.5).joints.astype(np.float64), FEATURES_251))
    else:
        features = features_from_motion(walker(80), FEATURES_263)
    np.save(tmp_path / "a.npy", features)
    assert load_motion(tmp_path / "a.npy", Reading(fps=20.0)).features.format == name
    mean, std = features.mean(axis=0), features.std(axis=0) + 0.05 * (1000 if name == "kit251" else 1)
    np.save(tmp_path / "a.npy", (features - mean) / std)
    with pytest.raises(InputError, match=r"a\.npy: these features seem to be normalised .*features \* std \+ mean"):
        load_motion(tmp_path / "a.npy", Reading(fps=20.0))


def test_features_of_several_motions_are_features(tmp_path):
    features = features_from_motion(walker(40))
    for array in (np.stack([features, features]), features.T[None, :, None], features[None, None]):
        np.save(tmp_path / "a.npy", array)
        read = read_motion(tmp_path / "a.npy", Reading(fps=20.0, index=0))
        np.testing.assert_array_equal(read.features.values, features)


def test_an_archive_of_others_is_read_if_only_one_array_can_be_a_motion(tmp_path, capsys):
    np.savez(tmp_path / "a.npz", positions=X, framerate=30, names=np.array(["a"], dtype=object))
    read = load_motion(tmp_path / "a.npz")
    assert read.fps == 30 and "positions is read as joints22" in capsys.readouterr().err
    np.testing.assert_array_equal(read.joints, X)
    np.savez(tmp_path / "a.npz", positions=X, truth=X, fps=30)
    with pytest.raises(InputError, match="positions and truth can each be a motion: name one of them 'joints'"):
        load_motion(tmp_path / "a.npz")
