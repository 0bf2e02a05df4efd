"""python -m nerm.show: files side by side."""

import json
import re

import pytest
from moving import a_motion

from nerm.errors import InputError
from nerm.motion.files import save_motion
from nerm.show import main


@pytest.fixture
def files(tmp_path):
    save_motion(a_motion(30.0, 0.5, 0), tmp_path / "a.npz")
    save_motion(a_motion(60.0, 0.5, 1), tmp_path / "b.bvh")
    return tmp_path


def test_two_files_stand_on_one_page_under_their_names_at_their_own_rates(files, capsys):
    main([f"in=[{files}/a.npz,{files}/b.bvh]", f"out={files}/c.html"])
    shown = json.loads(re.search(r"^const motions = (.*);$", (files / "c.html").read_text(), re.M)[1])
    assert [(motion["title"], motion["fps"], motion["frames"]) for motion in shown] == [("a.npz", 30, 16), ("b.bvh", 60, 31)]
    assert "0.50 s at 30 fps, 0.50 s at 60 fps" in capsys.readouterr().err


def test_a_film_strip_is_a_png(files):
    main([f"in={files}/a.npz", f"out={files}/c.png", "feet=lock"])
    assert (files / "c.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["in=[]", "out=c.html"], "in=\\[\\]; give at least one file"),
        (["in=[a.npz]", "out=c.html", "size=640x480"], "a size is for"),
        (["in=[a.npz]", "out=no/c.html"], "the folder no does not exist"),
        (["in=[no.npz]", "out=c.html"], "no.npz does not exist"),
        (["in=[a.npz]", "out=c.html", "titles=[x,y]"], "2 titles for 1 motions"),
    ],
)
def test_wrong_use_is_answered(files, monkeypatch, given, said):
    monkeypatch.chdir(files)
    with pytest.raises(InputError, match=said):
        main(given)
