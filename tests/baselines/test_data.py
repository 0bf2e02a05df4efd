"""Features of a dataset for the baselines: what they are, how batches are cropped, captions, embeddings, and the cache."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from baselines import data
from baselines.data import FeatureData, Texts, load_feature_data, make_feature_data, statistics
from nerm.data.dataset import Item, sentence_of
from nerm.errors import InputError
from nerm.motion.features import FEATURES_263, decode_humanml263
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.words import mirror_caption


@pytest.fixture(scope="module")
def small(small_dataset):
    return make_feature_data(small_dataset())


def test_features_describe_the_motions_at_20_fps(small, small_dataset):
    dataset = small_dataset()
    assert small.lengths.tolist() == [80, 60, 40] and small.items == dataset.items("train")[:3]
    motion = dataset.motion(small.items[1])
    # Frame 2k of 20 fps is frame 3k of 30 fps.
    np.testing.assert_allclose(decode_humanml263(small.features[1].numpy())[::2], motion.joints[:-1:3], atol=1e-4)


def test_mirrored_features_describe_the_mirrored_motions(small):
    for features, mirrored in zip(small.features, small.mirrored, strict=True):
        joints = decode_humanml263(features.numpy())[:, LEFT_RIGHT22] * [-1, 1, 1]
        np.testing.assert_allclose(decode_humanml263(mirrored.numpy()), joints, atol=1e-4)


def test_the_deviation_is_the_same_within_a_group_and_the_mean_has_no_side(small):
    for columns in FEATURES_263.slices.values():
        assert np.ptp(small.std[columns].numpy()) == 0
    assert abs(float(small.mean[FEATURES_263.turn])) < 1e-6
    rows = torch.cat(small.features + small.mirrored)
    torch.testing.assert_close(small.mean, rows.mean(0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(small.std[FEATURES_263.ric][0], rows[:, FEATURES_263.ric].std(0, correction=0).mean(), atol=1e-5, rtol=1e-5)


def test_a_group_that_never_changes_has_a_small_deviation_and_not_none():
    _, std = statistics([np.zeros((5, 263), np.float32)])
    assert (std == 1e-4).all()


def test_another_split_is_normalised_with_the_statistics_of_train(small, small_dataset):
    val = make_feature_data(small_dataset(), "val")
    assert len(val) == 2 and torch.equal(val.mean, small.mean) and torch.equal(val.std, small.std)


def numbered(*lengths):
    """Items whose frames hold their own number; the mirror images are negative."""
    features = [torch.arange(1.0, n + 1)[:, None].expand(n, 263).clone() for n in lengths]
    items = [Item(str(k), "", 20.0, n / 20) for k, n in enumerate(lengths)]
    return FeatureData(features, [-f for f in features], items, torch.zeros(263), torch.full((263,), 2.0))


def crops(data, count, **how):
    generator = torch.Generator().manual_seed(0)
    index, flip = torch.arange(count) % len(data), torch.arange(count) % 3 == 0
    return index, flip, *data.batch(index, flip, generator, **how)


def test_a_crop_is_consecutive_frames_normalised_and_padded_with_zeros():
    numbers = numbered(50, 83, 300)
    index, flip, x, lengths = crops(numbers, 60, longest=196)
    assert x.shape == (60, int(lengths.max()), 263) and x.dtype == torch.float32 and lengths.dtype == torch.long
    for row in range(60):
        n = int(lengths[row])
        values = 2 * x[row, :n, 0] * (-1 if flip[row] else 1)
        assert torch.equal(values, values[0] + torch.arange(n)) and values[0] >= 1 and values[-1] <= len(numbers.features[index[row]])
        assert (x[row, n:] == 0).all()


def test_crops_are_whole_or_one_unit_less_and_start_anywhere():
    _, _, x, lengths = crops(numbered(83), 300, longest=196)
    assert set(lengths.tolist()) == {80, 76}
    assert 60 < int((lengths == 76).sum()) < 140
    starts = {int((2 * row[0, 0]).abs()) for row in x}
    assert starts >= set(range(1, 5)) and max(starts) <= 8


def test_a_crop_never_gets_shorter_than_asked_for_nor_longer_than_the_longest():
    _, _, _, lengths = crops(numbered(43), 50, longest=196, shortest=40)
    assert set(lengths.tolist()) == {40}
    _, _, x, lengths = crops(numbered(400), 50, longest=61)
    assert set(lengths.tolist()) == {60, 56} and x.shape[1] == 60
    _, _, _, lengths = crops(numbered(9), 5, longest=61)
    assert set(lengths.tolist()) == {8}


def test_the_same_generator_gives_the_same_batch():
    first, again = (crops(numbered(83, 120), 20, longest=100) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_items_to_draw_from_are_long_enough(small):
    assert small.usable(50).tolist() == [0, 1] and small.usable().tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="no item of at least 500 frames"):
        small.usable(500)


def test_a_batch_out_of_a_pool_holds_items_of_similar_length():
    data = numbered(*range(40, 240))
    usable = data.usable()

    def spread(pool):
        return np.mean([np.ptp(data.lengths[data.draw(usable, 8, torch.Generator().manual_seed(k), pool)].numpy()) for k in range(40)])

    assert spread(16) < 0.3 * spread(1)
    assert len(data.draw(usable, 8, torch.Generator(), 16)) == 8
    batches = data.by_length(usable, 30)
    assert torch.equal(torch.cat(list(batches)).sort().values, usable) and [len(b) for b in batches] == [30] * 6 + [20]


def test_wrong_crops_are_answered(small):
    index, flip, generator = torch.tensor([0]), torch.tensor([False]), torch.Generator()
    with pytest.raises(InputError, match="units of 4"):
        small.batch(index, flip, generator, longest=3)
    with pytest.raises(InputError, match="less than a unit"):
        numbered(3).batch(index, flip, generator, longest=100)


def test_a_sentence_is_one_of_the_items_and_is_mirrored_with_it(small):
    items = [replace(small.items[0], captions=("he lifts the left arm", "the left hand goes up")), replace(small.items[1], captions=())]
    data = FeatureData(small.features[:2], small.mirrored[:2], items, small.mean, small.std)
    places, flip = torch.arange(300) % 2, torch.arange(300) >= 150
    texts = data.sentence(places, flip, torch.Generator().manual_seed(1))
    assert set(texts[:150:2]) == set(items[0].captions)
    assert set(texts[150::2]) == {mirror_caption(text) for text in items[0].captions} != set(items[0].captions)
    assert set(texts[1::2]) == {""}


class Counting:
    size = 3

    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked += list(texts)
        return np.array([[len(text), text.count("a"), 1.0] for text in texts], np.float32)


def test_each_sentence_is_embedded_once_and_only_when_it_is_asked_for(monkeypatch):
    encoder = Counting()
    monkeypatch.setattr("nerm.text.load_text_encoder", lambda name: encoder)
    texts = Texts("counting")
    assert encoder.asked == []
    embedded = texts.embed(["a man", "", "a man"])
    assert embedded.tolist() == [[5, 2, 1], [0, 0, 1], [5, 2, 1]] and embedded.dtype == torch.float32
    texts.embed(["", "jump"])
    assert sorted(encoder.asked) == ["", "a man", "jump"]
    assert texts.size == 3 and texts.embed([]).shape == (0, 3)


def test_sentences_of_the_captions_come_from_the_shipped_embeddings():
    sentence = sentence_of("hdm05/grabHighR", "multirate")
    embedded = Texts("minilm").embed([sentence, mirror_caption(sentence)])
    assert embedded.shape == (2, 384)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(2), atol=1e-3, rtol=0)


def test_an_unknown_encoder_is_answered():
    with pytest.raises(InputError, match="text encoder 'glove' does not exist"):
        Texts("glove").embed(["a man walks"])


def equal(a, b):
    pairs = [*zip(a.features, b.features, strict=True), *zip(a.mirrored, b.mirrored, strict=True), (a.mean, b.mean), (a.std, b.std)]
    return a.items == b.items and all(torch.equal(x, y) for x, y in pairs)


def test_features_are_made_once_and_then_read(small, small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path))
    dataset = small_dataset()
    first = load_feature_data(dataset)
    made = dataset.read
    again = load_feature_data(dataset)
    assert dataset.read == made > 0 and equal(first, again) and equal(first, small)
    assert equal(load_feature_data(dataset, "val"), make_feature_data(dataset, "val"))


def test_another_dataset_of_the_same_name_and_a_cut_file_are_made_again(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path))
    load_feature_data(small_dataset())
    other = small_dataset("f" * 20)
    load_feature_data(other)
    assert other.read > 0
    for file in (tmp_path / "features").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    again = small_dataset()
    assert len(load_feature_data(again)) == 3 and again.read > 0


def test_captions_are_not_cached(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path))
    load_feature_data(small_dataset())
    dataset = small_dataset()
    dataset._items = [replace(item, captions=("another sentence",)) for item in dataset._items]
    assert load_feature_data(dataset).items[0].captions == ("another sentence",) and dataset.read == 0


def test_a_dataset_without_a_digest_is_not_cached(small_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path))
    load_feature_data(small_dataset(""))
    assert list(tmp_path.iterdir()) == []


def test_a_data_folder_that_cannot_be_written_costs_the_cache_and_nothing_else(small_dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NERM_DATA", str(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data, "_write", full)
    assert len(load_feature_data(small_dataset())) == 3
    assert "No space left on device" in capsys.readouterr().err


def test_a_split_without_items_is_answered(small_dataset):
    with pytest.raises(InputError, match="split 'tests'"):
        make_feature_data(small_dataset(), "tests", train=make_feature_data(small_dataset()))
