"""Reports: pure functions of what is stored; the first table answers the question, and the rest is below it or in the CSV."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from evaluators.records import Document, Record
from evaluators.report import summary, write_report
from evaluators.report.markdown import markdown
from evaluators.report.pictures import EMPHASIS, drawn_rows, styles, ticks
from evaluators.report.reading import build
from evaluators.report.values import COLUMNS, comma_separated
from evaluators.store import Store
from evaluators.tables import CURVES, Row, load_table
from nerm.errors import InputError

TABLE, TEXT = load_table("framerates"), load_table("text")
RATES = (20, 60, 120)
FLOOR = "Real (floor: halves by trial)"
PUBLISHED = """table,dataset,system,metric,fps,value,ci95,note
framerates,humanml3d,MDM,clip_fid,20,0.544,,
framerates,humanml3d,NeRM,clip_fid,20,0.389,.011,
framerates,humanml3d,MDM,clip_fid,120,7.878,,
framerates,humanml3d,NeRM,clip_fid,120,1.315,,
framerates,humanml3d,NeRM,mre,20,0.041,,
text,humanml3d,JL2P,fid,20,11.02,.046,
text,humanml3d,NeRM (native-framerate),fid,20,0.389,,
text,kit,JL2P,fid,12.5,6.545,.072,
"""


def records(mean: float, metric: str = "clip_fid", extractor: str = "guo", set_: str = "all", rates=RATES, **more) -> tuple[Record, ...]:
    noise = np.random.default_rng(0).normal(0, 0.01 * mean, 20)
    noise -= noise.mean()
    shared = {"metric": metric, "extractor": extractor, "set": set_, "protocol": "clip", "n": 1000} | more
    return tuple(Record(**shared, fps=fps, replication=i, value=mean * fps / 20 + x) for fps in rates for i, x in enumerate(noise))


def write(store: Store, system: str, found: tuple[Record, ...], tier: str = "full", table: str = "framerates", **provenance) -> None:
    store.write(Document("multirate", table, tier, system, found, provenance, {"seconds": found[0].value}))


def of_system(mean: float) -> tuple[Record, ...]:
    main = records(mean, extractor="anyrate", set_="matched")
    more = records(10 * mean, "diversity", rates=(20,)) + records(30 * mean, "mre", extractor="", set_="", rates=(20,))
    return main + records(mean) + more


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    (tmp_path / "published.csv").write_text(PUBLISHED)
    origin = {"device": "cpu", "dtype": "float32", "commit": "c" * 40, "sha256": {"corpus": "a" * 64}, "packages": {"numpy": "2.0"}}
    for system, mean in (("nerm", 0.4), ("nerm-fixed", 0.6), ("oracle-slerp", 0.2), ("real", 0.1), ("my-model", 5.0)):
        write(store, system, of_system(mean), **origin)
    return store


def lines(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text)))


def of_tier(store: Store, tier: str = "full", table=TABLE):
    return build(store, "multirate", table, tier)


def printed(text: str, heading: str) -> dict[str, list[str]]:
    """Title of a row -> its cells, of the first table after a heading."""
    after = text.split(heading)[1].splitlines()
    first = next(i for i, line in enumerate(after) if line.startswith("|"))
    table = [line for line in after[first : first + 60] if line.startswith("|")]
    end = next((i for i, line in enumerate(after[first:]) if not line.startswith("|")), len(after))
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in table[:end])}


def bold(text: str, heading: str) -> list[str]:
    return [name for name, cells in printed(text, heading).items() if any("**" in cell for cell in cells)]


def test_labels_of_rates_do_not_run_together():
    assert ticks([24, 25, 30, 48, 50, 90, 144, 240]) == [24, 48, 90, 144, 240]
    assert ticks([20, 40, 60, 100, 120]) == [20, 40, 60, 100, 120] and ticks([20]) == [20]


# --- files ----------------------------------------------------------------------------------------------------------------------------


def test_a_report_is_three_files_and_the_same_bytes_every_time(store):
    paths = write_report(store, "multirate", TABLE, "full")
    assert [path.name for path in paths] == ["framerates.full.md", "framerates.full.csv", "framerates.full.png"]
    first = [path.read_bytes() for path in paths]
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 20, "axes.grid": False}):
        assert [path.read_bytes() for path in write_report(store, "multirate", TABLE, "full")] == first
    assert first[2].startswith(b"\x89PNG")


def test_machine_dependent_numbers_do_not_reach_the_report(store):
    before = markdown(of_tier(store)), comma_separated(of_tier(store))
    store.write(replace(store.read("multirate", "framerates", "full", "nerm"), machine={"seconds": 777}))
    assert (markdown(of_tier(store)), comma_separated(of_tier(store))) == before


def test_a_report_of_rows_that_lie_elsewhere_is_the_same_and_copies_nothing(store, tmp_path):
    expected = [path.read_bytes() for path in write_report(store, "multirate", TABLE, "full")]
    mine = Store(tmp_path / "mine", store.root)
    assert [path.read_bytes() for path in write_report(mine, "multirate", TABLE, "full")] == expected
    assert sorted(path.suffix for path in (tmp_path / "mine").rglob("*") if path.is_file()) == [".csv", ".md", ".png"]


def test_a_damaged_row_is_left_out_and_the_rest_of_the_table_is_reported(store, capsys):
    path = store.path("multirate", "framerates", "full", "nerm-fixed")
    path.write_bytes(path.read_bytes()[:100])
    text = write_report(store, "multirate", TABLE, "full")[0].read_text()
    assert "| NeRM " in text and "NeRM (fixed rate)" not in text
    assert str(path) in capsys.readouterr().err and path.with_name("nerm-fixed.json.damaged").exists()


def test_a_report_of_nothing_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"python -m evaluators\.run table=framerates dataset=multirate tier=quick"):
        build(Store(tmp_path), "multirate", TABLE, "quick")


# --- CSV ------------------------------------------------------------------------------------------------------------------------------


def test_the_csv_has_one_line_per_figure_in_the_agreed_columns(store):
    text = comma_separated(of_tier(store))
    assert tuple(text.splitlines()[0].split(",")) == COLUMNS
    ours = [row for row in lines(text) if row["tier"] == "full"]
    assert len(ours) == 5 * (3 + 3 + 1 + 1)
    row = next(r for r in ours if (r["system"], r["metric"], r["fps"], r["extractor"]) == ("nerm", "clip_fid", "120", "guo"))
    values = [r.value for r in records(0.4) if r.fps == 120]
    assert float(row["value"]) == pytest.approx(np.mean(values), rel=1e-5)
    assert float(row["ci95"]) == pytest.approx(1.96 * np.std(values), rel=1e-3)  # of differences between values of six digits
    assert row["n"] == "1000" and row["set"] == "all"


def test_published_figures_stand_beside_ours_in_our_units_or_in_lines_of_their_own(store):
    found = lines(comma_separated(of_tier(store)))
    beside = {(r["system"], r["metric"], r["fps"], r["extractor"]): r["published"] for r in found if r["tier"] == "full" and r["published"]}
    assert beside == {
        ("nerm", "clip_fid", "20", "guo"): "0.389",
        ("nerm", "clip_fid", "120", "guo"): "1.315",
        ("nerm", "mre", "20", ""): "41",
    }
    alone = [(r["system"], r["dataset"], r["published"], r["value"]) for r in found if r["tier"] == "published"]
    assert alone == [("mdm", "humanml3d", "0.544", ""), ("mdm", "humanml3d", "7.878", "")]


def test_the_csv_holds_what_the_markdown_leaves_out(store):
    for system in ("nerm", "real"):
        document = store.read("multirate", "framerates", "full", system)
        again = tuple(replace(r, set="all", extractor="anyrate") for r in document.records if r.extractor == "anyrate")
        store.write(replace(document, records=document.records + again))
    sets = {(r["set"], r["system"]) for r in lines(comma_separated(of_tier(store))) if r["extractor"] == "anyrate" and r["fps"] == "60"}
    assert ("all", "nerm") in sets and ("matched", "nerm") in sets


# --- Markdown -------------------------------------------------------------------------------------------------------------------------


def test_the_markdown_begins_with_the_title_the_question_one_table_and_how_to_read_it(store):
    blocks = markdown(of_tier(store), ["framerates.full.png"]).split("\n\n")
    assert blocks[0] == f"# {TABLE.title}" and blocks[1] == TABLE.question
    assert blocks[2] == "**clip-FID, extractor `anyrate`, set `matched`** (dataset `multirate`, tier `full`):"
    assert blocks[3].startswith("| system") and all(f"{fps} fps" in blocks[3].splitlines()[0] for fps in RATES)
    sentences = blocks[4].splitlines()
    assert sentences[0].startswith("Lower is better; the best generator of a column is bold") and len(sentences) == 2
    assert sentences[1].startswith("Values are means ± 95 % intervals: 1.96 standard deviations of 20 bootstrap samples of trials.")
    assert sentences[1].endswith("[what the intervals cover](../../docs/intervals.md).")
    assert blocks[5] == "At 120 fps, clip-FID of NeRM is 1.200 ± 0.003 below that of NeRM (fixed rate), compared in pairs."
    assert blocks[6].startswith("Nothing is stored of trial distance, anyrate, matched, which decides this table; clip-FID")
    assert blocks[7].startswith("**clip-FID: difference from NeRM**") and blocks[9] == "![framerates.full.png](framerates.full.png)"


def test_the_main_metric_leads_and_every_row_is_compared_with_the_first_draw_by_draw(store):
    """All rows have one noise; NeRM at .4 and its fixed-rate twin at .6 differ by .2 times the rate, with an interval of the difference."""
    for system, mean in (("nerm", 0.4), ("nerm-fixed", 0.6), ("my-model", 0.4), ("real", 0.0)):
        write(store, system, records(mean, "trial_distance", extractor="anyrate", set_="matched", seed=5) + of_system(mean or 0.1))
    text = markdown(of_tier(store))
    assert "**trial distance, extractor `anyrate`, set `matched`**" in text and "Nothing is stored" not in text
    table = printed(text, "**trial distance: difference from NeRM**")
    half = 1.96 * np.std([r.value for r in records(0.6) if r.fps == 20]) / 3  # the noise is 1 % of the mean
    assert table["NeRM (fixed rate)"] == [f"▲ {0.2 * fps / 20:+.3f} ± {half:.3f}" for fps in RATES]
    assert table["my-model"] == ["+0.000 ± 0.000"] * 3 and FLOOR not in table
    assert bold(text, "tier `full`") == ["NeRM", "my-model"]


def test_a_difference_within_its_interval_is_no_better_and_both_are_bold(store):
    rng = np.random.default_rng(1)
    for system, shift in (("nerm", 0.0), ("t2m", 0.05), ("mdm", 0.5)):
        found = records(1.0, "trial_distance", extractor="anyrate", set_="matched", seed=5, rates=(20,))
        write(store, system, tuple(replace(r, value=r.value + shift + 0.1 * rng.normal()) for r in found))
    text = markdown(of_tier(store))
    assert bold(text, "tier `full`") == ["NeRM", "T2M (20 fps, brought up by slerp)"]
    assert "differs from that of T2M (20 fps, brought up by slerp), the best of T2M and MDM by" in text and "zero is not excluded" in text
    table = printed(text, "**trial distance: difference from NeRM**")
    assert table["MDM (20 fps, brought up by slerp)"][0].startswith("▲ +0.4") and "▲" not in table["T2M (20 fps, brought up by slerp)"][0]


def test_several_trainings_of_a_system_are_one_row_with_their_mean_and_their_spread(store):
    of = {"": 2.9, ".seed1": 3.4, ".seed2": 3.0}
    for training, (suffix, mean) in enumerate(of.items()):
        found = records(mean, "trial_distance", extractor="anyrate", set_="matched", rates=(20,), training=training)
        write(store, f"nerm{suffix}", found, training={"steps": {"field": 5 + training}}, sha256={"model": f"nerm{suffix}"})
    write(store, "mdm", records(5.0, "trial_distance", extractor="anyrate", set_="matched", rates=(20,)))
    report = of_tier(store)
    table = printed(markdown(report), "tier `full`")
    assert table["NeRM"][0].startswith("**3.100 ±") and table["NeRM"][0].endswith("** (3 trainings: 2.900 to 3.400)")
    assert list(table)[2:] == ["NeRM", "MDM (20 fps, brought up by slerp)"]
    trained = printed(markdown(report), "## Training")
    assert {name: row[1] for name, row in trained.items() if name.startswith("NeRM")} == {
        "NeRM": "field 5",
        "NeRM, training 2": "field 6",
        "NeRM, training 3": "field 7",
    }
    (line,) = (row for row in lines(comma_separated(report)) if row["system"] == "nerm" and row["metric"] == "trial_distance")
    assert (line["value"], line["trainings"], line["lowest"], line["highest"]) == ("3.1", "3", "2.9", "3.4")


def test_rows_of_one_system_are_compared_over_the_trainings_that_both_have(store):
    def row(mean: float, training: int) -> tuple[Record, ...]:
        return records(mean, "trial_distance", extractor="anyrate", set_="matched", rates=(20,), training=training)

    for training, (suffix, mean) in enumerate({"": 2.9, ".seed1": 3.4, ".seed2": 3.0}.items()):
        write(store, f"nerm{suffix}", row(mean, training))
    write(store, "nerm-20-slerp", row(3.0, 0))
    write(store, "mdm", row(5.0, 0))
    of_tables = printed(markdown(of_tier(store)), "**trial distance: difference from NeRM**")
    assert of_tables["NeRM at 20 fps, brought up by slerp"][0].startswith("▲ +0.100")
    assert of_tables["MDM (20 fps, brought up by slerp)"][0].startswith("▲ +1.900")


def test_a_quick_report_mixes_no_trainings_of_the_stored_run_into_its_own(store):
    write(store, "nerm.seed1", records(9.0, training=1))
    write(store, "nerm", records(0.9), "quick")
    report = of_tier(store, "quick")
    assert [d.system for d in report.documents if d.system.startswith("nerm")] == ["nerm", "nerm-fixed"]


def test_effective_dimensions_of_real_motion_are_a_sentence_beside_the_frechet_distances(store):
    write(store, "real", records(27.0, "clip_dimensions", rates=(20,))[:1] + of_system(0.1))
    text = markdown(of_tier(store))
    assert "clip-FID, extractor `guo`, set `all`: 27.1 at 20 fps (n 1,000)." in text and "effective dimensions of clips |" not in text


def test_rows_follow_the_table_and_unlisted_systems_come_last(store):
    names = list(printed(markdown(of_tier(store)), "## clip-FID, extractor `guo`"))
    assert names[2:] == ["NeRM", "NeRM (fixed rate)", "Oracle: real at 20 fps, slerp", FLOOR, "my-model"]
    headings = [line for line in markdown(of_tier(store)).splitlines() if line.startswith("## ")]
    below = ["Other metrics", "Published figures", "Metrics", "Provenance"]
    assert headings == ["## Rows and columns", "## clip-FID, extractor `guo`, set `all`", *(f"## {name}" for name in below)]


def test_the_best_generator_is_bold_and_oracles_and_real_motion_do_not_compete(store):
    text = markdown(of_tier(store))
    assert bold(text, "## clip-FID, extractor `guo`") == ["NeRM"]
    assert bold(text, "### extractor `guo`, set `all`, 20 fps") == ["NeRM"]  # diversity nearest to real: 1; NeRM 4, fixed 6, the user's 50


def test_bold_is_over_all_rows_that_are_printed_whichever_run_they_came_from(tmp_path):
    """R-precision of 0.381 was bold in a column that holds 0.480, because the latter came from the stored run."""
    store, about = Store(tmp_path), {"metric": "r_precision_top1", "rates": (20,)}
    for system, tier, mean in (("t2m", "full", 0.480), ("mdm", "full", 0.229), ("nerm", "full", 0.371)):
        write(store, system, records(mean, **about), tier, "text")
    for system, mean in (("nerm", 0.381), ("nerm-fixed", 0.373)):
        write(store, system, records(mean, **about), "quick", "text")
    text = markdown(of_tier(store, "quick", TEXT))
    assert bold(text, "tier `quick`") == ["T2M†"]
    assert printed(text, "tier `quick`")["NeRM"][0].startswith("0.381")
    assert "At 20 fps, R-precision top 1 of NeRM is 0.099 ± 0.002 below that of T2M, the best of T2M and MDM, compared in pairs." in text


def test_a_quick_report_takes_over_what_it_did_not_compute_and_says_so(store):
    write(store, "nerm", records(0.9, extractor="anyrate", set_="matched"), "quick", device="cpu")
    text = markdown(of_tier(store, "quick"))
    assert {"NeRM", "NeRM (fixed rate)†", "Oracle: real at 20 fps, slerp†"} <= set(printed(text, "tier `quick`"))
    assert "† Taken from the stored run of tier `full`" in text
    assert {(r["system"], r["tier"]) for r in lines(comma_separated(of_tier(store, "quick")))} >= {("nerm", "quick"), ("real", "full")}


def test_sets_that_hold_the_same_at_a_rate_are_printed_once_and_a_line_says_so(store):
    for system, mean in (("nerm", 0.4), ("nerm-fixed", 0.6), ("real", 0.1)):
        matched = records(mean, extractor="anyrate", set_="matched")
        equal = tuple(replace(r, set="all", value=r.value + (r.fps == 20)) for r in matched)
        write(store, system, matched + equal)
    for system in ("oracle-slerp", "my-model"):
        store.path("multirate", "framerates", "full", system).unlink()
    text = markdown(of_tier(store))
    assert "Not printed twice: set `all` holds the same as set `matched` at 60 fps and 120 fps." in text
    assert text.count("NeRM (fixed rate) ") == 3, "in the main table and its differences, and at 20 fps of the other set"
    assert printed(text, "### extractor `anyrate`, set `all`, 20 fps")["NeRM"][0].startswith("**1.400 ±")


def test_side_metrics_stand_across_at_the_lowest_and_highest_rate(store):
    document = store.read("multirate", "framerates", "full", "nerm")
    more = records(0.2, "velocity", extractor="", set_="matched") + records(2.0, "jerk", extractor="", set_="matched")
    store.write(replace(document, records=document.records + more))
    text = markdown(of_tier(store))
    assert "### set `matched`, 20 fps" in text and "### set `matched`, 120 fps" in text and "### set `matched`, 60 fps" not in text
    assert "Rates between the lowest and the highest are in `framerates.full.csv`." in text
    assert printed(text, "### set `matched`, 120 fps")["system"] == ["velocity (m/s) →", "jerk (m/s^3) →"]


def test_figures_of_two_versions_of_a_metric_never_share_a_section(store):
    write(store, "nerm", records(0.4, version=2))
    text = markdown(of_tier(store))
    assert "set `all`, clip v1, metric v1" in text and "set `all`, clip v1, metric v2" in text


def test_a_table_with_metrics_across_has_systems_down_and_published_figures_marked(tmp_path):
    store = Store(tmp_path)
    (tmp_path / "published.csv").write_text(PUBLISHED)
    for system, fid, precision in (("t2m", 7.0, 0.7), ("nerm", 2.8, 0.6), ("real", 0.9, 0.8)):
        found = records(fid, "fid", rates=(20,)) + records(precision, "r_precision_top3", rates=(20,))
        write(store, system, found + records(1.0, "velocity", extractor="", rates=(20,)), table="text")
    text = markdown(of_tier(store, table=TEXT))
    table = printed(text, TEXT.question)
    assert table["system"] == ["R-precision top 3 ↑", "FID ↓"]
    assert table["T2M"][0].startswith("**0.700 ±") and table["NeRM"][1].startswith("**2.800 ±")
    assert table["*JL2P, published on humanml3d; not run here*"] == ["", "*11.020 ± 0.046*"] and table["*n*"] == ["1000", "1000"]
    assert table["*NeRM (native-framerate), published on humanml3d*"] == ["", "*0.389*"], "its row is `nerm`, which was run"
    assert text.count("they are not to be compared with ours") == 1
    assert "↑ higher is better, ↓ lower is better, → nearest to real is best; the best generator of a column is bold" in text
    assert "At 20 fps, FID of NeRM is 4.200 ± 0.070 below that of T2M, compared in pairs." in text


def test_a_table_with_metrics_across_prints_its_other_rates_below(tmp_path):
    store = Store(tmp_path)
    for system in ("t2m", "nerm"):
        write(store, system, records(1.0, "fid", rates=(20, 60)), table="text")
    text = markdown(of_tier(store, table=TEXT))
    assert printed(text, TEXT.question)["NeRM"][0].startswith("**1.000")
    assert printed(text, "### extractor `guo`, set `all`, 60 fps")["NeRM"][0].startswith("**3.000") and "`all`, 20 fps\n" not in text


def test_published_figures_of_a_frame_rate_table_have_a_section_of_their_own(store):
    text = markdown(of_tier(store))
    table = printed(text, "## Published figures")
    assert table["*NeRM*"] == ["*0.389 ± 0.011*", "*1.315*"]
    assert printed(text, "MRE (mm):")["*NeRM*"] == ["*41.0*"] and "1 is read as 1000 mm" in text
    assert "At 120 fps, published clip-FID of NeRM is 0.17 times that of MDM." in text
    assert table["*MDM; not run here*"] == ["*0.544*", "*7.878*"]
    assert text.count("they are not to be compared with ours") == 1


def test_published_figures_of_the_same_dataset_and_extractor_can_be_compared_and_stand_beside_those_of_that_extractor(store):
    """The table names `official` as the extractor of the paper; the report of the paper's dataset has figures by it, and by another."""
    assert TABLE.published is not None
    table = replace(TABLE, published=replace(TABLE.published, official="official"))
    for extractor, said in (("guo", "only figures without an extractor can be compared"), ("official", "can be compared with them")):
        found = records(0.4, extractor=extractor) + records(0.4, extractor="anyrate")
        store.write(Document("humanml3d", "framerates", "full", "nerm", found, {}, {}))
        report = build(store, "humanml3d", table, "full")
        text = markdown(report)
        assert said in text and "not to be compared with ours" not in text and report.comparable == (extractor == "official")
        beside = {line["extractor"] for line in lines(comma_separated(report)) if line["published"] and line["tier"] == "full"}
        assert beside == {extractor}


