"""What programs write into BVH files: encodings, numbers of rows, headers, decimal commas. Read, or answered with file and line."""

import re

import numpy as np
import pytest
from figures import bvh_text, places, walking, write

from nerm.errors import InputError
from nerm.motion.bvh import parse_bvh, read_bvh
from nerm.motion.files import Reading, load_motion

ROOT, TURNS = walking()
TEXT = bvh_text(ROOT, TURNS)
HEAD, ROWS = TEXT[: TEXT.index("Frame Time")], TEXT[TEXT.index("Frame Time") :].splitlines()[1:]
FIRST = TEXT[: TEXT.index(ROWS[0])].count("\n") + 1
TIME = "Frame Time: 0.0333333\n"


def with_rows(rows: list[str], time: str = TIME) -> str:
    return HEAD + time + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("\n", "\r"),
        "\ufeff" + TEXT,
        TEXT.encode("utf-16"),
        TEXT.replace("Frames:", "FRAMES :").replace("Frame Time: ", "frame time:"),
        TEXT.replace("Frames: ", "Frames:\t").replace("Frame Time: 0.0333333", "Frame Time:.0333"),
        TEXT + "\n  \n\n",
        with_rows([row.replace(" ", "\t") for row in ROWS]),
        with_rows([row.replace(".", ",") for row in ROWS], "Frame Time: 0,0333\n"),
        with_rows([row.replace(" ", ", ") for row in ROWS]),
        with_rows([f"{row[:100]}\n{row[100:]}" if row[99] == " " or row[100] == " " else row.replace(" ", "\n", 3) for row in ROWS]),
        TEXT.replace("HIERARCHY", "hierarchy").replace("JOINT", "Joint"),
        re.sub(r"End Site\s*\{[^}]*\}", "", TEXT),
    ],
)
def test_ways_to_write_the_same_file(tmp_path, content):
    motion = load_motion(write(tmp_path, content), Reading(metres_per_unit=0.01))
    assert motion.fps == 30
    np.testing.assert_allclose(motion.joints, places(ROOT, TURNS), atol=1e-6)


def test_one_row_too_many_is_read_and_said(tmp_path, capsys):
    motion = load_motion(write(tmp_path, with_rows([*ROWS, ROWS[-1]])), Reading(metres_per_unit=0.01))
    assert len(motion) == len(ROWS) + 1
    np.testing.assert_allclose(motion.joints[:-1], places(ROOT, TURNS), atol=1e-6)
    assert f"{len(ROWS) + 1} frames are read, 1 more than the {len(ROWS)}" in capsys.readouterr().err


def test_words_after_the_last_frame_are_left_out_and_said(tmp_path, capsys):
    assert len(load_motion(write(tmp_path, TEXT + "END\n"), Reading(metres_per_unit=0.01))) == len(ROWS)
    assert f"from line {FIRST + len(ROWS)} on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (with_rows(ROWS[:-1]), [f"{len(ROWS) - 1} lines of values", f"announces {len(ROWS)}", "cut off"]),
        (with_rows([*ROWS[:-1], ROWS[-1][:80]]), [f"line {FIRST + len(ROWS) - 1}", f"frame {len(ROWS) - 1}", "69 channels"]),
        (with_rows([*ROWS[:3], "nan" + ROWS[3][ROWS[3].index(" ") :], *ROWS[4:]]), [f"line {FIRST + 3}", "frame 3", "'pelvis'", "finite"]),
        (with_rows([*ROWS[:3], "-inf" + ROWS[3][ROWS[3].index(" ") :], *ROWS[4:]]), [f"line {FIRST + 3}", "frame 3", "'pelvis'", "finite"]),
        (TEXT.replace("MOTION", TEXT[TEXT.index("ROOT") : TEXT.index("MOTION")] + "MOTION"), ["a second ROOT", "split it"]),
        (b"", ["no MOTION"]),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path, content, words):
    path = write(tmp_path, content)
    with pytest.raises(InputError) as error:
        load_motion(path)
    assert "\n" not in str(error.value)
    for word in [str(path), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("encoding", "first", "second"),
    [("utf-8", "rücken", "röcken"), ("latin-1", "rücken", "röcken"), ("cp932", "上半身", "下半身"), ("utf-16", "спина", "спинв")],
)
def test_names_in_other_encodings_stay_apart_and_themselves(tmp_path, encoding, first, second):
    content = TEXT.replace("spine1", first).replace("spine2", second).encode(encoding)
    file = parse_bvh(write(tmp_path, content))
    names = [node.name for node in file.nodes]
    assert first in names and second in names and len(set(names)) == len(names) and file.encoding == encoding


def test_names_of_no_known_encoding_stay_apart(tmp_path):
    content = TEXT.encode().replace(b"spine1", b"\xff\xfe\x81x").replace(b"spine2", b"\xff\xfe\x81y")
    names = [node.name for node in parse_bvh(write(tmp_path, content)).nodes]
    assert len(set(names)) == len(names) == 27


def test_a_name_that_an_end_site_would_have_is_no_second_joint(tmp_path):
    text = TEXT.replace("JOINT l_wrist", "JOINT l_elbow_end").replace("JOINT r_wrist", "JOINT r_hand bone")
    names = read_bvh(write(tmp_path, text)).names
    assert {"l_elbow_end", "l_elbow_end_end", "r_hand bone", "r_hand bone_end"} <= set(names)


def test_a_rate_that_the_file_names_wrongly_is_corrected_and_said(tmp_path, capsys):
    motion = load_motion(write(tmp_path, TEXT), Reading(metres_per_unit=0.01, in_fps=120))
    assert motion.fps == 120 and "the file says 30 fps; read as 120" in capsys.readouterr().err
    np.testing.assert_allclose(motion.joints, places(ROOT, TURNS), atol=1e-6)
    load_motion(tmp_path / "motion.bvh", Reading(metres_per_unit=0.01, in_fps=30))
    assert "the file says" not in capsys.readouterr().err
    with pytest.raises(InputError, match="in_fps=0"):
        load_motion(tmp_path / "motion.bvh", Reading(in_fps=0))
