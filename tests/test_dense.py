"""Dense codes: curves, the person's frame, the field, and the two denoisers that make codes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from moving import a_motion
from small_run import LABEL, SENTENCES, ThreeMotions, a_run
from small_run import MOTIONS as THREE

from nerm.budget import Budget
from nerm.conditions import conditions_of
from nerm.dense.codes import dense_codes
from nerm.dense.curve import basis, coarse, fitted, on_curve, points_of, refined
from nerm.dense.detail import STILL, DetailConfig, bending, detail_of, seen, with_detail
from nerm.dense.detail_training import DetailTask, DetailTraining, liveliness_of, train_detail
from nerm.dense.field import DenseField, DenseFieldConfig
from nerm.dense.field_training import DenseFieldTask, DenseFieldTraining, People, load_dense_field, train_dense_field
from nerm.dense.person import MIRROR_FRAME, Rates, mirror_signs, people_of, person_of
from nerm.dense.plan import anchored, dense_of, plan_of
from nerm.dense.system import DenseSettings, load_dense
from nerm.dense.train import train_dense
from nerm.errors import InputError
from nerm.generator import Condition
from nerm.model import load_nerm
from nerm.motion import Motion
from nerm.motion.skeleton import SKELETONS
from nerm.text import load_text_encoder
from nerm.train import Train, settings_of_scale, train_nerm
from nerm.windows import load_windows

SMALL = DenseFieldConfig(pose=6, width=16, layers=1, encoder=16)
MOTIONS = [a_motion(fps, seconds, i) for i, (fps, seconds) in enumerate([(120, 4), (60, 3), (30, 5), (120, 0.4)])]


def settings() -> DenseSettings:
    detail = DetailTraining(detail=DetailConfig(pose=6, width=8, dilations=[1, 2], steps=2), batch=4)
    return DenseSettings(DenseFieldTraining(field=SMALL, stretches=4), detail)


def small_nerm() -> Train:
    words = ["stage1.field.width=32", "stage1.field.layers=2", "stage1.clips=8", "stage2.denoiser.width=16", "stage2.batch=8"]
    return settings_of_scale("shipped", [*words, "stage2.sentence_space=8", "stage2.sampling_steps=3", "stance.width=8"])


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


def test_a_sequence_of_one_is_a_sample_and_one_of_several_is_a_function_of_time(tmp_path):
    system = load_dense(trained(tmp_path))
    asked = [Condition(text=SENTENCES[0]), Condition(text=SENTENCES[1])]
    (alone,) = system.sample(asked[:1], [3.0], 60, [7])
    assert np.array_equal(system.sample_sequence(asked[:1], [3.0], 60, 7).joints, alone.joints)
    fast, slow = (system.sample_sequence(asked, [3.0, 12.0], fps, 7) for fps in (60, 20))
    assert fast.seconds == 15.0 and np.allclose(fast.joints[::3], slow.joints, atol=1e-4)
    assert np.linalg.norm(np.diff(fast.joints, axis=0), axis=-1).max() < 0.5


@pytest.mark.parametrize("seconds", [6.27, 1.01, 3.999, 0.26])
def test_a_motion_of_a_duration_between_frames_has_a_code_that_long(tmp_path, seconds):
    system = load_dense(trained(tmp_path))
    (motion,) = system.sample([Condition()], [seconds], 120, [0])
    assert len(motion) == int(seconds * 120 + 1e-6) + 1 and np.isfinite(motion.joints).all()


def test_a_code_starts_at_the_origin_and_facing_forward_wherever_it_is_cut():
    codes = dense_codes(DenseField(SMALL), ThreeMotions(), settings().field)
    start = anchored(codes.plain[0][20:100])[:3, :4]
    assert ((start[0] + 4 * start[1] + start[2]) / 6)[[0, 1, 3]].abs().max() < 1e-5


def test_the_livelier_a_plan_the_more_detail_and_on_average_as_much_as_there_is():
    generator = torch.Generator().manual_seed(0)
    bends = torch.rand(300_000, generator=generator) * 10 - 12
    detail = torch.exp(2 + 0.5 * bends)[:, None] * torch.randn(300_000, 3, generator=generator)
    line = liveliness_of(detail, bends)
    assert torch.allclose(line, torch.tensor([2.0, 0.5]), atol=0.02)
    assert (detail / torch.exp(line[0] + line[1] * bends)[:, None]).square().mean() == pytest.approx(1, abs=1e-3)


def test_a_plan_that_stands_still_bends_least():
    plan = torch.zeros(1, 60, 5 + 6)
    plan[0, 30:, 5:] = torch.sin(torch.arange(30.0))[:, None]
    bent = bending(plan, torch.ones(11))[0]
    assert bent.shape == (60,) and bent[:20].max() == pytest.approx(np.log(STILL)) and bent[40:].min() > bent[:20].max() + 5


def test_all_stages_make_a_system_that_samples_at_any_rate(tmp_path):
    system = load_dense(trained(tmp_path))
    assert set(system.facts.steps) == {"field", "denoiser", "stance", "dense field", "detail"}
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


def trained(folder: Path) -> Path:
    return train_dense(ThreeMotions(), small_nerm(), settings(), Budget(steps=50, device="cpu", precision="no"), folder)


def test_a_nerm_that_is_there_is_taken_as_it_is_and_kept_to_the_bit(tmp_path):
    nerm = a_run(tmp_path)
    place = tmp_path / "nerm" / "nerm.safetensors"
    place.parent.mkdir()
    (tmp_path / "nerm.safetensors").rename(place)
    (tmp_path / "field.safetensors").unlink()
    alone = load_nerm(place)
    within = load_dense(trained(tmp_path)).base
    (tmp_path / "again").mkdir()
    alone.save(tmp_path / "again" / "alone.safetensors")
    within.save(tmp_path / "again" / "within.safetensors")
    assert (tmp_path / "again" / "alone.safetensors").read_bytes() == (tmp_path / "again" / "within.safetensors").read_bytes()
    assert nerm.labels == within.labels


def test_a_nerm_of_another_dataset_is_refused(tmp_path):
    (tmp_path / "nerm").mkdir()
    a_run(tmp_path / "nerm")
    (tmp_path / "nerm" / "field.safetensors").unlink()
    with pytest.raises(InputError, match="trained on other labels or another skeleton than dataset 'three' has"):
        train_dense(ThreeMotions(label="hop"), small_nerm(), settings(), Budget(steps=50, device="cpu", precision="no"), tmp_path)


def test_a_training_that_stopped_before_the_stance_goes_on_with_it(tmp_path):
    settings_ = small_nerm()
    for stage in ("field", "denoiser"):
        train_nerm(ThreeMotions(), replace(settings_, stage=stage), Budget(steps=4, device="cpu", precision="no"), tmp_path / "nerm")
    assert load_nerm(tmp_path / "nerm" / "nerm.safetensors").stance is None
    assert load_dense(trained(tmp_path)).stands


def test_details_that_were_learned_for_another_nerm_are_not_continued(tmp_path, capsys):
    field, config = DenseField(SMALL), settings()
    codes = dense_codes(field, ThreeMotions(), config.field)
    conditions = conditions_of(codes.items, load_text_encoder("mpnet"), 768)
    budget = Budget(steps=4, device="cpu", precision="no")
    train_detail(config.detail, field, codes, conditions, budget, tmp_path)
    train_detail(config.detail, field, codes, conditions, budget, tmp_path)
    assert "begins anew" not in capsys.readouterr().err
    conditions.texts = conditions.texts.flip(-1)
    train_detail(config.detail, field, codes, conditions, budget, tmp_path)
    assert "detail: what it learns from is not what" in capsys.readouterr().err


def test_without_detail_a_sample_is_nerms_below_two_hertz(tmp_path):
    system = load_dense(trained(tmp_path))
    asked, seconds, seeds = [Condition(text=SENTENCES[0])], [3.0], [4]
    smooth = system.sample_codes(asked, seconds, seeds, level=-1)[0]
    of_nerm = system.base.decode(system.base.sample_codes(asked, seconds, seeds)[0], 3.0, 64)
    code = system.fit([of_nerm])[0]
    plan = plan_of(torch.from_numpy(code["z"]), SMALL)
    assert np.allclose(smooth["z"], anchored(dense_of(plan, len(smooth["z"]), SMALL)), atol=1e-4)


def test_details_are_learned_from_both_sides_whichever_the_condition_names():
    field, config = DenseField(SMALL), settings()
    config.detail.stretch, config.detail.detail.most = 200, 1e-3  # whole recordings, beside their own plans
    codes = dense_codes(field, ThreeMotions(), config.field)
    task = DetailTask(config.detail, field, codes, conditions_of(codes.items, load_text_encoder("mpnet"), 768))
    _, plan, _, _, mask, _, _, text, _, kind = task.drawn(torch.zeros(600, dtype=torch.long), torch.Generator().manual_seed(0))
    points = len(codes.plain[0])
    sides = [seen(dense_of(plan_of(side[0], SMALL), points, SMALL), SMALL) for side in (codes.plain, codes.mirrored)]
    mirrored = torch.stack([(plan[:, : points - 1] - side[:-1]).square().mean((1, 2)) for side in sides]).argmin(0).float()
    assert text.shape == (600, 768) and mask.sum(1).unique().tolist() == [points]
    assert all(abs(mirrored[kind == some].mean() - 0.5) < 0.15 for some in (0, 1, 2))
