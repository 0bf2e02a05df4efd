"""The protocols of labels and of nothing, on a classifier and on generators whose answers are known."""

from dataclasses import replace

import numpy as np
import pytest
from made_up import MadeUp, few_are_enough

from evaluators.cache import Cache
from evaluators.computing import compute_row
from evaluators.extractors import Classified, Extractor
from evaluators.harness import Harness
from evaluators.protocols.unconditional.scoring import SUBSETS
from evaluators.protocols.whole import PUBLISHED_FRAMES
from evaluators.protocols.whole_parts import windows
from evaluators.reference import subject_of
from evaluators.store import Store
from evaluators.tables import Row, Table
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.generator import Condition, Facts
from nerm.motion import Motion

CLASSES = ("hop", "sit", "spin")
ROW, FLOOR = Row("stub", "Stub"), Row("real", "Real", "real")
SHIFT = 2.0


def marked(number: float, spread: float = 0.0, seconds: float = 2.0) -> Motion:
    """A statue that stands `number` metres high, and `spread` metres to the side: what the classifier below reads."""
    joints = np.zeros((round(seconds * 20) + 1, 22, 3), np.float32)
    joints[:, :, 1], joints[:, :, 0] = number, spread
    return Motion(joints, 20.0)


class Reader(Extractor):
    """Reads the class off the height, and has height and side as features."""

    name, version, digest, classes = "reader", 1, "reader", CLASSES

    def classify(self, motions, seed=0):
        features = np.array([m.joints[0, 0, [1, 0]] for m in motions], np.float32)
        return Classified(features, -np.abs(features[:, :1] - np.arange(len(CLASSES))))


class Stub:
    """Answers with the class of the label, and of the places `wrong` with the next one. side: of a seed."""

    name, native_fps, facts = "stub", None, Facts()

    def __init__(self, wrong=(), side=lambda seed: 0.0, shift=0.0):
        self.wrong, self.side, self.shift, self.asked = wrong, side, shift, []
        self.digest = f"{wrong} {shift}"

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        start = len(self.asked)
        self.asked += list(zip(conditions, seconds, seeds, strict=True))
        numbers = [0 if c.label is None else CLASSES.index(c.label) for c in conditions]
        numbers = [(n + ((start + k) in self.wrong)) % 3 for k, n in enumerate(numbers)]
        return [marked(n + self.shift, self.side(s), length) for n, s, length in zip(numbers, seeds, seconds, strict=True)]


def dataset(count: int = 12) -> MadeUp:
    """Items of the three classes in turn, and one of none; each a trial of its own, with a side of its own."""

    def items(split: str) -> list[Item]:
        named = [Item(f"{split}{k}", f"{split}{k}", 20.0, 2.0, (), CLASSES[k % 3]) for k in range(count)]
        return [*named, Item(f"{split} nameless", "nameless", 20.0, 2.0)]

    def move(item: Item) -> Motion:
        number = int(item.id.removeprefix("test").removeprefix("train").removesuffix(" nameless") or 0)
        return marked(CLASSES.index(item.label) if item.label else 0, 0.1 * number, item.seconds)

    return MadeUp({split: items(split) for split in ("train", "test")}, move)


@pytest.fixture(autouse=True)
def few():
    """A dozen items are enough for every metric."""
    with few_are_enough():
        yield


@pytest.fixture
def run(tmp_path):
    """run(protocol, row, system, tier, metrics) -> the harness, and metric -> its records."""
    from evaluators.protocols import PROTOCOLS

    def make(protocol, row=ROW, system=None, tier="quick", metrics=None, extractor=None, data=None, rates=(20.0,)):
        data, extractor = data or dataset(), extractor or Reader()
        wanted = metrics or PROTOCOLS.get(protocol).metrics
        table = Table("t", "", "", rates, wanted, (row,), protocols=(protocol,), sets=("all",), extractors=(extractor.name,))
        places = Store(tmp_path / "results"), Cache(tmp_path / "cache")
        harness = Harness(
            table, tier, 0, subject_of(data), [row], {extractor.name: extractor}, {}, lambda row: system, lambda: data, *places
        )
        found: dict = {}
        for unit in harness.protocols[0].units(row):
            assert unit.metric in wanted
        compute_row(harness, row)
        for record in harness.stored(row).records:
            found.setdefault(record.metric, []).append(record)
        return harness, found

    return make


def mean(records) -> float:
    return float(np.mean([record.value for record in records]))


