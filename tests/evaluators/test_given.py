"""Folders of the user's files and lists of conditions: what is read, what is matched, and what is said of the rest."""

import numpy as np
import pytest
from conftest import swinging

from evaluators.enough import LABELS, Shortage, sentence
from evaluators.given.conditions import read_conditions, write_conditions
from evaluators.given.folder import at_one_rate, rate_of, read_folder
from evaluators.given.matching import match
from evaluators.metrics import SET_LEAST
from evaluators.protocols.clip import scoring
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.features import features_from_motion
from nerm.motion.files import Reading, Writing, save_motion

ITEMS = tuple(Item(str(k), f"trial {k}", 120.0, 2.0, (f"sentence {k}",), "walk" if k % 2 else "run") for k in (7, 8, 9))


def body(fps: float = 20.0, seed: int = 0, seconds: float = 2.0) -> Motion:
    return Motion(swinging(seconds, fps, seed), fps)


@pytest.fixture
def folder(tmp_path):
    """Four motions in three formats at two rates."""
    path = tmp_path / "motions"
    path.mkdir()
    save_motion(body(60.0, 1), path / "a.npz")
    save_motion(body(20.0, 2), path / "b.bvh")
    save_motion(body(20.0, 3), path / "c.npy")
    np.save(path / "d.npy", features_from_motion(body(20.0, 4)))
    return path


def conditions(tmp_path, text: str):
    path = tmp_path / "c.csv"
    path.write_text(text)
    return path


def matched(folder, path):
    rows = read_conditions(path) if path else None
    read = read_folder(folder, 20.0, {})
    return match(read, rows, ITEMS, ["run", "walk"], path or folder), read


# --- reading ------------------------------------------------------------------------------------------------------------------------------


def test_formats_and_rates_may_be_mixed(folder, capsys):
    read = read_folder(folder, 20.0, {})
    assert {name: motion.fps for name, motion in read.motions.items()} == {"a": 60, "b": 20, "c": 20, "d": 20} and not read.left_out
    np.testing.assert_allclose(read.motions["b"].joints, body(20.0, 2).joints, atol=1e-3)
    np.testing.assert_array_equal(read.motions["c"].joints, body(20.0, 3).joints)
    assert len(read.motions["d"]) == 40 and read.motions["d"].features.format == "humanml263"
    with pytest.raises(InputError, match=r"files at 20, 60 fps; give fps="):
        rate_of(read, None)
    motions, resampled = at_one_rate(dict(enumerate(read.motions.values())), 20.0)
    assert resampled == 1 and {motion.fps for motion in motions.values()} == {20}
    np.testing.assert_allclose(motions[0].joints, body(60.0, 1).joints[::3], atol=1e-6)
    assert motions[3].features is not None, "features of a file at the rate reach an extractor as they were made"


def test_an_npy_without_a_rate_is_asked_for_one(folder):
    with pytest.raises(InputError, match=r"holds 2 \.npy files \(c\.npy\), which carry no frame rate; give in_fps="):
        read_folder(folder, None, {"a": 60.0})
    assert read_folder(folder, None, {"c": 20.0, "d": 30.0}).motions["d"].fps == 30


def test_files_that_cannot_be_used_are_counted_and_named(folder, capsys):
    broken = body().joints.copy()
    broken[7, 3] = np.nan
    np.savez(folder / "nan.npz", joints=broken, fps=20.0)
    (folder / "cut.npz").write_bytes(b"PK")
    (folder / "readme.txt").write_text("hello")
    read = read_folder(folder, 20.0, {})
    err = capsys.readouterr().err
    assert read.left_out == {"of another kind than a motion file": 1, "unreadable": 2} and len(read.motions) == 4
    assert f"{folder / 'nan.npz'}: motion with a value that is not finite at frame 7" in err and "cut.npz" in err


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (lambda x: 100 * x, "they seem to be centimetres: give metres_per_unit=0.01"),
        (lambda x: 1000 * x, "millimetres"),
        (lambda x: x[..., [0, 2, 1]] * [1, -1, 1], "lies along z in most frames; y up is expected"),
    ],
)
def test_another_unit_or_up_axis_is_told(tmp_path, change, answer):
    for seed in range(3):
        np.savez(tmp_path / f"{seed}.npz", joints=change(body(seed=seed).joints), fps=20.0)
    with pytest.raises(InputError, match=answer):
        read_folder(tmp_path, None, {})


