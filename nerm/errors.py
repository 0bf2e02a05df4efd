"""The one exception for wrong input. Commands turn it into one sentence on stderr and exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Something the user gave cannot be used. The message says what was given, what was expected and what to do."""


@contextmanager
def about(path: str | Path) -> Iterator[None]:
    """InputErrors raised inside begin with the file that they are about."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise InputError(f"{path}: {error}") from None
