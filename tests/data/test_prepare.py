"""Preparing a corpus: what comes out, what survives a kill or a full disk, and how wrong archives are answered."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from making import prepared

from nerm.data import archives, assemble, validation
from nerm.data.corpus import load_corpus
from nerm.data.multirate.preparing import MULTIRATE
from nerm.data.multirate.trials import longest_run_without_jumps
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.skeleton import joints_from_directions
from nerm.prepare import main, prepare


def complaint(arguments, capsys=None) -> str:
    """The one sentence with which a command answers."""
    with pytest.raises(InputError) as caught:
        main(arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- what comes out ----


def test_a_corpus_holds_every_recording_at_its_own_rate_on_one_skeleton(sources, tmp_path):
    corpus = prepared(sources.write(), tmp_path / "corpus")
    assert corpus.name == "multirate"
    assert list(corpus.trials.fps.astype(int)) == [120, 120, 120, 60, 120, 120, 30, 30, 30, 30, 30]
    assert list(corpus.trials.frames) == [130, 90, 60, 62, 80, 75, 40, 31, 32, 33, 34]  # 60_01 begins at its frame 8
    assert corpus.trials.start[3] == 8
    joints = np.asarray(corpus.joints, dtype=np.float64)
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, SMPL22.parents[1:]], axis=-1)
    assert np.abs(lengths - SMPL22.lengths[1:]).max() < 1e-6
    for index in corpus.trials.index:
        assert abs(np.percentile(corpus.trial(index).joints[..., 1].min(axis=1), 1)) < 1e-6


def test_splits_follow_segments_archives_and_takes(sources, tmp_path):
    trials = prepared(sources.write(), tmp_path / "corpus").trials.set_index("trial_name")
    assert trials.split["cmu/01_01"] == "test" and trials.split["cmu/02_03"] == "val"  # test if any segment is
    assert trials.split["HDM_bd_squat1Reps_001_120"] == "train" and trials.split["HDM_tr_squat1Reps_002_120"] == "test"
    assert trials.split["dataset-1_walk_active_001"] == "train"
    second = trials.split[trials.index.str.startswith("dataset-2")]
    assert sorted(second) == ["test", "test", "train", "val"]
    assert set(trials.label) == {"cmu/walk, wave", "hdm05/squat1Reps", "bandai/walk/active"}


def test_the_hash_does_not_depend_on_workers_place_or_packing(sources, tmp_path):
    one = prepared(sources.write(), tmp_path / "one", only=["bandai", "hdm05"])
    two = prepared(sources.folder, tmp_path / "two", only=["bandai", "hdm05"], workers=2)
    sources.folder = tmp_path / "unpacked"
    unpacked = prepared(sources.write(packed=False), tmp_path / "three", only=["bandai", "hdm05"])
    assert one.digest == two.digest == unpacked.digest
    assert not (sources.folder.parent / "three.partial").exists()


def test_the_hash_depends_on_motion_and_on_splits(sources, tmp_path):
    first = prepared(sources.write(), tmp_path / "first", only=["hdm05"]).digest
    sources.tables["hdm05"][1][1][6] = "val"
    assert prepared(sources.write(), tmp_path / "second", only=["hdm05"]).digest != first


def test_the_command_prepares_says_what_it_found_and_does_not_do_it_twice(sources, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "home"))
    arguments = [f"sources={sources.write()}", "workers=1"]
    assert main(arguments) == 0
    answer = capsys.readouterr().out
    assert "11 trials" in answer and "validation of cmu" in answer and "60_01: 8 frames outside the clean run" in answer
    before = (tmp_path / "home/multirate/joints.npy").stat().st_mtime_ns
    assert main(arguments) == 0
    assert "delete the folder to prepare it again" in capsys.readouterr().out
    assert (tmp_path / "home/multirate/joints.npy").stat().st_mtime_ns == before


def test_validation_finds_raised_floors_jumps_and_repeated_frames():
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(1, 21, 3)).repeat(60, axis=0)
    root = np.linspace([0, 1, 0], [1, 1, 0], 60)
    joints = joints_from_directions(root, directions / np.linalg.norm(directions, axis=-1, keepdims=True), SMPL22)
    joints[..., 1] -= joints[..., 1].min()
    assert validation.findings(validation.measure(joints, joints, 60, 1.0, 0.03, 60)) == {}
    assert "floor" in validation.findings(validation.measure(joints, joints, 60, 1.0, 0.11, 60))
    jumping = joints.copy()
    jumping[30:] += [0.5, 0, 0]
    assert "jump" in validation.findings(validation.measure(jumping, jumping, 60, 1.0, 0.03, 60))
    doubled = joints[np.arange(60) // 2 * 2]
    assert "repeated" in validation.findings(validation.measure(doubled, doubled, 60, 1.0, 0.03, 60))
    bent = joints.copy()
    bent[30:, SMPL22.index("l_wrist")] += [0, 0.03, 0]
    assert "bones" in validation.findings(validation.measure(bent, joints, 60, 1.0, 0.03, 60))


def test_the_longest_run_without_jumps_is_kept():
    points = np.zeros((100, 22, 3))
    points[30:, 5] += [1.0, 0, 0]  # 1 m in a thirtieth of a second
    assert longest_run_without_jumps(points, 30) == (30, 100)
    assert longest_run_without_jumps(points, 15) == (0, 100)
    assert longest_run_without_jumps(points[:1], 30) == (0, 1)


# ---- interrupted ----

KILLED = """
import os, signal, sys
from pathlib import Path
from nerm.data import assemble
from nerm.data.multirate.preparing import MULTIRATE
from nerm.prepare import prepare
write, made = assemble.write_part, []
def write_and_die(path, trial):
    if len(made) == {parts}:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, trial)
    made.append(path)
