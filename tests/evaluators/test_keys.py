"""What is computed again and what is not: every stored figure and cached array has all that it depends on in its key."""

from dataclasses import replace

import numpy as np
import pytest

from evaluators import metrics
from evaluators.computing import compute, compute_row
from evaluators.metrics import metric
from evaluators.protocols.clip import protocol as clip
from evaluators.report import build
from evaluators.store import Store
from evaluators.tables import Row, training_of
from evaluators.weights import further_trainings
from nerm.errors import InputError
from nerm.generator import Facts
from nerm.motion import Motion, frame_count

ROW = Row("slow", "Slow")
FLOOR = Row("real", "Real", "real")


class Counted:
    """Noise at 20 fps. asked: the seed of every motion that was made."""

    name, native_fps, facts = "slow", 20.0, Facts()

    def __init__(self, digest="weights of slow"):
        self.digest, self.asked = digest, []

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        self.asked += seeds
        rngs = [np.random.default_rng(seed) for seed in seeds]
        return [Motion(r.normal(0, 0.1, (frame_count(s, fps), 22, 3)).astype(np.float32), fps) for r, s in zip(rngs, seconds, strict=True)]


@pytest.fixture
def measured(monkeypatch):
    """The name of every part that is measured, in order."""
    names = []
    measure = clip.ClipProtocol.measure
    monkeypatch.setattr(clip.ClipProtocol, "measure", lambda self, row, part: names.append(part.name) or measure(self, row, part))
    return names


def raise_version(monkeypatch, name):
    """Raise a metric's version."""
    entry = metric(name)
    changed = replace(entry, version=entry.version + 1)
    original = metrics.METRICS.get
    monkeypatch.setattr(metrics.METRICS, "get", lambda wanted: changed if wanted == name else original(wanted))
    assert metric(name).version == entry.version + 1


def test_the_same_run_again_computes_nothing(harness_of):
    system = Counted()
    assert compute(harness_of([ROW, FLOOR], systems={"slow": system})) == ["slow", "real"]
    before = list(system.asked)
    assert compute(harness_of([ROW, FLOOR], systems={"slow": system})) == [] and system.asked == before


def test_a_metric_that_is_added_is_computed_alone_and_no_motion(harness_of, measured):
    system = Counted()
    compute(harness_of([ROW], ("clip_fid", "velocity"), systems={"slow": system}))
    asked, stored = len(system.asked), harness_of([ROW]).stored(ROW)
    measured.clear()
    grown = harness_of([ROW], ("clip_fid", "velocity", "jerk"), systems={"slow": system})
    assert [unit.name for _, units in grown.missing(ROW) for unit in units] == ["jerk@20", "jerk@120"]
    compute(grown)
    assert set(measured) == {"values/jerk"} and len(system.asked) == asked
    now = grown.stored(ROW)
    assert {r for r in now.records if r.metric != "jerk"} == set(stored.records)
    assert {r.fps for r in now.records if r.metric == "jerk"} == {20.0, 120.0}


def test_a_raised_version_of_a_metric_computes_its_figure_and_its_values_again(harness_of, measured, monkeypatch):
    system = Counted()
    compute(harness_of([ROW], ("clip_fid", "velocity"), systems={"slow": system}))
    measured.clear()
    raise_version(monkeypatch, "velocity")
    harness = harness_of([ROW], ("clip_fid", "velocity"), systems={"slow": system})
    assert {unit.metric for _, units in harness.missing(ROW) for unit in units} == {"velocity"}
    compute(harness)
    assert set(measured) == {"values/velocity"}
    assert {r.version for r in harness.stored(ROW).records if r.metric == "velocity"} == {2}


