"""The drift check: exit code 0 nothing moved, 1 something did or is missing, 2 wrong use."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from evaluators.drift import compare, load, main, with_line
from evaluators.metrics.trials import Pairs, discrepancy, drawn, pairs_of_trials, split
from evaluators.records import Document, Record, figures
from evaluators.resampling import around, draws_of
from evaluators.significance import significant, significant_in_pairs
from evaluators.store import Store
from nerm.errors import InputError


def write(root, factor: float = 1.0, seed: int = 0, systems=("nerm", "real"), rates=(20, 120), replications: int = 20, **more) -> Store:
    """Replications with a spread of 14 % as clip-FID has, drawn from `seed`: equal seeds, equal draws."""
    store, spread, centre = Store(root), more.pop("spread", 0.14), more.pop("centre", 1.0)
    shared = {"metric": "clip_fid", "set": "all", "extractor": "guo", "n": 1000, "seed": seed} | more
    for system in systems:
        rng = np.random.default_rng(seed)
        values = [(fps, i, factor * (centre + spread * rng.normal())) for fps in rates for i in range(replications)]
        records = tuple(Record(fps=fps, replication=i, value=value, **shared) for fps, i, value in values)
        store.write(Document("multirate", "framerates", "quick", system, records))
    return store


def verdicts(old: Store, new: Store, **settings) -> list[str]:
    return [finding.verdict for finding in compare(figures(load(old.root)), figures(load(new.root)), **settings)]


def drift(*words) -> int:
    return main([str(word) for word in words])


def test_a_folder_compared_with_itself_or_with_new_draws_has_not_drifted(tmp_path, capsys):
    old, new = write(tmp_path / "a"), write(tmp_path / "b", seed=1)
    assert drift(old.root, old.root) == 0 and drift(old.root, new.root) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "4 figures: 4 same"


def test_hundreds_of_figures_with_new_draws_of_five_replications_have_not_drifted(tmp_path):
    """At the level of one figure a few would have: 1 in 126 pairs of five are apart by chance."""
    rates = tuple(range(20, 320))
    for seed in range(3):
        old, new = (write(tmp_path / f"{seed}{k}", seed=10 * seed + k, systems=("nerm",), rates=rates, replications=5) for k in range(2))
        assert set(verdicts(old, new)) == {"same"}


@pytest.mark.parametrize("replications", (5, 20))
@pytest.mark.parametrize("factor", (1.2, 0.8, 1.06))
def test_a_planted_shift_is_caught_where_the_draws_are_the_same(tmp_path, replications, factor):
    old, new = (write(tmp_path / name, factor=f, replications=replications) for name, f in (("a", 1.0), ("b", factor)))
    assert drift(old.root, new.root) == 1 and set(verdicts(old, new)) == {"drift"}


@pytest.mark.parametrize("seed", (0, 1))
@pytest.mark.parametrize("replications", (1, 3, 4, 5, 20))
def test_a_value_that_changes_a_hundredfold_is_drift_whatever_the_number_of_replications(tmp_path, capsys, replications, seed):
    old, new = (write(tmp_path / str(f), factor=f, seed=s, replications=replications) for s, f in ((7, 1), (7 + seed, 100)))
    assert drift(old.root, new.root) == 1
    out = capsys.readouterr().out
    assert "drift" in out and "nerm" in out and "clip_fid" in out


def test_the_command_exits_with_one_on_a_hundredfold_change_and_two_on_wrong_use(tmp_path):
    old, new = write(tmp_path / "a"), write(tmp_path / "b", factor=100)
    command = [sys.executable, "-m", "evaluators.drift"]
    assert subprocess.run([*command, old.root, new.root], capture_output=True).returncode == 1
    for words, answer in (([old.root], "two result folders"), (["update", old.root], "needs a reason")):
        wrong = subprocess.run([*command, *words], capture_output=True, text=True)
        assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and answer in wrong.stderr


RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("folder", ["baseline", "raw"])
def test_five_per_cent_planted_in_any_figure_that_is_stored_is_caught(folder):
    """In the same run every draw is the same, however wide the figure's own interval is."""
    stored = [figure for figure in figures(load(RESULTS / folder)) if any(figure.values)]
    for factor in (1.05, 0.95):
        planted = [replace(figure, values=tuple(factor * value for value in figure.values)) for figure in stored]
        assert {finding.verdict for finding in compare(stored, planted)} == {"drift"}
    assert {finding.verdict for finding in compare(stored, stored)} == {"same"}


def test_a_shift_of_a_figure_around_zero_is_caught_by_its_size_beside_the_draws(tmp_path):
    """The floor of a trial distance is zero within its interval: 5 % of its mean says nothing, 5 % of its draws does."""
    about = {"metric": "trial_distance", "replications": 100, "rates": (20,), "systems": ("real",)}
    old = write(tmp_path / "a", **about, centre=0.0)
    for name, factor, shift, verdict in (("b", 1.05, 0.0, "drift"), ("c", 1.0, 0.02, "drift"), ("d", 1.0, 1e-5, "same")):
        assert verdicts(old, write(tmp_path / name, factor=factor, **about, centre=shift)) == [verdict], name


