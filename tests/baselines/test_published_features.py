"""What conditions and seeds become, from features back to motion at any rate, and the statistics beside official checkpoints."""

import numpy as np
import pytest
import torch

from baselines.features import ActionReadout, FeatureReadout, Noise, action_for, load_statistics, sentence_for
from nerm.data.actions.labels import HUMANACT12
from nerm.data.dataset import sentence_of
from nerm.errors import InputError
from nerm.generator import Condition
from nerm.motion import Motion, frame_count
from nerm.motion.features import decode_humanml263, encode_humanml263

MEAN, STD = torch.linspace(-1, 1, 263), torch.linspace(0.5, 2, 263)


@pytest.fixture
def described(walk):
    """described(seconds, fps=20, extra=1) -> (canonical motion, its normalised features)"""

    def describe(seconds, fps=20.0, extra=1):
        motion = Motion(walk(frame_count(seconds, fps) + extra, fps, seed=3), fps).canonical()
        features = torch.from_numpy(encode_humanml263(motion.joints.astype(np.float64)))
        return motion, (features - MEAN) / STD

    return describe


@pytest.fixture
def readout():
    return FeatureReadout(MEAN, STD)


def test_features_of_a_motion_give_the_motion_back(readout, described):
    motion, features = described(3.0)
    made = readout.motion(features.float(), 3.0, 20.0)
    assert made.fps == 20.0 and len(made) == readout.frames(3.0) == 61 and made.joints.dtype == np.float32
    np.testing.assert_allclose(made.joints, motion.joints[:61], atol=2e-5)


def test_features_travel_with_a_motion_at_their_own_rate_and_no_other(readout, described):
    _, features = described(2.0)
    slow, fast = (readout.motion(features.float(), 2.0, fps) for fps in (20.0, 60.0))
    assert slow.features.format == "humanml263" and fast.features is None
    assert np.array_equal(slow.features.values, features[:41].float().numpy() * STD.double().numpy() + MEAN.double().numpy())
    assert np.array_equal(decode_humanml263(slow.features.values).astype(np.float32), slow.joints)


def test_noise_depends_on_its_own_seed_and_shape_alone():
    together = Noise([3, 4, 5], [(2, 6), (2, 9), (2, 4)])
    alone = Noise([4], [(2, 9)])
    for _ in range(3):
        assert torch.equal(together.draw()[1], alone.draw()[0])
    first, second = Noise([4], [(5,)]), Noise([4], [(5,)])
    assert torch.equal(first.draw()[0], second.draw()[0]) and not torch.equal(first.draw()[0], Noise([4], [(5,)]).draw()[0])


def test_a_sentence_is_the_text_or_the_labels_first_one_or_nothing():
    assert sentence_for(Condition(text="a man jumps"), "multirate") == "a man jumps"
    assert sentence_for(Condition(label="cmu/walk"), "multirate") == sentence_of("cmu/walk", "multirate")
    assert sentence_for(Condition(), "multirate") is None
    with pytest.raises(InputError, match="label 'cmu/wlak' has no sentence in dataset 'multirate'"):
        sentence_for(Condition(label="cmu/wlak"), "multirate")


def test_an_action_is_a_name_of_humanact12_or_a_number():
    assert len(HUMANACT12) == 12 and action_for(Condition(label="jump"), 12) == action_for(Condition(label="3"), 12) == 3
    assert action_for(Condition(), 12) is None and action_for(Condition(label="39"), 40) == 39
    with pytest.raises(InputError, match="label 'jump' is no action of this model"):
        action_for(Condition(label="jump"), 40)
    with pytest.raises(InputError, match="label '12' is no action"):
        action_for(Condition(label="12"), 12)
    with pytest.raises(InputError, match="this model takes action labels: give one such as 'walk'"):
        action_for(Condition(text="a man jumps"), 12)


def test_action_features_are_read_component_by_component():
    rest = np.zeros((5, 6, 25), np.float32)
    rest[:, 0, :24], rest[:, 4, :24] = 1.0, -1.0  # half a turn about x, root only
    rest[:, 4, 1:24] = 1.0
    rest[:, 2, 24] = np.arange(5)  # moves along z of the camera
    motion = ActionReadout(60).motion(torch.from_numpy(rest.reshape(5, 150)), 0.2, 20.0)
    assert motion.joints[0, 15, 1] > motion.joints[0, 0, 1] > 0.7  # the head is up
    assert np.linalg.norm(motion.joints[-1, 0] - motion.joints[0, 0]) == pytest.approx(4.0)