@pytest.mark.parametrize("what", ["protocol", "resampler"])
def test_a_raised_version_of_protocol_or_resampler_computes_everything_again_from_the_same_motion(harness_of, monkeypatch, what):
    from evaluators import generation, harness

    system = Counted()
    compute(harness_of([ROW], systems={"slow": system}))
    asked = len(system.asked)
    if what == "protocol":
        monkeypatch.setattr(clip.ClipProtocol, "version", clip.ClipProtocol.version + 1)
    else:
        monkeypatch.setattr(harness, "RESAMPLER", 2)
        monkeypatch.setattr(generation, "RESAMPLER", 2)
    again = harness_of([ROW], systems={"slow": system})
    planned = [unit.name for _, units in again.plan(ROW) for unit in units]
    assert [unit.name for _, units in again.missing(ROW) for unit in units] == planned
    compute(again)
    assert len(system.asked) == asked


def test_a_changed_extractor_digest_generates_no_motion(harness_of, tiny, measured):
    system = Counted()
    compute(harness_of([ROW], ("clip_fid", "velocity"), systems={"slow": system}))
    asked = len(system.asked)
    measured.clear()
    harness = harness_of([ROW], ("clip_fid", "velocity"), systems={"slow": system})
    own = tiny.extractors["anyrate"]
    other = type(own)(own.encoder, own.space, "another digest")
    harness.extractors = {"anyrate": other}
    assert {unit.metric for _, units in harness.missing(ROW) for unit in units} == {"clip_fid"}
    compute(harness)
    assert len(system.asked) == asked and set(measured) == {"clips/anyrate"}


def test_two_processes_make_each_motion_and_measure_each_part_once(harness_of, measured):
    first, second, rows = Counted(), Counted(), [ROW, Row("slow-20-cubic", "", system="slow", upsampling="cubic")]
    harnesses = [harness_of(rows, ("clip_fid", "velocity"), systems={"slow": system}) for system in (first, second)]
    missing = [[row for row in rows if harness.missing(row)] for harness in harnesses]
    blocks = [harness.blocks(missing[k])[k::2] for k, harness in enumerate(harnesses)]
    for harness, mine in zip(harnesses, blocks, strict=True):
        for block in mine:
            harness.generation.make(block)
    asked = first.asked + second.asked
    assert len(asked) == len(set(asked)) == len(harnesses[0].items)
    measured.clear()
    shares = [harness.shares(missing[k])[k::2] for k, harness in enumerate(harnesses)]
    assert all(shares)
    for harness, mine in zip(harnesses, shares, strict=True):
        for share in mine:
            harness.measure(*share)
    count = len(measured)
    assert compute(harnesses[0]) == ["slow", "slow-20-cubic"]
    assert len(measured) == count and first.asked + second.asked == asked


def test_two_trainings_of_a_system_are_two_files_of_figures_and_one_row_of_the_report(harness_of, tmp_path):
    """Their records say which training they are of, and their draws are the same, so that they can be averaged."""
    trainings = Counted(), Counted("another training")
    rows = [ROW, ROW.with_training(1)]
    harness = harness_of(rows, ("velocity", "trial_distance"), (20.0,))
    harness.systems = lambda row: trainings[row.training]
    assert compute(harness) == ["slow", "slow.seed1"]
    assert len(trainings[1].asked) == len(harness.items), "motions of its own"
    stored = [harness.stored(row) for row in rows]
    assert [{record.training for record in document.records} for document in stored] == [{0}, {1}]
    report = build(harness.store, "multirate", harness.table, "quick")
    assert list(report.rows) == ["slow"]
    section = next(s for s in report.sections if s.metric_id == "trial_distance" and s.set == "matched")
    spread, cell = section.spreads["slow", "slerp", 20.0], section.cells["slow", "slerp", 20.0]
    means = [np.mean([r.value for r in d.records if (r.metric, r.set) == ("trial_distance", "matched")]) for d in stored]
    assert spread.trainings == 2 and (spread.lowest, spread.highest) == pytest.approx((min(means), max(means)))
    assert len(cell.values) == 20 and np.mean(cell.values) == pytest.approx(np.mean(means))


