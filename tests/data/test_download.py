"""Downloading originals from a real HTTP server on this machine: digests, interruptions, and the corpus that is made of them."""

import hashlib
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from making import prepared

from nerm.data.corpus import load_corpus
from nerm.data.multirate import originals, packaged
from nerm.data.multirate.download import download_sources
from nerm.errors import InputError
from nerm.motion.amc import read_asf
from nerm.prepare import main

COLUMNS = "file,url,sha256,layout,skeleton,fps,metres_per_unit,frames,clean_start,clean_end,split,label"


class Server:
    """Serves `files`; `cut` ones break off half-way, and every request is counted."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.requests: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                data = outer.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if self.path in outer.cut else data)

            def log_message(self, *_) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def registry(server, tmp_path):
    """Three files, one of them with a digest that is known beforehand (that of b'third')."""
    server.files = {"/a/first.bvh": b"first" * 1000, "/a/with%20space.bvh": b"second" * 1000, "/third.amc": b"third"}
    known = hashlib.sha256(b"third").hexdigest()
    path = tmp_path / "addresses.csv"
    rows = [
        "bandai/first.bvh,{home}first.bvh,,bandai,,30,0.01,1,,,train,x",
        "bandai/second.bvh,{home}with space.bvh,,bandai,,30,0.01,1,,,train,x",
        f"hdm05/third.amc,{server.address}/third.amc,{known},asf31,HDM_bd,120,0.05644,1,0,1,train,x",
    ]
    path.write_text("\n".join([f"# home {server.address}/a/", COLUMNS, *rows]) + "\n")
    return path


def complaint(registry, folder) -> str:
    with pytest.raises(InputError) as caught:
        download_sources(registry, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_are_downloaded_once_and_their_digests_kept_beside_them(server, registry, tmp_path):
    folder = download_sources(registry, tmp_path / "originals")
    assert (folder / "bandai/second.bvh").read_bytes() == server.files["/a/with%20space.bvh"]
    digests = (folder / "digests.sha256").read_text().splitlines()
    assert len(digests) == 3 and all(re.fullmatch(r"[0-9a-f]{64}  \w+/\w+\.\w+", line) for line in digests)
    server.requests.clear()
    assert download_sources(registry, folder) == folder and server.requests == []
    assert len((folder / "digests.sha256").read_text().splitlines()) == 3


def test_an_interrupted_download_leaves_no_file_and_goes_on_later(server, registry, tmp_path):
    server.cut = {"/a/first.bvh"}
    answer = complaint(registry, tmp_path / "originals")
    assert "first.bvh" in answer and "run the same command again" in answer
    assert not (tmp_path / "originals/bandai/first.bvh").exists() and not originals.is_home(tmp_path / "originals")
    assert not list((tmp_path / "originals").rglob("tmp*"))
    server.cut = set()
    folder = download_sources(registry, tmp_path / "originals")
    assert (folder / "bandai/first.bvh").read_bytes() == server.files["/a/first.bvh"]


def test_content_with_another_digest_than_the_registry_s_is_refused(server, registry, tmp_path):
    server.files["/third.amc"] = b"changed"
    answer = complaint(registry, tmp_path / "originals")
    assert "third.amc" in answer and "another digest than the registry's" in answer
    assert not (tmp_path / "originals/hdm05/third.amc").exists()


def test_a_file_that_is_not_there_is_one_sentence_with_address_place_and_alternative(server, registry, tmp_path):
    del server.files["/a/first.bvh"]
    answer = complaint(registry, tmp_path / "originals")
    assert f"{server.address}/a/first.bvh" in answer and "404" in answer
    assert str(tmp_path / "originals/bandai/first.bvh") in answer and "sources=DIR with cmu.tar.xz" in answer


def test_without_a_server_the_command_says_which_files_to_put_where(server, registry, tmp_path, monkeypatch):
    server.http.shutdown()
    server.http.server_close()
    monkeypatch.delenv("NERM_SOURCES", raising=False)
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("NERM_REGISTRY", str(registry))
    with pytest.raises(InputError, match="cannot download") as caught:
        main([])
    assert "3 files still missing" in str(caught.value) and str(tmp_path / "home/originals") in str(caught.value)
    assert not (tmp_path / "home/multirate").exists()


def test_a_digest_kept_from_first_use_is_enforced_on_disk_and_on_the_server(server, registry, tmp_path):
    folder = download_sources(registry, tmp_path / "originals")
    (folder / "bandai/first.bvh").write_bytes(b"edited")
    answer = complaint(registry, folder)
    assert "bandai/first.bvh has changed" in answer and "digests.sha256" in answer
    (folder / "bandai/first.bvh").unlink()
    server.files["/a/first.bvh"] = b"another recording"
    assert "another digest than at first use" in complaint(registry, folder)
    assert not (folder / "bandai/first.bvh").exists()
    server.files["/a/first.bvh"] = b"first" * 1000
    assert download_sources(registry, folder) == folder


def test_files_put_there_by_hand_count_as_downloaded(server, registry, tmp_path):
    (tmp_path / "originals/bandai").mkdir(parents=True)
    (tmp_path / "originals/bandai/first.bvh").write_bytes(b"by hand")
    folder = download_sources(registry, tmp_path / "originals")
    assert "/a/first.bvh" not in server.requests
    assert (folder / "bandai/first.bvh").read_bytes() == b"by hand" and "bandai/first.bvh" in (folder / "digests.sha256").read_text()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "lists no file"),
        ("file,url\nx.bvh,http://x\n", "no sha256"),
        (f"{COLUMNS}\n../x.bvh,http://x,,bandai,,30,0.01,1,,,train,x\n", "leads out of the folder"),
        (f"{COLUMNS}\nx.bvh,{{there}}x,,bandai,,30,0.01,1,,,train,x\n", "not explained"),
    ],
)
def test_a_wrong_registry_is_one_sentence(tmp_path, text, expected):
    (tmp_path / "r.csv").write_text(text)
    assert expected in complaint(tmp_path / "r.csv", tmp_path / "originals")
    assert "does not exist" in complaint(tmp_path / "none.csv", tmp_path / "originals")


# ---- the corpus of originals ----


def as_published(path: str, text: str) -> str:
    """A packaged file as its original home has it: with the T-pose, the doubled rate and the zero offsets that packaging corrected."""
    if path.startswith("cmu/bvh"):
        text = re.sub(r"Frames: (\d+)", lambda found: f"Frames: {int(found[1]) + 1}", text)
        width = len(text.rstrip().rsplit("\n", 1)[1].split())
        text = re.sub(r"(Frame Time: .*\n)", rf"\g<1>{'0 ' * width}\n", text)
        text = text.replace("Frame Time: 0.0166667", "Frame Time: 0.0083333")
    if path.startswith("cmu/bvh/08"):
        filled = "Neck|LeftShoulder|RightShoulder|LeftFingerBase|LThumb|RightFingerBase|RThumb"
        text, count = re.subn(rf"(JOINT (?:{filled})\n\{{\nOFFSET) .*", r"\1 0 0 0", text)
        assert count == 7
    return text


def test_a_corpus_of_originals_has_the_same_motion_under_its_own_name(server, sources, tmp_path, monkeypatch, capsys):
    thorax = "{} {} {}".format(*originals._THORAX["08"])
    for path, text in sources.files.items():
        if path.startswith("cmu/bvh/08"):
            sources.files[path] = re.sub(r"(JOINT (?:Neck|LeftShoulder|RightShoulder)\n\{\nOFFSET) .*", rf"\1 {thorax}", text)
    archived = prepared(sources.write(), tmp_path / "packaged")
    rows = []
    for recording in packaged.recordings(sources.folder):
        file = f"{recording.source}/{Path(recording.file).name}"
        server.files[f"/{file}"] = as_published(recording.file, sources.files[recording.file]).replace("\n", "\r\n").encode()
        skeleton = Path(recording.file).stem.split("_")[0] if recording.source == "cmu" else Path(recording.asf or "").stem
        start, end = recording.clean or ("", "")
        facts = [recording.layout, skeleton, recording.fps, recording.metres_per_unit, recording.frames, start, end, recording.split]
        rows.append(",".join(map(str, [file, f"{server.address}/{file}", "", *facts, f'"{recording.label}"'])))
    (tmp_path / "r.csv").write_text("\n".join([COLUMNS, *rows]))
    monkeypatch.delenv("NERM_SOURCES", raising=False)
    monkeypatch.setenv("NERM_DATA", str(tmp_path / "home"))
    assert main([f"registry={tmp_path / 'r.csv'}", "workers=1"]) == 0
    assert "corpus 'multirate-original'" in capsys.readouterr().out
    corpus = load_corpus("multirate-original", tmp_path / "home")
    assert list(corpus.trials.trial_name) == list(archived.trials.trial_name)
    assert list(corpus.windows.split) == list(archived.windows.split) and list(corpus.trials.fps) == list(archived.trials.fps)
    assert np.abs(np.asarray(corpus.joints) - archived.joints).max() < 1e-5
    assert set(corpus.manifest["made_from"]) == {"registry.csv", "digests.sha256"}
    server.requests.clear()
    # the folder of originals is a source of its own
    assert main([f"sources={tmp_path / 'home/originals'}", f"out={tmp_path / 'again'}", "workers=1"]) == 0
    assert load_corpus("again", tmp_path).digest == corpus.digest and server.requests == []


def test_the_registry_that_comes_along_lists_every_recording_once_with_known_skeletons():
    entries = originals.read_registry(originals.REGISTRY)
    assert len(entries) == 1844 and len({entry.file for entry in entries}) == len({entry.url for entry in entries}) == 1844
    assert all(re.fullmatch(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/.+", entry.url) for entry in entries)
    assert {entry.facts["split"] for entry in entries} == {"train", "val", "test"}
    assert sum(int(entry.facts["frames"]) for entry in entries) == 468_895 + 67_003 + 192_654
    for name in {entry.facts["skeleton"] for entry in entries if entry.facts["layout"] == "asf31"}:
        assert len(originals.acclaim_skeleton(name).bones) == 31
    with pytest.raises(InputError, match="skeleton '99' does not exist"):
        originals.acclaim_skeleton("99")
    assert originals.REGISTRY.stat().st_size < 500_000


@pytest.mark.skipif("NERM_SOURCES" not in os.environ, reason="NERM_SOURCES is not set: the recorded archives are not here")
def test_the_registry_says_what_the_manifests_say(tmp_path):
    (tmp_path / "registry.csv").write_bytes(originals.REGISTRY.read_bytes())
    listed = originals.recordings(tmp_path)
    expected = packaged.recordings(Path(os.environ["NERM_SOURCES"]) / "data")
    for name in ("name", "source", "layout", "fps", "metres_per_unit", "frames", "clean", "split", "label"):
        assert [getattr(recording, name) for recording in listed] == [getattr(recording, name) for recording in expected]


def test_a_skeleton_text_is_an_asf():
    assert read_asf(originals.acclaim_text("HDM_bd")).names[:3] == ("root", "lhipjoint", "rhipjoint")