def test_published_figures_are_those_of_the_dataset_that_was_run_where_there_are_any(store):
    store.write(Document("kit", "text", "full", "t2m", records(1.0, "fid", "guo_kit", rates=(12.5,)), {}, {}))
    report = build(store, "kit", TEXT, "full")
    assert [(p.system, p.fps, p.value) for p in report.published] == [("JL2P", 12.5, 6.545)]
    assert "*JL2P, published; not run here*" in markdown(report)
    assert report.table.published is not None and report.table.published.official == "guo_kit"


def test_the_comparison_is_said_in_plain_words(store):
    write(store, "mdm", tuple(replace(r, value=2 * r.value) for r in of_system(0.4)))
    write(store, "mld", tuple(replace(r, value=3 * r.value) for r in of_system(0.4)))
    sentences = [line for line in markdown(of_tier(store)).splitlines() if line.startswith("At 120 fps, clip-FID")]
    rival = "MDM (20 fps, brought up by slerp), the best of MDM and MLD, compared in pairs"
    fixed = "At 120 fps, clip-FID of NeRM is 1.200 ± 0.003 below that of NeRM (fixed rate), compared in pairs."
    assert sentences == [f"At 120 fps, clip-FID of NeRM is 2.400 ± 0.007 below that of {rival}. {fixed}"] * 2


