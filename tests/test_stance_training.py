"""A stance learns from recordings which foot stands, at the rates of its field, where a skeleton has feet."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_run import ThreeMotions, a_run
from standing import SMALL, Walkers, a_task, choosing, error_of, on_the_lower_toe, renamed, seen_of, stand, walked, walker

from nerm.cli import parse
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.model import load_nerm
from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import SMPL24
from nerm.stance import HINT_MPS, RATE, StanceConfig, no_stance
from nerm.stance_training import BATCH, SLOW_MPS, STRETCH, disturbance, train_stance
from nerm.train import SCALES, SHARES, Train, shares_of, train_nerm
from nerm.training import Budget, Fit

# --- skeletons ------------------------------------------------------------------------------------------------------------------------


def test_a_skeleton_needs_feet_hips_and_shoulders():
    assert no_stance(SMPL22) == no_stance(SMPL24) == ""
    assert no_stance(renamed(l_foot="l_toe", r_shoulder="arm")) == "skeleton 'other' has no l_foot, r_shoulder"
    assert no_stance(renamed(head="skull", l_wrist="l_hand")) == ""


class Renamed(ThreeMotions):
    """A dataset of a skeleton whose toes have another name."""

    skeleton = renamed(l_foot="l_toe", r_foot="r_toe")

    def motion(self, item: Item) -> Motion:
        return replace(super().motion(item), skeleton=self.skeleton)


def test_a_stance_for_feet_that_nobody_knows_is_refused(tmp_path):
    answer = "stage=stance: skeleton 'other' has no l_foot, r_foot; add_stance=false leaves that stage out"
    with pytest.raises(InputError, match=answer):
        train_stance(Renamed(), SMALL, Budget(steps=1, device="cpu"), tmp_path)
    a_run(tmp_path)
    with pytest.raises(InputError, match=answer):
        train_nerm(Renamed(), Train(stage="stance"), Budget(steps=1, device="cpu"), tmp_path)
    assert load_nerm(tmp_path / "nerm.safetensors").stance is None


@pytest.mark.parametrize("dataset", [ThreeMotions(), Renamed()])
@pytest.mark.parametrize("words", [[], ["add_stance=false"], SCALES["paper-small"]])
def test_all_stages_are_trained_but_for_a_stance_that_is_not_wanted_or_cannot_be(dataset, words, tmp_path, monkeypatch, capsys):
    trained = []
    for target in ("nerm.stage1.train_field", "nerm.stage2.train_denoiser", "nerm.stance_training.add_stance"):
        stage = target.rpartition("_")[2]
        monkeypatch.setattr(target, lambda *_, stage=stage: trained.append(stage) or Fit(1, 0.0, [{}]))
    train_nerm(dataset, parse(Train, words), Budget(steps=3, device="cpu"), tmp_path)
    can, wanted = isinstance(dataset, Renamed) is False, not words
    assert trained == ["field", "denoiser", *(["stance"] if can and wanted else [])]
    assert ("stance: left out (skeleton 'other' has no l_foot, r_foot)" in capsys.readouterr().err) is (wanted and not can)


def test_the_budget_is_shared_by_the_stages_and_the_papers_scales_have_no_stance():
    assert list(SHARES) == ["field", "denoiser", "stance"] and sum(SHARES.values()) == 1 and shares_of(Train()) == SHARES
    for scale in ("paper", "paper-small"):
        alone = shares_of(parse(Train, SCALES[scale]))
        assert list(alone) == ["field", "denoiser"] and sum(alone.values()) == pytest.approx(1)
    assert shares_of(Train(stage="stance")) == {"stance": 1.0}


# --- training -------------------------------------------------------------------------------------------------------------------------


def test_a_hint_is_disturbed_by_as_much_as_is_told_and_slowly():
    added = disturbance(4000, STRETCH, torch.Generator().manual_seed(0))
    assert added.shape == (4000, STRETCH, 2)
    assert added.square().sum(-1).mean().sqrt() == pytest.approx(HINT_MPS, rel=0.05) and added.mean().abs() < 0.01
    assert torch.diff(added, dim=1).square().mean() < 0.1 * added.square().mean()  # 2 of white noise
    strength = added.square().mean((1, 2)).sqrt()
    assert strength.quantile(0.9) > 2 * strength.quantile(0.1)
    assert torch.equal(added, disturbance(4000, STRETCH, torch.Generator().manual_seed(0)))


def test_it_learns_from_stretches_of_recordings_and_of_their_mirror_images():
    motions = [walker(120, 3.0), walker(60, 1.0, 0.5)]
    task = a_task(motions)
    assert task.lengths.tolist() == [96, 96, 32, 32]
    for place, motion in enumerate((motions[0], motions[0].mirrored(), motions[1], motions[1].mirrored())):
        joints = walker(RATE, motion.seconds, (0.9, 0.5)[place // 2])
        expected = seen_of(joints.mirrored() if place % 2 else joints)
        assert np.abs(task.trained[place].numpy() - expected).max() < 0.05
    seen, added = task.batch(torch.Generator().manual_seed(0), 0.5)
    assert seen.shape == (BATCH, STRETCH, StanceConfig().seen) and added.shape == (BATCH, STRETCH, 2)
    begun = set()
    for stretch in seen:
        (owner,) = (k for k, numbers in enumerate(task.trained) if (numbers == stretch[0]).all(-1).any())
        start = int((task.trained[owner] == stretch[0]).all(-1).nonzero()[0])
        rows = torch.clamp(torch.arange(start, start + STRETCH), max=len(task.trained[owner]) - 1)  # the last moment of a short one goes on
        assert torch.equal(stretch, task.trained[owner][rows])
        begun.add((owner, start))
    assert {owner for owner, _ in begun} == {0, 1, 2, 3} and len(begun) > 20
    assert all(start == 0 for owner, start in begun if owner > 1) and max(start for owner, start in begun) > 20


def test_the_network_is_given_numbers_of_mean_0_and_deviation_1_and_the_hint_as_it_is_when_disturbed():
    task = a_task()
    stance, every = task.module.stance, torch.cat(task.trained)
    given = ((every - stance.offset) / stance.scale)[:, :-2]
    moving = every[:, :-2].std(0) > 1e-3
    assert moving.sum() > 40 and given.mean(0).abs().max() < 0.02 and torch.allclose(given.std(0)[moving], torch.ones(1), atol=1e-4)
    assert torch.allclose(stance.scale[-2:], (every[:, -2:].var(0) + HINT_MPS**2).sqrt())


def test_the_error_is_that_of_the_velocity_whatever_the_hint_for_who_knows_where_it_stands():
    motions = [walker(120, 3.0), walker(120, 3.0, 1.3)]
    added = torch.cat([disturbance(1, len(numbers), generator).norm(dim=-1).flatten() for numbers, generator in held(motions)])
    assert error_of(motions, choosing("free")) == pytest.approx(float(added.mean()), rel=1e-5)
    assert float(added.mean()) > 0.1 and error_of(motions, on_the_lower_toe()) < 0.005
    assert (
        error_of(motions, choosing("l_foot")) > 0.5
    )  # it is stood on for .6 s of every second, and left behind by about the length of a step else


def held(motions: Sequence[Motion]) -> list[tuple[torch.Tensor, torch.Generator]]:
    """What is validated on, with the generator of the disturbances, one for all."""
    generator = torch.Generator().manual_seed(7)
    return [(numbers, generator) for numbers in a_task(motions).held]


@pytest.mark.parametrize(("size", "loss"), [(0.02, 0.02**2 / (2 * SLOW_MPS)), (0.4, 0.4 - SLOW_MPS / 2)])
def test_small_errors_count_by_their_square_and_large_ones_by_their_size(size, loss):
    module = a_task(stance=choosing("free")).module
    seen, added = torch.randn(3, 5, StanceConfig().seen), torch.zeros(3, 5, 2)
    added[..., 1] = size
    found, parts = module(seen, added, progress=0.5)
    assert float(found.detach()) == pytest.approx(loss, rel=1e-3) and float(parts["error_mps"]) == pytest.approx(size, rel=1e-3)


def test_the_network_does_not_see_the_path_that_it_is_to_find():
    """Only the disturbed hint: the error of a constant network does not change with what is added to the hint."""
    module, seen = a_task(stance=choosing("l_ankle")).module, torch.randn(1, 8, StanceConfig().seen)
    errors = [module.error(seen, disturbance(1, 8, torch.Generator().manual_seed(seed))) for seed in (0, 1)]
    assert torch.equal(*errors)
    free = [a_task(stance=choosing("free")).module.error(seen, torch.full((1, 8, 2), size)) for size in (0.0, 1.0)]
    assert free[0].max() < 1e-5 and torch.allclose(free[1], torch.tensor(2.0).sqrt(), atol=1e-5)


def test_a_short_training_finds_the_standing_feet_of_walkers_better_than_the_hint_does(tmp_path):
    dataset = Walkers()
    before, hint = error_of(dataset.walkers), error_of(dataset.walkers, choosing("free"))
    budget = Budget(steps=100, device="cpu", precision="no", average=0.9, validate_times=1)
    outcome, stance = train_stance(dataset, SMALL, budget, tmp_path)
    after = error_of(dataset.walkers, stance)
    assert after == pytest.approx(outcome.history[-1]["val_loss"], rel=1e-3)
    assert after < 0.2 * before and after < 0.4 * hint
    made, true = walker(60, 4.0, 0.8, slide=0.3), walker(60, 4.0, 0.8)
    error, slid = (np.linalg.norm(walked(each) - walked(true), axis=1)[-1] for each in (stand(stance, made, "nerm"), made))
    assert slid > 1.1 and error < 0.2 * slid
    assert not stance.training and stance.offset.device.type == "cpu"


@pytest.mark.parametrize(("rate", "fps"), [("native", {120.0, 60.0}), ("fixed", {20.0})])
def test_it_learns_from_recordings_at_the_rates_that_the_field_was_trained_at(rate, fps, tmp_path, monkeypatch):
    given = []

    class Stop(Exception): ...

    def taken(config: StanceConfig, trained: Sequence[Motion], held: Sequence[Motion]) -> None:
        given.extend(trained)
        raise Stop

    monkeypatch.setattr("nerm.stance_training.StanceTask", taken)
    with pytest.raises(Stop):
        train_stance(ThreeMotions(), SMALL, Budget(steps=1, device="cpu"), tmp_path, rate)
    assert {motion.fps for motion in given} == fps and len(given) == 3