def trials_of(seed: int, of_draws: int):
    """Figures of a made-up row of 60 trials of three clips, and of its floor: motion from `seed`, bootstrap draws from `of_draws`."""
    rng, of = np.random.default_rng(1), np.repeat(np.arange(60), 3)
    x = (rng.normal(size=(60, 4))[of] + rng.normal(size=(180, 4))).round(3)
    y = 0.8 * x + 0.4 + 0.5 * np.random.default_rng([2, seed]).normal(size=x.shape)
    names = np.array([f"trial {k:02}" for k in of])
    pairs, _ = pairs_of_trials(x, names, y, names)
    draws = draws_of(names, 20, of_draws)
    floor = discrepancy(Pairs(pairs.xx, pairs.xx, pairs.xx), *split(60, 20, draws.seed))
    found = {
        "trial_distance": around(drawn(pairs, draws.weights), float(discrepancy(pairs, np.ones(60)))),
        "velocity": around(draws.means(np.linalg.norm(y, axis=1), names), float(np.linalg.norm(y, axis=1).mean())),
    }
    records = [Record(name, value, 60, k, draws.seed, 20.0) for name, values in found.items() for k, value in enumerate(values)]
    rows = {"nerm": records, "real": [Record("trial_distance", value, 60, k, draws.seed, 20.0) for k, value in enumerate(floor)]}
    return figures(Document("multirate", "framerates", "quick", row, tuple(of_row)) for row, of_row in rows.items())


def test_twenty_runs_from_other_seeds_are_not_flagged():
    """Other bootstrap draws of the same motions, and other motions of the same system: only both intervals together say what has moved."""
    old = trials_of(0, 0)
    for seed in range(1, 21):
        for new in (trials_of(0, seed), trials_of(seed, seed)):
            assert {finding.verdict for finding in compare(old, new)} == {"same"}
    assert old[0].seeds != trials_of(0, 1)[0].seeds
    moved = [replace(figure, values=tuple(v + 8 * np.std(figure.values) for v in figure.values)) for figure in trials_of(0, 1)]
    assert {finding.verdict for finding in compare(old, moved)} == {"drift"}


def test_twenty_runs_of_the_clip_protocol_from_other_seeds_are_not_flagged(harness_of):
    from evaluators.tables import Row

    row = Row("real", "Real", "real")
    runs = []
    for seed in range(21):
        harness = harness_of([row], ("trial_distance", "trial_kid", "clip_fid", "velocity", "jerk"), (120.0,), seed=seed)
        protocol = harness.protocols[0]
        units = [unit for unit in protocol.units(row) if unit.metric]
        part = partial(harness.part, row, protocol)
        found = tuple(protocol.score(row, units, part, part))
        runs.append(figures([Document("multirate", "framerates", "quick", "real", found)]))
    assert len(runs[0]) == 8
    for new in runs[1:]:
        assert [f for f in compare(runs[0], new) if f.verdict != "same"] == []


def test_a_significant_change_smaller_than_the_size_is_not_drift(tmp_path):
    old, new = write(tmp_path / "a"), write(tmp_path / "b", factor=1.04)
    assert verdicts(old, new) == ["same"] * 4
    assert verdicts(old, new, size=0.01) == ["drift"] * 4


def test_a_large_change_inside_the_noise_of_other_draws_is_not_drift():
    old = [1.0, 10.0, 2.0, 8.0, 5.0, 3.0]
    assert not significant(old, [value * 1.3 for value in old])[0]
    assert significant_in_pairs(old, [value * 1.3 for value in old])[0]
    assert not significant_in_pairs(old, [1.5, 7.0, 4.0, 6.0, 9.0, 2.0])[0]


def test_pairs_are_compared_by_difference_and_by_ratio():
    old = [1.0, -10.0, 2.0, 8.0, 5.0]
    assert significant_in_pairs(old, [value + 1 for value in old])[0]
    assert significant_in_pairs([1, 2, 4, 8, 16], [1.2, 2.41, 4.79, 9.6, 19.2])[0]
    assert significant_in_pairs(old, old) == (False, "paired t p=1")
    assert significant_in_pairs([2.0], [2.1])[0] and not significant_in_pairs([2.0], [2.0])[0]


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


def test_fewer_replications_fail_and_more_do_not(tmp_path):
    many, few = write(tmp_path / "a", rates=(20,)), write(tmp_path / "b", rates=(20,), replications=4)
    assert set(verdicts(many, few)) == {"fewer replications"} and drift(many.root, few.root) == 1
    assert set(verdicts(few, many)) == {"same"}


