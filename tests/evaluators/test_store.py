"""The store: equal bytes for equal results, nothing half-written, damaged entries set aside, shipped results only read."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluators.canonical import canonical
from evaluators.provenance import provenance
from evaluators.raw_file import read_document
from evaluators.records import Document, Record, figures
from evaluators.store import Store, write_atomic
from nerm.errors import InputError

WHERE = ("multirate", "framerates", "full", "nerm")


def records(values=(0.5, 0.25, 1 / 3), **more) -> tuple[Record, ...]:
    shared = {"metric": "clip_fid", "fps": 20, "set": "matched", "extractor": "anyrate", "protocol": "clip", "n": 1000} | more
    return tuple(Record(**shared, replication=i, seed=10 + i, value=value) for i, value in enumerate(values))


def document(*found: Record, system: str = "nerm", **more) -> Document:
    return Document(*WHERE[:3], system, found or records(), **more)


def test_records_written_and_read_back_are_the_same(tmp_path):
    store = Store(tmp_path)
    written = document(provenance={"device": "cpu"})
    path = store.write(written)
    assert path == store.path(*WHERE) == tmp_path / "raw/multirate/framerates/full/nerm.json"
    read = store.read(*WHERE)
    assert [r.value for r in read.records] == pytest.approx([0.5, 0.25, 1 / 3], rel=1e-6)
    rounded = tuple(replace(record, value=old.value) for record, old in zip(read.records, written.records, strict=True))
    assert replace(read, records=rounded) == written
    (figure,) = figures([read])
    assert figure.system == "nerm" and figure.counts == (1000,) * 3 and figure.seeds == (10, 11, 12) and figure.replications == (0, 1, 2)


def test_equal_results_are_equal_bytes_whatever_the_order_and_the_number_type(tmp_path):
    first, second = (Store(tmp_path / name) for name in "ab")
    mixed = records() + records(fps=np.float64(120.0))
    one = first.write(document(*mixed, provenance={"device": "cpu", "seeds": np.arange(3)}))
    shuffled = [replace(record, value=np.float64(record.value) + 1e-13) for record in reversed(mixed)]
    other = second.write(document(*shuffled, provenance={"seeds": [0, 1, 2], "device": "cpu"}))
    assert one.read_bytes() == other.read_bytes()


def test_what_most_series_share_is_written_once_and_read_back_with_each(tmp_path):
    store = Store(tmp_path)
    kinds = [{"fps": 20}, {"fps": 60}, {"fps": 120, "version": 2, "n": 7, "extractor": ""}]
    mixed = [record for kind in kinds for record in records((0.5, 0.25), **kind)] + list(records((0.0,), fps=None))
    path = store.write(document(*mixed))
    assert path.read_text().count('"anyrate"') == 1
    assert sorted(map(repr, store.read(*WHERE).records)) == sorted(map(repr, mixed))


def test_a_file_of_another_format_is_refused(tmp_path):
    path = Store(tmp_path).write(document())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 1}))
    with pytest.raises(InputError, match="result format 1; this version reads 2"):
        read_document(path)


def test_machine_dependent_numbers_stand_apart_from_records_and_provenance(tmp_path):
    store = Store(tmp_path)
    text = store.write(document(machine={"seconds": 12.5})).read_text()
    read = store.read(*WHERE)
    assert read.machine == {"seconds": 12.5} and text.count("seconds") == 1 and "seconds" not in canonical(read.provenance)


def test_writing_a_system_replaces_it_and_leaves_the_others(tmp_path):
    store = Store(tmp_path)
    for written in (document(), document(*records((0.0,)), system="real"), document(*records((9.0,)))):
        store.write(written)
    assert [(d.system, [r.value for r in d.records]) for d in store.documents(*WHERE[:3])] == [("nerm", [9.0]), ("real", [0.0])]
    assert store.systems(*WHERE[:3]) == ["nerm", "real"] and store.systems("multirate", "text", "quick") == []


def test_values_that_are_not_finite_and_odd_names_are_refused_and_nothing_is_written(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(InputError, match="clip_fid is nan at replication 1"):
        store.write(document(*records((1.0, float("nan")))))
    with pytest.raises(InputError, match="cannot name a file"):
        store.write(document(system="../nerm"))
    assert not list(tmp_path.rglob("*"))


def test_what_is_not_here_is_read_from_the_other_folders_and_never_copied(tmp_path):
    shipped = Store(tmp_path / "shipped")
    for system, value in (("nerm", 1.0), ("real", 2.0)):
        shipped.write(document(*records((value,)), system=system))
    shipped.write_curves(*WHERE, "spectrum", {120.0: np.ones((2, 3))})
    (tmp_path / "shipped/published.csv").write_text("table\n")
    before = {path: path.read_bytes() for path in (tmp_path / "shipped").rglob("*") if path.is_file()}
    store = Store(tmp_path / "mine", tmp_path / "shipped")
    assert store.read(*WHERE).records[0].value == 1.0 and list(store.curves(*WHERE, "spectrum")) == [120.0]
    store.write(document(*records((7.0,))))
    assert [d.records[0].value for d in store.documents(*WHERE[:3])] == [7.0, 2.0]
    assert store.curves(*WHERE, "spectrum") == {}, "curves of another run must not stand beside this row"
    assert store.file("published.csv") == tmp_path / "shipped/published.csv"
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in (tmp_path / "mine").rglob("*") if path.is_file()] == ["nerm.json"]


@pytest.mark.parametrize("cut", (0, 10, 200, -5))
def test_a_damaged_entry_is_said_and_kept_aside_and_the_rest_is_still_there(tmp_path, capsys, cut):
    store = Store(tmp_path)
    path = store.write(document())
    store.write(document(system="real"))
    data = path.read_bytes()
    path.write_bytes(data[:cut])
    assert [d.system for d in store.documents(*WHERE[:3])] == ["real"]
    assert "not a complete result file" in capsys.readouterr().err
    assert path.with_name("nerm.json.damaged").read_bytes() == data[:cut] and not path.exists()
    assert store.systems(*WHERE[:3]) == ["real"]
    with pytest.raises(InputError, match=r"nothing is stored under raw/multirate/framerates/full/nerm\.json"):
        store.read(*WHERE)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda raw: raw | {"series": {"metric": "fid"}}, "not a complete result file"),
        (lambda raw: raw | {"provenance": []}, "provenance and machine are no dicts"),
        (lambda raw: raw | {"series": raw["series"] * 2}, "replication 0 of clip_fid twice"),
        (lambda raw: raw | {"series": [raw["series"][0] | {"value": [float("nan")] * 3}]}, "clip_fid is nan"),
        (lambda raw: raw | {"series": [raw["series"][0] | {"fps": "fast"}]}, "a value of a wrong type"),
        (lambda raw: {"format": 2}, "not a complete result file"),
        (lambda raw: [], "not a complete result file"),
    ],
)
def test_an_entry_of_a_wrong_form_is_set_aside_and_the_rest_of_the_report_kept(tmp_path, capsys, damage, said):
    store = Store(tmp_path)
    path = store.write(document())
    store.write(document(*records((2.0,)), system="mdm"))
    text = json.dumps(damage(json.loads(path.read_text())))
    path.write_text(text)
    assert [d.system for d in store.documents(*WHERE[:3])] == ["mdm"]
    assert said in capsys.readouterr().err and path.with_name("nerm.json.damaged").read_text() == text


def test_damaged_curves_are_set_aside(tmp_path, capsys):
    store = Store(tmp_path)
    store.write(document())
    path = store.write_curves(*WHERE, "spectrum", {20.0: np.ones((2, 3))})
    path.write_text("fps,hz,density\n20,1,\n20,2\n")
    assert store.curves(*WHERE, "spectrum") == {} and "no whole file of curves" in capsys.readouterr().err
    assert path.with_name(f"{path.name}.damaged").exists() and not path.exists()


def test_a_damaged_entry_gives_way_to_the_shipped_one_and_shipped_files_are_left_alone(tmp_path, capsys):
    shipped, store = Store(tmp_path / "shipped"), Store(tmp_path / "mine", tmp_path / "shipped")
    shipped.write(document(*records((1.0,))))
    store.write(document()).write_bytes(b"{")
    assert store.read(*WHERE).records[0].value == 1.0
    shipped.path(*WHERE).write_bytes(b"{")
    assert store.documents(*WHERE[:3]) == [] and shipped.path(*WHERE).read_bytes() == b"{"
    assert "left out" in capsys.readouterr().err


def test_a_replication_stored_twice_and_a_renamed_file_are_refused(tmp_path, capsys):
    store = Store(tmp_path)
    path = store.write(document())
    with pytest.raises(InputError, match="stored twice"):
        figures([document(*records(), *records())])
    path.rename(path.with_name("mdm.json"))
    assert store.documents(*WHERE[:3]) == [] and "must not be renamed" in capsys.readouterr().err


def test_curves_are_kept_beside_the_document(tmp_path):
    store = Store(tmp_path)
    assert store.curves(*WHERE, "spectrum") == {}
    store.write(document())
    curves = {20.0: np.array([[0.0, 0.5], [1.5, 2.0]]), 120.0: np.array([[1.0], [3e-7]])}
    path = store.write_curves(*WHERE, "spectrum", curves)
    assert path.name == "nerm.spectrum.csv" and path.read_text().splitlines()[:2] == ["fps,hz,density", "20,0,1.5"]
    read = store.curves(*WHERE, "spectrum")
    assert read.keys() == curves.keys() and all((read[fps] == curves[fps]).all() for fps in curves)
    assert store.systems(*WHERE[:3]) == ["nerm"]


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_provenance_names_versions_and_what_the_caller_adds():
    about = provenance(device="cpu", sha256={"corpus": "ab"})
    assert about["packages"]["numpy"] == np.__version__ and about["device"] == "cpu" and about["sha256"] == {"corpus": "ab"}
    assert json.loads(canonical(about)) == about
