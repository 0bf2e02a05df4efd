"""Reconstruction: a system's own codes against recordings."""

import numpy as np
import pytest

from evaluators.computing import compute_row
from evaluators.protocols.reconstruction import BANDS, BANDS_HZ, ENTRIES, ERRORS, MOMENTS
from evaluators.protocols.reconstruction.measuring import TRIALS, samples
from evaluators.protocols.reconstruction.protocol import fastest
from evaluators.tables import Row
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.generator import Facts, Reconstructs
from nerm.motion import Motion, resample

ROW = Row("memory", "Memory")
SPLITS = {"train-fitted": "train", "unseen": "test"}
STILL = Row("control-still", "", "control", system="real", variant="still")


class Memory(Reconstructs):
    """It reads every recording as it was, moved by a centimetre: joints about the root are exact, the root path is not."""

    name, digest, native_fps, facts = "memory", "memory", None, Facts()

    def __init__(self, path):
        self.path = path

    def fit(self, motions):
        return [{"joints": m.joints, "fps": np.array(m.fps)} for m in motions]

    def training_codes(self, path, dataset):
        assert path == self.path
        items = dataset.items("train")[:2]
        return {item.id: self.fit([dataset.motion(item)])[0] for item in items}

    def decode(self, code, seconds, fps):
        motion = resample(Motion(code["joints"], float(code["fps"])), fps, "cubic")
        return motion.transformed(translation=(0.01, 0.0, 0.0))

    def sample(self, *arguments, **more):
        raise AssertionError("reconstruction samples nothing")


@pytest.fixture
def computed(harness_of, tmp_path):
    path = tmp_path / "field.safetensors"
    path.write_bytes(b"codes")

    def run(codes=True, row=ROW, metrics=ERRORS, **more):
        harness = harness_of([row], metrics, (20.0, 60.0, 120.0), systems={"memory": Memory(path)}, **more)
        harness.table = type(harness.table)(**{**vars(harness.table), "protocols": ("reconstruction",)})
        harness.codes = {"memory": path} if codes else {}
        return harness

    return run


def test_every_metric_that_the_protocol_declares_has_a_figure(computed):
    units = computed(metrics=ENTRIES[0].metrics).protocols[0].units(ROW)
    assert {unit.metric for unit in units} == set(ENTRIES[0].metrics)


def test_what_codes_say_is_compared_with_the_recordings_at_every_rate(computed):
    harness = computed()
    compute_row(harness, ROW)
    records = harness.stored(ROW).records
    value = {(r.metric, r.fps, r.set): r.value for r in records}
    assert {key[2] for key in value} == {"train", "train-fitted", "unseen"}
    for set_ in ("train", "train-fitted", "unseen"):
        assert value["mre", 20.0, set_] < 1e-3 and value["root_path", 120.0, set_] == pytest.approx(10.0, abs=0.01)
        assert value["band_error", 120.0, set_] < 1e-3 and ("band_error", 20.0, set_) not in value
    counts = {(r.fps, r.set): r.n for r in records if r.metric == "mre"}
    trials = {set_: len({item.group for item in harness.dataset().items(split)}) for set_, split in SPLITS.items()}
    assert counts[20.0, "unseen"] == trials["unseen"] and counts[20.0, "train-fitted"] == trials["train-fitted"]
    assert counts[20.0, "train"] == 2 and counts[120.0, "unseen"] < counts[20.0, "unseen"]


def test_a_trial_is_drawn_with_all_of_its_items():
    arrays = {"mre": np.array([1.0, 5.0, np.nan, 3.0, 7.0]), TRIALS: np.array([4, 2, 4, 4, 9])}
    values, trials = samples("mre", arrays)
    assert values.tolist() == [1, 5, 3, 7] and [list(values[places]) for places in trials] == [[5], [1, 3], [7]]