def test_accuracy_is_the_share_of_motions_of_the_class_that_was_asked_for(run):
    system = Stub(wrong=(0, 5, 7))
    _, found = run("action", system=system)
    assert mean(found["accuracy"]) == pytest.approx(9 / 12) and {r.n for r in found["accuracy"]} == {12}
    assert len(found["accuracy"]) == 20  # bootstrap samples of trials


def test_labels_are_asked_for_as_often_as_the_data_has_them_and_items_without_a_class_are_left_out(run):
    system = Stub()
    run("action", system=system)
    assert [condition for condition, _, _ in system.asked] == [Condition(label=CLASSES[k % 3]) for k in range(12)]
    assert len({seed for *_, seed in system.asked}) == 12 and {seconds for _, seconds, _ in system.asked} == {2.0}


def test_motions_that_are_equal_within_a_class_have_no_multimodality_and_one_distance_between_classes(run):
    _, found = run("action", system=Stub())
    assert mean(found["multimodality"]) == 0 and mean(found["diversity"]) > 0
    # Of two motions drawn with replacement, classes are 0, 1 or 2 m apart with probability 1/3, 4/9, 2/9: 8/9 m on average.
    assert mean(found["diversity"]) == pytest.approx(8 / 9, abs=0.1)


def test_the_fid_of_motions_that_are_all_moved_in_feature_space_is_the_square_of_the_way(run):
    sides = iter(np.arange(12) * 0.1)  # those of the items, in their order
    _, found = run("action", system=Stub(side=lambda seed: float(next(sides)), shift=SHIFT))
    assert mean(found["fid_test"]) == pytest.approx(SHIFT**2, rel=1e-3) == pytest.approx(mean(found["fid_train"]), rel=1e-3)
    assert mean(found["trial_distance"]) > 0.5


def test_real_motion_is_right_and_its_distance_from_other_real_motion_is_zero_on_average(run):
    _, found = run("action", row=FLOOR)
    assert mean(found["accuracy"]) == 1 and mean(found["fid_train"]) < 1e-4
    assert abs(mean(found["trial_distance"])) < 1.96 * np.std([r.value for r in found["trial_distance"]])


def test_tier_paper_has_twenty_seeds_and_each_replication_has_the_motions_of_its_own(run):
    side = lambda seed: seed % 997 / 997  # noqa: E731
    system = Stub(side=side)
    harness, found = run("action", system=system, tier="paper", metrics=("diversity", "accuracy"))
    assert len(system.asked) == 20 * 12 and len(found["diversity"]) == 20
    protocol = harness.protocols[0]
    own = [r.seed for k in range(20) for r in protocol.requests(ROW, str(k))]
    assert [seed for *_, seed in system.asked] == own and len(set(own)) == 240


def test_the_same_run_has_the_same_records_and_another_seed_has_other_pairs(run, tmp_path):
    first = run("action", system=Stub(side=lambda seed: seed % 97 / 97))[1]
    (tmp_path / "results" / "raw" / "made-up" / "t" / "quick" / "stub.json").unlink()
    again = run("action", system=Stub(side=lambda seed: seed % 97 / 97))[1]
    assert first == again and len({r.value for r in first["diversity"]}) > 1


def test_a_classifier_of_other_classes_is_refused(run):
    class Other(Reader):
        classes = ("eat", "sit", "spin")

    with pytest.raises(InputError, match="hop of dataset 'made-up' is none of them"):
        run("action", system=Stub(), extractor=Other())


def test_nothing_is_asked_for_and_every_item_counts(run):
    system = Stub(shift=0.05)
    _, found = run("unconditional", system=system, data=dataset(40))
    assert {condition for condition, _, _ in system.asked} == {Condition()} and len(system.asked) == 41
    assert {r.n for r in found["fid"]} == {41}
    assert mean(found["recall"]) == 0  # motions that are all equal have no radius


def test_kid_is_of_subsets_of_half_of_the_set_and_they_differ(run):
    numbers = iter(range(1000))
    _, found = run("unconditional", system=Stub(side=lambda seed: next(numbers) * 0.1), tier="full", data=dataset(40))
    assert {r.n for r in found["kid"]} == {20} and len(found["kid"]) == 20 and len({r.value for r in found["kid"]}) == 20
    assert SUBSETS * len(found["kid"]) == 100


def test_far_motions_have_no_precision_and_a_large_fid(run):
    _, found = run("unconditional", system=Stub(shift=50.0, side=lambda seed: seed % 97 / 97), data=dataset(40))
    assert mean(found["precision"]) == mean(found["recall"]) == 0
    assert mean(found["fid"]) > 45**2 < mean(found["fid_train"])


