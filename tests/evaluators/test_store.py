"""The store and the feature cache: equal bytes for equal results, nothing half-written, several processes."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from evaluators.store import Cache, Store, canonical, figures, provenance, write_atomic
from nerm.errors import InputError

WHERE = ("multirate", "framerates", "quick", "nerm")


def records(values=(0.5, 0.25, 1 / 3), **more) -> list[dict]:
    shared = {"metric": "clip_fid", "fps": 20, "set": "matched", "extractor": "multirate", "protocol": "clip", "n": 1000} | more
    return [{**shared, "replication": i, "seed": 10 + i, "value": value} for i, value in enumerate(values)]


def test_records_written_and_read_back_are_the_same_and_carry_their_identity(tmp_path):
    store = Store(tmp_path)
    path = store.write(*WHERE, records(), {"device": "cpu"})
    assert path == tmp_path / "raw/multirate/framerates/quick/nerm.json"
    found = store.records("multirate", "framerates", "quick")
    assert [r["value"] for r in found] == pytest.approx([0.5, 0.25, 1 / 3], rel=1e-9)
    assert [(r["system"], r["metric"], r["fps"], r["replication"], r["seed"], r["n"], r["version"]) for r in found] == [
        ("nerm", "clip_fid", 20, i, 10 + i, 1000, 1) for i in range(3)
    ]
    (figure,) = figures(found)
    assert figure.system == "nerm" and len(figure.values) == 3 and figure.counts == (1000,) * 3
    assert store.read(*WHERE)["provenance"] == {"device": "cpu"}


def test_equal_results_are_equal_bytes_whatever_the_order_and_the_number_type(tmp_path):
    first, second = (Store(tmp_path / name) for name in "ab")
    mixed = records() + records(fps=np.float64(120.0))
    one = first.write(*WHERE, mixed, {"device": "cpu", "seeds": np.arange(3)})
    shuffled = [dict(reversed({**r, "value": np.float64(r["value"]) + 1e-13}.items())) for r in reversed(mixed)]
    other = second.write(*WHERE, shuffled, {"seeds": [0, 1, 2], "device": "cpu"})
    assert one.read_bytes() == other.read_bytes()


def test_what_most_series_share_is_written_once_and_read_back_with_each(tmp_path):
    store = Store(tmp_path)
    kinds = [{"fps": 20}, {"fps": 60}, {"fps": 120, "version": 2, "n": 7, "extractor": ""}]
    mixed = [record for kind in kinds for record in records(**kind)] + records((0.0,), fps=None)
    path = store.write(*WHERE, mixed, {})
    assert path.read_text().count('"multirate"') == 2  # the dataset and the extractor
    found = store.records(*WHERE)
    assert len(found) == len(mixed)
    known = {(r["fps"], r["replication"]): r for r in found}
    for record in mixed:
        assert {"version": 1, **record}.items() - {("value", 1 / 3)} <= known[record["fps"], record["replication"]].items()


def test_a_file_of_the_first_format_in_which_every_series_says_everything_is_read(tmp_path):
    store = Store(tmp_path)
    path = store.write(*WHERE, records(), {})
    expected = store.read(*WHERE)
    document = json.loads(path.read_text())
    document["series"] = [document.pop("shared") | series for series in document["series"]]
    path.write_text(json.dumps(document | {"format": 1}))
    assert store.read(*WHERE) == expected | {"format": 1}
    path.write_text(json.dumps(document | {"format": 3}))
    with pytest.raises(InputError, match="result format 3; this version reads 1 and 2"):
        store.read(*WHERE)


def test_machine_dependent_numbers_stand_apart_from_records_and_provenance(tmp_path):
    store = Store(tmp_path)
    store.write(*WHERE, records(), {}, machine={"seconds": 12.5})
    document = store.read(*WHERE)
    assert document["machine"] == {"seconds": 12.5} and "seconds" not in canonical([document["records"], document["provenance"]])


def test_writing_a_system_replaces_it_and_leaves_the_others(tmp_path):
    store = Store(tmp_path)
    store.write(*WHERE, records(), {})
    store.write(*WHERE[:3], "real", records((0.0,)), {})
    store.write(*WHERE, records((9.0,)), {})
    assert [(r["system"], r["value"]) for r in store.records(*WHERE[:3])] == [("nerm", 9.0), ("real", 0.0)]
    assert [r["value"] for r in store.records(*WHERE)] == [9.0] and store.records(*WHERE[:3], "other") == []


def test_values_that_are_not_finite_and_records_without_a_count_are_refused_and_nothing_is_written(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(InputError, match="clip_fid is nan at replication 1"):
        store.write(*WHERE, records((1.0, float("nan"))), {})
    with pytest.raises(InputError, match="metric, value and n"):
        store.write(*WHERE, [{"metric": "fid", "value": 1.0}], {})
    with pytest.raises(InputError, match="cannot name a file"):
        store.write("multirate", "framerates", "quick", "../nerm", records(), {})
    assert not list(tmp_path.rglob("*"))


def test_a_replication_stored_twice_a_truncated_file_and_a_renamed_file_are_refused(tmp_path):
    store = Store(tmp_path)
    path = store.write(*WHERE, records(), {})
    with pytest.raises(InputError, match="stored twice"):
        figures(store.records(*WHERE) * 2)
    path.rename(path.with_name("mdm.json"))
    with pytest.raises(InputError, match="must not be renamed"):
        store.records(*WHERE[:3])
    path.with_name("mdm.json").write_bytes(path.with_name("mdm.json").read_bytes()[:200])
    with pytest.raises(InputError, match=r"mdm\.json is not a complete result file"):
        store.records(*WHERE[:3])


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path):
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_provenance_names_versions_and_what_the_caller_adds():
    found = provenance(device="cpu", sha256={"corpus": "ab"})
    assert found["packages"]["numpy"] == np.__version__ and found["device"] == "cpu" and found["sha256"] == {"corpus": "ab"}
    assert json.loads(canonical(found)) == found


# --- cache ----------------------------------------------------------------------------------------------------------------------------

KEY = {"system": "nerm", "fps": 120, "seeds": [1, 2]}


def arrays(seed: int) -> dict[str, np.ndarray]:
    return {"features": np.random.default_rng(seed).normal(size=(50, 8)), "labels": np.arange(50)}


def test_the_cache_makes_once_and_knows_a_key_by_its_content(tmp_path):
    cache = Cache(tmp_path)
    made = cache.get_or(KEY, lambda: arrays(0))
    again = Cache(tmp_path).get_or(dict(reversed(KEY.items())), lambda: pytest.fail("made twice"))
    assert all((made[name] == again[name]).all() for name in made) and set(made) == set(again)
    other = cache.get_or(KEY | {"fps": 60}, lambda: arrays(1))
    assert not (other["features"] == made["features"]).all()


@pytest.mark.parametrize("left", (0, 10, 500, -1))
def test_a_truncated_cache_file_is_made_again(tmp_path, left):
    cache = Cache(tmp_path)
    cache.get_or(KEY, lambda: arrays(0))
    path = cache.path(KEY)
    path.write_bytes(path.read_bytes()[:left])
    assert (cache.get_or(KEY, lambda: arrays(0))["features"] == arrays(0)["features"]).all()
    assert (cache.get_or(KEY, lambda: pytest.fail("not repaired"))["features"] == arrays(0)["features"]).all()


def test_a_make_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Cache(tmp_path).get_or(KEY, lambda: {"x": np.array(1 / 0)})
    assert not list(tmp_path.rglob("*.npz*"))


def in_a_process(root: str) -> float:
    cache = Cache(Path(root))
    return sum(float(cache.get_or({"item": i % 5}, lambda i=i: arrays(i % 5))["features"].sum()) for i in range(100))


def test_several_processes_share_one_cache(tmp_path):
    with ProcessPoolExecutor(2) as pool:
        totals = list(pool.map(in_a_process, [str(tmp_path)] * 4))
    assert len(set(totals)) == 1 and len(list(tmp_path.rglob("*.npz"))) == 5 and not list(tmp_path.rglob(".*.npz.*"))
