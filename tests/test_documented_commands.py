"""The commands in README.md and docs/: all keys parse; those that need neither data nor training run, in the order of their page."""

import re
import shlex
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).with_name("motion")), str(Path(__file__).parents[1] / "docs")]

from figures import FIGURE, bvh_text, places, walking

from baselines.base import SYSTEMS
from evaluators.asked import split_files
from evaluators.extractors import EXTRACTORS
from evaluators.protocols import PROTOCOLS
from evaluators.recipe import RECIPES
from evaluators.tables import list_tables
from nerm.__main__ import main as nerm
from nerm.cli import InputError, choose, keys, parse
from nerm.commands import COMMANDS
from nerm.data.dataset import DATASETS
from nerm.motion import Motion
from nerm.motion.files import READABLE, WRITABLE, save_motion
from nerm.registry import load_object

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RUN = {"sample", "upsample", "convert", "show", "labels", "list", "help"}
"""Commands that need no data and take seconds, and `score write_conditions=`. What else pages say of `score` runs in test_score_docs."""
BEFORE = {  # words that stand before key=value, by command
    "run": [["list"], ["page"], ["reference"], []],
    "drift": [["update", "DIR"], ["OLD", "NEW"]],
    "conformance": [["DIR"]],
}
NAMES = {
    "system": lambda: [*SYSTEMS.names],
    "dataset": lambda: [*DATASETS.names],
    "table": lambda: [*list_tables(), "all", "toy"],
    "extractor": lambda: [*EXTRACTORS.names],
    "recipe": lambda: [*RECIPES],
    "protocol": lambda: [*PROTOCOLS.names],
    "tier": lambda: ["quick", "full", "paper"],
}
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*(/[\w.-]*)?(\.\w+)?")
SETTINGS = {"NERM_DATA", "NERM_SOURCES", "NERM_PLUGINS", "NERM_REGISTRY", "NERM_BLENDER_PYTHON", "OMP_NUM_THREADS", "PYTHONPATH"}


@dataclass(frozen=True)
class Line:
    """A command as a page has it. words: of the shell, without its comment.  whole: it can be typed so; one in a sentence may lack keys."""

    page: str
    number: int
    words: tuple[str, ...]
    whole: bool = True

    def __str__(self) -> str:
        return f"{self.page}:{self.number}: {shlex.join(self.words)}"


def lines_of(path: Path) -> Iterator[Line]:
    """The commands of indented blocks, of ```sh blocks, and of `code` in a sentence."""
    language = None
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if text.startswith("```"):
            language = (text[3:] or "text") if language is None else None
        elif language in ("sh", "bash", "console", "shell") or (
            language is None and text.startswith("    ") and not text.lstrip().startswith("-")
        ):
            yield from commands_in(path.name, number, text.strip())
        elif language is None:
            for code in re.findall(r"`([^`]+)`", text):
                yield from commands_in(path.name, number, code, in_a_sentence=True)


def commands_in(page: str, number: int, text: str, in_a_sentence: bool = False) -> Iterator[Line]:
    """The commands of one line of shell; nothing if it is none."""
    text = re.split(r"\s+#\s|\s{3,}", text.removeprefix("$ "))[0]
    for part in text.split(" && "):
        try:
            words = shlex.split(part)
        except ValueError:
            return
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            assert words[0].partition("=")[0] in SETTINGS, f"{page}:{number}: nothing reads {words[0]}"
            words = words[1:]
        if words and is_command(words, in_a_sentence):
            yield Line(page, number, tuple(words), not in_a_sentence)


def is_command(words: Sequence[str], in_a_sentence: bool) -> bool:
    program = Path(words[0]).name
    if program == "nerm":
        return len(words) > 1 or not in_a_sentence
    if program in ("python", "python3"):
        return len(words) > 1
    return program in ("pip", "pytest", "tox", "accelerate", "git")


LINES = [line for page in PAGES for line in lines_of(page)]


