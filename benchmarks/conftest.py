"""Benchmarks measure speed and memory against frame rate: pytest benchmarks/ --benchmark-only

Speeds of one machine mean nothing on another, so every result carries the machine's matrix-product rate (`gflops` in extra_info), and a
summary ends the session. NERM_SPEED_REPORT=FILE writes that summary as Markdown too; nothing else is written.
"""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tabulate import tabulate

from evaluators.protocols.cost.process import matrix_rate
from evaluators.provenance import cpu_name
from nerm.atomic import replacing
from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import joints_from_directions

HEAVY = "test_systems.py"
TABLES = pytest.StashKey[dict[str, list[dict]]]()
RATE = pytest.StashKey[float]()
BEST = {"repeats": 20, "number": 3}
"""How matrix products are timed here."""


def pytest_configure(config):
    config.stash[TABLES] = {}


def pytest_collection_modifyitems(config, items):
    """Minutes of work are not run by accident, as a part of `pytest .`."""
    if not config.getoption("benchmark_only", False):
        for item in items:
            if item.path.name == HEAVY:
                item.add_marker(pytest.mark.skip(reason="takes minutes; run it with pytest benchmarks/ --benchmark-only"))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    tables = config.stash.get(TABLES, {})
    if not tables:
        return
    machine = f"{cpu_name()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {config.stash[RATE]:.0f} GFLOP/s (float32)"
    terminalreporter.section("speed of the systems")
    terminalreporter.write_line(machine)
    for title, rows in tables.items():
        terminalreporter.write_line(f"\n{title}\n{tabulate(rows, headers='keys', floatfmt='.4g')}")
    report = os.environ.get("NERM_SPEED_REPORT")
    if report:
        parts = [f"## {title}\n\n{tabulate(rows, headers='keys', floatfmt='.4g', tablefmt='github')}\n" for title, rows in tables.items()]
        Path(report).parent.mkdir(parents=True, exist_ok=True)
        with replacing(report) as temporary:
            temporary.write_text("\n".join(["# Speed", "", f"Machine: {machine}.", "", *parts]))


@pytest.fixture(scope="session")
def tables(request):
    """Title -> rows, printed at the end of the session."""
    return request.config.stash[TABLES]


@pytest.fixture(scope="session")
def calibration(request):
    """What all threads of this machine reach in this session (GFLOP/s)."""
    request.config.stash[RATE] = matrix_rate(**BEST)
    return request.config.stash[RATE]


@pytest.fixture(autouse=True)
def _calibrated(request):
    if "benchmark" in request.fixturenames:
        request.getfixturevalue("benchmark").extra_info["gflops"] = round(request.getfixturevalue("calibration"), 1)


@pytest.fixture(scope="session")
def rate():
    """A function that measures the rate again, now, with the threads that are set."""
    return partial(matrix_rate, **BEST)


@pytest.fixture
def motion_at():
    """A smooth ten-second motion at the rate asked for."""

    def make(fps: float, seconds: float = 10.0) -> Motion:
        rng = np.random.default_rng(0)
        t = np.arange(int(seconds * fps) + 1) / fps
        waves = 0.1 * np.sin(2 * np.pi * rng.uniform(0.2, 4, 66) * t[:, None] + rng.uniform(0, 6, 66))
        directions = SMPL22.offsets[1:] / SMPL22.lengths[1:, None] + waves[:, 3:].reshape(-1, 21, 3)
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return Motion(joints_from_directions(waves[:, :3] + [0, 0.9, 0], directions, SMPL22), fps)

    return make
