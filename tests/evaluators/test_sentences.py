"""Which sentences are drawn to be looked at."""

from evaluators.sentences import drawn
from nerm.data.dataset import Item

ITEMS = [Item(str(n), str(n), 120.0, 2.0, (f"sentence {n}",) if n % 7 else (), f"label {n % 20:02d}") for n in range(60)]
TRAINED = {f"label {n:02d}" for n in range(12)}


def test_sentences_are_drawn_from_either_kind_of_label_by_the_seed_alone():
    picked = drawn(ITEMS, TRAINED, 5, 3)
    assert [len(items) for items in picked.values()] == [5, 5]
    assert {item.label for item in picked["seen"]} <= TRAINED and not {item.label for item in picked["unseen"]} & TRAINED
    assert len({item.label for items in picked.values() for item in items}) == 10 and all(item.captions for item in picked["seen"])
    assert drawn(ITEMS, TRAINED, 5, 3) == picked != drawn(ITEMS, TRAINED, 5, 4)


def test_fewer_labels_than_asked_for_are_all_drawn_and_each_once():
    assert sorted(item.label for item in drawn(ITEMS, TRAINED, 50, 0)["seen"]) == sorted(TRAINED)
