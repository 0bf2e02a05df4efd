"""The registry of systems: what is listed, what listing costs, and what every entry keeps to."""

import subprocess
import sys

import numpy as np
import pytest

from baselines.base import SYSTEMS, load_system, train_system
from nerm.checkpoint import MODELS, RESULTS, SUFFIX
from nerm.errors import InputError
from nerm.generator import Condition, Facts, ReadsCodes, Reconstructs
from nerm.registry import load_object
from nerm.training import Budget


def test_listing_the_systems_imports_no_network():
    code = "import sys, baselines.base; print('nerm' in baselines.base.SYSTEMS.names, 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == ["True", "False"]


@pytest.mark.parametrize("system", list(SYSTEMS), ids=lambda system: system.name)
def test_what_an_entry_names_is_there(system):
    assert all(callable(load_object(target)) for target in filter(None, (system.loads, system.trains, *system.reproduces.values())))


def ships(system):
    return not system.trains or (RESULTS / MODELS / f"{system.name}{SUFFIX}").exists()


def test_the_compared_systems_ship():
    assert {"nerm", "nerm-fixed", "t2m", "mdm", "mld"} <= {system.name for system in SYSTEMS if system.trains and ships(system)}


@pytest.mark.parametrize("system", [system for system in SYSTEMS if ships(system)], ids=lambda system: system.name)
def test_every_system_that_ships_says_what_it_is(system):
    generator = load_system(system.name)
    assert generator.name == system.name and generator.digest and isinstance(generator.facts, Facts)
    assert generator.facts.known == bool(system.trains) and generator.native_fps in (None, 20.0)
    assert isinstance(generator, ReadsCodes) == isinstance(generator, Reconstructs) == bool(system.leaves)


def test_the_original_systems_whose_cases_are_reproduced():
    assert {name for system in SYSTEMS for name in system.reproduces} == {"mdm", "mld", "t2m_generator"}


def test_unknown_names_are_answered_and_dummies_have_nothing_to_load_or_train(tmp_path):
    with pytest.raises(InputError, match="system=mdn does not exist; did you mean"):
        load_system("mdn")
    with pytest.raises(InputError, match="has no weights"):
        load_system("noise", tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="nothing to train"):
        train_system("freeze", None, Budget(steps=1), tmp_path)


def test_the_dummies_stand_on_the_floor_and_shake_or_do_not():
    noise, freeze = (load_system(name).sample([Condition()], [1.0], 50.0, [1])[0].joints for name in ("noise", "freeze"))
    assert len(noise) == len(freeze) == 51 and np.ptp(freeze, axis=0).max() == 0 and freeze[..., 1].min() == pytest.approx(0, abs=1e-6)
    assert (noise - freeze).std() == pytest.approx(0.03, rel=0.05)
