"""What a sample costs: a process of its own, calls after a first one, the machine in every key, and nothing for recordings."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evaluators import drift
from evaluators.computing import compute_row
from evaluators.metrics.cost.calls import milliseconds_per_sample, peak_memory_mb
from evaluators.protocols.cost import process, protocol
from evaluators.protocols.cost.process import Asked, Measured, in_own_process, timed
from evaluators.protocols.cost.protocol import load_of
from evaluators.records import Document, Record
from evaluators.tables import Row, load_table
from nerm.errors import InputError
from nerm.generator import Facts, Reconstructs
from nerm.motion import Motion, frame_count

ROWS = [Row("slow", "Slow"), Row("slow-20", "Slow, brought up", system="slow", upsampling="cubic"), Row("real", "Real", "real")]
HEAVY = """
import time
import numpy as np
from baselines.base import System
from nerm.generator import Facts
from nerm.motion import Motion, frame_count

class Heavy:
    name, digest, native_fps, facts = "heavy", "1", None, Facts()

    def __init__(self):
        self.weights = np.ones(8_000_000)  # 64 MB

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        until = time.process_time() + 0.02 * len(conditions)
        while time.process_time() < until:
            pass
        room = np.ones(int(fps) * 100_000)  # 0.8 MB for each frame per second
        return [Motion(np.ones((frame_count(s, fps), 22, 3), np.float32), fps) for s in seconds if room is not None]

ENTRIES = (System("heavy", "Heavy", f"{__name__}:load"),)

def load(name, checkpoint, device):
    return Heavy()
