"""The critic and the refinement: what it sees, who learns from what, and a refined field that reads like recordings."""

from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
import torch
from moving import a_motion

from nerm.cli import parse
from nerm.critic import Critic, clip_features
from nerm.data.captions import load_captions
from nerm.denoiser import Denoiser, DenoiserConfig
from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.model import NeRM, decode, load_nerm, load_stage1
from nerm.motion import Motion
from nerm.refinement import RefinementConfig, RefinementTask, refine, refined_shape
from nerm.stage1 import FieldModule, Stage1Config, load_windows, save_field
from nerm.stage2 import Stage2Config
from nerm.train import SCALES, SHARES, Train, shares_of
from nerm.training import Budget, fit

LABEL = sorted(load_captions().train)[0]
SHAPE = FieldConfig(width=32, layers=2, latent=16, intervals=0)
SMALL = RefinementConfig(clips=16, clip_frames=8, sampled=0.5)


MOTIONS = [a_motion(fps, seconds, i) for i, (fps, seconds) in enumerate([(120, 4), (60, 3), (120, 2.0)])]


def a_task(shape: FieldConfig = SHAPE, config: RefinementConfig = SMALL) -> RefinementTask:
    torch.manual_seed(0)
    codes, sampled = torch.randn(3, 16), torch.randn(2, 3, 16)
    return RefinementTask(config, 0.1, Field(shape), codes, sampled, load_windows(MOTIONS))


