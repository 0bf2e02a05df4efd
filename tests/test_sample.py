"""The command that samples: one condition or many, any system, resumable, and what a motion was made by."""

import json

import numpy as np
import pytest

from nerm import __version__
from nerm.asking import read_texts
from nerm.cli import InputError
from nerm.generator import HasVariants
from nerm.model import NeRM
from nerm.motion.files import load_motion
from nerm.motion.made_by import read_made_by
from nerm.sample import main

LABEL = "hdm05/squat1Reps"
CHEAP = ["system=noise", "device=cpu", "seconds=1", "fps=20"]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "asked.csv"
    path.write_text(f"label,seconds,seed,file\n{LABEL},0.5,7,squat\ncmu/walk,,,\n")
    return path


def test_a_motion_says_what_it_was_made_by(tmp_path):
    assert main([*CHEAP, f"label={LABEL}", "seed=3", f"out={tmp_path / 'x.npz'}"]) == 0
    said = read_made_by(tmp_path / "x.npz")
    assert len(said.pop("model")) > 0
    assert said == {"label": LABEL, "seconds": 1.0, "fps": 20.0, "seed": 3, "system": "noise", "version": __version__}
    assert len(load_motion(tmp_path / "x.npz")) == 21


def test_a_motion_on_the_path_that_was_sampled_with_it_says_so(tmp_path):
    words = ["device=cpu", "seconds=1", "fps=20", f"label={LABEL}"]
    for word, name in (("stance=false", "plain"), ("stance=true", "stood")):
        assert main([*words, word, f"out={tmp_path / name}.npz"]) == 0
    plain, stood = (tmp_path / f"{name}.npz" for name in ("plain", "stood"))
    assert read_made_by(plain)["stance"] is False and "stance" not in read_made_by(stood)
    assert np.abs(load_motion(plain).root - load_motion(stood).root).max() > 1e-3
    np.testing.assert_array_equal(load_motion(plain).joints[..., 1], load_motion(stood).joints[..., 1])


def test_a_motion_file_without_room_for_it_has_a_second_one_beside_it(tmp_path, capsys):
    assert main([*CHEAP, f"label={LABEL}", "seed=3", f"out={tmp_path / 'x.bvh'}"]) == 0
    assert capsys.readouterr().err.strip().endswith("made by: x.bvh.json")
    said = read_made_by(tmp_path / "x.bvh")
    assert (said["label"], said["seed"], said["feet"], said["version"]) == (LABEL, 3, "lock", __version__)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.bvh", "x.bvh.json"]


def test_files_have_the_names_and_the_unit_that_are_asked_for_and_are_made_again_for_others(table, tmp_path, capsys):
    words = [*CHEAP, f"texts={table}", f"out={tmp_path / 'many'}", "format=bvh"]
    main([*words, "names=mixamo", "metres_per_unit=1"])
    text = (tmp_path / "many" / "squat.bvh").read_text()
    assert "ROOT mixamorig:Hips" in text and "left_hip" not in text
    assert read_made_by(tmp_path / "many" / "squat.bvh")["names"] == "mixamo"
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == ["2-cmu-walk.bvh", "made_by.json", "squat.bvh"]
    main(words)
    assert "2 motions made, 0 there already" in capsys.readouterr().err
    again = (tmp_path / "many" / "squat.bvh").read_text()
    assert "ROOT pelvis" in again and "mixamo" not in again
    large, small = (float(x.split("JOINT")[1].split("OFFSET")[1].split()[0]) for x in (again, text))
    assert large == pytest.approx(100 * small, rel=1e-3)


@pytest.mark.parametrize(
    ("word", "answer"), [("names=maya", "names=maya does not exist"), ("metres_per_unit=0", "expected a positive number")]
)
def test_wrong_names_and_units_are_refused_before_any_work(tmp_path, word, answer):
    with pytest.raises(InputError, match=answer):
        main([*CHEAP, "system=nowhere", f"out={tmp_path / 'a.bvh'}", word])


def test_several_motions_are_numbered_and_have_seeds_of_their_own(tmp_path, capsys):
    assert main([*CHEAP, "count=3", "seed=5", f"out={tmp_path / 'x.npz'}"]) == 0
    files = [tmp_path / f"x-{number}.npz" for number in range(3)]
    assert [read_made_by(file)["seed"] for file in files] == [5, 6, 7]
    assert capsys.readouterr().err.count(" frames at 20 fps") == 3


def test_the_same_motion_several_times_is_said(tmp_path, capsys):
    assert main([*CHEAP, "system=freeze", f"label={LABEL}", "count=8", f"out={tmp_path / 'x.npz'}"]) == 0
    assert f"warning: the 8 motions of '{LABEL}' are nearly the same" in capsys.readouterr().err


