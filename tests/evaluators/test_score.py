"""Scoring other people's files."""

import csv
from pathlib import Path

import numpy as np
import pytest
from made_up import LEAST

from evaluators.harness import FLOOR
from evaluators.metrics import METRICS, SET_LEAST
from evaluators.score import main
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.files import load_motion, save_motion
from nerm.motion.resample import at_rate
from nerm.registry import forget_plugin


@pytest.fixture
def folder(tiny, tmp_path):
    """The test recordings of 120 fps at 60 fps, each under its number."""
    path = tmp_path / "motions"
    path.mkdir()
    for item in tiny.dataset.items("test"):
        if item.fps == 120:
            motion = tiny.dataset.motion(item)
            save_motion(at_rate(motion, motion.seconds, 60.0), path / f"{item.id}.npz")
    return path


def line(text: str, *words: str) -> list[str]:
    """The cells of the line of the table that holds all words."""
    return next([c.strip() for c in row.split("|")] for row in text.splitlines() if all(word in row for word in words))


def test_real_motion_is_at_no_distance_and_damaged_motion_above_it(tiny, folder, capsys):
    main([f"motions={folder}", f"shipped={tiny.shipped}"])
    text = capsys.readouterr().out
    assert "9 motions" in text and "against its recording's caption" in text
    mine, floor = (float(cell.split()[0]) for cell in line(text, "clip-FID", "anyrate", "matched")[5:7])
    assert mine < 0.01 * floor and float(line(text, "trial distance", "anyrate", "matched")[5].split()[0]) == 0
    for path in folder.iterdir():
        x = np.load(path)["joints"]
        save_motion(Motion(x + np.float32(0.08) * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32), 60.0), path)
    main([f"motions={folder}", f"shipped={tiny.shipped}"])
    assert float(line(capsys.readouterr().out, "clip-FID", "anyrate", "matched")[5].split()[0]) > 2 * floor


def test_metrics_of_plugins_are_computed_beside_those_of_the_table_and_of_real_motion_where_the_data_are(
    tiny, folder, tmp_path, monkeypatch, capsys
):
    words, toy = [f"motions={folder}", f"shipped={tiny.shipped}"], Path(__file__).parents[1] / "toy" / "metric.py"
    monkeypatch.setenv("NERM_PLUGINS", str(toy))
    try:
        (reach,) = [entry for entry in METRICS if entry.name == "reach"]
        known = np.mean([reach.load()(load_motion(path)) for path in folder.iterdir()])
        for data, real in ((tiny.data, True), (tmp_path / "nothing", False)):
            monkeypatch.setenv("NERM_DATA", str(data))
            main(words)
            out, err = capsys.readouterr()
            mine, floor = line(out, "reach", "matched")[5:7]
            assert float(mine.split()[0]) == pytest.approx(known, abs=2e-3) and "±" in mine
            assert floor == mine if real else floor == ""
            assert ("without real motion's reach, which does not ship" in err) != real
    finally:
        monkeypatch.delenv("NERM_PLUGINS")
        forget_plugin(toy)
    main(words)
    assert "reach" not in capsys.readouterr().out


def test_what_was_left_out_is_counted(tiny, folder, capsys):
    files = sorted(folder.iterdir())
    files[0].write_bytes(b"nothing")
    with np.load(files[1]) as stored:
        save_motion(Motion(stored["joints"][:20], 60.0), files[1])
    files[2].unlink()
    main([f"motions={folder}", f"shipped={tiny.shipped}"])
    out, err = capsys.readouterr()
    assert "1 unreadable" in out and "1 shorter than a clip" in out and "2 recordings without a file" in out
    assert files[0].name in err


def test_files_with_other_names_are_scored_as_a_set(tiny, folder, capsys):
    for path in folder.iterdir():
        path.rename(folder / f"walk{path.name}")
    main([f"motions={folder}", f"shipped={tiny.shipped}", "fps=20"])
    text = capsys.readouterr().out
    assert "without captions" in text and "R-precision" not in text and "9 files were brought to 20 fps by slerp" in text
    assert line(text, "trial distance", "guo", "all") and line(text, "FID", "guo")
    distance, floor = ([float(x) for x in cell.split(" ± ")] for cell in line(text, "trial distance", "anyrate", "all")[5:7])
    # It is not known here that they are the recordings: compared with themselves too, they seem nearer than other real motion is.
    assert -2 * floor[1] < distance[0] < 0


