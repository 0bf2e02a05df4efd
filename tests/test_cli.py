from dataclasses import dataclass, field

import pytest

from nerm.cli import InputError, parse, run


@dataclass
class Inner:
    rate: float = 1.0
    mode: str = "a"


@dataclass
class Settings:
    fps: float = 20.0
    text: str | None = None
    systems: list[str] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)


def test_values_of_all_kinds_are_read():
    found = parse(Settings, ["fps=29.97", "text=a: {b}, c=d", "systems=[x,y]", "inner.rate=3", "inner.mode=b"])
    assert found == Settings(29.97, "a: {b}, c=d", ["x", "y"], Inner(3.0, "b"))


def test_free_text_is_taken_as_it_is():
    for text in ("${x}", "a ${b} c", "{", "[1", "null", "1.5", "'quoted'"):
        assert parse(Settings, [f"text={text}"]).text == text


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["fsp=3"], "unknown key 'fsp'; did you mean fps?"),
        (["inner.rat=3"], "did you mean inner.rate"),
        (["fps=fast"], "fps=fast"),
        (["walk"], "not of the form key=value"),
    ],
)
def test_wrong_arguments_are_answered(arguments, answer):
    with pytest.raises(InputError, match=answer.replace("?", r"\?")):
        parse(Settings, arguments)


def test_wrong_use_is_one_sentence_and_exit_code_2(capsys, monkeypatch):
    def fail(arguments):
        raise InputError("fps=0; expected more")

    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as end:
        run(fail)
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: fps=0; expected more\n"
