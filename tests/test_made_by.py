"""What a motion was made by is read back from a file of any format by one function, and is never said of another file."""

import json

import pytest
from moving import a_motion

from nerm.errors import InputError
from nerm.motion.files import WRITABLE, Writing, load_motion, save_motion
from nerm.motion.made_by import BESIDE, read_made_by, write_beside
from nerm.render import render

FACTS = {"text": 'kicks; "a" = b\\c # </script>\nün Café 歩く', "seed": 3, "model": "ab" * 32, "version": "1.0"}


@pytest.mark.parametrize("suffix", [suffix for suffix in WRITABLE if suffix not in BESIDE])
def test_every_format_gives_back_what_was_put_in(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    save_motion(a_motion(20.0, 0.2, 0), path, Writing(made_by=FACTS, size="64x64" if suffix in (".gif", ".mp4") else None))
    assert read_made_by(path) == FACTS
    save_motion(a_motion(20.0, 0.2, 0), path)
    assert read_made_by(path) == {}


@pytest.mark.parametrize("suffix", BESIDE)
def test_a_file_beside_is_about_the_very_file_and_not_about_its_name(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    save_motion(a_motion(20.0, 0.2, 0), path)
    assert read_made_by(path) == {}
    assert write_beside(path, FACTS) == tmp_path / f"a{suffix}.json"
    assert read_made_by(path) == FACTS
    save_motion(a_motion(20.0, 0.2, 1), path)
    assert read_made_by(path) == {}


@pytest.mark.parametrize("content", ["[1, 2]", '{"frames": 5}', "no JSON"])
def test_somebody_elses_file_beside_says_nothing_and_stays(content, tmp_path):
    path, other = tmp_path / "a.bvh", tmp_path / "a.bvh.json"
    save_motion(a_motion(20.0, 0.2, 0), path)
    other.write_text(content)
    assert read_made_by(path) == {}
    assert write_beside(path, FACTS) is None and other.read_text() == content


def test_a_bvh_has_no_line_that_readers_do_not_know(tmp_path):
    path = tmp_path / "a.bvh"
    save_motion(a_motion(20.0, 0.2, 0), path, Writing(made_by=FACTS))
    plain = path.read_bytes()
    save_motion(a_motion(20.0, 0.2, 0), path)
    assert path.read_bytes() == plain and len(load_motion(path)) == 5


def test_the_index_of_a_folder_is_read_for_its_files(tmp_path):
    save_motion(a_motion(20.0, 0.2, 0), tmp_path / "a.bvh")
    (tmp_path / "made_by.json").write_text(json.dumps({"a.bvh": FACTS}))
    assert read_made_by(tmp_path / "a.bvh") == FACTS


def test_a_page_is_the_same_to_look_at_and_comments_of_others_say_nothing(tmp_path):
    from PIL import Image

    render([a_motion(20.0, 0.2, 0)], tmp_path / "a.html", ["x"], made_by=FACTS)
    text = (tmp_path / "a.html").read_text()
    assert text.count("</script>") == text.count("<script"), "the sentence closes no block"
    Image.new("P", (8, 8)).save(tmp_path / "b.gif", comment=b"made with a camera")
    assert read_made_by(tmp_path / "b.gif") == {}


@pytest.mark.parametrize(
    ("name", "content", "answer"),
    [
        ("a.fbx", b"", "can"),
        ("none.bvh", None, "does not exist"),
        ("a.npz", b"nothing", "cannot be read"),
        ("a.gif", b"nothing", "cannot be read"),
        ("a.mp4", b"nothing", "cannot be read"),
        ("a.glb", b"nothing", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(name, content, answer, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=answer):
        read_made_by(tmp_path / name)