def test_how_systems_were_trained_is_printed_once_per_model_and_undertrained_rows_are_marked(store):
    facts = {"parameters": 1_540_000, "steps": {"vae": 900, "denoiser": 3000}, "samples": {"": 28_800}, "seconds": 1920.0, "device": "cpu"}
    for system, undertrained in (("nerm", True), ("nerm-fixed", False)):
        write(store, system, of_system(0.5), training=facts | {"undertrained": undertrained}, sha256={"model": system})
    write(store, "nerm-20-cubic", of_system(0.5), training=facts | {"undertrained": True}, sha256={"model": "nerm"})
    text = markdown(of_tier(store))
    assert "| NeRM‡" in text and "| NeRM (fixed rate) " in text and "NeRM (fixed rate)‡" not in text
    (line,) = (line for line in text.splitlines() if "1.54 M" in line and "NeRM‡" in line)
    assert "denoiser 3,000, vae 900" in line and "| 28,800 " in line and "| 32 " in line
    assert "‡ undertrained" in text and text.count("1.54 M") == 2


def test_rows_that_share_a_step_are_named_and_what_a_treatment_adds_or_leaves_out_counts(store):
    steps = {"nerm": ("field", "stance"), "nerm-fixed": ("field", "stance"), "nerm-no-stance": ("field", "stance"), "t2m": ("length",)}
    for system, names in (steps | {"t2m-20-cubic": ("length",), "t2m-stance": ("length",)}).items():
        write(store, system, of_system(0.5), training={"steps": dict.fromkeys(names, 5)})
    text = markdown(of_tier(store))
    (stance,) = (line for line in text.splitlines() if line.startswith("- stance: "))
    assert stance == "- stance: NeRM; NeRM (fixed rate); T2M (20 fps, slerp) plus NeRM's stance"
    (field,) = (line for line in text.splitlines() if line.startswith("- field: "))
    assert field == "- field: NeRM; NeRM (fixed rate); NeRM without stance"
    assert "- length: " not in text  # all of them are T2M


