"""The console command: it lists the commands, explains every key, and starts at once; what cannot be done is one sentence."""

import dataclasses
import fnmatch
import resource
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

from nerm import __version__
from nerm.__main__ import main
from nerm.cli import InputError, keys
from nerm.commands import COMMANDS
from nerm.help import meanings, page
from nerm.registry import load_object

ROOT = Path(__file__).parents[1]
TARGETS = sorted({target for command in COMMANDS.values() for target in command.targets})
HEAVY = ("torch", "numpy", "scipy", "pandas", "transformers", "omegaconf")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_commands_are_listed_with_a_line_each(words, capsys):
    assert main(words) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said and command.title in said for name, command in COMMANDS.items())


@pytest.mark.parametrize("target", TARGETS)
def test_every_key_of_every_command_has_a_meaning(target):
    for schema in load_object(target).schemas:
        for key, (_, declares) in keys(schema).items():
            assert meanings(declares).get(key.rpartition(".")[2]), f"{declares.__name__}: say in its docstring what {key} means"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_prints_every_key_with_exit_code_0(target, word, capsys):
    command = load_object(target)
    assert command([word]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(any(line.startswith(f"{key}=  (") for line in lines) for schema in command.schemas for key in keys(schema))


def test_help_gives_type_default_and_meaning():
    @dataclasses.dataclass
    class Settings:
        """About the whole.

        in: the first, of
        two lines.  fps, seed: numbers.
        """

        in_: str = "???"
        fps: float = 20.0
        seed: int | None = None
        names: list[str] = dataclasses.field(default_factory=lambda: ["a", "b"])

    assert page("What it does.", [Settings]).splitlines() == [
        "What it does.",
        "",
        "About the whole.",
        "in=  (text; has to be given)",
        "    the first, of two lines.",
        "fps=  (number; default 20)",
        "    numbers.",
        "seed=  (whole number; default none)",
        "    numbers.",
        "names=  ([text, ...]; default [a, b])",
    ]


def test_train_goes_to_what_is_trained(capsys):
    assert main(["train", "system=mdm", "--help"]) == 0
    assert "name of a registered system" in capsys.readouterr().out
    assert main(["train", "--help"]) == 0
    said = capsys.readouterr().out
    assert "stage1.field.width=" in said and "name of a registered system" in said and "name of the extractor to train" in said


@pytest.mark.parametrize("words", [[], ["--help"], ["sample", "--help"], ["labels", "--help"]])
def test_help_starts_in_less_than_half_a_second_and_imports_nothing_heavy(words):
    code = f"import sys; from nerm.__main__ import main; main({words}); print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr == "[]\n"
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 0.5


def test_an_unknown_command_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="no command 'smaple'; did you mean sample"):
        main(["smaple", "text=x"])


def test_the_version_is_that_of_the_package(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nerm {__version__}\n"
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__


def with_device() -> list[str]:
    return [target for target in TARGETS if any("device" in keys(schema) for schema in load_object(target).schemas)]


def test_at_least_sampling_tables_and_the_three_trainings_take_a_device():
    trainings = {"nerm.train:main", "baselines.train:main", "evaluators.train:main"}
    assert {"nerm.sample:main", "evaluators.run:main", *trainings} <= set(with_device())


@pytest.mark.parametrize("target", with_device())
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_a_device_that_is_not_here_is_one_sentence_and_never_the_processor(target, device, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    command = load_object(target)
    needed = [f"{key}=x" for schema in command.schemas for key, (name, _) in keys(schema).items() if _is_needed(schema, name)]
    with pytest.raises(InputError, match=f"device={device}; PyTorch sees no CUDA device here: use device=cpu"):
        command([*needed, f"device={device}"])
    assert list(tmp_path.iterdir()) == []


def _is_needed(schema: type, name: str) -> bool:
    return any(item.name == name and item.default == "???" for item in dataclasses.fields(schema))


def test_every_file_that_the_packages_need_is_in_the_wheel():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    tracked = subprocess.run(["git", "ls-files", "nerm", "baselines", "evaluators"], capture_output=True, text=True, cwd=ROOT)
    if tracked.returncode:
        pytest.skip("not a clone")
    data = [Path(line) for line in tracked.stdout.splitlines() if not line.endswith(".py")]
    assert Path("nerm/data/multirate/cmu.tsv") in data
    left_out = [
        str(path)
        for path in data
        if not any(fnmatch.fnmatch(str(path.relative_to(path.parts[0])), pattern) for pattern in patterns.get(path.parts[0], ()))
    ]
    assert not left_out, f"add them to package-data in pyproject.toml: {left_out}"
