"""The paper's ablations: a variant is the paper's method with one thing changed, and what is left out is really gone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from moving import a_motion
from small_run import ThreeMotions

from baselines.base import SYSTEMS
from nerm.checkpoint import read
from nerm.field import Codes, Field, FieldConfig
from nerm.registry import load_object
from nerm.settings import Stage1Config, Stage2Config
from nerm.stage1 import FieldModule, FieldTask, load_stage1
from nerm.stage2 import DenoiserTask
from nerm.time_encoding import FourierEncoding, NoEncoding
from nerm.train import settings_of_scale, train_nerm
from nerm.training import Budget
from nerm.windows import load_windows

SMALL = FieldConfig(width=16, layers=2, latent=8, intervals=0)
CHANGED = {
    "nerm-paper-none": {"stage1.field.time_encoding": "none"},
    "nerm-paper-simple": {"stage1.field.time_encoding": "simple"},
    "nerm-paper-not-variational": {"stage1.field.variational": False},
    "nerm-paper-not-normalized": {"stage1.field.time_normalisation": False},
    "nerm-paper-fixed": {"stage1.training_rate": "fixed"},
    "nerm-paper": {},
    "nerm-paper-whole": {},
}


def flat(settings: object, prefix: str = "") -> dict[str, object]:
    values = {f"{prefix}{name}": value for name, value in vars(settings).items()}
    nested = [name for name, value in values.items() if hasattr(value, "__dataclass_fields__")]
    return {k: v for k, v in values.items() if k not in nested} | {k: v for n in nested for k, v in flat(values[n], f"{n}.").items()}


@pytest.mark.parametrize("scale", ["shipped", "paper"])
@pytest.mark.parametrize("name", CHANGED)
def test_a_variant_is_the_papers_method_with_one_thing_changed(name, scale, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr("nerm.train.train_nerm", lambda dataset, settings, budget, folder: asked.append(settings) or folder)
    load_object(SYSTEMS.get(name).trains)(ThreeMotions(), Budget(steps=2), tmp_path, scale)
    paper, variant = flat(settings_of_scale({"shipped": "paper-small"}.get(scale, scale))), flat(asked[0])
    assert {key: value for key, value in variant.items() if value != paper[key]} == CHANGED[name]


def test_without_an_encoding_the_field_is_given_the_coordinate_alone():
    field = Field(replace(SMALL, time_encoding="none"))
    assert isinstance(field.encoding, NoEncoding) and field.enter.in_features == 1
    t = torch.tensor([[0.25, -1.0]])
    assert torch.equal(field.encoding(t), t[..., None])
    waves = Field(replace(SMALL, time_encoding="simple"))
    assert isinstance(waves.encoding, FourierEncoding) and waves.enter.in_features == 1 + 2 * 9


def test_time_that_is_not_normalised_is_seconds_from_the_first_frame_whatever_the_duration():
    torch.manual_seed(0)
    z, times = torch.zeros(2, 8), torch.tensor([[0.5, 1.0], [0.5, 1.0]])
    seconds = torch.tensor([2.0, 8.0])
    for normalised in (False, True):
        first, second = Field(replace(SMALL, time_normalisation=normalised)).hidden(times, seconds, z)
        assert torch.allclose(first, second) != normalised


def test_codes_that_are_points_have_no_divergence_and_no_noise():
    torch.manual_seed(0)
    index, noise = torch.tensor([0, 2]), torch.randn(2, 8)
    points, gaussians = Codes(3, 8, variational=False), Codes(3, 8)
    z, kl = points(index, noise)
    assert torch.equal(z, points.mean(index)) and torch.equal(kl, torch.zeros(2))
    drawn, kl = gaussians(index, noise)
    assert torch.allclose(drawn, gaussians.mean(index) + noise * torch.tensor(-3.0).exp()) and (kl > 0).all()


def test_the_loss_of_points_does_not_see_the_weight_of_the_divergence():
    windows = load_windows([a_motion(60, 2.0, i) for i in range(3)])
    for variational in (False, True):
        losses = []
        for kl in (0.0, 1.0):
            torch.manual_seed(0)
            task = FieldTask(Stage1Config(field=replace(SMALL, variational=variational), clips=4, kl=kl), windows)
            loss, _ = task.module(*task.batch(torch.Generator().manual_seed(0), 0.5), progress=0.5)
            losses.append(float(loss.detach()))
        assert (losses[0] == losses[1]) != variational


def a_task(draws: bool, deviation: torch.Tensor | None) -> DenoiserTask:
    torch.manual_seed(0)
    module = FieldModule(Stage1Config(field=SMALL), 40)
    items = [replace(ThreeMotions((), "").items("train")[0], id=str(k)) for k in range(40)]
    mean = torch.randn(40, 8, generator=torch.Generator().manual_seed(1))
    return DenoiserTask(Stage2Config(draws=draws, flatness=0.5, largest=1.0), module.field.eval(), mean, items, deviation)


def test_stage_2_learns_draws_with_the_mean_and_the_deviation_of_the_posteriors():
    deviation = torch.full((40, 8), 0.5)
    task = a_task(True, deviation)
    index = torch.full((4000,), 7)
    drawn = task._drawn(index, torch.Generator().manual_seed(0)) @ task.space.back + task.space.shift
    mean = task.codes[7] @ task.space.back + task.space.shift
    assert torch.allclose(drawn.mean(0), mean, atol=0.04) and torch.allclose(drawn.std(0), deviation[0], atol=0.03)
    apart = task._drawn(index[:2], torch.Generator().manual_seed(0))
    assert not torch.equal(apart[0], apart[1]), "a code that is asked for twice is drawn twice"


def test_draws_and_not_means_have_deviation_1_in_the_coordinates_that_stage_2_learns():
    index = torch.arange(40).repeat(200)
    for spread, of_means in ((2.0, 0.5), (0.001, 1.0)):
        task = a_task(True, torch.full((40, 8), spread))
        deviation = task._drawn(index, torch.Generator().manual_seed(0)).std(0)
        assert deviation.mean() == pytest.approx(1, abs=0.2) and task.codes.std(0).mean() == pytest.approx(of_means, abs=0.2)


def test_points_and_means_are_learned_as_they_are():
    for task in (a_task(False, torch.ones(40, 8)), a_task(True, torch.zeros(40, 8)), a_task(True, None)):
        assert task.deviation is None
        index = torch.tensor([3, 3, 5])
        assert torch.equal(task._drawn(index, torch.Generator()), task.codes[index])


def test_both_stages_of_a_variant_are_trained_by_steps_and_a_seed_repeats(tmp_path: Path):
    words = ["stage1.field.time_encoding=simple", "stage1.field.width=16", "stage1.clips=8", "stage2.batch=8"]
    words += ["stage2.denoiser.width=16", "stage2.denoiser.layers=1"]
    made = {}
    for run, (variational, seed) in {"points": (False, 0), "gaussians": (True, 0), "again": (True, 0)}.items():
        settings = settings_of_scale("paper-small", [*words, f"stage1.field.variational={str(variational).lower()}"])
        path = train_nerm(ThreeMotions(), settings, Budget(steps=4, seed=seed, validate_times=1, device="cpu"), tmp_path / run)
        made[run] = {name: tensor for name, tensor in read(path).tensors.items()}
        assert bool(load_stage1(tmp_path / run / "field.safetensors").deviations.any()) == variational
    same = {run: all(torch.equal(made[run][name], made["gaussians"][name]) for name in made[run]) for run in made}
    assert same == {"points": False, "gaussians": True, "again": True}