def test_weights_of_a_user_are_a_row_beside_the_shipped_ones_and_never_under_their_name(store):
    write(store, "nerm+abcdef12", of_system(0.3), checkpoint="mine.safetensors")
    text = markdown(of_tier(store))
    table = printed(text, "tier `full`")
    assert list(table)[2:4] == ["NeRM", "NeRM (weights mine.safetensors)"]
    assert bold(text, "tier `full`") == ["NeRM (weights mine.safetensors)"]
    mine = [r for r in lines(comma_separated(of_tier(store))) if r["system"] == "nerm+abcdef12"]
    assert len(mine) == 8 and not any(r["published"] for r in mine)


# --- pictures -------------------------------------------------------------------------------------------------------------------------


def many(store: Store):
    """A report of every row of the table and two of a user."""
    for i, name in enumerate([*TABLE.row_ids, "mine", "nerm+abcdef12"]):
        write(store, name, of_system(0.1 + i))
    return of_tier(store)


def test_at_most_eight_curves_are_drawn_those_of_a_user_among_them(store):
    report = many(store)
    names = drawn_rows(report, list(report.rows))
    assert len(names) == CURVES and {"nerm", "mine", "nerm+abcdef12", "my-model", "real"} <= set(names)
    assert drawn_rows(report, ["real", "nerm"]) == ["nerm", "real"]


