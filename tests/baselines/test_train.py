"""The command that trains systems: what it hands on, and how wrong use is answered."""

import inspect
from pathlib import Path

import pytest
import torch

from baselines.base import SYSTEMS
from baselines.train import main
from nerm.errors import InputError
from nerm.registry import forget_plugin, load_object, load_plugin

PLUGIN = """
from baselines.base import System

CALLS = []


def train(dataset, budget, folder, scale):
    CALLS.append((dataset, budget, folder, scale))
    return folder / "fake.safetensors"


ENTRIES = [
    System("fake", "A system that is not trained", loads="", trains=f"{__name__}:train"),
    System("still", "A system with nothing to train", loads=""),
]
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Trains nothing; keeps what a trainer was given."""
    file = tmp_path / "fake.py"
    file.write_text(PLUGIN)
    load_plugin(file)
    monkeypatch.setattr("nerm.data.dataset.load_dataset", lambda name: f"dataset {name}")
    yield load_object(SYSTEMS.get("fake").trains.replace(":train", ":CALLS"))
    forget_plugin(file)


def test_the_settings_reach_the_trainer(calls, capsys):
    words = "system=fake steps=7 scale=paper seed=3 device=cpu precision=no out=a/b dataset=small"
    assert main(words.split()) == 0
    dataset, budget, folder, scale = calls[0]
    assert (dataset, folder, scale) == ("dataset small", Path("a/b"), "paper")
    assert (budget.steps, budget.minutes, budget.seed, budget.device, budget.precision) == (7, None, 3, "cpu", "no")
    assert "a/b/fake.safetensors" in capsys.readouterr().err


def test_a_run_is_named_after_its_system(calls):
    main(["system=fake", "minutes=0.5"])
    assert calls[0][2] == Path("runs/fake") and calls[0][1].minutes == 0.5 and calls[0][3] == "shipped"


def test_threads_are_those_asked_for(calls):
    before = torch.get_num_threads()
    try:
        main(["system=fake", "steps=1", "threads=1"])
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("minutes=1", r"missing system=\.\.\.\. usage"),
        ("system=fakr minutes=1", "system=fakr does not exist; did you mean fake"),
        ("system=still minutes=1", "system=still does not exist"),
        ("system=fake", "either minutes= or steps="),
        ("system=fake minutes=1 steps=1", "either minutes= or steps="),
        ("system=fake minutes=-1", "positive number"),
        ("system=fake minutes=long", "minutes=long"),
        ("system=fake steps=1 scale=huge", "scale=huge does not exist"),
        ("system=fake steps=1 device=tpu", "device=tpu does not exist"),
        ("system=fake steps=1 precision=int8", "precision=int8 does not exist"),
        ("system=fake steps=1 seed=-1", "seed=-1; expected 0"),
        ("system=fake steps=1 threads=-2", "threads=-2; expected 0"),
        ("system=fake steps=1 sed=1", "did you mean seed"),
        ("fake", "key=value"),
    ],
)
def test_wrong_use_is_answered_before_anything_is_trained(calls, words, message):
    with pytest.raises(InputError, match=message):
        main(words.split())
    assert calls == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_answered(calls):
    with pytest.raises(InputError, match="no CUDA device"):
        main(["system=fake", "steps=1", "device=cuda"])


def test_a_dataset_that_is_not_prepared_is_answered(tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"nerm\.prepare"):
        main(["system=mdm", "steps=1"])


@pytest.mark.parametrize("system", [system for system in SYSTEMS if system.trains], ids=lambda system: system.name)
def test_every_trainer_takes_what_the_command_gives(system):
    assert list(inspect.signature(load_object(system.trains)).parameters) == ["dataset", "budget", "folder", "scale"]
