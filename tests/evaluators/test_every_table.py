"""table=all: every table of a dataset, a line for each; what fails is named at the end and stops nothing."""

from pathlib import Path

import pytest

from evaluators.every_table import run_every, systems_of, tables_of
from evaluators.run import main
from evaluators.tables import Row, load_table
from nerm.errors import InputError
from nerm.registry import forget_plugin, plugins

TOY = Path(__file__).parents[1] / "toy"
SECOND = """title: A second toy
about: Two rows.
datasets: [toy]
protocols: [speed]
rates: [25]
metrics: [speed_gap]
rows: [{id: freeze, title: Still}, {id: real, title: Real, role: real}]
"""


@pytest.fixture
def words(tmp_path, monkeypatch):
    """The toys, and two tables of their dataset beside them: one that can be computed, and one whose protocol does not exist."""
    second = tmp_path / "second"
    second.mkdir()
    (second / "nothing.py").write_text("ENTRIES = ()\n")
    (second / "second.yaml").write_text(SECOND)
    (second / "broken.yaml").write_text(SECOND.replace("[speed]", "[sped]"))
    monkeypatch.setenv("NERM_PLUGINS", f"{TOY}:{second}")
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "data"))
    plugins()
    yield ["table=all", "dataset=toy", f"out={tmp_path / 'results'}", "device=cpu"]
    monkeypatch.undo()
    forget_plugin(TOY)
    forget_plugin(second)


def test_every_table_of_a_dataset_is_computed_and_one_that_fails_is_named_at_the_end(words, tmp_path, capsys):
    assert main([*words, "systems=[freeze,real]"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["second", "toy", "broken", "1 of 3 tables failed"]
    assert lines[0].startswith("second: 2 rows, 2 computed now; speed gap of Still at 25 fps: ") and lines[0].endswith("second.quick.md")
    assert "did you mean speed" in lines[2] and lines[3] == "1 of 3 tables failed: broken"
    reports = {path.name for path in (tmp_path / "results" / "toy").glob("*.md")}
    assert reports == {"second.quick.md", "toy.quick.md"}


def test_a_dry_run_shows_every_table_and_writes_nothing(words, tmp_path, capsys):
    main([*words, "dry_run=true"])
    out = capsys.readouterr().out
    assert "table=second dataset=toy" in out and "table=toy dataset=toy" in out and "trembling" in out
    assert not (tmp_path / "results").exists()


def test_a_mistake_in_the_code_of_one_table_does_not_stop_the_others(capsys):
    def run_one(name: str) -> str:
        if name == "b":
            raise ZeroDivisionError("of nothing")
        return f"{name}: done"

    assert run_every(["a", "b", "c"], run_one) == 1
    out = capsys.readouterr()
    assert out.out.splitlines() == ["a: done", "c: done", "b: failed (ZeroDivisionError: of nothing)", "1 of 3 tables failed: b"]
    assert "Traceback" in out.err
    assert run_every(["a", "c"], run_one) == 0


def test_a_dataset_without_tables_is_one_sentence_and_rows_are_those_that_a_table_can_have():
    with pytest.raises(InputError, match=r"no table lists that dataset: there are tables of .*multirate"):
        tables_of("nothing")
    assert {"text", "framerates", "cost", "unseen_rates", "time_encoding"} <= {table.name for table in tables_of("multirate")}
    assert systems_of(load_table("text"), ["oracle-slerp", "nerm", "noise"], ["nerm", "noise"]) == ["nerm", "noise"]
    assert systems_of(load_table("framerates"), ["oracle-slerp"], ["nerm"]) == ["oracle-slerp"]


def test_a_row_that_is_compared_with_recordings_at_a_rate_that_does_not_ship_needs_the_dataset(harness_of):
    def absent():
        raise InputError("not prepared")

    class Anything:
        name, digest, native_fps = "a", "1", None

    rows = [Row("a", "A"), Row("real", "Real", "real")]
    for rates, needed in (((20.0, 120.0), False), ((20.0, 48.0), True)):
        harness = harness_of(rows, rates=rates, systems={"a": Anything()})
        harness.datasets = absent
        for row in rows:
            if needed:
                with pytest.raises(InputError, match="not prepared"):
                    harness.check(row)
            else:
                harness.check(row)