def test_the_floor_of_real_motion_is_between_halves_of_its_trials(run):
    _, found = run("unconditional", row=FLOOR, data=dataset(80))
    assert {r.n for r in found["fid"]} <= {40, 41} and mean(found["fid"]) < 1
    assert mean(found["precision"]) > 0.3


def test_a_window_has_the_published_frames_and_another_one_for_every_seed():
    joints = np.arange(200, dtype=np.float32)[:, None, None] * np.ones((1, 22, 3), np.float32)
    items = [Item(name, name, 20.0, 2.0) for name in "ab"]
    long, short = Motion(joints, 20.0), Motion(joints[:30], 20.0)
    cut = windows([long, short], items, PUBLISHED_FRAMES, 0, 0)
    assert [len(m) for m in cut] == [60, 60]
    assert (np.diff(cut[0].joints[:, 0, 0]) == 1).all() and (cut[1].joints[29:] == 29).all()
    starts = {float(windows([long], items[:1], 60, 0, number)[0].joints[0, 0, 0]) for number in range(10)}
    assert len(starts) > 3 and windows([long], items[:1], 60, 0, 3)[0].joints[0, 0, 0] in starts


def test_a_table_has_other_keys_on_a_dataset(run):
    table = Table("t", "", "", (20,), ("fid",), (ROW,), by_dataset={"uestc": {"rates": (30,), "extractors": ("uestc_stgcn",)}})
    assert table.on("uestc").rates == (30,) and table.on("uestc").extractors == ("uestc_stgcn",)
    assert table.on("multirate") == replace(table, by_dataset={})


# --- motions of the user ------------------------------------------------------------------------------------------------------------------


def given_to(protocol: str, motions, own=None, tmp_path=None, data=None):
    """What a protocol says of given motions."""
    from evaluators.given import Given
    from evaluators.protocols import PROTOCOLS

    data = data or dataset(36)
    table = Table(
        "t", "", "", (20.0,), PROTOCOLS.get(protocol).metrics, (FLOOR,), protocols=(protocol,), sets=("all",), extractors=("reader",)
    )
    harness = Harness(
        table,
        "quick",
        0,
        subject_of(data),
        [FLOOR],
        {"reader": Reader()},
        {},
        lambda row: None,
        lambda: data,
        Store(tmp_path),
        Cache(tmp_path),
    )
    return harness.protocols[0].score_given(Given(20.0, motions, own))


def mean_of(scored, name: str) -> float:
    return mean([record for record in scored.records if record.metric == name])


def test_given_motions_of_recordings_are_scored_like_a_system_that_made_them(run, tmp_path):
    data, system = dataset(36), Stub(wrong=(0, 5, 7))
    _, found = run("action", system=system, data=data)
    motions = {k: marked((k + (k in (0, 5, 7))) % 3) for k in range(36)}
    scored = given_to("action", motions, tmp_path=tmp_path / "given", data=data)
    assert not scored.short and mean_of(scored, "accuracy") == pytest.approx(33 / 36)
    for name in ("accuracy", "trial_distance", "fid_test", "fid_train", "nearest_train"):
        assert mean_of(scored, name) == pytest.approx(mean(found[name]), rel=1e-3, abs=1e-6), name


def test_given_motions_of_labels_alone_are_classified_and_those_of_no_class_counted(tmp_path):
    own = tuple(Item(f"file{k}", f"motion {k}", 20.0, 2.0, (), label) for k, label in enumerate([*CLASSES, "hop", ""]))
    scored = given_to("action", {k: marked(n) for k, n in enumerate((0, 1, 2, 1, 0))}, own, tmp_path=tmp_path)
    assert mean_of(scored, "accuracy") == pytest.approx(3 / 4) and scored.left_out == {"not of an action class": 1}


def test_given_motions_count_as_a_set_where_nothing_was_asked_for(tmp_path):
    near = given_to("unconditional", {k: marked(k % 3, 0.1 * k) for k in range(36)}, tmp_path=tmp_path / "near")
    far = given_to("unconditional", {k: marked(k % 3 + 5, 0.1 * k) for k in range(36)}, tmp_path=tmp_path / "far")
    assert mean_of(near, "fid") < 1 < 24 < mean_of(far, "fid") < 26
    assert {record.n for record in near.records if record.metric == "trial_distance"} == {36}
    few = given_to("unconditional", {k: marked(k % 3, 0.1 * k) for k in range(2)}, tmp_path=tmp_path / "few")
    assert {"fid", "kid", "precision", "recall", "trial_distance"} <= {short.metric for short in few.short}
    assert {"nearest_train", "diversity"} == {record.metric for record in few.records}