def test_what_is_given_of_a_folder_is_used_where_it_fits(tmp_path):
    """Joints in centimetres with z up, and poses of AMASS, which have a unit and z up, in one folder."""
    for seed in range(3):
        np.savez(tmp_path / f"{seed}.npz", joints=100 * body(seed=seed).joints[..., [0, 2, 1]] * [1, -1, 1], fps=20.0)
    save_motion(body(seed=3), tmp_path / "poses.npz", Writing(format="amass"))
    read = read_folder(tmp_path, None, {}, Reading(metres_per_unit=0.01, up="z", body="mean"))
    assert not read.left_out and set(read.motions) == {"0", "1", "2", "poses"}
    np.testing.assert_allclose(read.motions["1"].joints, body(seed=1).joints, atol=1e-5)
    assert np.median(read.motions["poses"].joints[:, 15, 1] - read.motions["poses"].joints[:, 7, 1]) > 1.2


def test_a_folder_of_normalised_features_is_refused(tmp_path):
    for seed in range(3):
        features = features_from_motion(body(seed=seed))
        np.save(tmp_path / f"{seed}.npy", (features - features.mean(axis=0)) / (features.std(axis=0) + 0.05))
    with pytest.raises(InputError, match=r"these features seem to be normalised .* features \* std \+ mean"):
        read_folder(tmp_path, 20.0, {})


def test_one_monstrous_body_among_good_ones_is_scored_and_not_left_out(tmp_path):
    for seed in range(3):
        np.savez(tmp_path / f"{seed}.npz", joints=body(seed=seed).joints * (50 if seed == 0 else 1), fps=20.0)
    assert len(read_folder(tmp_path, None, {}).motions) == 3


def test_wrong_folders_are_one_sentence(tmp_path, folder):
    for path, answer in ((tmp_path / "none", "does not exist"), (folder / "a.npz", "is a file"), (tmp_path, r"holds no \.npz")):
        with pytest.raises(InputError, match=answer):
            read_folder(path, None, {})
    save_motion(body(), folder / "a.bvh")
    with pytest.raises(InputError, match=r"a\.bvh and a\.npz, two motions of one name"):
        read_folder(folder, 20.0, {})


# --- conditions ---------------------------------------------------------------------------------------------------------------------------


def test_what_is_written_can_be_given_back(tmp_path):
    from evaluators.generation import Request
    from nerm.generator import Condition

    requests = [Request(k, Condition(text=item.captions[0]), 1.5, 40 + k) for k, item in enumerate(ITEMS)]
    assert write_conditions(tmp_path / "c.csv", ITEMS, requests) == 3
    rows = read_conditions(tmp_path / "c.csv")
    assert [(row.name, row.recording, row.caption, row.label, row.seconds) for row in rows] == [
        (item.id, item.id, item.captions[0], item.label, 1.5) for item in ITEMS
    ]
    path = tmp_path / "motions"
    path.mkdir()
    for item in ITEMS:
        save_motion(body(seconds=1.5), path / f"{item.id}.npz")
    found, read = matched(path, tmp_path / "c.csv")
    assert found.own is None and list(found.motions) == [0, 1, 2] and not found.notes and not read.left_out


