"""The cache of arrays: made once, by content, whole or not at all, shared by processes."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from evaluators.cache import Cache

KEY = {"system": "nerm", "fps": 120, "seeds": [1, 2]}


def arrays(seed: int) -> dict[str, np.ndarray]:
    return {"features": np.random.default_rng(seed).normal(size=(50, 8)), "labels": np.arange(50)}


def test_the_cache_makes_once_and_knows_a_key_by_its_content(tmp_path):
    cache = Cache(tmp_path)
    made = cache.get_or(KEY, lambda: arrays(0))
    again = Cache(tmp_path).get_or(dict(reversed(KEY.items())), lambda: pytest.fail("made twice"))
    assert all((made[name] == again[name]).all() for name in made) and set(made) == set(again)
    other = cache.get_or(KEY | {"fps": 60}, lambda: arrays(1))
    assert not (other["features"] == made["features"]).all()


@pytest.mark.parametrize("left", (0, 10, 500, -1))
def test_a_truncated_cache_file_is_made_again(tmp_path, left):
    cache = Cache(tmp_path)
    cache.get_or(KEY, lambda: arrays(0))
    path = cache.path(KEY)
    path.write_bytes(path.read_bytes()[:left])
    assert (cache.get_or(KEY, lambda: arrays(0))["features"] == arrays(0)["features"]).all()
    assert (cache.get_or(KEY, lambda: pytest.fail("not repaired"))["features"] == arrays(0)["features"]).all()


def test_a_damaged_cache_file_is_said_and_made_again(tmp_path, capsys):
    cache = Cache(tmp_path)
    cache.get_or(KEY, lambda: arrays(0))
    path = cache.path(KEY)
    data = bytearray(path.read_bytes())
    data[300] ^= 255
    np.save(path.with_suffix(".npy"), np.zeros(3))
    for content in (bytes(data), b"nothing", path.with_suffix(".npy").read_bytes()):
        path.write_bytes(content)
        assert (cache.get_or(KEY, lambda: arrays(0))["features"] == arrays(0)["features"]).all()
        assert f"{path} is no whole file of the cache" in capsys.readouterr().err


def test_a_make_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Cache(tmp_path).get_or(KEY, lambda: {"x": np.array(1 / 0)})
    assert not list(tmp_path.rglob("*.npz*"))


def in_a_process(root: str) -> float:
    cache = Cache(Path(root))
    return sum(float(cache.get_or({"item": i % 5}, lambda i=i: arrays(i % 5))["features"].sum()) for i in range(100))


def test_several_processes_share_one_cache(tmp_path):
    with ProcessPoolExecutor(2) as pool:
        totals = list(pool.map(in_a_process, [str(tmp_path)] * 4))
    assert len(set(totals)) == 1 and len(list(tmp_path.rglob("*.npz"))) == 5 and not list(tmp_path.rglob(".*.npz"))