@pytest.mark.parametrize("fps", [10.0, 12.5, 20.0, 24.0, 30.0, 60.0, 59.94, 120.0])
@pytest.mark.parametrize("seconds", [0.01, 0.04, 0.999, 1.03, 2.0, 3.3333])
def test_a_motion_has_exactly_the_frames_of_its_seconds_and_rate(readout, described, seconds, fps):
    _, features = described(seconds)
    made = readout.motion(features[: readout.frames(seconds)], seconds, fps)
    assert len(made) == frame_count(seconds, fps) and made.fps == fps


@pytest.mark.parametrize("method", ["linear", "cubic", "slerp"])
def test_frames_between_and_after_the_features_follow_the_motion(described, walk, method):
    seconds = 2.04  # the last feature frame is at 2.0 s, the last frame of 100 fps at 2.04 s
    _, features = described(seconds)
    expected = Motion(walk(205, 100.0, seed=3), 100.0).canonical().joints
    joints = FeatureReadout(MEAN, STD, method).motion(features[:41], seconds, 100.0).joints
    assert len(joints) == len(expected) == 205
    np.testing.assert_allclose(joints, expected, atol=6e-3)


def test_features_beyond_the_seconds_are_padding(readout, described):
    _, features = described(2.0)
    padded = torch.cat([features[:41], torch.full((9, 263), 50.0)])
    assert np.array_equal(readout.motion(padded, 2.0, 30.0).joints, readout.motion(features[:41], 2.0, 30.0).joints)


def test_a_motion_starts_above_the_origin_and_faces_z(readout, described):
    _, features = described(1.0)
    first = readout.motion(features, 1.0, 60.0).joints[0]
    np.testing.assert_allclose(first[0, [0, 2]], 0, atol=1e-6)
    assert abs(first[1, 2] - first[2, 2]) < abs(first[1, 0] - first[2, 0])


def test_wrong_times_are_answered():
    readout = FeatureReadout(MEAN, STD, longest=196)
    assert readout.frames(9.75) == 196
    with pytest.raises(InputError, match=r"at most 9\.75 s \(196 frames at 20 fps\)"):
        readout.frames(9.8)
    for seconds in (0, 0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="positive number of seconds"):
            readout.frames(seconds)
    with pytest.raises(InputError, match="fps"):
        readout.motion(torch.zeros(40, 263), 1.0, 0.0)


def test_wrong_features_are_answered(readout):
    with pytest.raises(InputError, match=r"need at least \[21, 263\]"):
        readout.motion(torch.zeros(20, 263), 1.0, 20.0)
    with pytest.raises(InputError, match="features of shape"):
        readout.motion(torch.zeros(40, 251), 1.0, 20.0)
    with pytest.raises(InputError, match="not finite"):
        readout.motion(torch.full((40, 263), float("nan")), 1.0, 20.0)
    with pytest.raises(InputError, match="upsampling=nearest does not exist"):
        FeatureReadout(MEAN, STD, "nearest")
    with pytest.raises(InputError, match="std of shape"):
        FeatureReadout(MEAN, STD[:251])


@pytest.mark.parametrize(
    "places",
    [
        ("run/mean.npy", "run/std.npy"),
        ("run/meta/mean.npy", "run/meta/std.npy"),
        ("Mean.npy", "Std.npy"),
        ("meta/mean.npy", "meta/std.npy"),
    ],
)
def test_statistics_are_found_beside_a_checkpoint_and_above_it(tmp_path, places):
    (tmp_path / "run" / "meta").mkdir(parents=True)
    (tmp_path / "meta").mkdir()
    for place, values in zip(places, (MEAN, STD), strict=True):
        np.save(tmp_path / place, values.numpy())
    mean, std = load_statistics(tmp_path / "run" / "model.pt")
    assert torch.equal(mean, MEAN) and torch.equal(std, STD)


def test_missing_and_wrong_statistics_are_answered(tmp_path):
    with pytest.raises(InputError, match=r"put the mean\.npy and std\.npy"):
        load_statistics(tmp_path / "model.pt")
    np.save(tmp_path / "mean.npy", np.zeros(251))
    np.save(tmp_path / "std.npy", np.ones(251))
    with pytest.raises(InputError, match=r"mean\.npy of shape \[251\]; expected 263"):
        load_statistics(tmp_path / "model.pt")
    (tmp_path / "mean.npy").write_bytes(b"hello")
    with pytest.raises(InputError, match="is no array of numbers"):
        load_statistics(tmp_path / "model.pt")
