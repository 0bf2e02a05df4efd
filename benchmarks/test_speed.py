"""Speed against frame rate of everything that a table run spends time on."""

import numpy as np
import pytest
import torch

from evaluators.metrics.distribution import frechet
from evaluators.metrics.physical import physical
from nerm.generator import Condition
from nerm.model import load_nerm
from nerm.motion import resample
from nerm.motion.bvh import BvhFile, Node, read_bvh_motion, write_bvh
from nerm.motion.features import decode_humanml263, encode_humanml263
from nerm.motion.rig_resample import resample_rig
from nerm.reading import decode

RATES = [20, 60, 120, 240]


@pytest.fixture(scope="module")
def system():
    return load_nerm("nerm")


@pytest.mark.parametrize("fps", RATES)
def test_reading_ten_seconds_of_the_field(benchmark, system, fps):
    code = torch.zeros(system.stage1.field.latent)
    benchmark.extra_info["frames"] = len(benchmark(decode, system.field, code, 10.0, fps))


@pytest.mark.parametrize("fps", RATES)
def test_sampling_one_motion_of_ten_seconds(benchmark, system, fps):
    text = Condition("a person walks forward") if system else Condition()
    benchmark.pedantic(system.sample, ([text], [10.0], fps, [0]), rounds=2, warmup_rounds=1)


@pytest.mark.parametrize("count", [1, 32])
def test_denoising_codes(benchmark, system, count):
    benchmark.pedantic(system.sample_codes, ([Condition()] * count, [10.0] * count, list(range(count))), rounds=2)


@pytest.mark.parametrize("fps", RATES)
def test_physical_metrics_of_ten_seconds(benchmark, motion_at, fps):
    benchmark(physical, [motion_at(fps)])


@pytest.mark.parametrize("method", ["linear", "cubic", "slerp"])
def test_bringing_ten_seconds_from_20_to_120(benchmark, motion_at, method):
    benchmark(resample, motion_at(20), 120, method)


def test_encoding_196_frames_as_humanml263(benchmark, motion_at):
    benchmark(encode_humanml263, motion_at(20, 9.8).joints)


def test_decoding_196_frames_of_humanml263(benchmark, motion_at):
    benchmark(decode_humanml263, encode_humanml263(motion_at(20, 9.8).joints))


def test_writing_and_reading_a_bvh_of_ten_seconds(benchmark, motion_at, tmp_path):
    motion = motion_at(120)

    def there_and_back():
        write_bvh(motion, tmp_path / "m.bvh")
        return read_bvh_motion(tmp_path / "m.bvh", 0.01)

    benchmark.pedantic(there_and_back, rounds=3)


@pytest.mark.parametrize("size", [128, 512])
def test_frechet_distance_of_1000_embeddings(benchmark, size):
    rng = np.random.default_rng(0)
    benchmark(frechet, rng.normal(size=(1000, size)), rng.normal(size=(1000, size)))


def test_upsampling_ten_seconds_of_a_rig_of_60_joints_from_30_to_120(benchmark):
    channels = ("Zrotation", "Xrotation", "Yrotation")
    nodes = [Node(f"joint{k}", (k - 1) // 3 if k else -1, np.array([0.0, 10.0, k % 3]), channels) for k in range(60)]
    frequencies = np.random.default_rng(0).uniform(0.2, 2, 180)
    values = 30 * np.sin(2 * np.pi * frequencies * np.arange(301)[:, None] / 30)
    assert len(benchmark(resample_rig, BvhFile("sines", nodes, values, 30.0), 120.0).values) == 1201
