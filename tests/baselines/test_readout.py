"""From features back to motion at any rate, and the statistics beside official checkpoints."""

import numpy as np
import pytest
import torch

from baselines.readout import FeatureReadout, load_statistics
from nerm.errors import InputError
from nerm.motion import Motion, frame_count
from nerm.motion.features import encode_humanml263

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
    found = readout.motion(features.float(), 3.0, 20.0)
    assert found.fps == 20.0 and len(found) == readout.frames(3.0) == 61 and found.joints.dtype == np.float32
    np.testing.assert_allclose(found.joints, motion.joints[:61], atol=2e-5)


@pytest.mark.parametrize("fps", [10.0, 12.5, 20.0, 24.0, 30.0, 60.0, 59.94, 120.0])
@pytest.mark.parametrize("seconds", [0.01, 0.04, 0.999, 1.03, 2.0, 3.3333])
def test_a_motion_has_exactly_the_frames_of_its_seconds_and_rate(readout, described, seconds, fps):
    _, features = described(seconds)
    found = readout.motion(features[: readout.frames(seconds)], seconds, fps)
    assert len(found) == frame_count(seconds, fps) and found.fps == fps


@pytest.mark.parametrize("method", ["linear", "cubic", "slerp"])
def test_frames_between_and_after_the_rows_follow_the_motion(described, walk, method):
    seconds = 2.04  # the last row is at 2.0 s, the last frame of 100 fps at 2.04 s
    _, features = described(seconds)
    expected = Motion(walk(205, 100.0, seed=3), 100.0).canonical().joints
    found = FeatureReadout(MEAN, STD, method).motion(features[:41], seconds, 100.0).joints
    assert len(found) == len(expected) == 205
    np.testing.assert_allclose(found, expected, atol=6e-3)


def test_rows_beyond_the_seconds_are_padding(readout, described):
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
