"""The sentences of multirate: complete, free of duplicates, every word known; words tagged, mirrored, encoded."""

from hashlib import sha256

import pytest

from nerm.data.multirate.captions import load_captions
from nerm.errors import InputError
from nerm.words import SPECIAL, WORD_CLASSES, encode_caption, mirror_caption, side_of, tag, vocabulary, word_class, words

VOCABULARY = "541f97f9466c2a767dcdf4ee39d4b5261ed8b3307b6d0b15d30745d6d7e5b662"


def test_every_label_has_at_least_five_training_sentences_and_one_for_tests():
    captions = load_captions()
    assert len(captions) == 381
    assert all(len(captions.train_sentences(label)) >= 5 and captions.test_sentence(label) for label in captions.labels)


def test_no_sentence_occurs_twice():
    sentences = [" ".join(words(sentence)) for _, _, sentence in load_captions().sentences()]
    assert len(sentences) == len(set(sentences))


def test_every_word_of_every_caption_and_of_its_mirror_image_is_in_the_lexicon():
    known = set(vocabulary())
    used = {
        word for _, _, s in load_captions().sentences() for word, pos in tag(s) + tag(mirror_caption(s)) if pos == "X" or word not in known
    }
    assert used == set()


def test_the_vocabulary_is_sorted_after_the_special_words():
    assert vocabulary()[: len(SPECIAL)] == SPECIAL
    rest = list(vocabulary()[len(SPECIAL) :])
    assert rest == sorted(set(rest)) and not set(rest) & set(SPECIAL)


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("the Left hand", "the Right hand"),
        ("turns clockwise, left foot first", "turns counterclockwise, right foot first"),
        ("a right-handed throw", "a left-handed throw"),
        ("edges leftward", "edges rightward"),
        ("stands upright, a bright smile", "stands upright, a bright smile"),
        ("with no strength left, the right hand sinks", "with no strength left, the left hand sinks"),
    ],
)
def test_mirroring_a_caption_swaps_its_sides_and_nothing_else(text, mirrored):
    assert mirror_caption(text) == mirrored


def test_mirroring_every_caption_twice_gives_it_back():
    for _, _, sentence in load_captions().sentences():
        assert mirror_caption(mirror_caption(sentence)) == sentence


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("a person kicks with the left foot", 1),
        ("Right hand up, the right arm waves", -1),
        ("someone turns counterclockwise", 1),
        ("she spins clockwise", -1),
        ("a person walks", 0),
        ("standing on the right leg, he swings the left foot", 0),
        ("with no strength left, a man sits down", 0),
    ],
)
def test_the_side_of_a_sentence_is_that_of_the_only_side_that_it_names(text, side):
    assert side_of(text) == side == -side_of(mirror_caption(text))


def test_a_verb_after_a_determiner_is_a_noun():
    assert dict(tag("a person hears a call"))["call"] == "NOUN"
    assert dict(tag("people call"))["call"] == "VERB"


def test_words_that_matter_for_motion_have_classes_of_their_own():
    assert word_class("left", "ADJ") == "Loc_VIP"
    assert word_class("hands", "NOUN") == "Body_VIP"
    assert word_class("running", "VERB") == word_class("raises", "VERB") == word_class("jumped", "VERB") == "Act_VIP"
    assert word_class("person", "NOUN") == "NOUN"
    assert word_class("when", "SCONJ") == word_class("zyx", "X") == "OTHER"


def test_a_caption_is_encoded_between_its_marks_and_cut_to_twenty_words():
    ids, classes = encode_caption("a person zyxes forward")
    assert [vocabulary()[i] for i in ids] == ["sos", "a", "person", "unk", "forward", "eos"]
    assert [WORD_CLASSES[c] for c in classes] == ["OTHER", "DET", "NOUN", "OTHER", "Loc_VIP", "OTHER"]
    assert len(encode_caption("walk " * 50)[0]) == 22


def test_an_unknown_label_is_answered_with_the_nearest_one():
    with pytest.raises(InputError, match="did you mean bandai/bow/active"):
        load_captions().train_sentences("bandai/bow/activ")
    with pytest.raises(InputError, match="labels start with cmu/"):
        load_captions().test_sentence("depositFloorR")
    with pytest.raises(InputError, match="empty label"):
        load_captions().test_sentence("")


def test_a_text_without_a_word_is_refused():
    with pytest.raises(InputError, match="no word"):
        encode_caption(" ?! ")


def test_the_vocabulary_is_the_one_that_shipped_models_read():
    assert sha256("\n".join(vocabulary()).encode()).hexdigest() == VOCABULARY


def test_an_item_has_the_sentences_of_its_split():
    captions = load_captions()
    label = "hdm05/grabHighR"
    assert captions.of_item(label, "train") == captions.of_item(label, "val") == captions.train_sentences(label)
    assert captions.of_item(label, "test") == (captions.test_sentence(label),)
    assert captions.of_item("", "test") == ()
