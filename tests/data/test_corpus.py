"""A prepared corpus: windows cover trials, labels stay text, damage is noticed; and the dataset that is made of it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from making import prepared

from nerm.data.corpus import WINDOW_S, cut_windows, load_corpus
from nerm.data.dataset import DATASETS, SPLITS, load_dataset, sentence_of
from nerm.data.multirate.captions import load_captions
from nerm.data.stored import StoredDataset
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.skeleton import heading


@given(frames=st.integers(1, 20_000), fps=st.sampled_from([12.5, 30.0, 60.0, 119.88, 120.0]))
def test_windows_cover_a_trial_share_one_frame_and_last_at_most_ten_seconds(frames, fps):
    windows = cut_windows(frames, fps)
    assert windows[0][0] == 0 and windows[-1][1] == frames
    assert all(next_start == end - 1 for (_, end), (next_start, _) in pairwise(windows))
    lengths = [end - start for start, end in windows]
    assert max((length - 1) / fps for length in lengths) <= WINDOW_S + 1 / fps
    assert max(lengths) - min(lengths) <= 1


@pytest.fixture
def corpus(sources, tmp_path):
    sources.tables["cmu"][1][0][10] = "NA"  # a description that a table reader might take for a missing one
    sources.tables["cmu"][1][1][10] = ""
    return prepared(sources.write(), tmp_path / "corpus")


def test_joints_stay_on_disk_until_they_are_asked_for(corpus):
    assert isinstance(corpus.joints, np.memmap)
    assert corpus.joints.shape == (corpus.trials.frames.sum(), 22, 3) and corpus.lengths.shape == (len(corpus.trials), 22)


def test_a_window_starts_above_the_origin_facing_z_and_a_trial_in_its_place(corpus):
    window, trial = corpus.window(0), corpus.trial(0)
    assert np.abs(window.joints[0, 0, [0, 2]]).max() < 1e-6 and abs(heading(window.joints[0])) < 1e-5
    assert np.abs(trial.joints[0, 0, [0, 2]]).max() > 0.1
    np.testing.assert_allclose(window.joints[..., 1], trial.joints[..., 1], atol=1e-6)
    assert window.fps == trial.fps == 120


def test_windows_are_selected_by_split_rate_and_source(corpus):
    assert len(corpus.select()) == len(corpus.windows) == 11
    assert set(corpus.select(min_fps=100).source) == {"cmu", "hdm05"}
    assert set(corpus.select("test", sources=["bandai"]).split) == {"test"} and len(corpus.select("test", sources=["bandai"])) == 2


def test_labels_are_text_even_if_they_look_like_missing_values(corpus):
    assert list(corpus.trials.label[:2]) == ["cmu/NA", ""]
    assert list(corpus.windows.label[:2]) == ["cmu/NA", ""]


def test_a_corpus_that_is_not_prepared_is_one_sentence_with_the_command(tmp_path):
    with pytest.raises(InputError, match=r"python -m nerm\.prepare dataset=multirate sources=DIR") as caught:
        load_corpus("multirate", tmp_path)
    assert "\n" not in str(caught.value)


# ---- damage ----


def zeros(path):
    """What a second run of prepare once left behind: the right size, and nothing in it."""
    joints = np.load(path / "joints.npy")
    np.save(path / "joints.npy", 0 * joints)


def cut(path):
    data = (path / "joints.npy").read_bytes()
    (path / "joints.npy").write_bytes(data[: len(data) // 2])


def other_split(path):
    (path / "windows.csv").write_text((path / "windows.csv").read_text().replace(",train,", ",val,", 1))


@pytest.mark.parametrize("damage", [zeros, cut, other_split, lambda path: (path / "trials.csv").unlink()])
def test_a_damaged_corpus_is_one_sentence_that_says_to_prepare_it_again(corpus, damage):
    damage(corpus.path)
    with pytest.raises(InputError, match=r"the corpus at .* is damaged.*prepare it again") as caught:
        load_corpus("corpus", corpus.path.parent)
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_cut_off_is_one_sentence(corpus):
    (corpus.path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        load_corpus("corpus", corpus.path.parent)


# ---- as a dataset ----


def sentences(label, split):
    return (f"{split} of {label}",) if label else ()


def test_the_items_of_a_stored_dataset_are_its_windows_in_their_order(corpus):
    dataset = StoredDataset(corpus, sentences, base_fps=20.0)
    assert dataset.digest == corpus.digest and dataset.skeleton is SMPL22
    for split in SPLITS:
        rows = corpus.select(split)
        assert [item.id for item in dataset.items(split)] == [str(number) for number in rows.index]
        assert [item.group for item in dataset.items(split)] == [str(trial) for trial in rows.trial]
        assert [item.captions for item in dataset.items(split)] == [sentences(label, split) for label in rows.label]
    item = dataset.items("train")[0]
    motion = dataset.motion(item)
    assert np.array_equal(motion.joints, corpus.window(int(item.id)).joints)
    assert (motion.fps, motion.seconds) == (item.fps, item.seconds)
    with pytest.raises(InputError, match="did you mean train"):
        dataset.items("trains")
    with pytest.raises(InputError, match="item '99' is not in dataset"):
        dataset.motion(replace(item, id="99"))


def test_multirate_is_a_dataset_with_sentences_and_20_fps(corpus, monkeypatch):
    monkeypatch.setattr("nerm.data.multirate.opening.load_corpus", lambda name, home: corpus)
    dataset = load_dataset("multirate")
    assert dataset.name == "multirate" and dataset.base_fps == 20.0
    with pytest.raises(InputError, match="label 'cmu/NA' has no caption"):
        dataset.items("test")  # this corpus' labels are made up
    assert sentence_of("hdm05/grabHighR", "multirate") == load_captions().train_sentences("hdm05/grabHighR")[0]


def test_an_unknown_dataset_is_answered_with_the_nearest_ones():
    with pytest.raises(InputError, match="did you mean multirate"):
        load_dataset("multirat")
    assert {"multirate", "multirate-original"} <= set(DATASETS.names)
