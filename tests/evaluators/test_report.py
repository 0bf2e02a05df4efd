"""Reports and tables: pure functions of what is stored."""

import csv
import io

import numpy as np
import pytest

from evaluators.report import COLUMNS, build, comma_separated, markdown, write_report
from evaluators.store import Store
from evaluators.tables import list_tables, load_table, read_table
from nerm.errors import InputError

TABLE = load_table("framerates")
RATES = (20, 60, 120)
PUBLISHED = """table,dataset,system,metric,fps,value,ci95,note
framerates,humanml3d,MDM,clip_fid,20,0.544,,
framerates,humanml3d,NeRM,clip_fid,20,0.389,.011,
framerates,humanml3d,NeRM,clip_fid,120,1.315,,
framerates,humanml3d,NeRM,mre,20,0.041,,
text,humanml3d,NeRM,fid,20,0.389,,
"""


def records(mean: float, metric: str = "clip_fid", extractor: str = "guo", set_: str = "all", version: int = 1, rates=RATES) -> list[dict]:
    noise = np.random.default_rng(0).normal(0, 0.01 * mean, 20)
    shared = {"metric": metric, "extractor": extractor, "set": set_, "protocol": "clip", "n": 1000, "version": version}
    return [{**shared, "fps": fps, "replication": i, "value": mean * fps / 20 + x} for fps in rates for i, x in enumerate(noise)]


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path)
    (tmp_path / "published.csv").write_text(PUBLISHED)
    for system, mean in (("nerm", 0.4), ("nerm-fixed", 0.6), ("oracle-slerp", 0.2), ("real", 0.1), ("my-model", 5.0)):
        found = records(mean) + records(mean, extractor="multirate") + records(10 * mean, "diversity", rates=(20,))
        found += records(30 * mean, "mre", extractor="", set_="", rates=(20,))
        origin = {"device": "cpu", "dtype": "float32", "commit": "c" * 40, "sha256": {"corpus": "a" * 64}, "packages": {"numpy": "2.0"}}
        store.write("multirate", "framerates", "full", system, found, origin, machine={"seconds": mean})
    return store


def rows(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text)))


def of_tier(store: Store, tier: str = "full"):
    return build(store, "multirate", TABLE, tier)


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
    document = store.read("multirate", "framerates", "full", "nerm")
    store.write("multirate", "framerates", "full", "nerm", document["records"], document["provenance"], machine={"seconds": 777})
    assert (markdown(of_tier(store)), comma_separated(of_tier(store))) == before


def test_the_csv_has_one_row_per_figure_in_the_agreed_columns(store):
    text = comma_separated(of_tier(store))
    assert tuple(text.splitlines()[0].split(",")) == COLUMNS
    ours = [row for row in rows(text) if row["tier"] == "full"]
    assert len(ours) == 5 * (3 + 3 + 1 + 1)
    row = next(r for r in ours if (r["system"], r["metric"], r["fps"], r["extractor"]) == ("nerm", "clip_fid", "120", "guo"))
    values = [r["value"] for r in records(0.4) if r["fps"] == 120]
    assert float(row["value"]) == pytest.approx(np.mean(values), rel=1e-5)
    assert float(row["ci95"]) == pytest.approx(1.96 * np.std(values) / np.sqrt(20), rel=1e-5)
    assert row["n"] == "1000" and row["set"] == "all"


def test_published_figures_stand_beside_ours_in_our_units_or_in_rows_of_their_own(store):
    found = rows(comma_separated(of_tier(store)))
    beside = {(r["system"], r["metric"], r["fps"], r["extractor"]): r["published"] for r in found if r["tier"] == "full" and r["published"]}
    assert beside == {
        ("nerm", "clip_fid", "20", "guo"): "0.389",
        ("nerm", "clip_fid", "120", "guo"): "1.315",
        ("nerm", "mre", "20", ""): "41",
    }
    (alone,) = (r for r in found if r["tier"] == "published")
    assert (alone["system"], alone["dataset"], alone["published"], alone["value"]) == ("mdm", "humanml3d", "0.544", "")
    text = markdown(of_tier(store))
    assert "| *NeRM, published, humanml3d*" in text and "*0.389 ± 0.011*" in text and "*41.0*" in text


def test_published_figures_without_a_section_of_ours_get_one_of_their_own(store):
    store.write("multirate", "framerates", "full", "nerm", records(0.4, set_="matched"), {})
    for system in ("nerm-fixed", "oracle-slerp", "real", "my-model"):
        store.path("multirate", "framerates", "full", system).unlink()
    assert "## Published figures\n\nclip-FID:\n" in markdown(of_tier(store))
    assert sum(r["tier"] == "published" for r in rows(comma_separated(of_tier(store)))) == 4


def test_the_best_generator_is_bold_and_oracles_and_real_motion_do_not_compete(store):
    text = markdown(of_tier(store))
    section = text.split("## clip-FID, extractor `guo`")[1].split("##")[0]
    bold = [line.split("|")[1].strip() for line in section.splitlines() if "**" in line]
    assert bold == ["NeRM"]
    diversity = text.split("## diversity")[1].split("##")[0]  # the nearest to real: 1; NeRM 4, fixed 6, the user's model 50
    assert [line.split("|")[1].strip() for line in diversity.splitlines() if "**" in line] == ["NeRM"]


