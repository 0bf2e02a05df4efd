"""The critic and the refinement: what it sees, who learns from what, and a refined field that reads like recordings."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_run import LABEL, MOTIONS, SENTENCES, SHAPE, ThreeMotions, a_run

from nerm.cli import parse
from nerm.critic import REACH, Critic, clip_features, smooth
from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.model import load_nerm
from nerm.refinement import Batch, RefinementConfig, RefinementTask, refine, sample_like
from nerm.settings import Stage1Config
from nerm.stage1 import FieldModule, load_stage1, save_field
from nerm.train import SCALES, SHARES, Train, shares_of
from nerm.training import Budget, fit
from nerm.windows import load_windows
from nerm.words import mirror_caption

SMALL = RefinementConfig(clips=16, clip_frames=16, known=8)


def a_task(shape: FieldConfig = SHAPE, config: RefinementConfig = SMALL) -> RefinementTask:
    torch.manual_seed(0)
    codes, sampled = torch.randn(3, 16), torch.randn(2, 3, 16)
    return RefinementTask(config, Stage1Config(field=shape), Field(shape), codes, sampled, load_windows(MOTIONS))


def clips(count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    starts = range(0, 10 * count, 10)
    return torch.stack([torch.from_numpy(MOTIONS[0].joints[s : s + 64 : 4].astype(np.float32)) for s in starts]), torch.full((count,), 30.0)


def test_the_critic_does_not_see_where_a_clip_is_and_which_way_it_faces():
    joints, fps = clips()
    turn = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    elsewhere = joints @ turn.T + torch.tensor([3.0, 0, -2])
    assert torch.allclose(clip_features(joints, fps), clip_features(elsewhere, fps), atol=0.05)  # accelerations: 1e-6 m x 120^2
    higher = joints + torch.tensor([0.0, 0.1, 0.0])
    assert (clip_features(higher, fps) - clip_features(joints, fps))[..., 1].mean() == pytest.approx(0.1, abs=1e-4)


def test_the_critic_sees_velocity_and_acceleration_in_si_units():
    t = torch.arange(16) / 60
    joints = clips(1)[0][:, :1].expand(1, 16, 22, 3).clone()
    joints[..., 1] += (0.5 * 3 * t**2)[None, :, None]
    features = clip_features(joints, torch.tensor([60.0])).unflatten(-1, (3, 22, 3))
    assert torch.allclose(features[0, :, 2, :, 1], torch.tensor(3.0), atol=0.02)
    assert torch.allclose(torch.diff(features[0, :, 1, :, 1], dim=0), torch.tensor(3.0 / 60), atol=1e-3)


def test_the_critic_does_not_see_what_the_texture_makes():
    joints, fps = clips()
    t = torch.arange(16) / 30
    for hz, left in ((2.0, 0.85), (4.7, 0.5), (12.0, 0.02)):
        seen = smooth(joints + torch.sin(2 * np.pi * hz * t)[None, :, None, None], fps) - smooth(joints, fps)
        expected = torch.sin(2 * np.pi * hz * t)[REACH:-REACH].norm()
        assert seen[0, :, 0, 0].norm() / expected == pytest.approx(left, abs=0.05)


def gradients(adversarial: float) -> tuple[dict, dict]:
    task = a_task(config=replace(SMALL, adversarial=adversarial))
    batch = task.batch(torch.Generator().manual_seed(0), 0.5)
    task.module(*batch, progress=0.5)[0].backward()
    named = {name: p.grad for name, p in task.module.named_parameters() if p.grad is not None}
    return tuple({k: v for k, v in named.items() if k.startswith(part)} for part in ("field.", "critic."))


def test_neither_side_learns_from_the_others_loss():
    (field_without, critic_without), (field_with, critic_with) = gradients(0.0), gradients(5.0)
    assert any(not torch.allclose(field_with[k], field_without[k]) for k in field_with)
    assert critic_with and all(torch.equal(critic_with[k], critic_without[k]) for k in critic_with)
    task = a_task(config=replace(SMALL, adversarial=0.0, penalty=0.0))
    task.module(*task.batch(torch.Generator().manual_seed(0), 0.5), progress=0.5)[0].backward()
    alone = {k: p.grad for k, p in task.module.field.named_parameters() if p.grad is not None}
    assert all(torch.allclose(field_without[f"field.{k}"], g) for k, g in alone.items())  # the penalty ends at the clips too


def test_the_critic_sees_sampled_codes_and_stage_1_its_own():
    task = a_task()
    batch = task.batch(torch.Generator().manual_seed(0), 0.5)
    assert isinstance(batch, Batch)
    assert len(batch.z) == 16 and all((z == task.sampled.flatten(0, 1)).all(-1).any() for z in batch.z)
    assert len(batch.known) == 8 and all((z == task.codes).all(-1).any() for z in batch.known)
    assert batch.known_joints.shape == (8, Stage1Config().clip_frames, 22, 3)


def test_the_critic_learns_to_tell_recordings_from_an_untrained_field(tmp_path):
    task = a_task(config=replace(SMALL, clips=32, adversarial=0.0))
    last = fit(task, Budget(steps=150, device="cpu", average=0.9, max_gradient_norm=0.0), tmp_path).history[-1]
    assert last["right"] > 0.9 and last["telling"] < 0.4  # 0.69 is the loss of a critic that cannot tell


def test_the_field_learns_to_pass_a_critic_that_stands_still():
    task = a_task(config=replace(SMALL, adversarial=100.0))
    with torch.no_grad():
        task.module.critic.leave.weight *= 10  # so that its verdicts differ
    batch = task.batch(torch.Generator().manual_seed(0), 0.5)
    optimizer, _ = task.optimizers()
    losses = []
    for _ in range(30):
        loss, parts = task.module(*batch, progress=0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(parts["passing"]))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [
        ({"known": 0}, "refinement.known=0"),
        ({"clips": 1}, "refinement.clips=1"),
        ({"clip_frames": 10}, "refinement.clip_frames=10"),
        ({"draws": 0}, "refinement.draws=0"),
    ],
)
def test_settings_that_leave_nothing_to_learn_from_are_refused(wrong, answer):
    with pytest.raises(InputError, match=answer):
        replace(SMALL, **wrong)


def test_a_field_that_the_denoiser_was_not_trained_on_is_refused(tmp_path):
    a_run(tmp_path)
    other = Stage1Config(field=replace(SHAPE, layers=1))
    dataset = ThreeMotions()
    save_field(FieldModule(other, 3), dataset.items("train"), other, dataset, tmp_path / "field.safetensors", {})
    with pytest.raises(InputError, match="train the denoiser on this field"):
        refine(dataset, SMALL, Budget(steps=1, device="cpu"), tmp_path)


def test_a_refined_system_keeps_its_denoiser_and_says_how_it_was_trained(tmp_path):
    before = a_run(tmp_path)
    refine(ThreeMotions(), replace(SMALL, draws=1), Budget(steps=3, device="cpu"), tmp_path)
    after = load_nerm(tmp_path / "nerm.safetensors")
    assert all(torch.equal(p.half(), q.half()) for p, q in zip(before.denoiser.parameters(), after.denoiser.parameters(), strict=True))
    assert any(not torch.equal(p.half(), after.field.state_dict()[name].half()) for name, p in before.field.state_dict().items())
    assert after.facts.steps == {"field": 5, "refinement": 3} and after.facts.samples["refinement"] == 3 * SMALL.clips
    assert after.facts.seconds == pytest.approx(1.0 + after.training["refinement"]["seconds"], abs=0.11)
    unrefined = load_stage1(tmp_path / "field.safetensors").field  # stays what it was, so that a refinement can be done again
    assert all(torch.equal(p, unrefined.state_dict()[name]) for name, p in before.field.state_dict().items())


def test_the_budget_is_shared_by_the_stages_and_the_papers_scale_has_no_refinement():
    assert shares_of(Train()) == SHARES and sum(SHARES.values()) == 1
    alone = shares_of(parse(Train, SCALES["paper"]))
    assert list(alone) == ["field", "denoiser"] and sum(alone.values()) == pytest.approx(1)
    assert shares_of(Train(stage="refinement")) == {"refinement": 1.0}


def test_verdicts_are_one_number_a_clip():
    joints, fps = clips()
    features = clip_features(joints, fps)
    critic = Critic(features.mean((0, 1)), features.std((0, 1)), width=16)
    assert critic(features, fps).shape == (8,)


class Asked:
    """A system that only keeps what it is asked for."""

    def __init__(self) -> None:
        self.conditions, self.seconds, self.seeds = [], [], []

    def sample_codes(self, conditions, seconds, seeds, chunk):
        self.conditions += conditions
        self.seconds += seconds
        self.seeds += seeds
        return [{"z": np.full(4, seed, np.float32)} for seed in seeds]


def test_codes_are_sampled_for_the_sentences_and_durations_of_the_items():
    asked = Asked()
    assert sample_like(asked, ThreeMotions().items("train"), 2, 5).shape == (2, 3, 4)
    texts = [condition.text for condition in asked.conditions]
    spoken = {*SENTENCES, *map(mirror_caption, SENTENCES)}
    assert texts[1] is texts[4] is None and all(text in spoken for place, text in enumerate(texts) if place % 3 != 1)
    assert asked.seeds == list(range(30, 36)) and asked.seconds == 2 * [motion.seconds for motion in MOTIONS]


def test_items_without_captions_are_sampled_for_by_their_labels():
    asked = Asked()
    sample_like(asked, ThreeMotions(()).items("train"), 1, 0)
    assert [(condition.text, condition.label) for condition in asked.conditions] == [(None, LABEL), (None, None), (None, LABEL)]
