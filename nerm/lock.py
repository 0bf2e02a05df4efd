"""One process at a time at a place on disk. The operating system releases the lock when its holder dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from nerm.cli import progress


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Only one process at a time is in this block for the same place. A second one says which process works there since when, and waits.

    The lock is a file beside the place, PLACE.lock, which exists while a process works there.
    """
    path = place.with_name(place.name + ".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(path, place)
    try:
        os.write(descriptor, f"process {os.getpid()} since {datetime.now():%Y-%m-%d %H:%M:%S}".encode())
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: a waiting process notices that the file is gone, and makes a new one
        os.close(descriptor)


def _locked(path: Path, place: Path) -> int:
    """A descriptor of the lock file, locked by this process; waits for it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 100, 0).decode() or "another process"
            progress(f"{holder} works at {place}; waiting until it is done")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if _is(descriptor, path):
            os.ftruncate(descriptor, 0)
            return descriptor
        os.close(descriptor)


def _is(descriptor: int, path: Path) -> bool:
    """Whether the path still names the file of the descriptor."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
