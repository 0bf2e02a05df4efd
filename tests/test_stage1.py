from dataclasses import replace

import numpy as np
import pytest
import torch
from moving import a_motion
from small_run import SHAPE, ThreeMotions

from nerm.errors import InputError
from nerm.field import Field, FieldConfig, Pose
from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import bone_directions
from nerm.settings import Stage1Config
from nerm.stage1 import FieldTask, clip_loss, field_training, initial_codes, items_of, load_stage1, train_field
from nerm.training import Budget, fit
from nerm.windows import draw_clips, load_windows, many_rates, training_windows, window_motion

MOTIONS = [a_motion(fps, seconds, i) for i, (fps, seconds) in enumerate([(120, 4), (60, 3), (30, 5), (120, 1.0)])]


def test_a_clip_is_the_recording_at_its_times():
    windows = load_windows(MOTIONS)
    index = torch.arange(4).repeat(16)
    generator = torch.Generator().manual_seed(0)
    index, times, seconds, fps, joints = draw_clips(windows, index, 16, many_rates(windows.fps[index], generator), generator)
    for i, t, length, rate, clip in zip(index, times, seconds, fps, joints, strict=True):
        motion = MOTIONS[i]
        frames = (t * motion.fps).round().long()
        assert np.array_equal(clip.numpy(), motion.joints[frames].astype(np.float32))
        assert length == pytest.approx(motion.seconds) and t.min() >= 0 and t.max() <= length + 1e-9
        assert 20 - 1e-6 <= rate <= motion.fps and torch.allclose(torch.diff(t), 1 / rate)


def test_rates_from_the_native_one_down_to_20_are_all_drawn():
    windows = load_windows(MOTIONS[:1])
    index, generator = torch.zeros(500, dtype=torch.long), torch.Generator().manual_seed(0)
    drawn = draw_clips(windows, index, 16, many_rates(windows.fps[index], generator), generator).fps
    assert set(drawn.tolist()) == {120, 60, 40, 30, 24, 20}
    lowest = draw_clips(windows, index, 16, many_rates(windows.fps[index], generator, lowest_only=True), generator).fps
    assert set(lowest.tolist()) == {20}


def test_mirrored_windows_are_mirror_images():
    windows = load_windows(MOTIONS, mirror=True)
    assert len(windows) == 8
    assert np.allclose(window_motion(windows, 5).joints, MOTIONS[1].mirrored().joints, atol=1e-6)
    _, times, _, _, joints = draw_clips(windows, torch.full((3,), 5), 16, torch.ones(3).long(), torch.Generator().manual_seed(0))
    frames = (times * 60).round().long()
    assert np.allclose(joints.numpy(), MOTIONS[1].mirrored().joints[frames], atol=1e-6)


def test_the_true_pose_has_no_loss_and_an_error_has_its_size():
    field = Field(FieldConfig(width=16, layers=1, latent=4, intervals=1))
    joints = torch.from_numpy(MOTIONS[0].joints[None, :16].astype(np.float32))
    pose = Pose(joints[..., 0, :], torch.from_numpy(bone_directions(joints.numpy(), SMPL22)).float())
    fps = torch.tensor([120.0])
    loss, parts = clip_loss(field, pose, joints, fps, high_band_weight=1.0)
    assert float(loss) < 1e-6 and float(parts["mre_mm"]) < 0.01
    moved = Pose(pose.root + torch.tensor([0.0, 0.0, 0.1]), pose.directions)
    loss, parts = clip_loss(field, moved, joints, fps, root_weight=0.5)
    assert float(parts["root_mm"]) == pytest.approx(100, rel=1e-3)
    assert float(loss) == pytest.approx(0.5, rel=1e-3)  # (10 cm)^2, weighted


@pytest.mark.parametrize("fps", [20.0, 120.0])
def test_velocity_errors_are_in_metres_per_second(fps):
    field = Field(FieldConfig(width=16, layers=1, latent=4, intervals=1))
    joints = torch.from_numpy(MOTIONS[0].joints[None, :16].astype(np.float32))
    t = torch.arange(16) / fps
    directions = torch.from_numpy(bone_directions(joints.numpy(), SMPL22)).float()
    drifting = Pose(joints[..., 0, :] + torch.stack([0.5 * t, 0 * t, 0 * t], -1), directions)
    alone, _ = clip_loss(field, drifting, joints, torch.tensor([fps]))
    loss, parts = clip_loss(field, drifting, joints, torch.tensor([fps]), velocity_weight=0.2)
    assert float(parts["velocity_mps"]) == pytest.approx(0.5, rel=0.02)
    assert float(loss - alone) == pytest.approx(0.2 * 0.5 * 0.5**2, rel=0.02)