def test_further_trainings_lie_beside_the_weights(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    for name in ("slow", "slow.seed2", "slow.seed1", "slow.seedling", "slower.seed1"):
        (models / f"{name}.safetensors").write_bytes(b"")
    assert list(further_trainings("slow", [tmp_path])) == [1, 2] and further_trainings("fast", [tmp_path]) == {}
    row = replace(ROW, id="slow-20-cubic", upsampling="cubic").with_training(2)
    assert training_of(row.id) == ("slow-20-cubic", 2) and row.system == "slow" and row.upsampling == "cubic"


def test_other_weights_make_every_motion_again_under_the_same_row(harness_of):
    compute(harness_of([ROW], systems={"slow": Counted()}))
    other = Counted("other weights")
    harness = harness_of([ROW], systems={"slow": other})
    assert compute(harness) == ["slow"] and len(other.asked) == len(harness.items)
    assert harness.stored(ROW).provenance["sha256"]["model"] == "other weights"


def test_figures_that_a_run_cannot_compute_stay_as_they_are_stored_and_it_says_so(harness_of, capsys):
    compute(harness_of([ROW], ("clip_fid", "velocity"), systems={"slow": Counted()}))
    stored = harness_of([ROW]).stored(ROW)
    harness = harness_of([ROW], ("jerk",), rates=(20.0,), systems={"slow": Counted()})
    compute(harness)
    now = harness.stored(ROW)
    assert set(stored.records) < set(now.records) and stored.provenance["units"].items() < now.provenance["units"].items()
    assert "slow: clip_fid, velocity cannot be computed here and stay as they are stored" in capsys.readouterr().err


def test_figures_and_curves_of_the_shipped_results_stay_beside_those_that_a_run_adds(harness_of, tmp_path):
    shipped = Store(tmp_path / "shipped")
    compute(harness_of([ROW], ("velocity",), systems={"slow": Counted()}, tier="full", store=shipped))
    own = Store(tmp_path / "own", shipped.root)
    more = ("velocity", "jerk")
    assert compute(harness_of([ROW], ("velocity",), systems={"slow": Counted()}, tier="full", store=own)) == []
    compute(harness_of([ROW], more, rates=(20.0, 60.0), systems={"slow": Counted()}, tier="full", store=own))
    where = ("multirate", "framerates", "full", "slow")
    assert {(r.metric, r.fps) for r in own.read(*where).records} == {("velocity", 120.0), *((m, f) for m in more for f in (20.0, 60.0))}
    assert list(own.curves(*where, "spectrum")) == [20.0, 60.0, 120.0]
    assert {name.partition("@")[2] for name in own.read(*where).provenance["counts"]} == {"20", "60", "120"}
    assert {r.metric for r in shipped.read(*where).records} == {"velocity"}  # read, and not written


def test_a_quick_run_of_somebody_else_is_not_taken_for_ones_own(harness_of, tmp_path):
    theirs = Store(tmp_path / "theirs")
    compute(harness_of([ROW], ("velocity",), systems={"slow": Counted()}, store=theirs))
    own = Store(tmp_path / "own", theirs.root)
    assert compute(harness_of([ROW], ("velocity",), systems={"slow": Counted()}, store=own)) == ["slow"]


def test_a_damaged_entry_is_set_aside_and_computed_again(harness_of, capsys):
    harness = harness_of([ROW], ("velocity",), systems={"slow": Counted()})
    path = compute_row(harness, ROW)
    path.write_bytes(path.read_bytes()[:300])
    assert compute(harness_of([ROW], ("velocity",), systems={"slow": Counted()})) == ["slow"]
    assert path.with_name("slow.json.damaged").exists() and "is not a complete result file" in capsys.readouterr().err


def test_figures_of_other_weights_are_not_left_beside_todays(harness_of):
    compute(harness_of([ROW], ("clip_fid", "velocity"), systems={"slow": Counted()}))
    with pytest.raises(InputError, match=r"holds figures of other weights .* that cannot be computed here \(clip_fid\)"):
        compute(harness_of([ROW], ("velocity",), systems={"slow": Counted("other weights")}))
