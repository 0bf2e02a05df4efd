"""Training recordings that stand for generated motion."""

import numpy as np
import pytest

from evaluators.cache import Cache
from evaluators.counterparts import counted, counterpart, counterparts, recorded
from evaluators.generation import Generation, Request
from evaluators.items import sample_seed
from evaluators.tables import Row
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.generator import condition_of
from nerm.motion import Motion, frame_count
from nerm.motion.resample import at_rate

ASKED = Item("t", "trial", 120.0, 3.0, label="kick")


def training(*facts: tuple) -> list[Item]:
    """(group, fps, seconds, label) each."""
    return [Item(str(k), group, fps, seconds, label=label) for k, (group, fps, seconds, label) in enumerate(facts)]


def test_it_has_the_label_lasts_as_long_and_is_as_fast():
    listed = training(("a", 120.0, 4.0, "kick"), ("b", 120.0, 9.0, "walk"), ("c", 30.0, 9.0, "kick"), ("d", 120.0, 1.0, "kick"))
    assert {counterpart(ASKED, listed, seed).item.id for seed in range(20)} == {"0"}


def test_the_items_own_trial_is_never_its_counterpart():
    listed = training(("trial", 120.0, 4.0, "kick"), ("trial", 120.0, 5.0, "kick"), ("b", 120.0, 4.0, "walk"))
    found = counterpart(ASKED, listed, 0)
    assert found.item.id == "2" and not found.same_label


def test_a_shorter_one_of_the_label_comes_before_a_long_one_of_another():
    found = counterpart(ASKED, training(("a", 120.0, 1.0, "kick"), ("b", 120.0, 2.0, "kick"), ("c", 120.0, 9.0, "walk")), 0)
    assert (found.item.id, found.same_label, found.lasts) == ("1", True, False)


def test_without_a_label_or_one_that_training_has_any_recording_is_drawn_and_counted():
    listed = training(("a", 120.0, 4.0, "walk"), ("b", 120.0, 5.0, "run"), ("c", 120.0, 9.0, ""))
    drawn = [counterpart(item, listed, seed) for item in (ASKED, Item("u", "v", 120.0, 3.0)) for seed in range(30)]
    assert {c.item.id for c in drawn} == {"0", "1", "2"} and not any(c.same_label for c in drawn)
    assert counted(drawn) == {"same label": 0, "same label, shorter": 0, "any label": 60}
    with pytest.raises(InputError, match="no training recording of another trial is as fast"):
        counterpart(ASKED, training(("a", 60.0, 4.0, "kick")), 0)


def test_a_shorter_recording_is_played_forwards_and_backwards():
    class OfFourFrames:
        def motion(self, item):
            return Motion(np.arange(4, dtype=np.float32)[:, None, None] * np.ones((1, 22, 3), np.float32), 10.0)

    found = counterpart(Item("t", "trial", 10.0, 0.8), training(("a", 10.0, 0.3, "")), 0)
    assert recorded(OfFourFrames(), found, 0.8, 10.0).joints[:, 0, 0].tolist() == [0, 1, 2, 3, 2, 1, 0, 1, 2]


def test_a_row_of_training_recordings_has_the_motion_of_the_counterparts_at_every_rate(tiny, tmp_path):
    items = tiny.subject.items
    requests = [Request(k, condition_of(item), item.seconds, sample_seed(0, item, 0)) for k, item in enumerate(items)]
    generation = Generation(Cache(tmp_path), items, 20.0, tiny.subject.digest, lambda row: None, lambda: tiny.dataset)
    row = Row("train-recordings", "", "control", system="real", variant="train")
    generation.check(row)
    found = counterparts(tiny.dataset, items, 0)
    assert not {item.id for item in items} & {c.item.id for c in found}
    wanted = [k for k, c in enumerate(found) if c.lasts][:2]
    for fps in (20.0, 120.0):
        motions = generation.motions(row, requests, fps, range(len(items)))
        assert [len(motions[k]) for k in motions] == [frame_count(item.seconds, fps) for item in items]
        for k in wanted:
            expected = at_rate(tiny.dataset.motion(found[k].item), items[k].seconds, fps)
            np.testing.assert_array_equal(motions[k].joints, expected.joints)
    assert sum(generation.about(row)["counterparts"].values()) == len(items) and generation.blocks(row, requests, 20.0, [0]) == []


def test_training_recordings_are_brought_up_from_the_base_rate_and_damaged_recordings_are_not(tiny, tmp_path):
    items = tiny.subject.items
    requests = [Request(k, condition_of(item), item.seconds, sample_seed(0, item, 0)) for k, item in enumerate(items)]
    generation = Generation(Cache(tmp_path), items, 20.0, tiny.subject.digest, lambda row: None, lambda: tiny.dataset)
    plain, brought = (Row("row", "", "control", system="real", variant="train", upsampling=method) for method in ("", "cubic"))
    generation.check(brought)
    low = generation.motions(plain, requests, 20.0, [0])[0]
    assert np.array_equal(generation.motions(brought, requests, 20.0, [0])[0].joints, low.joints)
    expected = at_rate(low, items[0].seconds, 120.0, "cubic")
    np.testing.assert_array_equal(generation.motions(brought, requests, 120.0, [0])[0].joints, expected.joints)
    assert generation.identity(plain, 120.0) != generation.identity(brought, 120.0)
    with pytest.raises(InputError, match="damaged recordings stay at their rate"):
        generation.check(Row("row", "", "control", system="real", variant="still", upsampling="cubic"))
