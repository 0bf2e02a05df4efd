"""Tab-separated tables that come with the package. It knows no table."""

from __future__ import annotations

from pathlib import Path

from nerm.errors import InputError


def read_tsv(path: Path, header: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The lines of a table below its header; another header or a line of another length is an InputError."""
    lines = [tuple(line.split("\t")) for line in path.read_text(encoding="utf-8").splitlines() if line]
    if not lines or lines[0] != header or any(len(line) != len(header) for line in lines):
        raise InputError(f"{path} is not a table of {', '.join(header)}; reinstall the package")
    return lines[1:]
