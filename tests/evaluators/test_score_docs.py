"""docs/score-my-model.md: its commands run, and its class is a row."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import numpy as np
from conftest import swinging

from nerm.motion import Motion
from nerm.motion.files import save_motion

PAGE = Path(__file__).parents[2] / "docs" / "score-my-model.md"


def test_every_command_of_the_page_runs(tiny, tmp_path, monkeypatch, capsys):
    text = PAGE.read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "nothing is prepared"))
    code = dict(re.findall(r"^```(python|csv)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    Path("my_model.py").write_text(code["python"])
    Path("mine.csv").write_text(code["csv"])
    for folder, names in {"motions": [item.id for item in tiny.subject.items if item.fps >= 60], "mine": ["walk_1", "turn"]}.items():
        Path(folder).mkdir()
        for seed, name in enumerate(names):
            save_motion(
                Motion(swinging(2.0, 60.0 if folder == "motions" else 20.0, seed), 60.0),
                Path(folder) / f"{name}.{'npz' if folder == 'motions' else 'npy'}",
            )
    commands = [shlex.split(line) for line in re.findall(r"^    python -m (.*)$", text, re.MULTILINE)]
    assert len(commands) == 4
    for module, *words in commands:
        more = [f"shipped={tiny.shipped}", f"out={tmp_path / 'results'}"]
        assert import_module(module).main([*words, *more]) == 0, module
    out, err = capsys.readouterr()
    assert (
        "11 conditions" in out
        and "9 motions of motions at 60 fps" in out
        and "2 motions of mine at 20 fps, as a set, 2 with captions" in out
    )
    assert "my_model:Swaying (own class)" in out and "left out" not in err


def test_the_page_says_what_the_command_can(tiny):
    from evaluators.metrics import SET_LEAST
    from evaluators.reference import RATES
    from evaluators.score import PROTOCOL, ScoreConfig

    text = " ".join(PAGE.read_text().split())
    assert all(f"`{name}`" in text or f"`protocol={name}`" in text for name in PROTOCOL)
    assert all(
        word.partition("=")[0] in ScoreConfig.__dataclass_fields__ for word in re.findall(r"`(\w+=)[^`]*`", text) if word != "native_fps="
    )
    assert f"precision and recall need {SET_LEAST}" in text
    assert f"ships at {', '.join(f'{rate:g}' for rate in RATES[:-1])} and {RATES[-1]:g} fps" in text
    assert np.all(np.diff(RATES) > 0)
