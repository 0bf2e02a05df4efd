"""The one reader and writer of model files: what is written comes back, always with the same digest, and wrong files are answered."""

import json

import pytest
import torch
from safetensors.torch import save_file

from nerm import checkpoint
from nerm.errors import InputError

TENSORS = {"a.weight": torch.tensor([[0.1, 2.0]]), "b": torch.tensor([1.0 / 3])}


def test_what_is_written_is_read_in_half_precision_but_for_what_is_exact(tmp_path):
    path = checkpoint.write(tmp_path / "new" / "x.safetensors", "x", TENSORS, {"config": {"width": 3}}, exact=("b",))
    stored = checkpoint.read(path, "x")
    assert stored.about == {"kind": "x", "config": {"width": 3}} and stored.digest == checkpoint.sha256(path)
    assert stored.tensors["a.weight"].dtype == torch.float16 and torch.equal(stored.tensors["b"], TENSORS["b"])
    assert torch.equal(stored.part("a.")["weight"], TENSORS["a.weight"].half().float())
    whole = checkpoint.read(checkpoint.write(tmp_path / "y.safetensors", "y", TENSORS, {}, exact=None))
    assert all(torch.equal(whole.tensors[name], value) for name, value in TENSORS.items())


def test_a_matrix_in_8_bits_comes_back_within_half_a_step_of_each_row(tmp_path):
    matrix = torch.randn(20, 300, generator=torch.Generator().manual_seed(0)) * torch.logspace(-3, 3, 20)[:, None]
    matrix[4] = 0
    kernel = matrix.reshape(20, 100, 3)
    tensors = {"m": matrix, "k": kernel, "other": matrix}
    paths = [checkpoint.write(tmp_path / f"{name}.safetensors", "x", tensors, {}, small=("m", "k")[:n]) for n, name in enumerate("abc")]
    stored = checkpoint.read(paths[2]).tensors
    assert set(stored) == set(tensors) and stored["k"].shape == kernel.shape
    half_a_step = matrix.abs().amax(1, keepdim=True) / 254
    for name in ("m", "k"):
        error = (stored[name].reshape(20, 300) - matrix).abs()
        assert (error <= half_a_step * 1.001).all() and error[:4].max() > 0
    assert torch.equal(stored["other"], matrix.half())
    sizes = [path.stat().st_size for path in paths]
    assert sizes[0] - sizes[2] == pytest.approx(2 * 6000, abs=600)


def test_the_same_content_has_the_same_digest(tmp_path):
    facts = {"facts": {"steps": 3, "device": "cpu"}, "config": {}}
    turned = dict(reversed(facts.items()))
    paths = [checkpoint.write(tmp_path / f"{k}.safetensors", "x", TENSORS, about) for k, about in enumerate((facts, turned))]
    assert checkpoint.sha256(paths[0]) == checkpoint.sha256(paths[1])


def test_entries_of_older_files_are_read_as_what_they_are(tmp_path):
    entries = {
        "system": "t2m",
        "config": '{"width": 3}',
        "words": "12ab",
        "version": "1",
        "trained_on": '"66"',
        "digits": "1" * 64,
        "note": "",
    }
    save_file(TENSORS, tmp_path / "old.safetensors", entries)
    about = checkpoint.read(tmp_path / "old.safetensors", "t2m").about
    assert about == {
        "kind": "t2m", "config": {"width": 3}, "words": "12ab", "version": 1, "trained_on": "66", "digits": "1" * 64, "note": "",
    }  # fmt: skip


def test_missing_damaged_and_foreign_files_are_answered(tmp_path):
    path = checkpoint.write(tmp_path / "x.safetensors", "x", TENSORS, {})
    with pytest.raises(InputError, match="is a file of 'x'; expected one of 'y'"):
        checkpoint.read(path, "y")
    with pytest.raises(InputError, match="does not exist"):
        checkpoint.read(tmp_path / "none.safetensors")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(InputError, match=r"not a whole \.safetensors file"):
        checkpoint.read(path)
    save_file(TENSORS, path, {"about": json.dumps({"kind": "x"})[:-2]})
    with pytest.raises(InputError, match=r"not a whole \.safetensors file"):
        checkpoint.read(path)


def test_a_model_is_a_file_or_the_name_of_one_in_the_first_folder_that_has_it(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        checkpoint.write(folder / "nerm.safetensors", "nerm", TENSORS, {})
    assert checkpoint.model_path("nerm", [tmp_path, second, first]) == second / "nerm.safetensors"
    assert checkpoint.model_path(first / "nerm.safetensors") == first / "nerm.safetensors"
    with pytest.raises(InputError, match=r"there is no model 'nrem' .* did you mean nerm"):
        checkpoint.model_path("nrem", [first])
    with pytest.raises(InputError, match="does not exist or is no file"):
        checkpoint.model_path(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match="train it or give a file"):
        checkpoint.model_path("nerm", [tmp_path])
    monkeypatch.chdir(tmp_path)
    assert checkpoint.model_folders()[0] == tmp_path / "results" / "models"
