"""The command that trains baselines: what it hands on, and how wrong use is answered."""

from pathlib import Path

import pytest
import torch

from baselines import train
from baselines.train import TRAINERS, main
from nerm.errors import InputError
from nerm.registry import Registry


@pytest.fixture
def calls(monkeypatch):
    """Trains nothing; keeps what a trainer was given."""
    found = []

    def fake(corpus, budget, folder, scale, seed):
        found.append((corpus, budget, folder, scale, seed))
        return folder / "fake.safetensors"

    monkeypatch.setattr(train, "TRAINERS", Registry("system", {"fake": fake}))
    monkeypatch.setattr("nerm.data.corpus.load_corpus", lambda name: f"corpus {name}")
    return found


def test_the_settings_reach_the_trainer(calls, capsys):
    words = "system=fake steps=7 scale=paper seed=3 device=cpu precision=no out=a/b dataset=small"
    assert main(words.split()) == 0
    corpus, budget, folder, scale, seed = calls[0]
    assert (corpus, folder, scale, seed) == ("corpus small", Path("a/b"), "paper", 3)
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


def test_a_corpus_that_is_not_prepared_is_answered(tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path))
    with pytest.raises(InputError, match=r"nerm\.prepare"):
        main(["system=mdm", "steps=1"])


@pytest.mark.parametrize("name", TRAINERS.names)
def test_every_trainer_takes_what_the_command_gives(name):
    import inspect

    assert list(inspect.signature(TRAINERS.load(name)).parameters)[:5] == ["corpus", "budget", "folder", "scale", "seed"]
