"""The run command: what it writes, resumes, reuses and answers. All with dummies on a tiny corpus."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from baselines.base import SYSTEMS
from evaluators import computing
from evaluators.records import Document
from evaluators.run import main
from evaluators.store import Store
from evaluators.tables import load_table
from nerm.errors import InputError

ROWS = "systems=[noise,freeze,real,control-noise-1mm,control-noise-5mm,control-shuffled,oracle-cubic]"


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
        assert main([ROWS, f"shipped={tiny.shipped}", f"out={root / 'results'}", f"cache={root / 'cache'}", "device=cpu"]) == 0
    return root


def again(finished, tiny, *more: str) -> list[str]:
    return [ROWS, f"shipped={tiny.shipped}", f"out={finished / 'results'}", f"cache={finished / 'cache'}", "device=cpu", *more]


def values(root, metric: str, extractor: str = "anyrate", set_: str = "matched") -> dict[tuple[str, float], float]:
    with (root / "results" / "multirate" / "framerates.quick.csv").open(newline="") as file:
        lines = [r for r in csv.DictReader(file) if (r["metric"], r["extractor"], r["set"]) == (metric, extractor, set_)]
    return {(line["system"], float(line["fps"])): float(line["value"]) for line in lines if line["value"]}


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
    guo = values(finished, "fid", "guo")
    assert guo["real", 20.0] < guo["noise", 20.0]


def test_real_motion_brought_up_is_at_no_distance_at_20_fps_and_at_some_above(finished):
    for name in ("trial_distance", "clip_fid"):
        found = values(finished, name)
        # The reference is kept in half precision.
        assert abs(found["oracle-cubic", 20.0]) < 1e-3 * found["oracle-cubic", 120.0]


def test_the_report_leads_with_the_trial_distance_and_its_differences(finished):
    text = (finished / "results" / "multirate" / "framerates.quick.md").read_text()
    assert text.index("**trial distance, extractor `anyrate`, set `matched`**") < text.index("**trial distance: difference from")
    assert "Effective dimensions of real motion" in text


def test_noise_adds_energy_above_8_hz_and_a_still_pose_has_none(finished):
    energy = values(finished, "band_energy", "")
    assert energy["freeze", 120.0] < 1e-6 < energy["control-noise-1mm", 120.0] < energy["control-noise-5mm", 120.0]
    error = values(finished, "band_energy_error", "")
    assert ("real", 120.0) not in error
    assert error["control-noise-1mm", 120.0] < error["control-noise-5mm", 120.0]
    assert not any(fps < 60 for _, fps in error)


def test_sets_that_hold_the_same_recordings_have_the_same_figures(finished):
    matched, everything = values(finished, "clip_fid"), values(finished, "clip_fid", set_="all")
    assert matched["noise", 60.0] == everything["noise", 60.0]
    assert matched["noise", 20.0] != everything["noise", 20.0]


def test_a_run_prints_a_summary_and_not_the_report(finished, tiny, monkeypatch, capsys):
    monkeypatch.setenv("NERM_DATA", str(tiny.data))
    main(again(finished, tiny))
    out, err = capsys.readouterr()
    assert len(out.splitlines()) <= 30 and "trial distance" in out and "framerates.quick.md" in out
    assert "freeze: stored already" in err


def test_a_second_run_computes_nothing_and_writes_the_same_bytes(finished, tiny, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tiny.data))
    folder = finished / "results" / "multirate"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(computing, "compute_row", lambda *_: pytest.fail("computed again"))
    assert main(again(finished, tiny)) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_run_from_nothing_gives_the_same_bytes(finished, words, tmp_path):
    main([ROWS, *words])
    for path in (finished / "results" / "multirate").iterdir():
        assert (tmp_path / "results" / "multirate" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_run_killed_between_rows_resumes(words, tmp_path, monkeypatch, capsys):
    real = computing.compute_row

    def run_or_die(harness, row, step):
        if row.id != "freeze":
            raise KeyboardInterrupt
        return real(harness, row, step)

    monkeypatch.setattr(computing, "compute_row", run_or_die)
    with pytest.raises(KeyboardInterrupt):
        main(["systems=[freeze,real]", *words])
    raw = tmp_path / "results" / "raw" / "multirate" / "framerates" / "quick"
    assert [path.name for path in raw.glob("*.json")] == ["freeze.json"]
    computed = []
    monkeypatch.setattr(computing, "compute_row", lambda harness, row, step: computed.append(row.id) or real(harness, row, step))
    main(["systems=[freeze,real]", *words])
    assert computed == ["real"] and "freeze: stored already" in capsys.readouterr().err


def test_another_seed_computes_every_row_again(finished, tiny, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tiny.data))
    computed = []
    monkeypatch.setattr(computing, "compute_row", lambda harness, row, step: computed.append(row.id))
    from evaluators import run as command

    monkeypatch.setattr(command, "report", lambda *_: "")
    main([*again(finished, tiny, "seed=1")])
    assert len(computed) == 7


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(words, tmp_path, capsys):
    assert main(["systems=[noise,real]", "dry_run=true", *words]) == 0
    out = capsys.readouterr().out
    assert "matched@120" in out and "47 motions or codes to ask for" in out and "from the reference" in out
    assert not (tmp_path / "results").exists()


def test_without_the_corpus_the_floor_is_computed_and_rows_of_recordings_come_from_the_stored_full_run(
    finished, tiny, words, tmp_path, monkeypatch
):
    full = Store(tiny.shipped)
    stored = Store(finished / "results").read("multirate", "framerates", "quick", "control-shuffled")
    full.write(Document("multirate", "framerates", "full", "control-shuffled", stored.records, stored.provenance, {}))
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "nothing"))
    try:
        assert main(["systems=[noise,real]", *words]) == 0
    finally:
        full.path("multirate", "framerates", "full", "control-shuffled").unlink()
    text = (tmp_path / "results" / "multirate" / "framerates.quick.md").read_text()
    assert "tier `full`" in text and "shuffled joints" in text
    written = sorted(path.name for path in (tmp_path / "results").rglob("*.json"))
    assert written == ["noise.json", "real.json"]  # nothing that nobody asked for
    with pytest.raises(InputError, match="not prepared"):
        main(["systems=[control-shuffled]", *words])


def test_listing_names_everything_and_imports_no_torch():
    code = "import sys; from evaluators.run import main; main(['list']); print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert all(name in out for name in ("framerates", "nerm-20-slerp", "clip_fid", "multirate", "guo", "freeze", "reconstruction"))
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
        ("dataset=multirat", "did you mean multirate"),
    ],
)
def test_wrong_use_gets_one_sentence(words, word, answer):
    with pytest.raises(InputError, match=answer):
        main([*words, word] if "=" in word else [word, *words])


def test_a_dummy_has_no_weights_to_replace(words, tiny):
    with pytest.raises(InputError, match="has no weights"):
        main(["systems=[noise]", f"noise.checkpoint={tiny.reference / 'items.json'}", *words])


def test_other_weights_are_a_row_of_their_own_and_the_shipped_row_stays(words, tmp_path, monkeypatch):
    """The dummy `freeze` stands for a system with weights: what it is loaded with is its digest."""
    from baselines.dummies import system as dummies

    assert SYSTEMS.get("freeze").loads == "baselines.dummies.system:load_freeze"
    loaded = lambda name, checkpoint, device: dummies.Dummy(name, 0.0 if checkpoint is None else 0.01)  # noqa: E731
    monkeypatch.setattr(dummies, "load_freeze", loaded)
    weights = tmp_path / "mine.pt"
    weights.write_bytes(b"weights")
    main(["systems=[freeze,real]", *words])
    shipped = Store(tmp_path / "results").path("multirate", "framerates", "quick", "freeze").read_bytes()
    main(["systems=[freeze]", f"freeze.checkpoint={weights}", *words])
    store = Store(tmp_path / "results")
    assert store.path("multirate", "framerates", "quick", "freeze").read_bytes() == shipped
    (mine,) = [name for name in store.systems("multirate", "framerates", "quick") if name.startswith("freeze+")]
    assert store.read("multirate", "framerates", "quick", mine).provenance["checkpoint"] == "mine.pt"
    report = (tmp_path / "results" / "multirate" / "framerates.quick.md").read_text()
    assert "(weights mine.pt)" in report


def test_the_file_that_ships_is_no_other_weights_and_one_beside_the_results_is(tiny, tmp_path):
    from evaluators.weights import own_weights, with_weights

    shipped = tmp_path / "models" / "nerm.safetensors"
    shipped.parent.mkdir()
    shipped.write_bytes(b"weights")
    copy = tmp_path / "copy.safetensors"
    shutil.copyfile(shipped, copy)
    row = load_table("framerates").row("nerm-20-cubic")
    assert with_weights(row, str(copy), [tmp_path]) == row
    copy.write_bytes(b"other weights")
    assert with_weights(row, str(copy), [tmp_path]).id.startswith("nerm-20-cubic+")
    mine = tmp_path / "mine" / "models" / "nerm.safetensors"
    mine.parent.mkdir(parents=True)
    shutil.copyfile(copy, mine)
    assert own_weights("nerm", [tmp_path / "mine", tmp_path]) == str(mine)
    assert own_weights("nerm", [tmp_path]) == own_weights("mdm", [tmp_path / "mine", tmp_path]) == ""


def test_a_changed_extractor_is_measured_against_real_motion_of_its_own(words, tiny, tmp_path, monkeypatch):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    changed = tmp_path / "changed"
    shutil.copytree(tiny.shipped, changed)
    path = changed / "models" / "anyrate.safetensors"
    with safe_open(path, "pt") as file:
        facts = file.metadata()
    save_file({key: value + 1 for key, value in load_file(path).items()}, path, facts)
    more = ["systems=[noise,real]", *words[1:], f"shipped={changed}"]
    assert main(more) == 0
    assert values(tmp_path, "clip_fid")["real", 60.0] > 0
    stored = json.loads(Store(tmp_path / "results").path("multirate", "framerates", "quick", "noise").read_text())
    assert stored["provenance"]["sha256"]["anyrate"] != tiny.extractors["anyrate"].digest
    assert "reference/anyrate" not in stored["provenance"]["sha256"] and "reference/guo" in stored["provenance"]["sha256"]
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match="not prepared"):
        main([*more, f"out={tmp_path / 'elsewhere'}", f"cache={tmp_path / 'empty'}"])
