"""Reads `key=value` arguments of commands into a dataclass; wrong use gives one sentence and exit code 2.

It imports nothing heavy, so that help is there at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from nerm.errors import InputError

C = TypeVar("C")
MISSING: Any = "???"
"""The default of a key that has to be given, as omegaconf writes it."""
_BEGUN_S = time.monotonic() - time.process_time()  # the process is at least as old as the processor time that it has used
_commands: list[float] = []


def parse(schema: type[C], arguments: Sequence[str], usage: str = "") -> C:
    """The settings dataclass filled from `key=value` words; nested keys have dots. Unknown keys are answered with the nearest ones.

    A list is written [a,b]; of a single value the brackets may be left out.

    A field whose name would be a Python keyword ends with an underscore, its key does not: `in=...` fills `in_`. An empty value of
    a field that may be None (`to_fps=`) leaves it None.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    config = OmegaConf.structured(schema)
    fields = {key: name for key, (name, _) in keys(schema).items()}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals:
            raise InputError(f"'{argument}' is not of the form key=value; the keys are {', '.join(fields)}. {usage}".strip())
        if key not in fields:
            raise InputError(f"unknown key '{key}'; {suggest(key, list(fields))}")
        name = fields[key]
        try:
            # Free text may hold ':' or '{'; only values of other types are read as YAML.
            plain = value.replace("${", r"\${")
            if _has_type(schema, name, "str"):
                OmegaConf.update(config, name, plain)
            elif _has_type(schema, name, "list") and value and not value.startswith("["):  # a list of one
                OmegaConf.update(config, name, [plain])
            else:
                config = OmegaConf.merge(config, OmegaConf.from_dotlist([f"{name}={value or 'null'}"]))
        except (OmegaConfBaseException, ValueError, YAMLError) as error:
            raise InputError(f"{argument}: {str(error).splitlines()[0]}") from None
    missing = [key for key, name in fields.items() if OmegaConf.is_missing(_parent(config, name), name.rpartition(".")[2])]
    if missing:
        raise InputError(f"missing {', '.join(f'{key}=...' for key in missing)}. {usage}".strip())
    return OmegaConf.to_object(config)  # type: ignore[return-value]


def keys(schema: type) -> dict[str, tuple[str, type]]:
    """Key on the command line -> (field, dotted as the key is; the dataclass that declares it)."""
    found: dict[str, tuple[str, type]] = {}
    for item in dataclasses.fields(schema):
        default, key = default_of(item), item.name.rstrip("_")
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            inner = keys(type(default))
            found |= {f"{key}.{below}": (f"{item.name}.{name}", declares) for below, (name, declares) in inner.items()}
        else:
            found[key] = (item.name, schema)
    return found


def default_of(item: dataclasses.Field) -> Any:
    """The default of a field, made anew if it is a factory's."""
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default


def suggest(word: str, known: Sequence[str]) -> str:
    """'did you mean ...' for a mistyped name, or the list of what exists."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"it can be {', '.join(known)}"


def choose(name: str, value: str, known: Sequence[str]) -> str:
    """value if it is one of known, else an error with suggestions."""
    if value not in known:
        raise InputError(f"{name}={value} does not exist; {suggest(value, known)}")
    return value


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Run a command's main with sys.argv and turn the outcome into an exit code: 0 ok, 1 a check failed, 2 wrong use."""
    _commands.append(_BEGUN_S)
    try:
        code = main(sys.argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader of the output has closed it
        sys.stderr.close()
        os._exit(0)
    except OSError as error:
        print(f"error: {error.strerror or error}: {error.filename or 'no file named'}; nothing was completed", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to resume", file=sys.stderr)
        sys.exit(130)
    finally:
        _commands.clear()
    sys.exit(code or 0)


def begun_s() -> float:
    """When the command began, by `time.monotonic`; now, if its main is called as a function."""
    return _commands[0] if _commands else time.monotonic()


def data_home() -> Path:
    """Where prepared corpora live: NERM_DATA, else the user's cache directory."""
    home = os.environ.get("NERM_DATA")
    return Path(home) if home else Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "nerm"


def progress(text: str) -> None:
    """One line of progress on stderr."""
    print(text, file=sys.stderr, flush=True)


def _parent(config: object, key: str) -> object:
    from omegaconf import OmegaConf

    parent, _, _ = key.rpartition(".")
    return OmegaConf.select(config, parent) if parent else config  # type: ignore[arg-type]


def _has_type(schema: type, key: str, name: str) -> bool:
    """Whether a field is of a type ('str', 'list'), or that or None."""
    head, _, rest = key.partition(".")
    item = next(f for f in dataclasses.fields(schema) if f.name == head)
    if rest:
        return _has_type(type(item.default_factory()), rest, name)  # type: ignore[misc, operator]
    written = str(item.type).replace(" ", "").removesuffix("|None").removeprefix("Optional[")
    return written.partition("[")[0].rstrip("]") == name


__all__ = ["MISSING", "InputError", "begun_s", "choose", "data_home", "default_of", "keys", "parse", "progress", "run", "suggest"]