"""


class Slow:
    """A system with a rate of its own or without one."""

    name, digest, native_fps, facts = "slow", "slow, version 1", None, Facts()


@pytest.fixture
def asked(monkeypatch):
    """What processes were asked for. The k-th of them takes k ms at the lowest rate, and 10 ms more at each further one."""
    seen = []

    def measure(what: Asked) -> Measured:
        seen.append(what)
        k = len(seen)
        return Measured([k + 10.0 * place for place in range(len(what.rates))], [100.0 + place for place in range(len(what.rates))], 50.0)

    monkeypatch.setattr(protocol, "in_own_process", measure)
    return seen


@pytest.fixture
def harness(harness_of):
    made = harness_of(ROWS, metrics=("seconds_per_sample", "peak_memory"), systems={"slow": Slow()}, extractors=())
    made.table = replace(made.table, protocols=("cost",), sets=("2s-batch1", "5s-batch3"), rates=(120.0, 20.0))
    return made


def test_the_median_of_the_calls_counts_for_each_motion_and_memory_above_what_was_there_before():
    assert milliseconds_per_sample([0.2, 0.1, 9.0], motions=4) == pytest.approx(50)
    assert peak_memory_mb([300.0, 340.0, 330.0]) == 40


def test_calls_are_fewer_where_they_take_long_and_there_is_always_one():
    now = iter(np.arange(100.0))
    assert timed(lambda: None, 5, 2.5, lambda: next(now)) == [1.0, 1.0, 1.0]
    assert timed(lambda: None, 5, 0.0, lambda: next(now)) == [1.0]
    assert len(timed(lambda: None, 5, 99.0, lambda: 0.0)) == 5


@pytest.mark.parametrize("name", ["10s", "batch32", "0s-batch1", "2s-batch0", "s-batch1", "all"])
def test_a_set_that_is_no_request_is_one_sentence(name):
    assert load_of("2.5s-batch32") == (2.5, 32)
    with pytest.raises(InputError, match=f"set '{name}' of a table of costs; expected seconds and motions"):
        load_of(name)


def test_every_process_is_a_replication_and_every_row_has_processes_of_its_own(harness, asked):
    row, brought_up, real = harness.rows
    for each in (row, brought_up):
        compute_row(harness, each)
    document = harness.stored(row)
    times = {(r.set, r.fps, r.replication): r for r in document.records if r.metric == "seconds_per_sample"}
    assert {key: record.value for key, record in times.items()} == {
        ("2s-batch1", 20.0, 0): 1.0,
        ("2s-batch1", 20.0, 1): 2.0,
        ("2s-batch1", 120.0, 0): 11.0,
        ("2s-batch1", 120.0, 1): 12.0,
        ("5s-batch3", 20.0, 0): 3.0,
        ("5s-batch3", 20.0, 1): 4.0,
        ("5s-batch3", 120.0, 0): 13.0,
        ("5s-batch3", 120.0, 1): 14.0,
    }
    assert {record.n for key, record in times.items() if key[0] == "5s-batch3"} == {3}
    assert len(asked) == 8 and asked[0].rates == [20.0, 120.0], "the peak of a rate must not hide behind that of a higher one"
    assert [(a.low_fps, a.method) for a in asked] == [(None, "")] * 4 + [(20.0, "cubic")] * 4
    assert [len(a.conditions) for a in asked[:4]] == [1, 1, 3, 3] and asked[0].threads == 1
    measured_on = document.provenance["measured_on"]
    assert measured_on["gflops"] == 50 and measured_on["threads"] == 1 and measured_on["cpu"]
    assert harness.plan(real) == [(harness.protocols[0], [])]


def test_figures_of_this_machine_are_kept_and_those_of_another_are_measured_again(harness, asked, monkeypatch):
    row = harness.rows[0]
    compute_row(harness, row)
    count = len(asked)
    assert harness.missing(row) == [] and count == 4
    other = {**protocol.processor(), "cpu": "another"}
    monkeypatch.setattr(protocol, "processor", lambda: other)
    harness._memo.clear()
    ((_, units),) = harness.missing(row)
    assert len(units) == 8
    compute_row(harness, row)
    assert len(asked) == 2 * count


def test_several_processes_of_one_run_do_not_time_beside_each_other(harness, asked, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="one process at a time"):
        compute_row(harness, harness.rows[0])


def test_a_process_sees_its_own_weights_and_time_and_no_other_row(tmp_path, monkeypatch):
    """64 MB of weights, 0.8 MB more for each frame per second, 20 ms of work a motion; this process holds 200 MB that it must not see."""
    (tmp_path / "heavy.py").write_text(HEAVY)
    monkeypatch.setenv("NERM_PLUGINS", str(tmp_path / "heavy.py"))
    held = np.ones(25_000_000)
    made = in_own_process(Asked("heavy", [{}] * 4, 1.0, [20.0, 120.0], calls=2))
    assert len(held) and all(ms >= 20 for ms in made.ms)
    assert 64 < made.mb[0] < 64 + 16 + 40 and 70 < made.mb[1] - made.mb[0] < 100
    assert made.gflops > 0


def test_a_process_that_fails_is_one_sentence_with_its_last_words():
    with pytest.raises(InputError, match=r"measures system 'nobody' ended with code 1; it said: .*nobody"):
        in_own_process(Asked("nobody", [{}], 1.0, [20.0]))
    assert json.dumps(process.asdict(Asked("nobody", [{}], 1.0, [20.0])))


class CodedSlow(Slow, Reconstructs):
    """The same with codes."""

    def fit(self, motions): ...

    def training_codes(self, path, dataset): ...

    def decode(self, code, seconds, fps): ...


class Coded:
    """Its motion is 1 where it is read as it is sampled, and 2 where the field alone reads its codes."""

    def sample(self, conditions, seconds, fps, seeds):
        return [Motion(np.ones((frame_count(length, fps), 22, 3), np.float32), fps) for length in seconds]

    def sample_codes(self, conditions, seconds, seeds):
        return [{"seed": np.array(seed)} for seed in seeds]

    def decode(self, code, seconds, fps):
        return Motion(2 * self.sample([None], [seconds], fps, [0])[0].joints, fps)


def test_a_row_without_a_stance_is_timed_on_codes_that_the_field_alone_reads(harness_of, asked):
    rows = [Row("slow", "Slow"), Row("slow-no-stance", "", system="slow", variant="no-stance")]
    timing = harness_of(rows, metrics=("seconds_per_sample",), systems={"slow": CodedSlow()}, extractors=())
    timing.table = replace(timing.table, protocols=("cost",), sets=("2s-batch1",), rates=(20.0,))
    for row in rows:
        compute_row(timing, row)
    assert [what.without_stance for what in asked] == [False, False, True, True]
    for without, value in ((False, 1), (True, 2)):
        what = Asked("coded", [{}, {}], 1.0, [60.0], low_fps=20.0, method="linear", without_stance=without)
        motions = process.make(Coded(), what, [None, None], 60.0)
        assert [(len(motion), motion.joints.min(), motion.joints.max()) for motion in motions] == [(61, value, value)] * 2


def test_drift_compares_no_times():
    timed_row = Document("multirate", "cost", "quick", "nerm", (Record("peak_memory", 1.0, 1), Record("seconds_per_sample", 1.0, 1)))
    both = replace(timed_row, table="text", records=(*timed_row.records, Record("fid", 1.0, 1)))
    assert [(d.table, [r.metric for r in d.records]) for d in drift.free_of_machine([timed_row, both])] == [("text", ["fid"])]


def test_the_table_has_every_system_that_ships_and_both_sizes_of_call():
    table = load_table("cost")
    assert {"nerm", "nerm-fixed", "t2m", "mdm", "mld"} <= {row.system for row in table.rows}
    assert {load_of(name).motions for name in table.sets} == {1, 32} and {load_of(name).seconds for name in table.sets} == {2, 5, 10}
    assert table.rates == (20, 40, 60, 100, 120, 240)