def own(line: Line) -> tuple[str, list[str]] | None:
    """(name, words) of a command of this project; `python -m evaluators.run` is `run`. None if it is of another program."""
    program, *words = line.words
    if Path(program).name == "nerm":
        return words[0] if words else "help", words[1:]
    if Path(program).name == "accelerate":
        words = words[words.index("-m") :]
    if words[:1] == ["-m"] and words[1].partition(".")[0] in ("nerm", "baselines", "evaluators", "benchmarks"):
        module, rest = words[1], words[2:]
        if module == "nerm":
            return (rest[0] if rest else "help"), rest[1:]
        return next((name for name, command in COMMANDS.items() if f"{module}:main" in command.targets), module), rest
    return None


def schemas_of(name: str, words: list[str]) -> tuple[type, ...]:
    if name in COMMANDS:
        return load_object(COMMANDS[name].target(words)).schemas
    main = load_object(f"{name}:main")
    return getattr(main, "schemas", None) or tuple(
        value for key, value in vars(sys.modules[main.__module__]).items() if key.endswith("Config")
    )


def check_words(name: str, words: list[str], whole: bool = True) -> None:
    """An InputError if the command would not take these words, or if one names what does not exist."""
    if name in ("--version", "--help", "-h", "help") or words[-1:] == ["--help"] or name == "COMMAND":
        assert name in COMMANDS or name in ("--version", "--help", "-h", "help", "COMMAND")
        return
    if name not in COMMANDS and "." not in name:
        raise InputError(f"nerm has no command {name}")
    loose = [word for word in words if "=" not in word]
    if loose or (whole and name in BEFORE):
        allowed = BEFORE.get(name, [[]])
        if not any(len(loose) == len(form) and all(a == b or b.isupper() for a, b in zip(loose, form, strict=True)) for form in allowed):
            raise InputError(f"{name} does not take {loose}")
    files, settings = split_files([word for word in words if "=" in word]) if name == "run" else ({}, words[len(loose) :])
    for of in files.values():
        for system in of:
            choose("system", system.partition(".seed")[0], ["SYSTEM", *SYSTEMS.names])
    schemas = schemas_of(name, words)
    if not schemas and not settings:
        return  # a program without keys
    schema = schemas[1] if name == "drift" and loose[:1] == ["update"] else schemas[0]
    needed = re.findall(r"(\w+)=\.\.\.", _said(schema, settings))
    parse(schema, [*settings, *(f"{key}=1" for key in needed if not whole)])
    for word in settings:
        key, _, value = word.partition("=")
        if key in NAMES and value and not PLACEHOLDER.fullmatch(value):
            choose(key, value, NAMES[key]())
        if key in ("out", "in") and Path(value).suffix in {*READABLE, *WRITABLE}:
            assert Path(value).suffix in (READABLE if key == "in" else (*WRITABLE, ".csv", ".nermpack")), word


def _said(schema: type, words: Sequence[str]) -> str:
    try:
        parse(schema, words)
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("line", LINES, ids=str)
def test_every_word_of_every_command_is_known(line):
    named = own(line)
    if named:
        check_words(*named, line.whole)
        return
    program, *words = line.words
    program = Path(program).name
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for listed in re.findall(r"\[([\w,]+)\]", " ".join(words)):
        assert not {*listed.split(",")} - {*extras}, f"pyproject has no such extra: {listed}"
    if program in ("python", "python3"):
        script = words[0]
        assert (script == "-m" and words[1] in ("venv", "pip", "pytest", "pdoc")) or (ROOT / script).is_file(), line
        if script == "docs/reference.py":
            import reference

            parse(reference.Reference, words[1:])
    if program == "pytest":
        assert all((ROOT / word).exists() for word in words if not word.startswith("-")), line
    if program == "tox":
        assert f"[testenv:{words[words.index('-e') + 1]}]" in (ROOT / "tox.ini").read_text()


