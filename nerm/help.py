"""The page that --help prints: a command's purpose and examples, and every key with its type, default and meaning.

The meaning of a key stands in the docstring of the dataclass that declares it, as `key: meaning`, at the beginning of a line or after two
spaces; `one, other: meaning` is of both keys. What stands before the first key is about the whole.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from nerm.cli import MISSING, default_of, keys

M = TypeVar("M", bound=Callable[[Sequence[str]], int | None])
HELP = ("--help", "-h")
_WIDTH, _INDENT = 110, 4
_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}


def command(*schemas: type) -> Callable[[M], M]:
    """For the main of a command, whose arguments fill dataclasses: it answers --help, -h, or the single word help, with exit code 0."""

    def around(main: M) -> M:
        @wraps(main)
        def answering(arguments: Sequence[str]) -> int | None:
            if any(word in HELP for word in arguments) or list(arguments) == ["help"]:
                print(page(sys.modules[main.__module__].__doc__ or "", schemas))
                return 0
            return main(arguments)

        answering.schemas = schemas  # type: ignore[attr-defined]
        return cast(M, answering)

    return around


def page(about: str, schemas: Sequence[type]) -> str:
    """The help of a command: what its module says of it, then the keys of its dataclasses."""
    return "\n\n".join([inspect.cleandoc(about), *(_keys_of(schema) for schema in schemas)])


def meanings(schema: type) -> dict[str, str]:
    """Key -> its meaning, of a dataclass's own keys, as far as its docstring says."""
    _, found = _read(schema)
    return found


def _keys_of(schema: type) -> str:
    listed = keys(schema)
    if not listed:
        return ""
    about, _ = _read(schema)
    lines = [textwrap.fill(about, _WIDTH)] if about else []
    for key, (name, declares) in listed.items():
        item = next(item for item in dataclasses.fields(declares) if item.name == name.rpartition(".")[2])
        meaning = meanings(declares).get(key.rpartition(".")[2], "")
        lines.append(f"{key}=  ({_type(item)}; {_default(default_of(item))})")
        lines.append(textwrap.fill(meaning, _WIDTH, initial_indent=" " * _INDENT, subsequent_indent=" " * _INDENT))
    return "\n".join(lines)


def _read(schema: type) -> tuple[str, dict[str, str]]:
    """(what a docstring says of the whole, key -> meaning)."""
    names = "|".join(sorted((item.name.rstrip("_") for item in dataclasses.fields(schema)), key=len, reverse=True))
    text = inspect.cleandoc(schema.__doc__ or "")
    if text.startswith(f"{schema.__name__}("):  # what dataclass writes where there is none
        return "", {}
    parts = re.split(rf"(?:^|(?<=\n)|(?<=  ))((?:{names})(?:, (?:{names}))*): ", text)
    found: dict[str, str] = {}
    for of, meaning in zip(parts[1::2], parts[2::2], strict=True):
        found |= dict.fromkeys(of.split(", "), _one_line(meaning))
    return _one_line(parts[0]), found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _type(item: dataclasses.Field) -> str:
    written = item.type if isinstance(item.type, str) else inspect.formatannotation(item.type)
    plain = written.replace(" ", "").replace("|None", "")
    inner = re.fullmatch(r"list\[(\w+)\]", plain)
    return f"[{_TYPES.get(inner[1], inner[1])}, ...]" if inner else _TYPES.get(plain, plain)


def _default(value: Any) -> str:
    if value is MISSING or value == MISSING:
        return "has to be given"
    if value is None or value == "":
        return "default none"
    if isinstance(value, bool):
        return f"default {str(value).lower()}"
    if isinstance(value, list):
        return f"default [{', '.join(map(str, value))}]"
    return f"default {value:g}" if isinstance(value, float) else f"default {value}"
