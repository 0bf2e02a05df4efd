"""A stance as a part of a system: in its file, in its samples at every rate, and left out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_run import ThreeMotions, a_run
from standing import SMALL, error_of, stand, walker

from nerm import checkpoint
from nerm.errors import InputError
from nerm.generator import Condition, HasVariants, Stands
from nerm.model import NeRM, load_nerm
from nerm.motion import Motion
from nerm.motion.skeleton import KIT21
from nerm.stance import RATE, StanceConfig
from nerm.stance_training import BATCH, add_stance
from nerm.train import Train, train_nerm
from nerm.training import Budget

# --- in a system ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished run with a stance."""
    folder = tmp_path_factory.mktemp("run")
    a_run(folder)
    train_nerm(ThreeMotions(), Train(stage="stance", stance=SMALL), Budget(steps=40, device="cpu", precision="no", average=0.9), folder)
    return folder


@pytest.fixture(scope="module")
def system(folder) -> NeRM:
    return load_nerm(folder / "nerm.safetensors")


ASKED = [Condition(), Condition()], [2.0, 3.0]


def a_code(mirrored: bool = False) -> dict[str, np.ndarray]:
    return {"z": np.random.default_rng(0).normal(size=16).astype(np.float32), "mirrored": np.array(mirrored)}


def test_a_trained_stance_is_part_of_the_system_and_lowers_the_error(folder, system, tmp_path):
    assert isinstance(system, Stands) and isinstance(system, HasVariants) and system.stands and system.stance.config == SMALL
    assert system.facts.steps == {"field": 5, "stance": 40} and system.facts.samples["stance"] == 40 * BATCH
    parts = (system.field, system.denoiser, system.stance)
    assert system.facts.parameters == sum(p.numel() for part in parts for p in part.parameters())
    motions = [ThreeMotions().motion(item) for item in ThreeMotions().items("train")]
    assert error_of(motions, system.stance) < 0.6 * error_of(motions)


def test_it_is_kept_in_the_systems_file_and_samples_the_same(system, tmp_path):
    system.save(tmp_path / "again.safetensors")
    again = load_nerm(tmp_path / "again.safetensors")
    for one, two in zip(system.sample(*ASKED, 30, [1, 2]), again.sample(*ASKED, 30, [1, 2]), strict=True):
        assert np.array_equal(one.joints, two.joints)
    assert all(torch.equal(value, again.stance.state_dict()[name]) for name, value in system.stance.state_dict().items())


def test_feet_of_a_file_that_does_not_say_how_firm_they_are_weigh_as_in_training(system, tmp_path):
    path = tmp_path / "nerm.safetensors"
    system.save(path)
    stored = checkpoint.read(path)
    assert load_nerm(path).stance.config.firmness == StanceConfig().firmness > 0
    del stored.about["stance"]["firmness"]
    checkpoint.write(path, "nerm", stored.tensors, stored.about)
    assert load_nerm(path).stance.config.firmness == 0


def test_a_sample_of_a_system_that_stands_is_the_same_at_every_rate(system):
    fast, slow = (system.sample(*ASKED, fps, [5, 6]) for fps in (60, 20))
    for one, two in zip(fast, slow, strict=True):
        assert np.abs(one.joints[::3] - two.joints).max() < 1e-5


@pytest.mark.parametrize("seconds", [0.01, 0.03, 10.0])
def test_the_shortest_and_the_longest_sample_are_whole(system, seconds):
    for fps in (1, 20, 480):
        motion = system.sample([Condition()], [seconds], fps, [0])[0]
        assert len(motion) == int(seconds * fps + 1e-6) + 1 and np.isfinite(motion.joints).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_code_is_read_on_the_path_of_its_legs_and_its_mirror_image_on_that_of_the_mirrored_legs(system, mirrored):
    code = a_code(mirrored)
    expected = system.stance.stood(system.decode(code, 2.0, 60), system.decode(code, 2.0, RATE).joints, 2.0)
    read = system.read(code, 2.0, 60)
    assert np.array_equal(read.joints, expected.joints)
    assert np.abs(read.joints - system.decode(code, 2.0, 60).joints).max() > 0.01
    assert np.array_equal(system.read(code, 2.0, RATE).joints, system.stood(system.decode(code, 2.0, RATE)).joints)


def test_without_its_stance_a_system_reads_the_field_alone(system):
    plain = system.variant(stance=False)
    assert isinstance(plain, NeRM) and not plain.stands and system.stands and plain.field is system.field
    assert plain.digest == f"{system.digest} stance=false" and plain.variant(stance=False) is plain and system.variant() is system
    code = a_code()
    assert np.array_equal(plain.read(code, 2.0, 60).joints, system.decode(code, 2.0, 60).joints)
    with pytest.raises(InputError, match="has no stance"):
        plain.stood(walker(60, 2.0))
    other = system.variant(sampler="ddim" if system.stage2.sampler != "ddim" else "ddpm")
    assert other.stands and other.stance is system.stance


def test_any_motion_is_given_the_stance_of_a_system(system):
    made = walker(20, 3.0, slide=0.4)
    assert np.array_equal(system.stood(made).joints, stand(system.stance, made, "x").joints)
    with pytest.raises(InputError, match="joints"):
        system.stood(Motion(np.random.default_rng(0).normal(size=(9, 21, 3)), 20.0, KIT21))


def test_a_stance_that_is_trained_again_takes_the_place_of_the_old_one(tmp_path):
    a_run(tmp_path)
    for steps in (2, 3):
        add_stance(ThreeMotions(), SMALL, Budget(steps=steps, device="cpu"), tmp_path)
        system = load_nerm(tmp_path / "nerm.safetensors")
        assert system.facts.steps == {"field": 5, "stance": steps}


@pytest.mark.parametrize("damage", ["setting", "tensor", "size"])
def test_a_file_whose_stance_this_version_does_not_know_is_of_another_version(folder, tmp_path, damage):
    stored = checkpoint.read(folder / "nerm.safetensors")
    tensors, about = dict(stored.tensors), dict(stored.about)
    if damage == "setting":
        about["stance"] = {**about["stance"], "feet": 4}
    elif damage == "tensor":
        del tensors["stance.leave.bias"]
    else:
        about["stance"] = {**about["stance"], "width": 8}
    checkpoint.write(tmp_path / "old.safetensors", "nerm", tensors, about)
    with pytest.raises(InputError, match="another version of this package"):
        load_nerm(tmp_path / "old.safetensors")


def test_a_file_that_has_a_texture_is_of_another_version(folder, tmp_path):
    stored = checkpoint.read(folder / "nerm.safetensors")
    about = {**stored.about, "texture": {"edges_hz": [4.0, 8.0], "rank": 8}}
    checkpoint.write(tmp_path / "old.safetensors", "nerm", stored.tensors, about)
    with pytest.raises(InputError, match=r"old\.safetensors is a NeRM model of another version of this package; train it again"):
        load_nerm(tmp_path / "old.safetensors")