def test_many_are_made_once_and_only_what_changes_again(table, tmp_path, capsys):
    words = [*CHEAP, f"texts={table}", f"out={tmp_path / 'many'}"]
    assert main(words) == 0
    squat, walk = (tmp_path / "many" / name for name in ("squat.npz", "2-cmu-walk.npz"))
    assert [len(load_motion(path)) for path in (squat, walk)] == [11, 21]
    assert [read_made_by(path)["seed"] for path in (squat, walk)] == [7, 1]
    assert json.loads((tmp_path / "many" / "made_by.json").read_text()) == {path.name: read_made_by(path) for path in (squat, walk)}
    before = [path.stat().st_mtime_ns for path in (squat, walk)]
    assert "2 motions made, 0 there already" in capsys.readouterr().err
    assert main(words) == 0
    assert "0 motions made, 2 there already" in capsys.readouterr().err
    assert [path.stat().st_mtime_ns for path in (squat, walk)] == before
    table.write_text(table.read_text().replace("0.5,7", "0.5,8"))
    walk.unlink()
    assert main(words) == 0
    assert "2 motions made, 0 there already" in capsys.readouterr().err and read_made_by(squat)["seed"] == 8


def test_the_list_of_what_to_generate_for_scores_is_read(tmp_path):
    path = tmp_path / "conditions.csv"
    path.write_text("file,recording,caption,label,seconds,seed,recorded_fps\n7,7,a person walks,cmu/walk,3.5,2,120\n")
    (asked,) = read_texts(path)
    assert (asked.name, asked.text, asked.label, asked.seconds, asked.seed) == ("7", "a person walks", None, 3.5, 2)


def test_a_sentence_a_line_needs_no_columns(tmp_path):
    path = tmp_path / "sentences.txt"
    path.write_text("a person walks, then stops\n\nun café\n", encoding="utf-8")
    assert [(asked.name, asked.text) for asked in read_texts(path)] == [
        ("1-a-person-walks-then-stops", "a person walks, then stops"),
        ("2-un-café", "un café"),
    ]


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        ("text\n", "holds no sentence"),
        ("text,second\na,1\n", "unknown column 'second'; did you mean seconds"),
        ("seconds\n1\n", "no column 'text'"),
        ("text,seconds\na,long\n", "line 2: seconds is 'long'"),
        ("text,seconds\na,-1\n", "expected a positive number"),
        ("text,seed\na,1.5\n", "line 2: seed is '1.5'"),
        ("text\nfirst, second\n", "put a sentence with a comma in quotes"),
        ("text,file\na,x\nb,x.npz\n", "both of file 'x'"),
        ("text,file\na,../x\n", "expected the name of a file"),
    ],
)
def test_a_wrong_list_is_answered(content, answer, tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=answer):
        read_texts(path)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["text=a", "label=b", "out=x.npz"], "give one of text=, label= and texts="),
        (["count=0", "out=x.npz"], "count of at least 1"),
        (["seed=-1", "out=x.npz"], "seed of at least 0"),
        (["texts=nothing.txt", "out=x"], "nothing.txt does not exist"),
        (["label=squat", "out=x.npz"], "label 'squat' was not trained; did you mean .*hdm05/squat1Reps"),
        (["stance=false", "out=x.npz"], "no choice of sampler and no stance"),
        (["system=nrem", "out=x.npz"], "did you mean nerm"),
        (["out=x.docx"], "cannot be written as '.docx'"),
    ],
)
def test_wrong_use_is_one_sentence(words, answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=answer):
        main([*CHEAP, *words])
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder_for_many(table, tmp_path):
    with pytest.raises(InputError, match="is a file; with texts= it is the folder"):
        main([*CHEAP, f"texts={table}", f"out={table}"])
    with pytest.raises(InputError, match=r"cannot be written as '\.docx'"):
        main([*CHEAP, f"texts={table}", f"out={tmp_path / 'many'}", "format=docx"])


def test_a_variant_of_nerm_has_another_digest_and_the_same_weights():
    from nerm.model import load_nerm

    nerm = load_nerm()
    assert isinstance(nerm, HasVariants) and nerm.variant() is nerm and nerm.variant(sampler=nerm.stage2.sampler) is nerm
    plain, quick = nerm.variant(stance=False), nerm.variant(sampler="ddim")
    assert isinstance(plain, NeRM) and plain.stance is None and nerm.stance is not None
    assert quick.stage2.sampler == "ddim" and quick.denoiser is nerm.denoiser
    assert len({nerm.digest, plain.digest, quick.digest}) == 3