@pytest.mark.parametrize("value", ("NaN", "Infinity", "-Infinity"))
def test_values_that_are_not_finite_fail_on_either_side_and_in_new_rows(tmp_path, value):
    old, new = write(tmp_path / "a"), write(tmp_path / "b")
    path = new.path("multirate", "framerates", "quick", "nerm")
    document = json.loads(path.read_text())
    document["series"][0]["value"][3] = 4242.0
    path.write_text(json.dumps(document).replace("4242.0", value))
    assert sorted(verdicts(old, new)) == sorted(verdicts(new, old)) == ["not finite", "same", "same", "same"]
    assert drift(old.root, new.root) == 1
    old.path("multirate", "framerates", "quick", "nerm").unlink()
    assert sorted(verdicts(old, new)) == ["new", "not finite", "same", "same"]


def test_versions_are_listed_and_never_compared(tmp_path, capsys):
    old = write(tmp_path / "a")
    assert drift(old.root, write(tmp_path / "b", factor=100, version=2).root) == 0
    assert "metric v1, protocol v1 -> metric v2, protocol v1" in capsys.readouterr().out


def test_another_number_of_samples_fails_because_it_is_part_of_the_metric(tmp_path):
    for seed in (0, 1):
        assert set(verdicts(write(tmp_path / "a"), write(tmp_path / "b", n=300, seed=seed))) == {"other n"}


def test_numbers_of_samples_that_depend_on_the_draw_may_differ_with_other_draws(tmp_path):
    counts = np.random.default_rng(0).integers(155, 163, (2, 20))
    stores = [write(tmp_path / str(seed), seed=seed, systems=("nerm",), rates=(20,)) for seed in (0, 1)]
    for store, mine in zip(stores, counts, strict=True):
        document = store.read("multirate", "framerates", "quick", "nerm")
        store.write(replace(document, records=tuple(replace(r, n=int(n)) for r, n in zip(document.records, mine, strict=True))))
    assert verdicts(*stores) == ["same"]


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
        (["update"], "needs a results folder"),
        (["update", old], "needs a reason"),
        (["update", old, "reason=  "], "needs a reason"),
        (["update", old, "reason=x", f"changelog={tmp_path / 'nowhere'}"], "does not exist"),
    ):
        with pytest.raises(InputError, match=answer):
            drift(*words)


# --- the baseline ---------------------------------------------------------------------------------------------------------------------


def test_an_update_takes_the_quick_rows_and_writes_its_reason_into_the_changelog(tmp_path, capsys):
    changelog, baseline = tmp_path / "CHANGELOG.md", tmp_path / "baseline"
    changelog.write_text("# Changelog\n\n## 0.1.0\n\n- First.\n")
    out = write(tmp_path / "out")
    document = out.read("multirate", "framerates", "quick", "nerm")
    out.write(replace(document, machine={"seconds": 3}))
    out.write(replace(document, tier="full"))
    kept = write(baseline, systems=("mdm",))
    where = (f"baseline={baseline}", f"changelog={changelog}")
    assert drift("update", out.root, "reason=halves are drawn  within\nlabels.", *where) == 0
    assert "2 rows of framerates on multirate" in capsys.readouterr().out
    assert (
        kept.systems("multirate", "framerates", "quick") == ["mdm", "nerm", "real"]
        and not (baseline / "raw/multirate/framerates/full").exists()
    )
    assert kept.read("multirate", "framerates", "quick", "nerm").machine == {}, "equal results are equal files"
    line = "- Baseline of the quick tables (framerates on multirate): halves are drawn within labels."
    assert changelog.read_text() == f"# Changelog\n\n## Next version\n\n{line}\n\n## 0.1.0\n\n- First.\n"
    kept.path("multirate", "framerates", "quick", "mdm").unlink()
    assert drift(baseline, out.root) == 0


def test_a_line_is_added_at_the_end_of_the_section_of_the_next_version():
    once = with_line("# Changelog\n\n## 0.1.0\n\n- First.\n", "- A.")
    assert with_line(once, "- B.") == "# Changelog\n\n## Next version\n\n- A.\n- B.\n\n## 0.1.0\n\n- First.\n"


def test_an_update_without_quick_rows_changes_nothing(tmp_path):
    out, changelog = Store(tmp_path / "out"), tmp_path / "CHANGELOG.md"
    changelog.write_text("# Changelog\n")
    out.write(Document("multirate", "framerates", "full", "nerm", (Record("fid", 1.0, 10),)))
    with pytest.raises(InputError, match="no rows of tier quick"):
        drift("update", out.root, "reason=x", f"baseline={tmp_path / 'baseline'}", f"changelog={changelog}")
    assert changelog.read_text() == "# Changelog\n" and not (tmp_path / "baseline").exists()