def test_one_row_is_emphasised_no_colour_is_used_twice_and_all_that_does_not_compete_is_thin_and_grey(store):
    report = many(store)
    for names in (drawn_rows(report, list(report.rows)), list(report.rows)):
        given = styles(report, names)
        assert set(given) == set(names)
        assert len({str(style.colour) for style in given.values()}) == len(names)
        assert [name for name, style in given.items() if style.colour == EMPHASIS] == ["nerm"]
        assert given["nerm"].width > 1.5 * max(style.width for name, style in given.items() if name != "nerm")
        widest = max(style.width for name, style in given.items() if report.rows[name].role != "generator")
        assert widest < min(style.width for name, style in given.items() if report.rows[name].role == "generator")


def test_a_table_of_one_rate_is_drawn_too(tmp_path):
    store = Store(tmp_path)
    for system, mean in (("t2m", 7.0), ("nerm", 2.8), ("real", 0.9)):
        write(store, system, records(mean, "fid", rates=(20,)), table="text")
    assert [path.name for path in write_report(store, "multirate", TEXT, "full")][2:] == ["text.full.png"]


# --- summary --------------------------------------------------------------------------------------------------------------------------


def test_the_summary_says_what_was_computed_the_main_metric_of_every_row_and_where_the_files_are(store):
    paths = write_report(store, "multirate", TABLE, "full")
    text = summary(build(store, "multirate", TABLE, "full"), ["nerm"], paths).splitlines()
    assert text[0] == "Motion generation at several frame rates: dataset multirate, tier full"
    assert text[1] == "computed now: nerm; taken from store: 4 of 5 rows"
    assert text[3].startswith("clip-FID, extractor anyrate, set matched: lower is better")
    assert [line.split("  ")[0] for line in text[5:10]] == ["NeRM", "NeRM (fixed rate)", "Oracle: real at 20 fps, slerp", FLOOR, "my-model"]
    assert all(f"{0.4 * fps / 20:.1f}" in text[5] for fps in RATES)
    assert text[-3:] == [str(path) for path in paths]