def test_rows_and_sections_follow_the_layout_and_unlisted_systems_come_last(store):
    text = markdown(of_tier(store))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## clip-FID, extractor `multirate`, set `all`",
        "## clip-FID, extractor `guo`, set `all`",
        "## diversity, extractor `guo`, set `all`",
        "## MRE (mm)",
        "## Provenance",
    ]
    section = text.split(headings[1])[1].split("##")[0]
    names = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")][1:]
    expected = ["NeRM", "NeRM (fixed rate)", "Oracle: real at 20 fps, slerp", "Real (floor: halves by trial, within labels)", "my-model"]
    assert names == [*expected, "*MDM, published, humanml3d*", "*NeRM, published, humanml3d*"]


def test_a_quick_report_takes_over_what_it_did_not_compute_and_says_so(store):
    store.write("multirate", "framerates", "quick", "nerm", records(0.9), {"device": "cpu"})
    text = markdown(of_tier(store, "quick"))
    lines = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    assert {"NeRM", "NeRM (fixed rate)†", "Oracle: real at 20 fps, slerp†"} <= lines
    assert "† Computed in the stored run of tier `full`" in text
    assert {(r["system"], r["tier"]) for r in rows(comma_separated(of_tier(store, "quick")))} >= {("nerm", "quick"), ("real", "full")}
    assert "**" not in text  # one generator of this tier: nothing to compare it with


def test_figures_of_two_versions_of_a_metric_never_share_a_section(store):
    store.write("multirate", "framerates", "full", "nerm", records(0.4, version=2), {})
    text = markdown(of_tier(store))
    assert "set `all`, clip v1, metric v1" in text and "set `all`, clip v1, metric v2" in text


def test_a_report_of_nothing_says_what_to_run(tmp_path):
    with pytest.raises(InputError, match=r"python -m evaluators\.run table=framerates dataset=multirate tier=quick"):
        build(Store(tmp_path), "multirate", TABLE, "quick")


# --- tables ---------------------------------------------------------------------------------------------------------------------------


def test_the_frame_rate_table_has_its_rates_rows_and_known_metrics():
    assert "framerates" in list_tables()
    assert TABLE.rates == (20, 40, 60, 100, 120) and TABLE.sets == ("matched", "all")
    assert {"nerm", "nerm-fixed", "real", "control-shuffled", "oracle-linear", "oracle-cubic", "oracle-slerp"} <= set(TABLE.system_ids)
    assert TABLE.system("nerm").role == "generator" and TABLE.system("somebody").title == "somebody"


def test_mistakes_in_a_table_are_answered_with_the_nearest_name(tmp_path):
    with pytest.raises(InputError, match="did you mean framerates"):
        load_table("framerate")
    good = "title: t\nabout: a\nrates: [20]\nmetrics: [fid]\nsystems: [{id: nerm, title: N}]\n"
    path = tmp_path / "mine.yaml"
    path.write_text(good)
    assert read_table(path).systems[0].role == "generator"
    for wrong, answer in (
        ("metric: [fid]", "did you mean metrics"),
        ("metrics: [clip_fit]", "clip_fid"),
        ("rates: [0]", "positive number"),
        ("systems: [{id: a, title: A, role: oracel}]", "did you mean oracle"),
        ("systems: [{id: a, title: A}, {id: a, title: B}]", "lists a system twice"),
    ):
        key = wrong.split(":")[0]
        path.write_text("\n".join(line for line in good.splitlines() if not line.startswith(f"{key}:")) + f"\n{wrong}\n")
        with pytest.raises(InputError, match=answer):
            read_table(path)
    path.write_text("title: t\n")
    with pytest.raises(InputError, match="missing about, rates, metrics, systems"):
        read_table(path)


def test_how_systems_were_trained_is_printed_once_per_model_and_undertrained_rows_are_marked(store):
    facts = {"parameters": 1_540_000, "steps": {"vae": 900, "denoiser": 3000}, "samples": 28_800, "seconds": 1920.0, "device": "cpu"}
    for system, undertrained in (("nerm", True), ("nerm-fixed", False)):
        document = store.read("multirate", "framerates", "full", system)
        provenance = document["provenance"] | {
            "training": facts | {"undertrained": undertrained},
            "sha256": {"model": system},
        }
        store.write("multirate", "framerates", "full", system, document["records"], provenance, {})
    text = markdown(of_tier(store))
    assert "| NeRM‡" in text and "| NeRM (fixed rate) " in text and "NeRM (fixed rate)‡" not in text
    (line,) = (line for line in text.splitlines() if "1.54 M" in line and "NeRM‡" in line)
    assert "denoiser 3,000, vae 900" in line and "28,800" in line and "| 32 " in line
    assert "undertrained" in text


def test_the_ratio_to_the_best_baseline_stands_beside_the_published_one(store):
    document = store.read("multirate", "framerates", "full", "nerm")
    twice = [record | {"value": 2 * record["value"]} for record in document["records"]]
    store.write("multirate", "framerates", "full", "mdm", twice, document["provenance"], {})
    with (store.root / "published.csv").open("a") as file:
        file.write("framerates,humanml3d,MDM,clip_fid,120,8.401,,\nframerates,humanml3d,MLD,clip_fid,120,7.878,,\n")
    lines = [line for line in markdown(of_tier(store)).splitlines() if line.startswith("NeRM over the best")]
    assert lines == [
        "NeRM over the best of MDM (MDM) at 120 fps: 0.50.",
        "NeRM over the best of MDM (MDM) at 120 fps: 0.50; published: 1.315 / 7.878 = 0.17.",
    ]
