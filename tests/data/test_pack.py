"""Packing a corpus: how exact it is, that tables travel with it, and how damaged files are answered."""

import errno
import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from making import prepared

from nerm.data import pack as packing
from nerm.data.corpus import load_corpus
from nerm.data.pack import decode, encode, pack, unpack
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.skeleton import joints_from_directions
from nerm.prepare import main


def tumbling(frames: int, seed: int = 0, step: float = 0.05) -> np.ndarray:
    """[T, 22, 3] metres: bones that wander over the whole sphere, poles included, while the root goes metres away."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(1, 21, 3)) + np.cumsum(rng.normal(scale=step, size=(frames, 21, 3)), axis=0)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return joints_from_directions(np.cumsum(rng.normal(scale=0.02, size=(frames, 3)), axis=0), directions, SMPL22)


@pytest.fixture
def corpus(sources, tmp_path):
    return prepared(sources.write(), tmp_path / "corpus")


@pytest.mark.parametrize(("frames", "step"), [(1, 0.1), (2, 0.1), (3, 0.1), (2000, 0.02), (500, 1.0)])
def test_every_joint_survives_to_a_tenth_of_a_millimetre_however_far_down_the_chain(frames, step):
    joints = tumbling(frames, step=step)
    symbols, escapes = packing._to_bytes(encode(joints)[0])
    numbers = packing._from_bytes(np.frombuffer(symbols, dtype=np.uint8), io.BytesIO(escapes))
    error = np.linalg.norm(decode(numbers, encode(joints)[1]) - joints, axis=-1)
    assert error.max() < 1e-4
    wrists = [SMPL22.index("l_wrist"), SMPL22.index("r_wrist")]
    assert error[:, wrists].mean() < 3 * error[:, 0].mean()


def test_bones_that_point_along_an_axis_are_packed_too():
    directions = np.tile(np.eye(3)[np.arange(21) % 3], (30, 1, 1)) * np.where(np.arange(21) % 2, 1, -1)[:, None]
    joints = joints_from_directions(np.zeros((30, 3)), directions, SMPL22)
    assert np.abs(decode(*encode(joints)) - joints).max() < 1e-4


def test_an_unpacked_corpus_holds_the_same_joints_and_the_same_tables(corpus, tmp_path):
    facts = pack(corpus, tmp_path / "small.nermpack")
    back = unpack(tmp_path / "small.nermpack", tmp_path / "back")
    error = np.linalg.norm(np.asarray(back.joints, dtype=np.float64) - corpus.joints, axis=-1).max()
    assert error < 1e-4 and error * 1000 == pytest.approx(facts["max_error_mm"], abs=1e-3)
    pd.testing.assert_frame_equal(back.trials, corpus.trials)
    pd.testing.assert_frame_equal(back.windows, corpus.windows)
    np.testing.assert_array_equal(back.lengths, corpus.lengths)
    assert (back.path / "validation.csv").read_bytes() == (corpus.path / "validation.csv").read_bytes()
    assert back.joints.dtype == np.float32 and back.window(0).seconds == corpus.window(0).seconds
    assert facts["bytes"] == (tmp_path / "small.nermpack").stat().st_size < (corpus.path / "joints.npy").stat().st_size / 4


def test_an_unpacked_corpus_has_a_digest_of_its_own_and_remembers_the_original(corpus, tmp_path):
    facts = pack(corpus, tmp_path / "one.nermpack")
    pack(corpus, tmp_path / "two.nermpack")
    assert (tmp_path / "one.nermpack").read_bytes() == (tmp_path / "two.nermpack").read_bytes()
    back = unpack(tmp_path / "one.nermpack", tmp_path / "back")
    assert back.digest == facts["sha256"] != corpus.digest
    assert back.manifest["packed_from"] == corpus.digest
    assert back.manifest["windows_by_rate_and_split"] == corpus.manifest["windows_by_rate_and_split"]


def test_damage_to_an_unpacked_corpus_is_noticed_and_a_copy_of_a_copy_has_a_content_of_its_own(corpus, tmp_path):
    pack(corpus, tmp_path / "one.nermpack")
    back = unpack(tmp_path / "one.nermpack", tmp_path / "back")
    assert back.manifest["content"] not in (back.digest, corpus.digest)
    pack(back, tmp_path / "two.nermpack")
    assert unpack(tmp_path / "two.nermpack", tmp_path / "again").joints.shape == corpus.joints.shape
    np.save(back.path / "joints.npy", 0 * np.load(back.path / "joints.npy"))
    with pytest.raises(InputError, match="is damaged"):
        load_corpus("back", tmp_path)


def test_the_commands_pack_and_prepare_from_a_packed_file(corpus, tmp_path, capsys, monkeypatch):
    packed = tmp_path / "travels.nermpack"
    assert main([f"out={corpus.path}", f"pack={packed}"]) == 0
    assert "MiB, joints within 0.0" in capsys.readouterr().out
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "home"))
    assert main([f"sources={packed}"]) == 0
    assert "11 trials" in capsys.readouterr().out
    assert load_corpus("multirate", tmp_path / "home").manifest["packed_from"] == corpus.digest
    assert main([f"sources={packed}"]) == 0
    assert "delete the folder to prepare it again" in capsys.readouterr().out


def damaged(data: bytes, how: str) -> bytes:
    if how == "cut":
        return data[: len(data) // 2]
    if how == "no zip":
        return b"HIERARCHY"
    if how == "empty":
        return b""
    return data[:2000] + bytes(64) + data[2064:]


@pytest.mark.parametrize("how", ["cut", "no zip", "empty", "overwritten"])
def test_a_damaged_file_is_one_sentence_and_leaves_nothing(corpus, tmp_path, how):
    pack(corpus, tmp_path / "good.nermpack")
    bad = tmp_path / "bad.nermpack"
    bad.write_bytes(damaged((tmp_path / "good.nermpack").read_bytes(), how))
    with pytest.raises(InputError) as caught:
        main([f"sources={bad}", f"out={tmp_path / 'back'}"])
    assert "bad.nermpack is damaged" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "back").exists() and not list(tmp_path.glob("back.*"))


def test_content_that_does_not_fit_its_digest_is_refused(corpus, tmp_path):
    pack(corpus, tmp_path / "good.nermpack")
    with zipfile.ZipFile(tmp_path / "good.nermpack") as good, zipfile.ZipFile(tmp_path / "bad.nermpack", "w") as bad:
        for name in good.namelist():
            data = good.read(name)
            bad.writestr(name, data.replace(b"train", b"val") if name == "windows.csv" else data)
    with pytest.raises(InputError, match="does not have the digest"):
        unpack(tmp_path / "bad.nermpack", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_full_disk_leaves_neither_a_packed_nor_an_unpacked_corpus(corpus, tmp_path, monkeypatch):
    pack(corpus, tmp_path / "good.nermpack")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    for arguments in ([f"out={corpus.path}", f"pack={tmp_path / 'other.nermpack'}"], [f"sources={tmp_path / 'good.nermpack'}", "out=back"]):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(InputError, match="is full"):
            main(arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "good.nermpack", "sources"]


def test_wrong_use_is_one_sentence(corpus, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.nermpack"):
        main([f"out={corpus.path}", f"pack={tmp_path / 'corpus.zip'}"])
    with pytest.raises(InputError, match="is not prepared"):
        main([f"out={tmp_path / 'nowhere'}", f"pack={tmp_path / 'x.nermpack'}"])
    pack(corpus, tmp_path / "good.nermpack")
    with pytest.raises(InputError, match="not empty"):
        unpack(tmp_path / "good.nermpack", corpus.path)


def test_joints_off_the_skeleton_are_refused(corpus, tmp_path):
    joints = np.load(corpus.path / "joints.npy")
    np.save(corpus.path / "joints.npy", joints * np.float32(1.1))
    with pytest.raises(InputError, match="not on the corpus skeleton"):
        pack(replace(corpus), tmp_path / "x.nermpack")
    assert not (tmp_path / "x.nermpack").exists()
