"""The page of results, without a browser: equal stores give equal bytes, and every stored figure is on it as the store has it."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from pages import MEANS, RATES, small_store, walk

from evaluators.intervals import difference
from evaluators.records import Document
from evaluators.report import build
from evaluators.report.page import inline, page_name, render, write_page
from evaluators.report.page.answers import answer, drawing
from evaluators.showcase import FPS, SENTENCES, UNIT_M, Showcase, check, decode, encode
from evaluators.store import Store
from evaluators.tables import load_table
from nerm.checkpoint import RESULTS
from nerm.errors import InputError
from nerm.motion import Motion, resample


@pytest.fixture
def store(tmp_path) -> Store:
    return small_store(tmp_path / "results")


def data(html: str, name: str = "data"):
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html)[1])


def test_equal_stores_give_equal_bytes_wherever_they_lie(store, tmp_path):
    first = write_page(store, "full").read_bytes()
    shutil.copytree(store.root, tmp_path / "elsewhere")
    assert write_page(store, "full").read_bytes() == first
    assert render(Store(tmp_path / "elsewhere"), "full").encode() == first


def test_the_page_that_ships_is_the_rendering_of_the_results_that_ship():
    assert (RESULTS / "index.html").read_text() == render(Store(RESULTS), "full"), "run python -m evaluators.run page"


def test_every_stored_figure_is_on_the_page_with_the_value_interval_and_count_of_the_store(store):
    found = {
        (table["table"], table["rows"][row]["id"], section["metric"], section["extractor"], section["set"], section["rates"][column]): rest
        for table in data(render(store, "full"))
        for section in table["sections"]
        for row, column, *rest in section["cells"]
    }
    expected = {
        (name, f.system, f.metric, f.extractor, f.set, f.fps): (np.mean(f.values), f.counts[0])
        for name in ("text", "framerates")
        for f in build(store, "multirate", load_table(name), "full").figures
    }
    assert found.keys() == expected.keys()
    for key, (value, half, text, n, *_) in found.items():
        assert value == pytest.approx(expected[key][0], rel=1e-5)
        assert n == expected[key][1]
        printed, printed_half = map(float, text.split(" ± "))
        assert printed == pytest.approx(value, abs=0.051) and printed_half == pytest.approx(half, abs=0.051)


def test_every_stored_table_is_on_the_page_with_its_question_and_its_answer(store):
    html = render(store, "full")
    assert [table["table"] for table in data(html)] == ["text", "framerates"]  # in the order of the paper
    for name in ("text", "framerates"):
        assert f'<section class="table" id="multirate-{name}-full"' in html
        assert html.count(load_table(name).question.split("?")[0]) == 2
        assert html.count(answer(build(store, "multirate", load_table(name), "full")).sentence) == 2


def test_a_stored_table_that_is_not_known_is_named_and_breaks_nothing(store):
    store.write(Document("multirate", "of-a-plugin", "full", "nerm", (), {}))
    assert "no table that is known here: multirate/of-a-plugin/full" in render(store, "full")


def test_the_answer_says_which_row_is_better_and_draws_the_difference_at_every_rate(store):
    found = answer(build(store, "multirate", load_table("framerates"), "full"))
    assert found.verdict == "better" and found.sides[0] == "NeRM is better"
    assert [strip.heading for strip in found.strips] == [f"{fps} fps" for fps in RATES]
    assert found.strips[-1].difference.mean == pytest.approx((MEANS["nerm"] - MEANS["t2m"]) * 6)
    assert drawing(found).count("<circle") == len(RATES)


def test_a_difference_that_does_not_exclude_zero_is_called_undecided(tmp_path, monkeypatch):
    monkeypatch.setitem(MEANS, "t2m", MEANS["nerm"])
    found = answer(build(small_store(tmp_path / "results"), "multirate", load_table("framerates"), "full"))
    assert found.verdict == "open" and found.said.startswith("Not decided")


def test_a_table_that_compares_no_two_rows_is_answered_by_its_best_one(store):
    table = replace(load_table("framerates"), compared=())
    found = answer(build(store, "multirate", table, "full"))
    assert found.sentence.startswith("At 120 fps, the best trial distance, extractor anyrate, set matched is that of NeRM (2.400 ±")
    assert "Recorded motion: Real" in found.sentence and drawing(found) == ""


def test_differences_are_those_of_the_report_and_the_best_generators_are_marked(store):
    (table,) = [table for table in data(render(store, "full")) if table["table"] == "framerates"]
    report = build(store, "multirate", load_table("framerates"), "full")
    section, places = table["sections"][table["main"]], {row["id"]: i for i, row in enumerate(table["rows"])}
    cells = {(row, column): rest for row, column, *rest in section["cells"]}
    draws = {f.system: f.draws for f in report.main.figures if f.fps == 120}
    expected = difference(draws["nerm"], draws["t2m"], report.main.metric.resamples)
    assert cells[places["t2m"], 2][4].startswith(f"▲ {expected.mean:+.3f}")
    assert [name for name, i in places.items() if cells[i, 2][5]] == ["nerm"]
    assert table["rows"][table["first"]]["id"] == "nerm"


def test_published_figures_say_why_they_are_not_compared_and_which_systems_were_not_run(store):
    text, framerates = data(render(store, "full"))
    assert text["published"]["reason"] == "not comparable: other corpus (humanml3d), other extractor"
    assert {system["title"]: system["run"] for system in text["published"]["systems"]} == {"JL2P": False, "NeRM (native-framerate)": True}
    assert framerates["published"]["systems"][0]["cells"] == [["clip_fid", 20, "0.544"], ["clip_fid", 120, "7.878"]]


def test_provenance_of_a_row_has_commit_digests_seed_versions_and_the_file_of_its_replications(store):
    table = data(render(store, "full"))[0]
    facts = dict(table["documents"][table["rows"][0]["documents"][0]]["facts"])
    assert facts["commit"] == "c" * 40 and facts["sha256 of corpus"] == "a" * 64 and facts["seed"] == "7"
    assert facts["packages"] == "numpy 2.0" and "raw/multirate/text/full/" in facts["replications"]


def test_results_that_do_not_ship_have_a_page_of_their_own(store):
    assert (page_name("full"), page_name("paper"), page_name("quick")) == ("index.html", "index.html", "index.quick.html")
    before = render(store, "full")
    document = store.read("multirate", "text", "full", "nerm")
    store.write(Document("multirate", "text", "quick", "nerm", document.records, document.provenance))
    assert render(store, "full") == before
    assert [table["id"] for table in data(render(store, "quick"))] == ["multirate-text-quick"]


def test_nothing_is_fetched_and_no_text_of_the_store_becomes_markup(store):
    document = store.read("multirate", "text", "full", "nerm")
    store.write(Document("multirate", "text", "full", "nerm", document.records, {"commit": "</script><b>"}))
    html = render(store, "full")
    assert data(html)[0]["documents"] and html.count("</script>") == 3
    assert not re.findall(r'(?:src|href)="(?!#|data:|\.\./docs/|multirate/)', html)
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", html)


def test_a_line_of_markdown_becomes_html():
    line = "`a<b` is **bold**: [intervals](../../docs/intervals.md)"
    assert inline(line) == '<code>a&lt;b</code> is <strong>bold</strong>: <a href="../docs/intervals.md">intervals</a>'


# --- motions --------------------------------------------------------------------------------------------------------------------------


def test_a_motion_is_kept_to_half_a_millimetre():
    motion = walk(3)
    assert np.abs(decode(encode(motion), 22) - motion.joints).max() <= 0.5001 * UNIT_M


def test_a_motion_that_leaves_the_range_of_the_file_is_refused():
    with pytest.raises(InputError, match="the file holds 33 m"):
        encode(Motion(walk(0).joints + np.float32(40.0), 120.0))


def test_every_sixth_frame_of_a_motion_brought_up_to_120_fps_is_the_motion_at_20():
    low = resample(walk(1), 20.0)
    assert np.abs(resample(low, FPS).joints[::6] - low.joints).max() < 1e-6


def test_recordings_are_never_written_to_what_ships():
    with pytest.raises(InputError, match="recordings do not ship"):
        check(Showcase(out=str(RESULTS), recordings="multirate"))


def test_the_motions_that_ship_are_of_five_test_sentences_and_hold_no_recording():
    html = (RESULTS / "index.html").read_text()
    shown = data(html, "showcase")
    assert shown["sentences"] == list(SENTENCES) and "real" not in [system["id"] for system in shown["systems"]]
    for system in shown["systems"]:
        for text in system["motions"]:
            joints = decode(text, 22)
            assert joints.shape == (481, 22, 3) and 0.5 < np.ptp(joints[..., 1], axis=1).mean() < 2.2  # a person's height
    assert len(html) < 2.5e6
