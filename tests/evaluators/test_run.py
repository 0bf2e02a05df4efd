"""The run command: what it writes, resumes, reuses and answers. All with dummies on a tiny corpus."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from evaluators import harness as harness_module
from evaluators.run import main
from nerm.errors import InputError

SYSTEMS = "systems=[noise,freeze,noise-20-cubic,real,control-noise-1mm,control-noise-5mm,control-shuffled]"


@pytest.fixture
def words(tiny, tmp_path, monkeypatch):
    """The words that every run here needs; NERM_DATA holds the tiny corpus."""
    monkeypatch.setenv("NERM_DATA", str(tiny.data))
    return [f"shipped={tiny.shipped}", f"out={tmp_path / 'results'}", f"cache={tmp_path / 'cache'}", "device=cpu"]


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    """The folder of a finished run."""
    root = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NERM_DATA", str(tiny.data))
        assert main([SYSTEMS, f"shipped={tiny.shipped}", f"out={root / 'results'}", f"cache={root / 'cache'}", "device=cpu"]) == 0
    return root


def again(finished, tiny, *more: str) -> list[str]:
    return [SYSTEMS, f"shipped={tiny.shipped}", f"out={finished / 'results'}", f"cache={finished / 'cache'}", "device=cpu", *more]


def values(root, metric: str, extractor: str = "multirate", set_: str = "matched") -> dict[tuple[str, float], float]:
    with (root / "results" / "multirate" / "framerates.quick.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if (r["metric"], r["extractor"], r["set"]) == (metric, extractor, set_)]
    return {(r["system"], float(r["fps"])): float(r["value"]) for r in rows if r["value"]}


def test_a_run_writes_markdown_csv_and_two_pictures_with_finite_numbers(finished):
    folder = finished / "results" / "multirate"
    assert sorted(p.name for p in folder.iterdir()) == [f"framerates.quick{end}" for end in (".csv", ".md", ".png", ".spectra.png")]
    found = values(finished, "clip_fid")
    assert {fps for _, fps in found} == {20, 40, 60, 100, 120}
    assert np.isfinite(list(found.values())).all()
    assert "8-20 Hz energy" in (folder / "framerates.quick.md").read_text()


def test_a_pose_with_noise_is_farther_from_real_than_the_floor_and_than_real_motion_with_noise(finished):
    found = values(finished, "clip_fid")
    for fps in (60.0, 120.0):
        assert found["real", fps] < found["noise", fps]
        assert found["control-noise-5mm", fps] < found["noise", fps]
    guo = values(finished, "clip_fid", "guo")
    assert guo["real", 20.0] < guo["noise", 20.0]


def test_what_is_brought_up_is_the_same_at_20_fps_and_not_above(finished):
    found = values(finished, "clip_fid")
    assert found["noise-20-cubic", 20.0] == found["noise", 20.0]
    assert found["noise-20-cubic", 120.0] != found["noise", 120.0]


def test_interpolated_noise_has_less_energy_above_8_hz_and_a_still_pose_none(finished):
    energy = values(finished, "band_energy", "")
    assert energy["freeze", 120.0] < 1e-6 < energy["noise-20-cubic", 120.0]
    error = values(finished, "band_energy_error", "")
    assert ("real", 120.0) not in error
    assert error["control-noise-1mm", 120.0] < error["control-noise-5mm", 120.0]
    assert not any(fps < 60 for _, fps in error)


def test_sets_that_hold_the_same_recordings_have_the_same_figures(finished):
    matched, everything = values(finished, "clip_fid"), values(finished, "clip_fid", set_="all")
    assert matched["noise", 60.0] == everything["noise", 60.0]
    assert matched["noise", 20.0] != everything["noise", 20.0]


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(finished, tiny, monkeypatch, capsys):
    monkeypatch.setenv("NERM_DATA", str(tiny.data))
    folder = finished / "results" / "multirate"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(harness_module.Harness, "run", lambda *_: pytest.fail("computed again"))
    assert main(again(finished, tiny)) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    out, err = capsys.readouterr()
    assert out.startswith("# Motion generation") and "freeze: stored already" in err


def test_a_run_from_nothing_gives_the_same_bytes(finished, tiny, words, tmp_path):
    main([SYSTEMS, *words])
    for path in (finished / "results" / "multirate").iterdir():
        assert (tmp_path / "results" / "multirate" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_run_killed_between_systems_resumes(words, tmp_path, monkeypatch, capsys):
    real = harness_module.Harness.run
    monkeypatch.setattr(
        harness_module.Harness, "run", lambda self, system, step: real(self, system, step) if system == "freeze" else killed()
    )
    with pytest.raises(KeyboardInterrupt):
        main(["systems=[freeze,real]", *words])
    raw = tmp_path / "results" / "raw" / "multirate" / "framerates" / "quick"
    assert [path.name for path in raw.glob("*.json")] == ["freeze.json"]
    computed = []
    monkeypatch.setattr(harness_module.Harness, "run", lambda self, system, step: computed.append(system) or real(self, system, step))
    main(["systems=[freeze,real]", *words])
    assert computed == ["real"] and "freeze: stored already" in capsys.readouterr().err


def killed():
    raise KeyboardInterrupt


def test_a_row_is_computed_again_when_the_seed_changes(finished, tiny, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tiny.data))
    computed = []
    monkeypatch.setattr(harness_module.Harness, "run", lambda self, system, step: computed.append(system))
    from evaluators import run as command

    monkeypatch.setattr(command, "report", lambda *_: "")
    main([*again(finished, tiny, "seed=1")])
    assert len(computed) == 7


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(words, tmp_path, capsys):
    assert main(["systems=[noise,real]", "dry_run=true", *words]) == 0
    out = capsys.readouterr().out
    assert "matched@120" in out and "47 motions (11 + 9 + 9 + 9 + 9, x 1)" in out and "from the reference" in out
    assert not (tmp_path / "results").exists() and not (tmp_path / "cache").exists()


def test_without_the_corpus_the_floor_is_computed_and_rows_of_recordings_come_from_the_stored_full_run(
    finished, tiny, words, tmp_path, monkeypatch, capsys
):
    from evaluators.store import Store

    full = Store(tiny.shipped)
    stored = Store(finished / "results").read("multirate", "framerates", "quick", "control-shuffled")
    full.write("multirate", "framerates", "full", "control-shuffled", stored["records"], stored["provenance"])
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "nothing"))
    try:
        assert main(["systems=[noise,real]", *words]) == 0
    finally:
        full.path("multirate", "framerates", "full", "control-shuffled").unlink()
    text = (tmp_path / "results" / "multirate" / "framerates.quick.md").read_text()
    assert "Computed in the stored run of tier `full`" in text and "shuffled joints" in text
    with pytest.raises(InputError, match="not prepared"):
        main(["systems=[control-shuffled]", *words])


def test_listing_names_everything_and_imports_no_torch():
    code = "import sys; from evaluators.run import main; main(['list']); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(name in out for name in ("framerates", "nerm-20-slerp", "clip_fid", "multirate", "guo", "freeze"))
    assert out.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("system=[noise]", "did you mean systems"),
        ("systems=[nosie]", "did you mean noise"),
        ("systems=[noise-20-cubik]", "systems=noise-20-cubik does not exist"),
        ("table=framerate", "did you mean framerates"),
        ("tier=quik", "did you mean quick"),
        ("device=gpu", "device=gpu does not exist"),
        ("lst", "neither list"),
        ("seed=-1", "seed=-1"),
        ("noise.checkpoint=absent.pt", "does not exist"),
        ("nosie.checkpoint=absent.pt", "did you mean noise"),
        ("dataset=nothing", "no reference of 'nothing'"),
    ],
)
def test_wrong_use_gets_one_sentence(words, word, answer):
    with pytest.raises(InputError, match=answer):
        main([*words, word] if "=" in word else [word, *words])


def test_a_dummy_has_no_weights_to_replace(words, tiny):
    with pytest.raises(InputError, match="has no weights"):
        main(["systems=[noise]", f"noise.checkpoint={tiny.reference}", *words])


def test_a_changed_extractor_asks_for_a_new_reference(words, tiny, tmp_path):
    import shutil

    from safetensors.torch import load_file, save_file

    changed = tmp_path / "changed"
    shutil.copytree(tiny.shipped, changed)
    path = changed / "models" / "clip.safetensors"
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        facts = file.metadata()
    save_file({key: value + 1 for key, value in load_file(path).items()}, path, facts)
    with pytest.raises(InputError, match="a changed extractor is a new metric version"):
        main(["systems=[noise]", *words[1:], f"shipped={changed}"])
