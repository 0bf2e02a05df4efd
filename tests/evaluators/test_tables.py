"""Tables as data: rows are fields and never patterns; mistakes are answered with the nearest name."""

import csv

import pytest

from baselines.base import SYSTEMS
from evaluators.ground_truth import explanation, misses
from evaluators.records import Document, Record, figures
from evaluators.tables import Main, Row, list_tables, load_table, read_table
from nerm.checkpoint import RESULTS
from nerm.errors import InputError
from nerm.registry import forget_plugin, load_plugin

TABLE = load_table("framerates")
GOOD = "title: t\nabout: a\nrates: [20]\nmetrics: [fid]\nrows: [{id: nerm, title: N}]\n"


def test_the_frame_rate_table_has_its_rates_rows_and_main_metric():
    assert {"framerates", "text"} <= set(list_tables())
    assert TABLE.rates == (20, 40, 60, 100, 120) and TABLE.sets == ("matched", "all") and TABLE.extractors == ("anyrate", "guo")
    assert {"nerm", "nerm-fixed", "real", "control-shuffled", "oracle-linear", "oracle-cubic", "oracle-slerp"} <= set(TABLE.row_ids)
    assert TABLE.main == Main("trial_distance", "anyrate", "matched") and TABLE.question.endswith("?")
    text = load_table("text")
    assert text.layout == "metrics" and text.main == Main("trial_distance", "guo", "all")


@pytest.mark.parametrize(
    ("id", "system", "variant", "upsampling"),
    [
        ("nerm", "nerm", "", ""),
        ("nerm-20-cubic", "nerm", "", "cubic"),
        ("mld-20-cubic", "mld", "", "cubic"),
        ("oracle-slerp", "real", "", "slerp"),
        ("control-noise-1mm", "real", "noise-1mm", ""),
        ("control-shuffled", "real", "shuffled", ""),
        ("real", "real", "", ""),
    ],
)
def test_a_row_says_where_its_motion_comes_from(id, system, variant, upsampling):
    row = TABLE.row(id)
    assert (row.system, row.variant, row.upsampling) == (system, variant, upsampling)


def test_an_id_that_is_no_row_is_the_system_of_that_name():
    assert TABLE.row("somebody") == Row("somebody", "somebody", "generator", system="somebody")


def test_weights_of_a_user_are_a_row_of_their_own_that_is_known_again_by_its_id():
    mine = TABLE.row("nerm").with_checkpoint("abcdef1234567890", "runs/mine.safetensors")
    assert (mine.id, mine.title, mine.system, mine.checkpoint) == (
        "nerm+abcdef12",
        "NeRM (weights mine.safetensors)",
        "nerm",
        "mine.safetensors",
    )
    assert mine.published == "", "published figures are not of these weights"
    assert TABLE.stored_row("nerm+abcdef12", "mine.safetensors") == mine
    brought_up = TABLE.row("nerm-20-cubic").with_checkpoint("abcdef1234567890", "mine.safetensors")
    assert brought_up.id == "nerm-20-cubic+abcdef12" and brought_up.upsampling == "cubic"
    assert TABLE.stored_row("my+model").title == "my+model"
    ids = ["zz", "real", "nerm+abcdef12", "nerm", "nerm-fixed", "a+b"]
    assert sorted(ids, key=TABLE.place) == ["nerm", "nerm+abcdef12", "nerm-fixed", "real", "a+b", "zz"]


@pytest.mark.parametrize("name", ["text", "framerates"])
def test_every_published_system_of_a_table_has_a_row_and_those_without_a_system_are_not_run(name):
    table = load_table(name)
    assert table.published is not None
    with (RESULTS / "published.csv").open(newline="") as file:
        published = {line["system"] for line in csv.DictReader(file) if line["table"] == name}
    assert published == {row.published for row in table.rows if row.published}
    left = {row.id for row in table.rows if not row.is_implemented}
    assert left == ({"jl2p", "hier", "mofusion", "physdiff"} if name == "text" else set())
    assert all(row.published for row in table.rows if not row.is_implemented)


