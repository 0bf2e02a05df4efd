import pytest
import torch
from torch import nn

from nerm.errors import InputError
from nerm.training import Budget, fingerprint, fit, undertrained


class Line(nn.Module):
    """Fits y = w x with a sparse table beside it."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Linear(3, 1)
        self.table = nn.Embedding(10, 1, sparse=True)

    def forward(self, x, index, progress):
        return ((self.weight(x) + self.table(index) - x.sum(-1, keepdim=True)) ** 2).mean(), {}


class Task:
    def __init__(self, stop_at=None):
        torch.manual_seed(0)
        self.module, self.calls, self.stop_at = Line(), 0, stop_at

    def optimizers(self):
        return [
            torch.optim.Adam(self.module.weight.parameters(), lr=0.05),
            torch.optim.SparseAdam(list(self.module.table.parameters()), lr=0.05),
        ]

    def batch(self, generator, progress):
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        return torch.randn(16, 3, generator=generator), torch.randint(10, (16,), generator=generator)

    def validate(self):
        return {"loss": float(self.module.weight.weight.square().sum())}


BUDGET = Budget(steps=200, save_every_s=0, device="cpu")


def test_a_run_that_was_killed_goes_on_to_the_same_losses(tmp_path):
    whole = fit(Task(), BUDGET, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(Task(stop_at=130), BUDGET, tmp_path / "killed")
    resumed = Task()
    again = fit(resumed, BUDGET, tmp_path / "killed")
    assert resumed.calls == 100
    assert [row["loss"] for row in again.history] == pytest.approx([row["loss"] for row in whole.history], rel=1e-6)
    assert whole.history[-1]["loss"] < 0.1 * whole.history[0]["loss"]


def test_minutes_end_in_a_finished_model(tmp_path):
    outcome = fit(Task(), Budget(minutes=0.05, device="cpu"), tmp_path)
    assert 2.9 < outcome.seconds < 6
    assert (tmp_path / "curves.png").exists()
    assert (tmp_path / "history.csv").exists()


def test_a_state_of_other_settings_is_refused(tmp_path):
    fit(Task(), Budget(steps=50, device="cpu"), tmp_path)
    other = Task()
    other.module.table = nn.Embedding(11, 1, sparse=True)
    with pytest.raises(InputError, match="other settings"):
        fit(other, Budget(steps=60, device="cpu"), tmp_path)


def test_a_state_that_was_trained_on_something_else_is_not_continued(tmp_path, capsys):
    first = fit(Task(), Budget(steps=60, device="cpu"), tmp_path, key="one")
    again = fit(Task(), Budget(steps=60, device="cpu"), tmp_path, key="one")
    assert again.history == first.history and "anew" not in capsys.readouterr().err
    other = fit(Task(), Budget(steps=50, device="cpu"), tmp_path, key="another")
    assert other.steps == 50 and "begins anew" in capsys.readouterr().err


def test_fingerprints_tell_values_apart():
    x = torch.arange(4.0)
    assert fingerprint(x, x) == fingerprint(x.clone(), x) != fingerprint(x, x + 1e-6)


@pytest.mark.parametrize("given", [{}, {"minutes": 1, "steps": 1}, {"minutes": 0}, {"steps": -1}])
def test_a_budget_is_minutes_or_steps(given):
    with pytest.raises(InputError):
        Budget(**given)


def test_a_falling_validation_loss_is_undertrained():
    falling = [{"seconds": float(s), "val_loss": 1 / (s + 1)} for s in range(10)]
    flat = [{"seconds": float(s), "val_loss": 1.0} for s in range(10)]
    assert undertrained(falling) and not undertrained(flat)


def test_one_process_trains_at_several_precisions(tmp_path):
    for precision in ("no", "bf16", "no"):
        outcome = fit(Task(), Budget(steps=50, device="cpu", precision=precision), tmp_path / f"{precision}{len(list(tmp_path.iterdir()))}")
        assert outcome.steps == 50


def test_a_run_shorter_than_a_log_interval_has_a_history(tmp_path):
    outcome = fit(Task(), Budget(steps=7, device="cpu"), tmp_path)
    assert [row["step"] for row in outcome.history] == [7] and "val_loss" in outcome.history[0]