def clips(count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    starts = range(0, 10 * count, 10)
    return torch.stack([torch.from_numpy(MOTIONS[0].joints[s : s + 8].astype(np.float32)) for s in starts]), torch.full((count,), 120.0)


def test_the_critic_does_not_see_where_a_clip_is_and_which_way_it_faces():
    joints, fps = clips()
    turn = torch.tensor([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    elsewhere = joints @ turn.T + torch.tensor([3.0, 0, -2])
    assert torch.allclose(clip_features(joints, fps), clip_features(elsewhere, fps), atol=0.05)  # accelerations: 1e-6 m x 120^2
    higher = joints + torch.tensor([0.0, 0.1, 0.0])
    assert (clip_features(higher, fps) - clip_features(joints, fps))[..., 1].mean() == pytest.approx(0.1, abs=1e-4)


def test_the_critic_sees_velocity_and_acceleration_in_si_units():
    t = torch.arange(8) / 60
    joints = clips(1)[0][:, :1].expand(1, 8, 22, 3).clone()
    joints[..., 1] += (0.5 * 3 * t**2)[None, :, None]
    features = clip_features(joints, torch.tensor([60.0])).unflatten(-1, (3, 22, 3))
    assert torch.allclose(features[0, :, 2, :, 1], torch.tensor(3.0), atol=0.02)
    assert torch.allclose(torch.diff(features[0, :, 1, :, 1], dim=0), torch.tensor(3.0 / 60), atol=1e-3)


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


def test_half_of_the_clips_are_read_from_sampled_codes():
    task = a_task()
    z = task.batch(torch.Generator().manual_seed(0), 0.5)[0]
    assert all((row == task.sampled.flatten(0, 1)).all(-1).any() for row in z[:8])
    assert all((row == task.codes).all(-1).any() for row in z[8:])


def test_the_critic_learns_to_tell_recordings_from_an_untrained_field(tmp_path):
    task = a_task(config=replace(SMALL, clips=32, adversarial=0.0))
    found = fit(task, Budget(steps=150, device="cpu", average=0.9, clip=0.0), tmp_path)
    assert found.history[-1]["right"] > 0.9 and found.history[-1]["told"] < 0.4  # 0.69 for who cannot tell


def test_the_field_learns_to_pass_a_critic_that_stands_still():
    task = a_task(config=replace(SMALL, adversarial=100.0))
    with torch.no_grad():
        task.module.critic.leave.weight *= 10  # one with an opinion
    batch = task.batch(torch.Generator().manual_seed(0), 0.5)
    optimizer, _ = task.optimizers()
    fooled = []
    for _ in range(30):
        loss, parts = task.module(*batch, progress=0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        fooled.append(float(parts["fooled"]))
    assert fooled[-1] < 0.8 * fooled[0]


def test_texture_is_silent_at_first_and_holds_its_frequencies_at_every_rate():
    shape = replace(SHAPE, texture=4)
    plain, field_ = Field(SHAPE).eval(), Field(shape).eval()
    field_.load_state_dict(field_.state_dict() | plain.state_dict())
    z = torch.randn(16, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(decode(plain, z, 2.0, 60).joints, decode(field_, z, 2.0, 60).joints)
    torch.nn.init.normal_(field_.texture.mix.weight, std=0.3)
    fine, coarse = decode(field_, z, 2.0, 60).joints, decode(field_, z, 2.0, 20).joints
    assert np.allclose(fine[::3], coarse, atol=1e-5) and np.abs(fine - decode(plain, z, 2.0, 60).joints).max() > 1e-3


def test_recordings_too_slow_for_texture_leave_it_out():
    assert refined_shape(SHAPE, 16, 120.0).texture == 16
    assert refined_shape(SHAPE, 16, 20.0) == SHAPE
    assert asdict(refined_shape(SHAPE, 16, 60.0))["texture"] == 16


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"sampled": 1.0}, "expected a share of the clips"),
        ({"clips": 1}, "refinement.clips=1"),
        ({"clip_frames": 2}, "refinement.clip_frames=2"),
        ({"draws": 0}, "refinement.draws=0"),
    ],
)
def test_settings_that_leave_nothing_to_learn_from_are_refused(tmp_path, wrong, said):
    with pytest.raises(InputError, match=said):
        refine(Recordings(), replace(SMALL, **wrong), Budget(steps=1), tmp_path)


def test_a_field_that_the_denoiser_was_not_trained_on_is_refused(tmp_path):
    a_run(tmp_path)
    other = Stage1Config(field=replace(SHAPE, layers=1))
    save_field(FieldModule(other, 3), [0, 1, 2], other, Recordings(), tmp_path / "field.safetensors", {})
    with pytest.raises(InputError, match="train the denoiser on this field"):
        refine(Recordings(), SMALL, Budget(steps=1, device="cpu"), tmp_path)


class Recordings:
    """What `refine` asks of a corpus."""

    digest = "three motions"
    windows = pd.DataFrame({"label": [LABEL, "", LABEL], "seconds": [m.seconds for m in MOTIONS], "fps": [m.fps for m in MOTIONS]})

    def select(self, split: str) -> pd.DataFrame:
        return self.windows

    def window(self, number: int) -> Motion:
        return MOTIONS[number]


def a_run(folder) -> NeRM:
    """The system of a finished run: field, codes and an untrained denoiser, in two files."""
    torch.manual_seed(0)
    stage1 = Stage1Config(field=SHAPE)
    module = FieldModule(stage1, 3)
    save_field(module, [0, 1, 2], stage1, Recordings(), folder / "field.safetensors", {})
    stage2 = Stage2Config(denoiser=DenoiserConfig(latent=17, width=16, layers=1, labels=1), sampling_steps=2)
    facts = {"steps": {"field": 5}, "samples": {"field": 50}, "seconds": 1.0}
    system = NeRM(stage1, module.field, stage2, Denoiser(stage2.denoiser), torch.zeros(16), torch.eye(16), [LABEL], facts)
    system.save(folder / "nerm.safetensors")
    return system


def test_a_refined_system_keeps_its_denoiser_and_says_how_it_was_trained(tmp_path):
    before = a_run(tmp_path)
    refine(Recordings(), replace(SMALL, draws=1), Budget(steps=3, device="cpu"), tmp_path)
    after = load_nerm(tmp_path / "nerm.safetensors")
    assert after.field.texture is not None and after.stage1.field.texture == SMALL.texture
    assert all(torch.equal(p.half(), q.half()) for p, q in zip(before.denoiser.parameters(), after.denoiser.parameters(), strict=True))
    assert any(not torch.equal(p, after.field.state_dict()[name]) for name, p in before.field.state_dict().items())
    assert after.facts["steps"] == {"field": 5, "refinement": 3} and after.facts["samples"]["refinement"] == 3 * SMALL.clips
    assert after.facts["seconds"] == pytest.approx(1.0 + after.facts["refinement_seconds"], abs=0.11)
    known = load_stage1(tmp_path / "field.safetensors")[1]
    assert known.texture is None  # the unrefined field stays what it was, so that a refinement can be done again


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