def test_motions_of_recordings_and_motions_of_captions(folder, tmp_path):
    found, _ = matched(folder, conditions(tmp_path, "file,recording\na.npz,9\nb,7\nc,8\n"))
    assert found.own is None and {k: motion.fps for k, motion in found.motions.items()} == {2: 60, 0: 20, 1: 20}
    text = 'file,caption,label,seconds\na,"a person walks, slowly",walk,2\nb,,run,1\nc,someone runs,,\nd,,,2.5\n'
    found, _ = matched(folder, conditions(tmp_path, text))
    assert [(item.id, item.captions, item.label) for item in found.own] == [
        ("a", ("a person walks, slowly",), "walk"),
        ("b", (), "run"),
        ("c", ("someone runs",), ""),
        ("d", (), ""),
    ]
    assert len({item.group for item in found.own}) == 4
    assert found.notes == ("1 motions are shorter and 1 longer than they were asked to be; they are scored as they are.",)


def test_rows_without_files_and_files_without_rows_are_counted(folder, tmp_path, capsys):
    _, read = matched(folder, conditions(tmp_path, "file,caption\na,x\nb,y\nlost,z\n"))
    assert read.left_out == {"files without a row in c.csv": 2, "rows of c.csv without a motion": 1}
    assert "for c, d" in capsys.readouterr().err


def test_names_mean_something_only_if_all_are_recordings(folder, tmp_path):
    (folder / "a.npz").rename(folder / "7.npz")
    found, _ = matched(folder, None)
    assert len(found.own) == 4 and "1 of 4 names are those of recordings (7) and others are not (b)" in found.notes[0]
    for old, new in (("b.bvh", "8.bvh"), ("c.npy", "9.npy")):
        (folder / old).rename(folder / new)
    (folder / "d.npy").unlink()
    found, _ = matched(folder, None)
    assert found.own is None and sorted(found.motions) == [0, 1, 2] and not found.notes


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("file,text\na,x\n", "unknown column 'text'"),
        ("caption\nx\n", "no column 'file' and none 'recording'"),
        ("file,caption\n", "has no row"),
        ("file,caption\na,x\na.npz,y\n", "lines 2 and 3 are both of file 'a'"),
        ("file,caption\na,one, two\n", "line 2: more values than columns"),
        ("file,seconds\na,long\n", "line 2: seconds is 'long'; expected a number"),
        ("file,fps\na,-20\n", "line 2: fps is -20; expected a positive number"),
        ("file,caption\nx,y\n", r"have no file in common \('x' and 'a'\)"),
        ("file,recording\na,77\n", "line 2: recording '77' is no test item of the dataset; did you mean 7"),
        ("file,recording\na,7\nb,\n", "line 2 has a recording and line 3 has none"),
        ("file,recording\na,7\nb,7\n", "is that of line 2 too; score one motion of a recording at a time"),
        ("file,recording,caption\na,7,a dog\n", "has the caption 'sentence 7', not 'a dog'"),
        ("file,recording,label\na,7,run\n", "recording '7' has the label 'walk', not 'run'"),
        ("file,label\na,wlak\n", "line 2: label 'wlak' does not exist here; did you mean walk"),
    ],
)
def test_a_list_that_does_not_fit_is_one_sentence(folder, tmp_path, text, answer):
    with pytest.raises(InputError, match=answer):
        matched(folder, conditions(tmp_path, text))


# --- how many are enough ------------------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_said_once_for_metrics_of_equal_needs():
    few = [Shortage(name, 0, set=set_) for set_ in ("matched", "all") for name in ("foot_skate", "velocity")]
    text = sentence([*few, Shortage("acceleration", 1, LABELS, "all")])
    assert text == (
        "foot skate, velocity (at least 1 motions of different trials are needed, there are 0 in set matched and all); "
        "acceleration (at least 1 captions of different labels are needed, there is 1 in set all)"
    )
    assert sentence([Shortage("velocity", 0)]).endswith("there are 0)") and sentence([]) == ""


def test_a_frechet_distance_of_few_motions_says_how_few_there_are():
    """Of equal distributions: what is left is the number of samples, and it falls below the spread of the whole at about SET_LEAST."""
    rng = np.random.default_rng(0)
    real, other = rng.standard_normal((2, 2000, 25))
    few, enough = (np.mean([scoring.frechet(real, other[k * n : (k + 1) * n]) for k in range(10)]) for n in (8, SET_LEAST))
    assert few > 0.5 * 25 > 1.5 * enough