def test_scores_can_become_a_row_of_the_report_and_other_rates_stay(tiny, folder, tmp_path):
    words = [f"motions={folder}", f"shipped={tiny.shipped}", "name=my-model", f"out={tmp_path / 'results'}"]
    main(words)
    main([*words, "fps=20"])
    with (tmp_path / "results" / "multirate" / "framerates.quick.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["system"] == "my-model" and row["metric"] == "clip_fid"]
    assert {row["fps"] for row in rows} == {"20", "60"}


def test_conditions_say_what_to_generate_and_can_be_given_back(tiny, folder, tmp_path, capsys):
    main([f"write_conditions={tmp_path / 'c.csv'}", f"shipped={tiny.shipped}"])
    with (tmp_path / "c.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 11 and {"file", "recording", "caption", "seconds", "seed"} <= set(rows[0])
    main([f"motions={folder}", f"shipped={tiny.shipped}"])
    by_name = capsys.readouterr().out.splitlines()[1:]
    main([f"motions={folder}", f"conditions={tmp_path / 'c.csv'}", f"shipped={tiny.shipped}"])
    text = capsys.readouterr().out
    assert "2 rows of c.csv without a motion" in text
    assert [line for line in text.splitlines() if line.startswith("|")] == [line for line in by_name if line.startswith("|")]


def test_captions_of_no_recording_are_scored_against_the_motions(tiny, folder, tmp_path, capsys):
    """Each motion gets the caption of its recording under another name, so MM-distance is that of the pairs."""
    captions = {item.id: item.captions for item in tiny.dataset.items("test")}
    lines = ["file,caption"]
    for path in sorted(folder.iterdir()):
        lines.append(f'x{path.name},"{captions[path.stem][0] if captions[path.stem] else ""}"')
    main([f"motions={folder}", f"shipped={tiny.shipped}", "protocol=text"])
    paired = float(line(capsys.readouterr().out, "MM-distance", "guo")[5].split()[0])
    for path in folder.iterdir():
        path.rename(folder / f"x{path.name}")
    (tmp_path / "mine.csv").write_text("\n".join(lines) + "\n")
    main([f"motions={folder}", f"shipped={tiny.shipped}", "protocol=text", f"conditions={tmp_path / 'mine.csv'}"])
    text = capsys.readouterr().out
    assert "at 20 fps, as a set, 8 with captions" in text and "protocol text" in text
    assert float(line(text, "MM-distance", "guo")[5].split()[0]) == pytest.approx(paired, abs=2e-3)  # kept texts have half precision


def test_one_motion_has_figures_of_motion_alone_and_what_the_others_need_is_said(tiny, folder, tmp_path, capsys):
    with_one = tmp_path / "one"
    with_one.mkdir()
    sorted(folder.iterdir())[0].rename(with_one / "mine.npz")
    main([f"motions={with_one}", f"shipped={tiny.shipped}"])
    text = capsys.readouterr().out
    assert text.startswith("1 motion of") and "±" not in line(text, "velocity")[5] and float(line(text, "velocity")[5]) > 0
    assert line(text, "clip-FID", "anyrate", "matched")[5] == ""
    few = next(line for line in text.splitlines() if line.startswith("Too few for a figure: "))
    assert f"trial distance, trial KID, clip-FID, precision, recall (at least {LEAST} motions of different trials are needed" in few
    assert "there is 1 in set matched and all)" in few


def test_how_many_are_needed_is_declared_and_more_than_the_directions_of_real_motion():
    assert {name: METRICS.get(name).least for name in ("velocity", "foot_skate", "multimodal_dist")} == dict.fromkeys(
        ("velocity", "foot_skate", "multimodal_dist"), 1
    )
    assert SET_LEAST > 31  # clip_dimensions of real motion at 120 fps is 30, the highest of the reference that ships


def test_a_table_leaves_out_what_it_has_too_few_motions_for_and_says_so(tiny, harness_of, capsys):
    metrics, few = ("clip_fid", "velocity", "trial_distance"), METRICS.get("clip_fid")
    object.__setattr__(few, "least", 10)
    try:
        harness = harness_of([FLOOR], metrics, (120.0,))
        assert {unit.metric for _, units in harness.plan(FLOOR) for unit in units} == {"velocity", "trial_distance", ""}
    finally:
        object.__setattr__(few, "least", LEAST)
    assert "real: left out: clip-FID (at least 10 motions of different trials are needed, there are 9)" in capsys.readouterr().err


@pytest.mark.parametrize(("factor", "axes", "answer"), [(100, [0, 1, 2], "centimetres"), (1, [0, 2, 1], "lies along z")])
def test_motions_in_centimetres_or_with_z_up_are_no_score_of_139_metres_a_second(tiny, folder, factor, axes, answer):
    for path in folder.iterdir():
        np.savez(path, joints=np.load(path)["joints"][..., axes] * factor, fps=60.0)
    with pytest.raises(InputError, match=answer):
        main([f"motions={folder}", f"shipped={tiny.shipped}"])


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("motions=", "give either"),
        ("name=nerm", "not the id of a row"),
        ("tier=paper", "tier=paper does not exist"),
        ("protocol=clipp", "did you mean clip"),
        ("motions=/nowhere", "motions=/nowhere does not exist"),
        ("conditions=/nowhere.csv", "No such file or directory; give a CSV with the columns file, recording"),
    ],
)
def test_wrong_use_gets_one_sentence(tiny, folder, word, answer):
    with pytest.raises(InputError, match=answer):
        main([f"motions={folder}", f"shipped={tiny.shipped}", word])


def test_a_rate_that_does_not_ship_is_scored_with_the_dataset_and_answered_without(tiny, folder, tmp_path, monkeypatch, capsys):
    words = [f"motions={folder}", f"shipped={tiny.shipped}", "fps=30"]
    monkeypatch.setenv("NERM_DATA", str(tiny.data))
    main(words)
    text = capsys.readouterr().out
    mine, floor = (float(cell.split()[0]) for cell in line(text, "clip-FID", "anyrate", "matched")[5:7])
    assert "at 30 fps" in text and mine < 0.01 * floor
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"ships at 20, 40, 60, 100, 120 fps and not at 30.*; fps=20 or fps=40 resamples the files$"):
        main(words)