def test_without_the_codes_of_training_their_figures_stay_and_the_rest_is_computed(computed, capsys):
    compute_row(computed(), ROW)
    stored = computed().stored(ROW)
    harness = computed(codes=False)
    assert harness.missing(ROW) == [] and harness.stored(ROW) == stored
    assert "memory.codes=RUN/field.safetensors adds set `train`" in capsys.readouterr().err


def test_without_the_dataset_no_figure_is_lost(computed, capsys):
    compute_row(computed(), ROW)
    harness = computed()
    stored = harness.stored(ROW)

    def absent():
        raise InputError("dataset 'multirate' is not prepared")

    harness.datasets = absent
    assert harness.missing(ROW) == [] and harness.stored(ROW) == stored
    assert "left out here (dataset 'multirate' is not prepared)" in capsys.readouterr().err


def test_the_fastest_recordings_come_first_and_always_the_same():
    items = [Item(str(k), str(k), 120.0 if k % 3 == 0 else 30.0, 2.0) for k in range(30)]
    chosen = fastest(items, 12)
    assert [item.fps for item in chosen] == [120.0] * 10 + [30.0] * 2 and chosen == fastest(items, 12)


def means(harness, row) -> dict:
    """(metric, fps, set) -> mean over replications."""
    compute_row(harness, row)
    found: dict = {}
    for record in harness.stored(row).records:
        found.setdefault((record.metric, record.fps, record.set), []).append(record.value)
    return {key: np.mean(values) for key, values in found.items()}


def test_silence_has_an_error_of_exactly_1_and_a_correlation_of_0_in_every_band_at_every_rate(computed):
    value = means(computed(row=STILL, metrics=(*BANDS, "band_error", "mre")), STILL)
    for (name, fps, set_), figure in value.items():
        if name.startswith("band_fidelity"):
            assert figure == 1, (name, fps, set_)
        if name.startswith("band_correlation"):
            assert figure == 0, (name, fps, set_)
    assert {fps for name, fps, _ in value if name == "band_fidelity_8_12"} == {60.0, 120.0}
    assert {fps for name, fps, _ in value if name == "band_fidelity_4_8"} == {20.0, 60.0, 120.0}
    assert {set_ for *_, set_ in value} == {"train", "unseen"} and value["mre", 120.0, "unseen"] > 10


def test_recordings_brought_up_are_measured_as_systems_are_and_lose_the_higher_bands_first(computed):
    """The recordings swing at 0.7, 1.4 and 6.3 Hz, which 20 fps can hold."""
    row = Row("oracle-cubic", "", "oracle", system="real", upsampling="cubic")
    value = means(computed(row=row, metrics=(*ERRORS, *BANDS, *MOMENTS)), row)
    low, high = (value[f"band_fidelity_{band}", 120.0, "unseen"] for band in ("1_2", "4_8"))
    assert low < 1e-4 < high < 0.5 and value["band_correlation_1_2", 120.0, "unseen"] > 0.9999
    assert value["mre", 20.0, "train"] == 0 and 0 < value["mre", 120.0, "train"] < 10
    assert {name for name, *_ in value} >= {*ERRORS, *BANDS, "peak_speed_error"}


def test_exact_codes_find_every_event_contact_and_peak(computed):
    value = means(computed(metrics=(*BANDS, *MOMENTS)), ROW)
    exact = {"events_found": 1, "event_strength": 1, "events_invented": 0, "contacts_found": 1, "contact_timing": 0, "peak_speed_error": 0}
    for (name, _, _), figure in value.items():
        assert name not in exact or figure == pytest.approx(exact[name], abs=1e-3), name
    assert {name for name, *_ in value} >= {f"band_correlation_{band}" for band in BANDS_HZ}


def test_a_row_that_borrows_from_another_recording_reconstructs_nothing_and_neither_does_the_floor(computed):
    for row in (Row("shuffled", "", "control", system="real", variant="shuffled"), Row("real", "", "real")):
        assert computed(row=row).plan(row)[0][1] == []
