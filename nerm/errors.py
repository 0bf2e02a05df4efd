"""The exceptions for wrong input. Commands turn them into one sentence on stderr and exit code 2."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Something the user gave cannot be used. The message says what was given, what was expected and what to do."""


class MissingFile(InputError):
    """A published file that does not ship is not there. What needs it is left out; the message says which file to put where."""


@contextmanager
def about(path: str | Path) -> Iterator[None]:
    """InputErrors raised inside begin with the file that they are about."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise InputError(f"{path}: {error}") from None
