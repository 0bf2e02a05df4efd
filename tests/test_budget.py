"""Budgets and their clock, with seconds that the tests give."""

import time

import pytest
import torch

from nerm.budget import Budget, Timer
from nerm.train import PREPARATION_S, stage_budgets
from nerm.training import fit
from tests.test_training import Task


@pytest.fixture
def pass_time(monkeypatch):
    """A function that lets seconds pass."""
    now = [1000.0]
    monkeypatch.setattr("nerm.budget.time.monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def run_stage(budget, pass_time, step_s=0.5, before=0.0):
    """Seconds that the steps of a stage take, and the seconds that it was charged with."""
    timer, steps = Timer(budget, before), 0
    while timer.progress(steps) < 1:
        pass_time(step_s)
        steps += 1
    return steps * step_s, timer.close()


def test_what_comes_before_the_first_step_is_part_of_the_minutes(pass_time):
    budget = Budget(minutes=1)
    pass_time(12)
    assert run_stage(budget, pass_time) == (48.0, 60.0)


def test_a_late_beginning_is_shared_between_the_stages(pass_time):
    parts = Budget(minutes=1).parts({"a": 0.25, "b": 0.75})
    pass_time(20)  # 40 of 60 s are left
    assert run_stage(parts["a"], pass_time)[0] == 10.0
    assert run_stage(parts["b"], pass_time)[0] == 30.0


def test_a_slow_end_of_a_stage_and_what_follows_it_are_taken_from_the_later_ones(pass_time):
    parts = Budget(minutes=1).parts({"a": 0.5, "b": 0.25, "c": 0.25})
    assert run_stage(parts["a"], pass_time)[0] == 30.0
    pass_time(10)  # writing its model, loading what the next one needs: 20 s are left for two equal stages
    assert run_stage(parts["b"], pass_time)[0] == run_stage(parts["c"], pass_time)[0] == 10.0


def test_a_budget_inside_a_budget_leaves_the_later_ones_their_part_of_the_loss(pass_time):
    systems = Budget(minutes=2).parts({"first": 0.5, "second": 0.5})
    stages = systems["first"].parts({"a": 0.5, "b": 0.5})
    pass_time(40)  # 80 of 120 s are left
    assert [run_stage(part, pass_time)[0] for part in (stages["a"], stages["b"], systems["second"])] == [20.0, 20.0, 40.0]


def test_the_end_of_a_stage_is_kept_free(pass_time):
    budget = Budget(minutes=1)
    timer, steps = Timer(budget), 0
    timer.end = 5.0
    while timer.progress(steps) < 1:
        pass_time(1)
        steps += 1
    assert steps == 55


def test_seconds_of_earlier_runs_count(pass_time):
    pass_time(100)
    assert run_stage(Budget(minutes=1), pass_time, before=45.0) == (15.0, 60.0)


def test_a_stage_without_time_left_has_one_step(pass_time):
    budget = Budget(minutes=1)
    pass_time(90)
    assert run_stage(budget, pass_time)[0] == 0.5


def test_time_while_the_clock_is_stopped_is_charged_to_nobody(pass_time):
    parts = Budget(minutes=1).parts({"a": 0.5, "b": 0.5})
    run_stage(parts["a"], pass_time)
    with parts["a"].clock.stopped():
        pass_time(500)
    assert run_stage(parts["b"], pass_time)[0] == 30.0


def test_validations_take_no_more_than_a_tenth_of_the_minutes(pass_time):
    assert [Timer(Budget(minutes=1)).validations(seconds) for seconds in (0.1, 2.0, 7.0)] == [10, 3, 0]
    assert Timer(Budget(steps=10)).validations(1e6) == 10


def test_known_preparation_is_charged_to_the_stage_that_has_it(pass_time):
    shares, items = {"field": 0.5, "denoiser": 0.25, "stance": 0.25}, 1000
    parts = stage_budgets(shares, Budget(minutes=10), items)
    prepared = {stage: PREPARATION_S.get(stage, 0.0) * items for stage in shares}
    trained = []
    for stage, part in parts.items():
        pass_time(prepared[stage])
        trained.append(run_stage(part, pass_time, step_s=0.01)[0])
    left = 600 - sum(prepared.values())
    assert trained == pytest.approx([left * share for share in shares.values()], abs=0.05)


def test_preparation_that_takes_most_of_a_budget_is_announced_and_comes_on_top(pass_time, capsys):
    shares = {"field": 0.5, "stance": 0.5}
    parts = Budget(minutes=0.5).parts(shares, {"stance": 25.0})
    assert "the preparation of stance takes about 25 s, on top of minutes=0.5" in capsys.readouterr().err
    assert 60 * sum(part.minutes for part in parts.values()) == pytest.approx(30 + 25)
    parts = Budget(minutes=5).parts(shares, {"stance": 25.0})
    assert 60 * sum(part.minutes for part in parts.values()) == pytest.approx(300) and not capsys.readouterr().err


class Slow(Task):
    """A validation of 0.4 s."""

    def validate(self):
        time.sleep(0.4)
        return super().validate()


def test_minutes_hold_loading_validation_and_writing(tmp_path):
    fit(Task(), Budget(steps=1, device="cpu"), tmp_path / "first")  # imports what writing and optimizers need
    begin = time.monotonic()
    budget = Budget(minutes=0.1, device="cpu")
    time.sleep(3.0)
    outcome = fit(Slow(), budget, tmp_path / "second")
    assert 4.5 < time.monotonic() - begin < 7.5  # 3 s of loading on top of 6 s would be 9
    assert outcome.history[-1]["val_loss"] > 0 and outcome.seconds == pytest.approx(time.monotonic() - begin, abs=0.3)


def test_a_budget_in_steps_repeats_bit_for_bit_however_long_it_takes(tmp_path):
    weights, histories = [], []
    for name in ("one", "two"):
        budget, task = Budget(steps=120, device="cpu"), Task() if name == "one" else Slow()
        outcome = fit(task, budget, tmp_path / name)
        weights.append(torch.cat([p.flatten() for p in task.module.parameters()]))
        histories.append([{k: v for k, v in entry.items() if k != "seconds"} for entry in outcome.history])
    assert torch.equal(*weights) and histories[0] == histories[1] and len(histories[0]) == 3