assemble.write_part = write_and_die
prepare(MULTIRATE, Path({sources!r}), Path({target!r}), 1)
"""


@pytest.mark.parametrize("parts", [0, 3])
def test_a_killed_run_resumes_with_its_parts_to_the_same_hash(sources, tmp_path, monkeypatch, parts):
    folder = sources.write()
    expected = prepared(folder, tmp_path / "whole").digest
    script = KILLED.format(parts=parts, sources=str(folder), target=str(tmp_path / "killed"))
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    assert not (tmp_path / "killed").exists()
    assert len(list((tmp_path / "killed.partial/parts").glob("[0-9]*.npz"))) == parts
    made = []
    write = assemble.write_part
    monkeypatch.setattr(assemble, "write_part", lambda path, trial: (made.append(path), write(path, trial)))
    assert prepared(folder, tmp_path / "killed").digest == expected
    assert len(made) == 11 - parts
    assert not (tmp_path / "killed.partial").exists()


def test_the_workers_of_a_killed_run_end_with_it(sources, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(
        "import os, signal\nfrom pathlib import Path\nimport nerm.prepare\nfrom nerm.data.multirate.preparing import MULTIRATE\n"
        "if __name__ == '__main__':\n"
        "    nerm.prepare.progress = lambda text: os.kill(os.getpid(), signal.SIGKILL) if 'recordings' in text else None\n"
        f"    nerm.prepare.prepare(MULTIRATE, Path({str(sources.write())!r}), Path({str(tmp_path / 'corpus')!r}), 2, ['hdm05'])\n"
    )
    # Workers hold the other ends of these pipes: this returns when the last of them is gone.
    assert subprocess.run([sys.executable, script], capture_output=True, timeout=180).returncode == -9
    assert prepared(sources.folder, tmp_path / "corpus", only=["hdm05"]).manifest["trials"] == 2


def test_a_half_unpacked_archive_is_unpacked_again(sources, tmp_path, monkeypatch):
    folder = sources.write()

    whole = archives.unpack

    def half(tar, member, target):
        whole(tar, member, target)
        (target / "hdm05/left over").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(archives, "unpack", half)
        with pytest.raises(KeyboardInterrupt):
            prepare(MULTIRATE, folder, tmp_path / "corpus", 1, only=["hdm05"])
    assert prepared(folder, tmp_path / "corpus", only=["hdm05"]).manifest["trials"] == 2


def test_a_damaged_part_is_made_anew(sources, tmp_path, monkeypatch):
    folder = sources.write()
    expected = prepared(folder, tmp_path / "whole", only=["hdm05"]).digest
    with monkeypatch.context() as patched:
        patched.setattr(assemble, "assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(MULTIRATE, folder, tmp_path / "corpus", 1, only=["hdm05"])
    parts = sorted((tmp_path / "corpus.partial/parts").iterdir())
    data = parts[0].read_bytes()
    parts[0].write_bytes(data[: len(data) // 2])
    parts[1].write_bytes(data[:200] + bytes(1000) + data[1200:])
    assert prepared(folder, tmp_path / "corpus", only=["hdm05"]).digest == expected


def test_parts_of_other_sources_are_not_used(sources, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(assemble, "assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(MULTIRATE, sources.write(), tmp_path / "corpus", 1, only=["hdm05"])
    path = next(path for path in sources.files if "tr_squat" in path)
    sources.files[path] = sources.files[path].replace("root ", "root 1", 1)
    changed = prepared(sources.write(), tmp_path / "corpus", only=["hdm05"]).digest
    assert changed == prepared(sources.folder, tmp_path / "fresh", only=["hdm05"]).digest


# ---- two at once ----

SLOW = """
import sys, time
from pathlib import Path
from nerm.data import assemble
from nerm.prepare import main
whole = assemble.assemble
def slow(kind, recordings, trial, sources, folder, facts):
    def late(index):
        Path({began!r}).touch()
        while index == 5 and not Path({go!r}).exists():
            time.sleep(0.02)
        return trial(index)
    return whole(kind, recordings, late, sources, folder, facts)