@pytest.mark.parametrize("fps", [20.0, 60.0, 120.0])
def test_acceleration_errors_are_in_metres_per_second_squared(fps):
    field = Field(FieldConfig(width=16, layers=1, latent=4, intervals=1))
    joints = torch.from_numpy(MOTIONS[0].joints[None, :16].astype(np.float32))
    pose = Pose(joints[..., 0, :], torch.from_numpy(bone_directions(joints.numpy(), SMPL22)).float())
    t = torch.arange(16) / fps
    falling = Pose(pose.root + torch.stack([0 * t, 0.5 * 3.0 * t**2, 0 * t], -1), pose.directions)
    _, parts = clip_loss(field, falling, joints, torch.tensor([fps]), high_band_weight=1.0)
    frames = 14 if fps < 90 else 12  # at 120 fps the step is two frames, so four frames have no acceleration
    assert float(parts["acc_mps2"]) == pytest.approx(3.0 * frames / 14, rel=0.02)


@pytest.mark.parametrize("intervals", [0, 5])
def test_like_motions_start_with_like_codes(intervals):
    torch.manual_seed(0)
    twins = [*MOTIONS[:3], Motion(MOTIONS[0].joints + np.float32(0.001), 120)]
    codes = initial_codes(load_windows(twins), FieldConfig(latent=32, intervals=intervals))
    distance = torch.cdist(codes, codes)
    assert distance[0, 3] < 0.3 * distance[0, 1:3].min()


@pytest.mark.parametrize(("normalised", "unused"), [(True, [0, 1, 6, 7]), (False, [5, 6, 7])])
def test_control_points_far_outside_a_window_start_at_zero(normalised, unused):
    config = FieldConfig(latent=32, intervals=5, time_normalisation=normalised)  # points every 2 s, 2 s beyond both ends
    windows = load_windows([a_motion(120, 4, seed) for seed in range(3)])
    largest = initial_codes(windows, config).reshape(3, 8, 4).abs().amax((0, 2))
    assert [k for k in range(8) if largest[k] < 0.12] == unused


@pytest.mark.parametrize(("intervals", "latent"), [(0, 16), (8, 44)])
def test_a_small_field_learns_its_windows(tmp_path, intervals, latent):
    torch.manual_seed(0)
    config = Stage1Config(field=FieldConfig(width=64, layers=3, latent=latent, intervals=intervals), clips=16)
    task = FieldTask(config, load_windows(MOTIONS))
    before = task.validate()["loss"]
    outcome = fit(task, Budget(steps=300, device="cpu", precision="no"), tmp_path)
    assert task.validate()["loss"] < 0.5 * before
    assert outcome.steps == 300


SMALL = Stage1Config(field=SHAPE, clips=4)


def test_a_trained_field_is_written_with_the_ids_of_its_items_and_read_back(tmp_path):
    dataset = ThreeMotions()
    train_field(dataset, replace(SMALL, training_rate="fixed"), Budget(steps=3, device="cpu"), tmp_path)
    stage1 = load_stage1(tmp_path / "field.safetensors", dataset)
    assert stage1.items == ["a", "b", "c"] and stage1.means.shape == (3, 16) and stage1.means.dtype == torch.float32
    assert items_of(stage1, dataset) == dataset.items("train")
    assert stage1.settings.fixed_fps == 20.0  # the base rate of the dataset
    assert field_training(tmp_path / "field.safetensors")["steps"] == 3


def test_a_field_of_another_dataset_is_refused(tmp_path):
    dataset = ThreeMotions()
    train_field(dataset, SMALL, Budget(steps=1, device="cpu"), tmp_path)
    dataset.digest = "other motions"
    with pytest.raises(InputError, match=r"another version of dataset 'three' .* train it again"):
        load_stage1(tmp_path / "field.safetensors", dataset)
    dataset._items = dataset._items[:2]
    with pytest.raises(InputError, match="item 'c' of the field is no training item"):
        items_of(load_stage1(tmp_path / "field.safetensors"), dataset)


def test_at_the_fixed_rate_the_dataset_says_which_it_is():
    dataset = ThreeMotions()
    dataset.base_fps = 12.5
    _, windows = training_windows(dataset, "train", replace(SMALL, training_rate="fixed"))
    assert windows.fps.tolist() == [12.5] * 3
    _, windows = training_windows(dataset, "train", replace(SMALL, training_rate="fixed", fixed_fps=20.0))
    assert windows.fps.tolist() == [20.0] * 3


def test_a_split_without_items_is_refused():
    with pytest.raises(InputError, match="dataset 'three' has no item in split 'val'"):
        training_windows(ThreeMotions(), "val", SMALL)