def test_the_extractor_serves_every_unseen_rate_from_the_rate_that_the_table_names():
    from evaluators.extractors.anyrate.extractor import load

    table, space = load_table("unseen_rates"), load(RESULTS / "models" / "anyrate.safetensors").space
    served = {24: 24, 25: 30, 30: 30, 48: 40, 50: 60, 90: 100, 144: 120, 240: 240}
    assert {rate: space.nearest(rate) for rate in table.rates} == served
    words = " ".join(table.about.split())
    assert "25 is read as 30, 48 as 40, 50 as 60, 90 as 100, and 144 as 120" in words


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("time_encoding", ["none", "simple", "codebook"]),
        ("variational", ["deterministic", "variational"]),
        ("time_normalization", ["off", "on"]),
    ],
)
def test_the_paper_s_ablations_have_its_rows_in_its_order_and_each_can_be_trained(name, changed):
    table = load_table(name)
    assert [row.published for row in table.rows if row.published] == changed
    assert all(SYSTEMS.get(row.system).trains for row in table.rows if row.system != "real")
    with (RESULTS / "published.csv").open(newline="") as file:
        assert {line["metric"] for line in csv.DictReader(file) if line["table"] == name} <= set(table.metrics)


def test_mistakes_in_a_table_are_answered_with_the_nearest_name(tmp_path):
    with pytest.raises(InputError, match="did you mean framerates"):
        load_table("framerate")
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert read_table(path).rows[0].role == "generator"
    for wrong, answer in (
        ("metric: [fid]", "did you mean metrics"),
        ("metrics: [clip_fit]", "clip_fid"),
        ("rates: [0]", "positive number"),
        ("rows: [{id: a, title: A, role: oracel}]", "did you mean oracle"),
        ("rows: [{id: a, title: A}, {id: a, title: B}]", "lists a row twice"),
        ("layout: metric", "did you mean metrics"),
        ("main: {metric: clip_fid}", "main metric=clip_fid does not exist"),
        ("main: {metric: fid, extractor: gou}", "main: unknown key|main extractor=gou"),
        ("quick: [nrem]", "did you mean nerm"),
    ):
        key = wrong.split(":")[0]
        path.write_text("\n".join(line for line in GOOD.splitlines() if not line.startswith(f"{key}:")) + f"\n{wrong}\n")
        with pytest.raises(InputError, match=answer):
            read_table(path)
    path.write_text("title: t\n")
    with pytest.raises(InputError, match="missing about, rates, metrics, rows"):
        read_table(path)


def test_tables_beside_a_plugin_are_known_and_other_files_there_are_not_tables(tmp_path):
    plugin = tmp_path / "toy.py"
    plugin.write_text("ENTRIES = ()\n")
    (tmp_path / "toy.yaml").write_text(GOOD)
    (tmp_path / "settings.yaml").write_text("learning_rate: 1\n")
    load_plugin(plugin)
    try:
        assert "toy" in list_tables() and "settings" not in list_tables()
        assert load_table("toy").title == "t"
        (tmp_path / "text.yaml").write_text(GOOD)
        with pytest.raises(InputError, match=r"table 'text' is in .* and in .*: rename one"):
            list_tables()
    finally:
        forget_plugin(plugin)


@pytest.mark.parametrize(("table", "dataset"), [("text", "humanml3d"), ("text", "kit"), ("action", "humanact12"), ("action", "uestc")])
def test_the_ground_truth_of_an_official_dataset_is_what_was_published_and_a_figure_too_far_from_it_is_named(table, dataset):
    found = load_table(table).on(dataset)
    with (RESULTS / "published.csv").open(newline="") as file:
        lines = [x for x in csv.DictReader(file) if (x["table"], x["dataset"], x["system"]) == (table, dataset, "Real")]
    published = {line["metric"]: (float(line["value"]), float(line["ci95"])) for line in lines}
    for name, expected in found.ground_truth.items():
        if name in published:
            value, interval = published[name]
            assert expected.value == value and interval < expected.tolerance < max(0.1, 0.1 * value)
    values = {name: expected.value + 0.9 * expected.tolerance for name, expected in found.ground_truth.items()}

    def real(values):
        (extractor,) = found.extractors
        records = [Record(name, value, 100, set="all", extractor=extractor) for name, value in values.items()]
        return figures([Document(dataset, table, "full", "real", tuple(records))])

    assert misses(found, real(values)) == [] and misses(found, []) is None
    name, expected = next(iter(found.ground_truth.items()))
    far = values | {name: expected.value - 1.1 * expected.tolerance}
    assert [miss.metric for miss in misses(found, real(far))] == [name]
    assert "published" in explanation(found, dataset, misses(found, real(far)))
