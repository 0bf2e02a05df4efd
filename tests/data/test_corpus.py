"""A prepared corpus: windows cover trials, labels stay text, and what is missing is said."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerm.data.corpus import WINDOW_S, cut_windows, load_corpus
from nerm.errors import InputError
from nerm.motion.skeleton import heading
from nerm.prepare import prepare


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
    prepare(sources.write(), tmp_path / "corpus", 1)
    return load_corpus("corpus", tmp_path)


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
