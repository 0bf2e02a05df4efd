"""A generator class of the user's as a row of a table."""

import csv

import pytest

from evaluators.report import write_report
from evaluators.run import main
from evaluators.store import Store
from evaluators.tables import load_table
from evaluators.user_class import UserClass, row_id
from nerm.errors import InputError
from nerm.generator import Condition
from nerm.motion import SMPL22

GOOD = """
import numpy as np
from nerm.motion import SMPL22, Motion, frame_count
from nerm.motion.skeleton import joints_from_directions

class Model:
    digest = "1"
    def sample(self, conditions, seconds, fps, seeds):
        made = []
        for duration, seed in zip(seconds, seeds):
            n = frame_count(duration, fps)
            sway = 0.02 * np.random.default_rng(seed).standard_normal(3) * np.sin(np.arange(n)[:, None] / fps)
            made.append(Motion(joints_from_directions(sway + [0, 0.9, 0], np.repeat(SMPL22.axes[None, 1:], n, 0), SMPL22), fps))
        return CHANGED

class Native(Model):
    native_fps = 25.0

class Nothing:
    pass

class Needs:
    def __init__(self, weights):
        self.weights = weights
"""
numbers = iter(range(1000))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """module(change) -> the name of a module of its own in the current folder, whose sample returns `change`."""
    monkeypatch.chdir(tmp_path)

    def make(change: str = "made", text: str = GOOD) -> str:
        name = f"my_model_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(text.replace("CHANGED", change))
        return name

    return make


def asked(user_class: UserClass, fps: float = 30.0):
    return user_class.sample([Condition(text="a person walks"), Condition()], [1.0, 0.5], fps, [1, 2])


def test_a_class_in_the_current_folder_is_a_generator(module):
    name = module()
    system = UserClass(f"{name}:Model")
    motions = asked(system)
    assert [len(motion) for motion in motions] == [31, 16] and motions[0].skeleton == SMPL22
    assert system.name == f"{name}-Model" and system.native_fps is None and UserClass(f"{name}:Native").native_fps == 25


def test_the_digest_is_of_the_source_and_of_what_the_class_says(module):
    first = UserClass(f"{module()}:Model").digest
    assert UserClass(f"{module()}:Model").digest == first
    assert UserClass(f"{module('made[:]')}:Model").digest != first
    other = UserClass(f"{module(text=GOOD.replace('digest = ', 'digest = 2 * '))}:Model")
    assert other.digest not in (first, UserClass(f"{module()}:Native").digest)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ("None", r"sample gave a NoneType for 2 conditions; expected a list of one Motion each"),
        ("made[:1]", "sample gave 1 motions for 2 conditions"),
        ("[m.joints for m in made]", r"motion 0 of sample is a ndarray; expected nerm\.motion\.Motion"),
        ("[m[:20] for m in made]", "motion 0 of sample has 20 frames for 1 s at 30 fps; expected 31"),
        ("[m[::2] for m in made]", "motion 0 of sample is at 15 fps and was asked for at 30"),
        (
            "[Motion(m.joints * np.nan, m.fps) for m in made]",
            r"sample failed \(motion with a value that is not finite .* at my_model_\d+\.py line 14",
        ),
        ("[Motion(m.joints[:, :21], m.fps) for m in made]", r"sample failed \(motion of shape \[31, 21, 3\]; expected \[T, 22, 3\]"),
        ("1 / 0", r"sample failed \(ZeroDivisionError: division by zero, at my_model_\d+\.py line 14\)"),
    ],
)
def test_what_a_class_does_wrong_is_one_sentence(module, change, answer):
    with pytest.raises(InputError, match=answer):
        asked(UserClass(f"{module(change)}:Model"))


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("nowhere_at_all:Model", "there is no module 'nowhere_at_all', neither in .* nor installed"),
        ("{}:Modle", "has no 'Modle'; its classes are Model, Native, Nothing, Needs"),
        ("{}:Nothing", r"has no sample\(conditions, seconds, fps, seeds\)"),
        ("{}:Needs", r"cannot be made without arguments \(TypeError: .*weights"),
        ("my model:Class", r"is given as package\.module:Class"),
    ],
)
def test_a_class_that_cannot_be_had_is_one_sentence(module, target, answer):
    with pytest.raises(InputError, match=answer):
        UserClass(target.format(module()))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("x = (", "cannot be imported .SyntaxError"),
        ("import nothing_of_that_name", "needs module 'nothing_of_that_name', which is not installed"),
    ],
)
def test_a_module_that_cannot_be_imported_is_one_sentence(module, text, answer):
    with pytest.raises(InputError, match=answer):
        UserClass(f"{module(text=text)}:Model")


def test_ids_hold_only_what_a_file_name_can():
    assert row_id("package.module:Class") == "package.module-Class" and row_id("pakét.m:Ü") == "pak-t.m--"


def test_it_becomes_a_row_of_a_table_whose_title_says_the_class(tiny, module, tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "none"))
    name = module()
    words = ["table=text", f"shipped={tiny.shipped}", f"out={tmp_path / 'results'}", "device=cpu", f"cache={tmp_path / 'cache'}"]
    assert main([*words, f"systems={name}:Model"]) == 0
    with (tmp_path / "results" / "multirate" / "text.quick.csv").open(newline="") as file:
        values = {row["metric"]: float(row["value"]) for row in csv.DictReader(file) if row["system"] == f"{name}-Model"}
    assert values["trial_distance"] > 0 and values["diversity"] >= 0
    document = Store(tmp_path / "results").read("multirate", "text", "quick", f"{name}-Model")
    assert document.provenance["sha256"]["model"] == UserClass(f"{name}:Model").digest
    (path,) = (p for p in write_report(Store(tmp_path / "results"), "multirate", load_table("text"), "quick") if p.suffix == ".md")
    assert f"{name}:Model (own class)" in path.read_text()
