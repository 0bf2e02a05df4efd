"""python -m evaluators.train: an extractor into its place, and recipes that go on where they stopped."""

import pandas as pd
import pytest
from made_up import small_anyrate, twelve_walks

from baselines.base import SYSTEMS
from evaluators import train
from evaluators.extractors import EXTRACTORS, delivery
from evaluators.extractors.acceptance import Acceptance
from evaluators.extractors.anyrate.extractor import load, save
from evaluators.recipe import RECIPES, Recipe, Step, follow, steps_of
from nerm import checkpoint
from nerm.errors import InputError
from nerm.registry import forget_plugin, load_plugin
from nerm.training import Budget


def accepted(passed):
    checks = pd.DataFrame([{"fps": 20.0, "decisive": True, "demand": "further with more noise", "passed": passed, "detail": "1 <= 2"}])
    return Acceptance("anyrate", checks)


def test_weights_that_fail_a_control_are_kept_aside(tmp_path):
    entry, trained = EXTRACTORS.get("anyrate"), tmp_path / "run" / "anyrate.safetensors"
    save(*small_anyrate(), trained)
    out = tmp_path / "models" / "anyrate.safetensors"
    assert delivery.deliver(entry, trained, out, accepted(False), {}) == 1
    assert trained.exists() and not out.exists()
    assert "FAIL" in trained.with_suffix(".md").read_text()
    assert delivery.deliver(entry, trained, out, accepted(True), {}) == 0
    assert out.read_bytes() == trained.read_bytes()
    assert load(out).digest in out.with_suffix(".md").read_text()


def test_a_trial_uses_weights_that_fail_a_control_but_never_ships_them(tmp_path, monkeypatch):
    entry, trained = EXTRACTORS.get("anyrate"), tmp_path / "run" / "anyrate.safetensors"
    save(*small_anyrate(), trained)
    out = tmp_path / "models" / "anyrate.safetensors"
    monkeypatch.setattr(checkpoint, "RESULTS", tmp_path)
    assert delivery.deliver(entry, trained, out, accepted(False), {}, trial=True) == 1 and not out.exists()
    monkeypatch.setattr(checkpoint, "RESULTS", tmp_path / "elsewhere")
    assert delivery.deliver(entry, trained, out, accepted(False), {}, trial=True) == 0
    assert load(out) and "- accepted: False" in out.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "either extractor= or recipe="),
        (["extractor=guo", "recipe=shipped", "minutes=1"], "either extractor= or recipe="),
        (["extractor=anyrate"], "positive number of minutes= or steps="),
        (["extractor=anyrat", "minutes=1"], "did you mean anyrate"),
        (["recipe=shiped", "minutes=1"], "did you mean shipped"),
    ],
)
def test_wrong_use_of_the_command_is_answered(words, message):
    with pytest.raises(InputError, match=message):
        train.main(words)


def test_a_recipe_goes_on_where_it_stopped(tmp_path):
    done = []

    def step(name, key="k", code=0):
        def do():
            done.append(name)
            (tmp_path / name).touch()
            return code

        return Step(name, tmp_path / name, do, key)

    assert follow([step("a"), step("b", code=1), step("c")], tmp_path) == 1
    assert follow([step("a"), step("b"), step("c")], tmp_path) == 0
    assert done == ["a", "b", "b", "c"]
    assert follow([step("a"), step("b"), step("c")], tmp_path) == 0
    assert follow([step("a"), step("b", key="other"), step("c")], tmp_path) == 0  # what follows a new output is made again
    assert done == ["a", "b", "b", "c", "b", "c"]


TOYS = """
from baselines.base import System
from evaluators.extractors import ExtractorEntry

def train_extractor(dataset, budget, folder, path):
    folder.mkdir(parents=True)
    path.write_text(f"{dataset.name} {budget.minutes} {budget.seed}")

def load(path):
    return path

def train_system(dataset, budget, folder, scale):
    folder.mkdir(parents=True)
    (folder / "any name").write_text(f"{dataset.name} {budget.minutes} {budget.seed} {scale}")
    return folder / "any name"

ENTRIES = [
    ExtractorEntry("toy-eyes", "a toy", ("clips",), 1, f"{__name__}:load", f"{__name__}:train_extractor"),
    ExtractorEntry("toy-given", "given weights", ("clips",), 1, f"{__name__}:load"),
    System("toy", "a toy", f"{__name__}:load", f"{__name__}:train_system", leaves="codes"),
    System("toy-plain", "a toy without codes", f"{__name__}:load", f"{__name__}:train_system"),
]
"""


@pytest.fixture
def toys(tmp_path):
    path = tmp_path / "toys.py"
    path.write_text(TOYS)
    load_plugin(path)
    yield Recipe("toys", ("toy-eyes",), ("toy", "toy-plain"), ("framerates",))
    forget_plugin(path)


def test_everything_that_is_trained_has_an_equal_share(toys, tmp_path, monkeypatch):
    from evaluators.extractors import acceptance

    asked = []
    monkeypatch.setattr("evaluators.run.main", lambda words: asked.append(words) or 0)
    monkeypatch.setattr(acceptance, "accept", lambda *arguments, **more: accepted(True))
    out, budget = tmp_path / "out", Budget(minutes=30, seed=7, device="cpu")
    steps = steps_of(toys, twelve_walks(), budget, out, tmp_path / "runs", "quick")
    assert [step.name for step in steps] == ["toy-eyes", "toy", "toy-plain", "reference", "report framerates"]
    assert [step.do() for step in steps] == [0] * 5
    models = {path.name: path.read_text() for path in (out / "models").glob("*.safetensors")}
    assert models == {
        "toy-eyes.safetensors": "made-up 10.0 7",
        "toy.safetensors": "made-up 10.0 7 shipped",
        "toy-plain.safetensors": "made-up 10.0 7 shipped",
    }
    assert asked[0] == ["reference", "dataset=made-up", f"out={out}", f"shipped={out}"]
    runs = next((tmp_path / "runs").iterdir())
    expected = ["table=framerates", f"shipped={out}", f"toy.codes={runs / 'toy' / 'codes'}"]
    assert set(expected) <= set(asked[1]) and not any(word.startswith("toy-plain.codes") for word in asked[1])
    again = steps_of(toys, twelve_walks(), Budget(minutes=31, seed=7), out, tmp_path / "runs", "quick")
    assert again[0].key != steps[0].key


def test_an_extractor_without_training_is_answered(toys):
    with pytest.raises(InputError, match="nothing to train: given weights"):
        train.main(["extractor=toy-given", "minutes=1"])


def test_what_ships_is_registered_and_can_be_trained():
    shipped = RECIPES["shipped"]
    assert all(EXTRACTORS.get(name).trains for name in shipped.extractors)
    assert all(SYSTEMS.get(name).trains for name in shipped.systems)


def test_trial_belongs_to_a_recipe():
    with pytest.raises(InputError, match="trial=true is for recipe="):
        train.main(["extractor=anyrate", "minutes=1", "trial=true"])
