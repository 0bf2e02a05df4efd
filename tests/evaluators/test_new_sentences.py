"""Sentences that neither training nor a table has, by which what reads sentences is chosen."""

import numpy as np
import pytest

from evaluators.new_sentences import FILE, apart, drawn, main, several_trials, shares
from nerm.data.dataset import Item
from nerm.data.multirate.captions import load_captions
from nerm.data.tsv import read_tsv
from nerm.errors import InputError
from nerm.known import trained_labels


def items(labels, each: int = 3) -> list[Item]:
    return [Item(f"{label} {number}", label, 120.0, 1.0 + number, (), label) for label in labels for number in range(each)]


def test_there_are_three_of_every_trained_label_and_none_is_known():
    rows = read_tsv(FILE, ("label", "sentence"))
    known = {sentence.lower() for _, _, sentence in load_captions().sentences()}
    labels = [label for label, _ in rows]
    assert set(labels) == set(trained_labels("multirate")) and {labels.count(label) for label in set(labels)} == {3}
    assert len({sentence for _, sentence in rows}) == len(rows) and not known & {sentence.lower() for _, sentence in rows}


def test_each_is_asked_for_with_a_recording_of_its_label_and_the_seed_draws_which():
    labels = sorted(trained_labels("multirate"))[:40]
    first, again, other = (drawn(items([*labels, "unheard of"]), 2, seed) for seed in (0, 0, 1))
    assert first == again != other and [each.text for each in first] == [each.text for each in other]
    assert len(first) == 80 and {each.item.label for each in first} == set(labels)
    said = {sentence: label for label, sentence in read_tsv(FILE, ("label", "sentence"))}
    assert all(said[each.text] == each.item.label for each in first)
    assert [each.text for each in drawn(items(labels), 1, 0)] == [each.text for each in first][::2]


def test_the_shares_are_those_of_queries_that_find_their_answer_in_pools_of_32_labels():
    random = np.random.default_rng(0)
    labels = [f"label {number // 2}" for number in range(128)]
    queries = random.normal(size=(128, 8))
    found, spread = shares(queries, queries, labels)
    assert found.tolist() == [1, 1] and spread.tolist() == [0, 0]
    found, spread = shares(queries, random.normal(size=(128, 8)), labels)
    assert found == pytest.approx([1 / 32, 3 / 32], abs=0.05) and 0 < spread[0] < 0.06
    half = np.where(np.arange(128)[:, None] < 64, queries, -queries)
    assert shares(queries, half, labels)[0][0] == pytest.approx(0.5, abs=0.05)


def test_variety_is_the_mean_distance_of_two_motions_and_of_recordings_that_of_two_trials():
    corners = np.array([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    assert apart(corners) == pytest.approx(4)
    assert apart(corners, ["one", "one", "other"]) == pytest.approx(4.5)
    some = [Item("a", "first", 120.0, 1.0, (), "walk"), Item("b", "second", 120.0, 1.0, (), "walk"), *items(["kick"])]
    assert {label: len(found) for label, found in several_trials(some).items()} == {"walk": 2}


@pytest.mark.parametrize("wrong", ["count=0", "count=4", "seconds=0", "seconds=11", "seconds=nan", "system=unheard"])
def test_what_cannot_be_asked_is_one_sentence(wrong):
    with pytest.raises(InputError, match=wrong.partition("=")[0]):
        main([wrong])


def test_a_choice_that_a_system_does_not_have_is_told():
    with pytest.raises(InputError, match="'t2m' has no choice of durations or reading"):
        main(["system=t2m", "reading=known"])