def test_the_pages_have_commands():
    assert len(LINES) > 40
    assert {"README.md", "upsampling.md", "train.md", "score-my-model.md", "skeletons.md"} <= {line.page for line in LINES}
    assert any(own(line) == ("upsample", ["in=clip.bvh", "fps=120", "out=smooth.bvh"]) for line in LINES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nerm upsample in=a.bvh rate=120 out=b.bvh", "unknown key 'rate'"),
        ("nerm smaple text=x", "no command smaple"),
        ("python -m evaluators.run table=framrates", "table=framrates does not exist"),
        ("python -m baselines.train system=mdn minutes=3", "system=mdn does not exist"),
        ("nerm train stage1.widht=3", "unknown key 'stage1.widht'"),
        ("python -m evaluators.train recipe=shipped minutes=N", "minutes=N"),
        ("nerm drift OLD", "drift does not take"),
        ("python -m evaluators.run table=text mdn.checkpoint=x", "system=mdn does not exist"),
    ],
)
def test_a_wrong_word_is_noticed(text, message):
    (line,) = commands_in("page.md", 1, text)
    with pytest.raises(InputError, match=message):
        check_words(*own(line))


def test_every_key_that_a_page_names_exists():
    """`key=` and `key=value` in a sentence."""
    known = {
        key for command in COMMANDS.values() for target in command.targets for schema in load_object(target).schemas for key in keys(schema)
    }
    unknown = [
        f"{page.name}: {code}"
        for page in PAGES
        for code in re.findall(
            r"`([a-z][a-z0-9_.]*=[^\s`]*)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
        )
        if code.partition("=")[0] not in known
        and code.partition("=")[0].rpartition(".")[2] not in {key.rpartition(".")[2] for key in known} | {"checkpoint", "codes"}
    ]
    assert not unknown


def runs(line: Line) -> bool:
    """Is it run here? Not if it needs data, trains, scores, or stands for a family of commands."""
    named = own(line)
    if named is None or not line.whole:
        return False
    name, words = named
    given = {word.partition("=")[2] for word in words if "=" in word and not word.startswith("out=")}
    if any(PLACEHOLDER.fullmatch(value) or value.startswith("runs/") for value in given) or "..." in words:
        return False
    return (name in RUN and (bool(words) or name in ("list", "labels", "help"))) or (
        name == "score" and words[:1] != [] and words[0].startswith("write_conditions=")
    )


@pytest.mark.parametrize("page", sorted({line.page for line in LINES if runs(line)}))
def test_the_commands_of_a_page_run_one_after_the_other(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "nothing is prepared"))
    given = files_of_a_user(page)
    for line in LINES:
        if line.page == page and runs(line):
            name, words = own(line)
            assert nerm([name, *words]) in (0, None), line
            out = next((word.partition("=")[2] for word in words if word.startswith(("out=", "write_conditions="))), None)
            if out:
                assert Path(out).exists() and Path(out) not in given, line
    capsys.readouterr()


def files_of_a_user(page: str) -> list[Path]:
    """clip.bvh (in skeletons.md with names that nobody knows, and map.json for it), before.bvh, after.bvh, joints.npy, sentences.txt."""
    root, turns = walking(61)
    names = {name: f"bone{number}" for number, name in enumerate(FIGURE)} if page == "skeletons.md" else None
    Path("clip.bvh").write_text(bvh_text(root, turns, names) if names else bvh_text(root, turns))
    if names:
        Path("map.json").write_text(str(names).replace("'", '"'))
    for name in ("before.bvh", "after.bvh"):
        Path(name).write_text(bvh_text(root, turns))
    save_motion(Motion(places(root, turns), 20.0), Path("joints.npy"))
    Path("sentences.txt").write_text("a person walks forward\na person kicks\n")
    return sorted(Path().iterdir())


@pytest.mark.parametrize("page", ["README.md", "train.md", "upsampling.md"])
def test_python_in_a_page_runs(page, tmp_path, monkeypatch):
    """Pages on what can be added, and on one's own model, have tests of their own (test_toy, test_score_docs)."""
    monkeypatch.chdir(tmp_path)
    path = next(path for path in PAGES if path.name == page)
    files_of_a_user(page)
    for code in re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.DOTALL | re.MULTILINE):
        exec(compile(code, page, "exec"), {})
