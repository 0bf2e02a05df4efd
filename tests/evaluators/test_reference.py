"""What is kept of real motion: no motion, equal bytes, and measured from the dataset where it does not ship."""

import json

import numpy as np
import pytest

from evaluators.building import build_reference
from evaluators.protocols import Part
from evaluators.reference import Reference, load_subject
from evaluators.tables import Row
from nerm.errors import InputError

FLOOR = Row("real", "Real", "real")


def test_it_holds_no_motion_and_every_test_item(tiny):
    names = sorted(path.name for path in tiny.reference.iterdir())
    assert names == ["clip.anyrate.npz", "clip.guo.npz", "clip.npz", "items.json", "unconditional.guo.npz"]
    for path in tiny.reference.glob("*.npz"):
        with np.load(path) as stored:
            assert not any(stored[name].shape[-2:] == (22, 3) for name in stored.files if stored[name].ndim >= 2)
    assert [item["id"] for item in json.loads((tiny.reference / "items.json").read_text())["items"]] == [i.id for i in tiny.subject.items]


def test_building_it_again_gives_the_same_bytes(tiny, tmp_path):
    for path in build_reference(tiny.dataset, [tiny.shipped], tmp_path):
        assert path.read_bytes() == (tiny.reference / path.name).read_bytes(), path.name


def test_a_rate_that_does_not_ship_is_measured_from_the_dataset(harness_of):
    harness = harness_of([FLOOR], rates=(50.0, 240.0))
    protocol = harness.protocols[0]
    for fps in (50.0, 240.0):
        part = Part("clips/anyrate", fps, "0", "anyrate")
        array = harness.real(protocol, part)["matched"]
        assert array.dtype == np.float16 and np.isfinite(array).all() and len(array)


def test_without_the_dataset_a_rate_that_does_not_ship_is_answered(harness_of):
    harness = harness_of([FLOOR], rates=(50.0,))

    def absent():
        raise InputError("dataset 'multirate' is not prepared")

    harness.datasets = absent
    with pytest.raises(InputError, match="not prepared"):
        harness.real(harness.protocols[0], Part("values/velocity", 50.0, "0", metric="velocity"))


def test_parts_of_another_extractor_or_protocol_version_are_not_taken(tiny):
    part = Part("clips/anyrate", 20.0, "0", "anyrate")
    known = tiny.extractors["anyrate"].digest
    assert Reference("clip", 2, tiny.reference, tiny.subject.digest).get(part, known)
    assert Reference("clip", 2, tiny.reference, tiny.subject.digest).get(part, "another digest") is None
    assert Reference("clip", 3, tiny.reference, tiny.subject.digest).get(part, known) is None
    assert Reference("clip", 2, tiny.reference, "another dataset").get(part, known) is None
    assert Reference("clip", 2, None, tiny.subject.digest).get(part, known) is None


def test_damaged_files_are_named(tiny, tmp_path):
    folder = tmp_path / "multirate"
    folder.mkdir()
    (folder / "clip.npz").write_bytes((tiny.reference / "clip.npz").read_bytes()[:-500])
    with pytest.raises(InputError, match=r"clip\.npz is no whole reference file"):
        Reference("clip", 2, folder, tiny.subject.digest).get(Part("spectrum", 20.0))
    (folder / "items.json").write_text("{")
    with pytest.raises(InputError, match="no list of items"):
        load_subject("multirate", [tmp_path])
