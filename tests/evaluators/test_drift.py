"""The drift check: exit code 0 nothing moved, 1 something did or is missing, 2 wrong use."""

import subprocess
import sys

import numpy as np
import pytest

from evaluators.drift import compare, load, main, significant
from evaluators.store import Store
from nerm.errors import InputError


def write(root, factor: float = 1.0, seed: int = 0, systems=("nerm", "real"), rates=(20, 120), replications: int = 20, **more) -> Store:
    store = Store(root)
    for system in systems:
        rng = np.random.default_rng(seed)
        found = [
            {"metric": "clip_fid", "fps": fps, "set": "all", "extractor": "guo", "replication": i, "n": 1000, **more}
            | {"value": factor * (1 + 0.02 * rng.normal())}
            for fps in rates
            for i in range(replications)
        ]
        store.write("multirate", "framerates", "quick", system, found, {})
    return store


def verdicts(old: Store, new: Store, **settings) -> list[str]:
    return [finding.verdict for finding in compare(load(old.root), load(new.root), **settings)]


def drift(*words) -> int:
    return main([str(word) for word in words])


def test_a_folder_compared_with_itself_or_with_new_draws_has_not_drifted(tmp_path, capsys):
    old, new = write(tmp_path / "a"), write(tmp_path / "b", seed=1)
    assert drift(old.root, old.root) == 0 and drift(old.root, new.root) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 figures: 4 same"


@pytest.mark.parametrize("replications", (1, 3, 4, 5, 20))
def test_a_value_that_changes_a_hundredfold_is_drift_whatever_the_number_of_replications(tmp_path, capsys, replications):
    old, new = write(tmp_path / "a", replications=replications), write(tmp_path / "b", factor=100, seed=1, replications=replications)
    assert drift(old.root, new.root) == 1
    out = capsys.readouterr().out
    assert "drift" in out and "nerm" in out and "clip_fid" in out


def test_the_command_exits_with_one_on_a_hundredfold_change_and_two_on_wrong_use(tmp_path):
    old, new = write(tmp_path / "a"), write(tmp_path / "b", factor=100)
    command = [sys.executable, "-m", "evaluators.drift"]
    assert subprocess.run([*command, old.root, new.root], capture_output=True).returncode == 1
    wrong = subprocess.run([*command, old.root], capture_output=True, text=True)
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "two result folders" in wrong.stderr


def test_a_significant_change_smaller_than_the_size_is_not_drift(tmp_path):
    old, new = write(tmp_path / "a"), write(tmp_path / "b", factor=1.04)
    assert verdicts(old, new) == ["same"] * 4
    assert verdicts(old, new, size=0.01) == ["drift"] * 4


def test_a_large_change_inside_the_noise_is_not_drift():
    old = [1.0, 10.0, 2.0, 8.0, 5.0, 3.0]
    assert not significant(old, [value * 1.3 for value in old])[0]


def test_five_replications_are_tested_by_rank_and_four_by_interval_since_four_cannot_reach_the_level():
    assert significant([1, 2, 3, 4, 5], [6, 7, 8, 9, 10])[1].startswith("Mann-Whitney")
    apart, test = significant([1, 1.1, 1.2, 1.3], [6, 7, 8, 9])
    assert apart and test == "intervals apart"
    assert significant([2.0] * 20, [2.0] * 20) == (False, "Mann-Whitney p=1")
    assert significant([2.0] * 20, [2.1] * 20)[0]


def test_missing_rows_and_systems_fail_and_new_ones_do_not(tmp_path, capsys):
    whole, part = write(tmp_path / "a"), write(tmp_path / "b", systems=("nerm",), rates=(20,))
    assert drift(whole.root, part.root) == 1 and capsys.readouterr().out.count("missing") == 4  # three rows and the count
    assert drift(part.root, whole.root) == 0


def test_versions_are_listed_and_never_compared(tmp_path, capsys):
    old = write(tmp_path / "a")
    assert drift(old.root, write(tmp_path / "b", factor=100, version=2).root) == 0
    assert "metric v1, protocol v1 -> metric v2, protocol v1" in capsys.readouterr().out


def test_another_number_of_samples_fails_because_it_is_part_of_the_metric(tmp_path):
    assert set(verdicts(write(tmp_path / "a"), write(tmp_path / "b", n=300))) == {"other n"}


def test_single_files_and_folders_below_raw_can_be_compared(tmp_path):
    old, new = write(tmp_path / "a"), write(tmp_path / "b", factor=2)
    files = [store.path("multirate", "framerates", "quick", "nerm") for store in (old, new)]
    assert drift(*files) == 1 and drift(files[0], files[0]) == 0 and drift(old.root / "raw", new.root / "raw/multirate") == 1
    assert drift(*files, "size=2") == 0


def test_wrong_use_is_one_sentence(tmp_path):
    old = write(tmp_path / "a").root
    (tmp_path / "empty").mkdir()
    for words, answer in (
        ([old], "two result folders"),
        ([old, "size=0.1"], "two result folders"),
        ([old, old, "sice=0.1"], "did you mean size"),
        ([old, old, old], "key=value"),
        ([old, old, "p=2"], "between 0 and 1"),
        ([old, tmp_path / "nowhere"], "does not exist"),
        ([old, tmp_path / "empty"], "no stored results"),
    ):
        with pytest.raises(InputError, match=answer):
            drift(*words)