@pytest.mark.parametrize("extra", (0, 5, 40))
def test_a_summary_has_at_most_thirty_lines_and_the_rows_just_computed_are_among_them(store, extra):
    mine = [f"mine{i}" for i in range(extra)]
    listed = (*TABLE.rows[:16], TABLE.row("oracle-slerp"), TABLE.row("real"))  # with my-model, one less than there is room for
    table = replace(TABLE, rows=(*listed, *(Row(name, name) for name in mine)))
    for name in table.row_ids:
        write(store, name, of_system(0.5))
    text = summary(build(store, "multirate", table, "full"), mine[-1:], [store.root / "a.md", store.root / "b.csv"]).splitlines()
    assert len(text) <= 30 and str(store.root / "b.csv") in text[-1]
    assert all(any(line.startswith(name) for line in text) for name in mine[-1:])
    hidden = max(extra - 1, 0)  # there is room for 20 rows, my-model among them
    assert (f"... and {hidden} more rows" in text) == (hidden > 0)


def test_a_value_that_is_zero_within_its_interval_is_printed_as_zero():
    from evaluators.metrics import metric
    from evaluators.report.words import with_interval

    assert with_interval(-1.4e-4, 0.12, metric("trial_distance")) == "0.000 ± 0.120"
    assert with_interval(-4.1e-11, 8.6e-10, metric("trial_distance")) == "0.000 ± 0.000"
    assert with_interval(2.1e-5, 1.2e-6, metric("trial_kid")) == "2.1e-05 ± 1.2e-06"
    assert with_interval(1.4e-4, 2e-5, metric("trial_distance")) == "1.4e-04 ± 2.0e-05"
    assert with_interval(1.25, 0.12, metric("trial_distance")) == "1.250 ± 0.120"