assemble.assemble = slow
sys.exit(main([{sources!r}, {out!r}, "workers=1"]))
"""


def test_of_two_that_prepare_at_once_the_second_waits_and_finds_the_corpus_finished(sources, tmp_path, monkeypatch):
    folder, target, began = sources.write(), tmp_path / "corpus", tmp_path / "began"
    expected = prepared(folder, tmp_path / "alone").digest
    with monkeypatch.context() as patched:  # all parts are made, nothing is joined yet
        patched.setattr(assemble, "assemble", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            prepare(MULTIRATE, folder, target, 1)
    arguments = [f"sources={folder}", f"out={target}"]
    script = SLOW.format(began=str(began), go=str(tmp_path / "go"), sources=arguments[0], out=arguments[1])
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", script], **pipes) as first:
        while not began.exists() and first.poll() is None:
            time.sleep(0.02)
        with subprocess.Popen([sys.executable, "-m", "nerm.prepare", *arguments], **pipes) as second:
            answer = second.stderr.readline()
            (tmp_path / "go").touch()
            assert re.match(rf"process {first.pid} since \d{{4}}-.* works at {target}; waiting", answer)
            assert "11 trials" in first.stdout.read() and "delete the folder to prepare it again" in second.stdout.read()
        assert second.returncode == 0
    assert first.returncode == 0
    assert load_corpus("corpus", tmp_path).digest == expected
    assert not list(tmp_path.glob("corpus.*"))


def test_the_lock_of_a_process_that_was_killed_holds_nobody_up(sources, tmp_path):
    script = (
        "import os, signal\nfrom pathlib import Path\nfrom nerm.lock import alone\n"
        f"with alone(Path({str(tmp_path / 'corpus')!r})):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -9
    assert (tmp_path / "corpus.lock").exists()
    assert main([f"sources={sources.write()}", f"out={tmp_path / 'corpus'}", "workers=1"]) == 0
    assert not (tmp_path / "corpus.lock").exists()


# ---- the doctor ----


def examined(arguments, capsys) -> tuple[int, str]:
    code = main([*arguments, "doctor=true"])
    return code, capsys.readouterr().out


def test_the_doctor_says_what_is_there_and_changes_nothing(sources, tmp_path, capsys):
    arguments = [f"sources={sources.write()}", f"out={tmp_path / 'corpus'}"]
    code, page = examined(arguments, capsys)
    assert code == 1 and re.search("cmu.tar.xz, .* MiB: whole", page) and "missing  nothing has been prepared here" in page
    assert not (tmp_path / "corpus").exists() and not list(tmp_path.glob("corpus.*"))
    assert main([*arguments, "workers=1"]) == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()
    code, page = examined(arguments, capsys)
    assert code == 0 and page.endswith("all is well\n")
    assert re.search("bandai.tar.xz, .* MiB: the corpus was made of it", page) and "digest of its manifest" in page
    assert re.search(r"train: \d trials", page) and "60_01: 8 frames outside the clean run" in page
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_the_doctor_needs_no_sources_once_there_is_a_corpus(sources, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("NERM_SOURCES", raising=False)
    prepared(sources.write(), tmp_path / "corpus")
    code, page = examined([f"out={tmp_path / 'corpus'}"], capsys)
    assert code == 0 and "note     no archives are known" in page


def test_the_doctor_finds_what_is_missing_or_damaged(sources, tmp_path, capsys):
    arguments = [f"sources={sources.write()}", f"out={tmp_path / 'corpus'}"]
    prepared(sources.folder, tmp_path / "corpus")
    np.save(tmp_path / "corpus/joints.npy", 0 * np.load(tmp_path / "corpus/joints.npy"))
    (sources.folder / "hdm05.tar.xz").unlink()
    (sources.folder / "bandai.csv").unlink()
    archive = sources.folder / "cmu.tar.xz"
    archive.write_bytes(archive.read_bytes()[:-100])
    code, page = examined(arguments, capsys)
    assert code == 1 and page.endswith("4 things to mend\n")
    for line in ("missing  .*hdm05.tar.xz", "missing  .*bandai.csv", "damaged  .*cmu.tar.xz is truncated", "damaged  the corpus at"):
        assert re.search(line, page)


def test_the_doctor_misses_a_file_that_the_manifest_lists(sources, tmp_path, capsys):
    sources.files.pop(next(path for path in sources.files if "tr_squat" in path))
    code, page = examined([f"sources={sources.write()}", f"out={tmp_path / 'corpus'}"], capsys)
    assert code == 1 and "lacks hdm05/amc/tr/HDM_tr_squat1Reps_002_120.amc" in page


# ---- a full disk ----


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small file system needs root")
def test_on_a_full_disk_prepare_says_so_keeps_its_parts_and_resumes(sources, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(disk)], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    try:
        arguments = [f"sources={sources.write()}", f"out={disk / 'corpus'}", "workers=1"]
        seen = set()
        for size in range(100, 8000, 100):
            subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
            try:
                main(arguments)
                break
            except InputError as error:
                assert f"the disk that holds {disk} is full" in str(error) and "\n" not in str(error)
                assert not (disk / "corpus").exists() and not (disk / "corpus.partial/corpus").exists()
                seen.add(len(list((disk / "corpus.partial").glob("parts/[0-9]*.npz"))))
        assert len(seen) > 2  # it failed while unpacking, while making parts, and perhaps while assembling
        digest = load_corpus("corpus", disk).digest
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    assert digest == prepared(sources.folder, tmp_path / "corpus").digest


@pytest.mark.parametrize("where", ["write_part", "assemble"])
def test_a_disk_that_fills_up_leaves_no_half_written_corpus(sources, tmp_path, monkeypatch, where):
    folder, target = sources.write(), tmp_path / "corpus"
    with monkeypatch.context() as patched:
        if where == "write_part":
            patched.setattr(assemble, "write_part", full)
        else:
            patched.setattr(assemble, "_write_table", full)
        assert "is full" in complaint([f"sources={folder}", f"out={target}", "workers=1"])
    assert not target.exists() and not (tmp_path / "corpus.partial/corpus").exists()
    assert main([f"sources={folder}", f"out={target}", "workers=1"]) == 0


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ---- wrong input ----


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97])
def test_a_truncated_archive_is_one_sentence(sources, tmp_path, kept):
    archive = sources.write() / "cmu.tar.xz"
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * kept)])
    answer = complaint([f"sources={sources.folder}", f"out={tmp_path / 'corpus'}", "workers=1"])
    assert "cmu.tar.xz is truncated or damaged" in answer
    assert not (tmp_path / "corpus").exists()
    archive.write_bytes(data)
    assert main([f"sources={sources.folder}", f"out={tmp_path / 'corpus'}", "workers=1"]) == 0


@pytest.mark.parametrize("kind", ["a file outside", "a link"])
def test_an_archive_writes_nothing_outside_its_folder(sources, tmp_path, kind):
    archive = sources.write() / "cmu.tar.xz"
    with tarfile.open(archive, "w:xz", preset=0) as tar:
        info = tarfile.TarInfo("../../outside.txt" if kind == "a file outside" else "cmu/link")
        if kind == "a link":
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(info)
    answer = complaint([f"sources={sources.folder}", f"out={tmp_path / 'corpus'}", "workers=1"])
    assert "not a plain file or folder inside it" in answer
    assert not list(tmp_path.rglob("outside.txt")) and not list(tmp_path.rglob("link"))


def test_an_archive_cut_between_two_files_is_noticed(sources, tmp_path):
    """A tar ends cleanly at any file; the checksum of the xz around it does not."""
    import lzma

    whole = lzma.decompress((sources.write() / "hdm05.tar.xz").read_bytes())
    packer = lzma.LZMACompressor(preset=0)
    cut = packer.compress(whole[: whole.index(b"hdm05/amc/tr")]) + packer.flush()
    (sources.folder / "hdm05.tar.xz").write_bytes(cut[:-8])
    assert "truncated or damaged" in complaint([f"sources={sources.folder}", f"out={tmp_path / 'corpus'}", "workers=1"])


@pytest.mark.parametrize("missing", ["cmu.tar.xz", "hdm05.csv", "bandai.csv"])
def test_a_missing_archive_or_manifest_is_one_sentence(sources, tmp_path, missing):
    (sources.write() / missing).unlink()
    answer = complaint([f"sources={sources.folder}", f"out={tmp_path / 'corpus'}", "workers=1"])
    assert missing in answer and "missing" in answer
    assert not (tmp_path / "corpus").exists()


def test_a_manifest_that_is_no_manifest_is_one_sentence(sources, tmp_path):
    arguments = [f"sources={sources.write()}", f"out={tmp_path / 'corpus'}"]
    for text in ("", "trial,file\n1,2\n", 'a,b\n1,2,3,4\n"'):
        (sources.folder / "cmu.csv").write_text(text)
        assert "cmu.csv" in complaint(arguments)


AMC, BVH = "hdm05/amc/tr/HDM_tr_squat1Reps_002_120.amc", "bandai/dataset-2/dataset-2_walk_active_003.bvh"
WRONG = {
    "an AMC with a missing bone": (
        AMC,
        lambda t: "\n".join(x for x in t.split("\n") if not x.startswith("lfemur")),
        "has no line for bone 'lfemur'",
    ),
    "a BVH with a wrong channel count": (BVH, lambda t: t.replace("CHANNELS 6", "CHANNELS 5", 1), "announces 5 channels and lists 6"),
    "a BVH row with a value too many": (BVH, lambda t: t.rstrip() + " 0\n", "the hierarchy has 72 channels"),
    "NaN in an AMC": (AMC, lambda t: t.replace("rtibia ", "rtibia nan #", 1), "must be finite"),
    "NaN in a BVH": (BVH, lambda t: t.rstrip()[:-7] + " nan\n", "not finite"),
    "a BVH of another rate": (
        BVH,
        lambda t: t.replace("Frame Time: 0.0333333", "Frame Time: 0.0166667"),
        "60 fps in the file, 30 in its manifest",
    ),
    "an AMC cut between two frames": (AMC, lambda t: t[: t.index("\n60\n") + 1], "59 frames in the file, 75 in its manifest"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_one_sentence_that_names_it(sources, tmp_path, case):
    path, change, expected = WRONG[case]
    changed = change(sources.files[path])
    assert changed != sources.files[path]
    sources.files[path] = changed
    answer = complaint([f"sources={sources.write()}", f"out={tmp_path / 'corpus'}", "workers=1"])
    assert expected in answer and Path(path).name in answer
    assert not (tmp_path / "corpus").exists()


def test_a_wrong_file_in_a_worker_process_is_one_sentence_and_exit_code_2(sources, tmp_path):
    path, change, expected = WRONG["an AMC with a missing bone"]
    sources.files[path] = change(sources.files[path])
    command = [sys.executable, "-m", "nerm.prepare", f"sources={sources.write()}", f"out={tmp_path / 'corpus'}", "workers=2"]
    run = subprocess.run(command, capture_output=True, text=True)
    errors = [line for line in run.stderr.splitlines() if not line.startswith("prepare:")]
    assert run.returncode == 2 and len(errors) == 1 and errors[0].startswith("error: ") and expected in errors[0]
    assert not (tmp_path / "corpus").exists()


def test_wrong_arguments_are_one_sentence(sources, tmp_path, monkeypatch):
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "data"))
    assert "did you mean sources?" in complaint(["source=x"])
    assert "does not exist" in complaint([f"sources={tmp_path / 'nowhere'}"])
    assert "did you mean multirate" in complaint(["dataset=multirat"])
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/mine").touch()
    assert "is not a corpus" in complaint([f"sources={sources.write()}", f"out={tmp_path / 'corpus'}"])
    assert (tmp_path / "corpus/mine").exists()


# ---- the real archives ----


@pytest.mark.skipif("NERM_SOURCES" not in os.environ, reason="NERM_SOURCES is not set: the recorded archives are not here")
def test_hdm05_is_prepared_whole(tmp_path):
    folder = Path(os.environ["NERM_SOURCES"]) / "data"
    corpus = prepared(folder, tmp_path / "corpus", only=["hdm05"])
    manifest = pd.read_csv(folder / "hdm05.csv")
    assert corpus.manifest["trials"] == len(manifest)
    assert corpus.manifest["frames"] == (manifest.clean_end - manifest.clean_start).sum()
    ranges = corpus.manifest["validation"]["hdm05"]
    assert ranges["limb_change_mm"][2] < 0.1 and ranges["fastest_mps"][2] < 20 and ranges["floor_m"][0] > -0.1
    assert set(corpus.manifest["findings"]) <= {"cut", "floor", "above", "below", "repeated"}
