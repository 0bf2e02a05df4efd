"""A system measured in a process of its own: time of calls, and by how much loading and sampling raise the peak of its memory.

On one thread, time is that of the processor: what passes on an idle machine, and hardly more on one that does other things too.

    python -m evaluators.protocols.cost.process '{"system": "nerm", ...}'      prints what `Measured` holds, as JSON

What a system imports late is imported before memory is measured, so that the memory is that of weights and sampling and not of code. About
10 MB of it are the first use of torch's kernels, and where sentences are embedded as much again their shipped embeddings. It knows no row.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from evaluators.metrics.cost.calls import milliseconds_per_sample, peak_memory_mb
from nerm.errors import InputError

FEWEST_CALLS = 1
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Asked:
    """What a process is to measure. Rates must rise, so that the memory of one does not hide behind that of another.

    checkpoint: '' for the shipped weights.  conditions: of the motions of a call, as `nerm.generator.Condition` has them.
    low_fps: the rate at which motion is made, if it is brought up by `method`.  without_stance: codes are read by the field alone.
    calls: timed calls at a rate, fewer if they take longer than `at_most_s` together; a first motion at each rate is not counted.
    """

    system: str
    conditions: Sequence[dict[str, Any]]
    seconds: float
    rates: Sequence[float]
    checkpoint: str = ""
    low_fps: float | None = None
    method: str = ""
    without_stance: bool = False
    calls: int = 1
    at_most_s: float = 1.0
    threads: int = 1


@dataclass(frozen=True)
class Measured:
    """ms: per motion, at every rate.  mb: peak above what the process had before it loaded the system.  gflops: of the process."""

    ms: list[float]
    mb: list[float]
    gflops: float


def in_own_process(asked: Asked) -> Measured:
    """Measure in a new process, with so many threads; an InputError with its last words if it fails."""
    environment = os.environ | dict.fromkeys(_THREADS, str(asked.threads))
    command = [sys.executable, "-m", __name__, json.dumps(asdict(asked))]
    outcome = subprocess.run(command, env=environment, cwd=Path.cwd(), capture_output=True, text=True)
    if outcome.returncode:
        said = (outcome.stderr.strip().splitlines() or ["nothing"])[-1]
        raise InputError(f"the process that measures system '{asked.system}' ended with code {outcome.returncode}; it said: {said}")
    return Measured(**json.loads(outcome.stdout.splitlines()[-1]))


def measure(asked: Asked) -> Measured:
    """Measure in this process, which should have done nothing else."""
    from baselines.base import SYSTEMS, load_system
    from nerm.registry import load_object

    entry = SYSTEMS.get(asked.system)
    import torch

    from nerm.generator import Condition

    torch.set_num_threads(asked.threads)
    clock = time.process_time if asked.threads == 1 else time.perf_counter
    gflops = matrix_rate(timer=clock)
    _import_what_is_late()
    load_object(entry.loads)
    peaks = [peak_mb()]
    system = load_system(asked.system, asked.checkpoint or None)
    conditions = [Condition(**condition) for condition in asked.conditions]
    ms, mb = [], []
    for fps in asked.rates:
        make(system, asked, conditions[:1], fps)
        calls_s = timed(partial(make, system, asked, conditions, fps), asked.calls, asked.at_most_s, clock)
        ms.append(milliseconds_per_sample(calls_s, len(conditions)))
        peaks.append(peak_mb())
        mb.append(peak_memory_mb(peaks))
    return Measured(ms, mb, gflops)


def make(system: Any, asked: Asked, conditions: Sequence, fps: float) -> list:
    """One call: a motion at fps for every condition."""
    from nerm.motion.resample import Method, at_rate

    rate, seconds, seeds = asked.low_fps or fps, [asked.seconds] * len(conditions), list(range(len(conditions)))
    if asked.without_stance:
        motions = [system.decode(code, asked.seconds, rate) for code in system.sample_codes(conditions, seconds, seeds)]
    else:
        motions = system.sample(conditions, seconds, rate, seeds)
    return motions if rate == fps else [at_rate(motion, asked.seconds, fps, cast(Method, asked.method)) for motion in motions]


def timed(call: Callable[[], object], calls: int, at_most_s: float, clock: Callable[[], float]) -> list[float]:
    """Seconds of each of `calls` calls; fewer once they have taken at_most_s together."""
    seconds: list[float] = []
    while len(seconds) < FEWEST_CALLS or (len(seconds) < calls and sum(seconds) < at_most_s):
        begun = clock()
        call()
        seconds.append(clock() - begun)
    return seconds


def peak_mb() -> float:
    """Largest resident size of this process so far. On Linux getrusage would start at the parent's peak, which exec hands down."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def matrix_rate(repeats: int = 5, number: int = 1, timer: Callable[[], float] = time.perf_counter) -> float:
    """GFLOP/s of float32 products of 1024 x 1024 matrices with the threads that are set: the best of `repeats`."""
    import timeit

    import torch

    a, b = torch.rand(2, 1024, 1024)
    return 2 * 1024**3 * number / min(timeit.repeat(lambda: a @ b, timer=timer, number=number, repeat=repeats)) / 1e9


def _import_what_is_late() -> None:
    import accelerate  # noqa: F401
    import scipy.interpolate
    import scipy.spatial.transform  # noqa: F401
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler  # noqa: F401


if __name__ == "__main__":
    print(json.dumps(asdict(measure(Asked(**json.loads(sys.argv[1]))))))
