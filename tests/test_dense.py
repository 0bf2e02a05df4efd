"""Dense codes: curves, the person's frame, the field, and the two denoisers that make codes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from moving import a_motion
from small_run import LABEL, SENTENCES, ThreeMotions
from small_run import MOTIONS as THREE

from nerm.budget import Budget
from nerm.denoiser import DenoiserConfig
from nerm.dense.curve import basis, coarse, fitted, on_curve, points_of, refined
from nerm.dense.detail import DetailConfig, detail_of, seen, with_detail
from nerm.dense.detail_training import DetailTraining
from nerm.dense.field import DenseField, DenseFieldConfig
from nerm.dense.field_training import DenseFieldTask, DenseFieldTraining, People, load_dense_field, train_dense_field
from nerm.dense.person import MIRROR_FRAME, Rates, mirror_signs, people_of, person_of
from nerm.dense.plan import anchored, dense_of, plan_of
from nerm.dense.plan_training import PlanTask, dense_codes, pieces_of
from nerm.dense.system import DenseSettings, load_dense
from nerm.dense.train import train_dense
from nerm.errors import InputError
from nerm.generator import Condition
from nerm.motion import Motion
from nerm.motion.skeleton import SKELETONS
from nerm.settings import Stage2Config
from nerm.stance import StanceConfig
from nerm.windows import load_windows

SMALL = DenseFieldConfig(pose=6, width=16, layers=1, encoder=16)
MOTIONS = [a_motion(fps, seconds, i) for i, (fps, seconds) in enumerate([(120, 4), (60, 3), (30, 5), (120, 0.4)])]


def settings() -> DenseSettings:
    plan = Stage2Config(DenoiserConfig(width=16, layers=1, last=16), keep=12, batch=8, sampling_steps=3)
    plan.one_sided, plan.sentence_space = False, 0
    detail = DetailTraining(detail=DetailConfig(pose=6, width=8, dilations=[1, 2], steps=2), batch=4)
    return DenseSettings(DenseFieldTraining(field=SMALL, stretches=4), plan, detail, StanceConfig(width=8, dilations=[1, 2]))


def test_a_curve_passes_through_what_it_was_fitted_to():
    times = np.arange(481) / 120
    values = np.stack([np.sin(2 * np.pi * 2 * times), np.cos(2 * np.pi * 3 * times)], -1)
    points = fitted(times, values, 4.0, 32)
    assert points.shape == (points_of(4.0, 32), 2) == (131, 2)
    at = np.random.default_rng(0).uniform(0, 4, 50)
    read = on_curve(torch.from_numpy(at * 32)[None], torch.from_numpy(points)[None])[0].numpy()
    assert np.abs(read - np.stack([np.sin(2 * np.pi * 2 * at), np.cos(2 * np.pi * 3 * at)], -1)).max() < 2e-3
    assert np.allclose(read, basis(at * 32, 131) @ points, atol=1e-6)


def test_frames_fewer_than_control_points_still_decide_a_curve():
    times = np.arange(31) / 30
    points = fitted(times, np.sin(2 * np.pi * times)[:, None], 1.0, 32)
    read = on_curve(torch.from_numpy(times * 32)[None], torch.from_numpy(points)[None])[0, :, 0].numpy()
    assert np.abs(read - np.sin(2 * np.pi * times)).max() < 1e-3 and np.abs(points).max() < 1.2


@pytest.mark.parametrize("seconds", [0.3, 1.0, 3.97, 10.0])
def test_a_coarse_curve_is_exactly_a_dense_one_and_its_own_nearest_coarse_one(seconds):
    few = torch.sin(0.7 * torch.arange(points_of(seconds, 4))[:, None] + torch.arange(3))
    few[0], few[-1] = 2 * few[1] - few[2], 2 * few[-2] - few[-3]  # straight ends, as those that coarse curves get
    points = points_of(seconds, 32)
    dense = refined(few, points, 32, 4)
    at = torch.rand(1, 40, dtype=torch.float64) * seconds
    assert torch.allclose(on_curve(at * 32, dense[None]), on_curve(at * 4, few[None]), atol=1e-4)
    if seconds > 0.5:
        assert torch.allclose(refined(coarse(dense, 32, 4), points, 32, 4), dense, atol=2e-3)


def test_the_outermost_points_of_a_coarse_curve_do_not_swing():
    times = torch.arange(points_of(3.03, 32), dtype=torch.float32)[:, None] / 32
    dense = torch.sin(2 * torch.pi * 1.1 * times) + 0.2 * torch.sin(2 * torch.pi * 7 * times)
    assert coarse(dense, 32, 4).abs().max() < 2


def test_a_person_faces_forward_and_turns_with_the_motion():
    motion = MOTIONS[0]
    person, turned = person_of(motion, Rates()), person_of(motion.transformed(yaw=0.7), Rates())
    assert torch.allclose(turned.frame[:, 0], person.frame[:, 0] + 0.7, atol=1e-3)
    assert torch.allclose(turned.poses, person.poses, atol=2e-3)
    root = on_curve(torch.as_tensor(motion.times)[None] * 32, person.frame[None])[0, :, 1:]
    assert np.abs(root.numpy() - motion.root).max() < 2e-3


def test_the_mirror_image_of_a_person_is_the_person_of_the_mirror_image():
    person, image = person_of(MOTIONS[1], Rates()), person_of(MOTIONS[1].mirrored(), Rates())
    order, signs = mirror_signs(MOTIONS[1].skeleton)
    assert torch.allclose(person.poses[:, order] * signs, image.poses, atol=1e-4)
    assert torch.allclose(person.frame * torch.tensor(MIRROR_FRAME), image.frame, atol=1e-4)


def test_reading_at_60_fps_and_keeping_every_third_frame_is_reading_at_20():
    torch.manual_seed(0)
    field = DenseField(SMALL)
    z = field.encode(person_of(MOTIONS[0], SMALL.rates))
    fast, slow = (field(torch.arange(int(4 * fps) + 1)[None].double() / fps, z[None]) for fps in (60, 20))
    assert torch.allclose(fast.directions[:, ::3], slow.directions, atol=1e-6)
    assert torch.allclose(fast.root[:, ::3], slow.root, atol=1e-6)


def test_a_code_depends_on_its_neighbourhood_alone():
    torch.manual_seed(0)
    field = DenseField(SMALL)
    whole = field.encode(person_of(MOTIONS[0], SMALL.rates))[:, 4:]
    first = field.encode(person_of(MOTIONS[0].cut(0, 2), SMALL.rates))[:, 4:]
    assert torch.allclose(whole[:45], first[:45], atol=1e-2)


def test_stretches_are_the_recordings_at_their_times():
    people = People(load_windows(MOTIONS), people_of(MOTIONS, SMALL.rates))
    poses, frame, position, fps, joints = people.drawn(40, 4, 8, 32, torch.Generator().manual_seed(0))
    assert poses.shape[:2] == (40, 33) and frame.shape == (40, 27, 4) and joints.shape == (40, 4, 8, 22, 3)
    assert position.min() >= -1e-6 and position.max() <= 24 + 1e-6
    root = on_curve(position.flatten(1), frame)[..., 1:].unflatten(1, (4, 8))
    assert (root - joints[:, :, :, 0]).abs().max() < 5e-3
    assert set(fps.flatten().tolist()) >= {120.0, 60.0, 30.0, 20.0}


def test_a_field_starts_as_principal_components_and_learns_from_there(tmp_path):
    torch.manual_seed(0)
    config = DenseFieldTraining(field=replace(SMALL, width=32), stretches=8)
    people = People(load_windows(MOTIONS), people_of(MOTIONS, SMALL.rates))
    start = DenseFieldTask(config, people, MOTIONS).validate()["loss"]
    wider = DenseFieldTask(replace(config, field=replace(SMALL, pose=24)), people, MOTIONS).validate()["loss"]
    assert wider < 0.4 * start
    outcome = train_dense_field(ThreeMotions(), config, Budget(steps=150, device="cpu", precision="no"), tmp_path)
    settings_, field, training = load_dense_field(tmp_path / "field.safetensors")
    assert settings_.field.longest_s == 10.0 and training["steps"] == 150
    assert outcome.history[-1]["val_loss"] == pytest.approx(error(field), rel=1e-3)
    untrained = DenseFieldTask(config, People(load_windows(THREE), people_of(THREE, SMALL.rates)), THREE)
    assert error(field) < 0.99 * untrained.validate()["loss"]


def error(field: DenseField) -> float:
    from nerm.dense.field_training import read_out

    dataset, errors = ThreeMotions(), []
    for item in dataset.items("train"):
        motion = dataset.motion(item)
        joints = read_out(field, field.encode(person_of(motion, field.config.rates)), motion)
        errors.append(1000 * np.linalg.norm((joints - joints[:, :1]) - (motion.joints - motion.joints[:, :1]), axis=-1).mean())
    return float(np.mean(errors))


def test_detail_and_plan_make_up_a_code_wherever_it_is_and_whichever_way_it_faces():
    field = DenseField(SMALL)
    z = field.encode(person_of(MOTIONS[0], SMALL.rates))
    smooth = dense_of(plan_of(z, SMALL), len(z), SMALL)
    whole = with_detail(smooth, detail_of(z, smooth))
    assert torch.allclose(whole[:, 1:], z[:, 1:], atol=1e-5) and torch.allclose(whole[2:-2, 0], z[2:-2, 0], atol=2e-2)
    moved = field.encode(person_of(MOTIONS[0].transformed(1.1, (3.0, 0.0, 2.0)), SMALL.rates))
    also = dense_of(plan_of(moved, SMALL), len(z), SMALL)
    assert torch.allclose(detail_of(moved, also), detail_of(z, smooth), atol=2e-3)
    assert torch.allclose(seen(also, SMALL), seen(smooth, SMALL), atol=2e-2)
    assert torch.allclose(anchored(moved), anchored(z), atol=2e-3)


def test_pieces_of_a_recording_start_at_the_origin_and_facing_forward():
    field = DenseField(SMALL)
    codes = dense_codes(field, ThreeMotions(), settings().field)
    plans, seconds = pieces_of(field, codes, 0.3, 0)
    assert plans.shape[:3] == (3, 2, 4) and (seconds[:, 1:] <= seconds[:, :1]).all() and (seconds > 0.39 * seconds[:, :1]).all()
    start = anchored(codes.plain[0][20:100])[:3, :4]
    assert ((start[0] + 4 * start[1] + start[2]) / 6)[[0, 1, 3]].abs().max() < 1e-5


def test_all_stages_make_a_system_that_samples_at_any_rate(tmp_path):
    path = train_dense(ThreeMotions(), settings(), Budget(steps=20, device="cpu", precision="no"), tmp_path)
    system = load_dense(path)
    assert system.labels == [LABEL] and set(system.training) == {"field", "plan", "detail", "stance"}
    asked = [Condition(text=SENTENCES[0]), Condition(label=LABEL), Condition()]
    fast = system.sample(asked, [2.0, 1.0, 3.0], 60, [1, 2, 3])
    slow = system.sample(asked, [2.0, 1.0, 3.0], 20, [1, 2, 3])
    for a, b in zip(fast, slow, strict=True):
        assert np.allclose(a.joints[::3], b.joints, atol=1e-5)
        assert np.abs(a.joints[0, 0, [0, 2]]).max() < 1e-4
    alone = system.sample(asked[1:2], [1.0], 60, [2])[0]
    assert np.array_equal(alone.joints, fast[1].joints)
    with pytest.raises(InputError, match="at most 10"):
        system.sample([Condition()], [11.0], 20, [0])
    with pytest.raises(InputError, match="motion 0 is on skeleton 'kit21'"):
        system.fit([Motion(np.zeros((5, 21, 3)), 20, SKELETONS["kit21"])])
    code = system.fit([MOTIONS[0]])[0]
    assert np.allclose(system.decode(code, 4.0, 120).root, MOTIONS[0].root, atol=5e-3)
    stood, plain = system.read(code, 4.0, 120), system.variant(stance=False)
    assert system.stands and not plain.stands and plain.digest != system.digest and system.variant() is system
    assert np.array_equal(plain.read(code, 4.0, 120).joints, system.decode(code, 4.0, 120).joints)
    assert np.abs(stood.root - plain.read(code, 4.0, 120).root).max() > 0.01
    assert np.array_equal(system.stood(plain.read(code, 4.0, 32)).joints, system.read(code, 4.0, 32).joints)


def test_plans_that_would_know_one_side_are_refused():
    with pytest.raises(InputError, match=r"plan\.one_sided=true; dense codes have no mirror sign"):
        PlanTask(Stage2Config(), None, None, 0)


def test_plans_that_would_read_sentences_in_a_space_of_their_own_are_refused():
    with pytest.raises(InputError, match=r"plan\.sentence_space=128; plans are learned from embeddings as they are"):
        PlanTask(Stage2Config(one_sided=False), None, None, 0)
