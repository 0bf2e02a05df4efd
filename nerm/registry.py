"""Names for things that are imported only when asked for: datasets, systems, extractors, protocols. It knows none of them by name.

A package, or a folder of it, declares what it holds in `ENTRIES` of its `__init__.py`, which imports nothing heavy. A plugin does the same
in a file of its own: NERM_PLUGINS names such files, or folders of them (separated by ':'), and `load_plugin` takes one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib import import_module, util
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from nerm.cli import choose
from nerm.errors import InputError

_PLUGINS: dict[Path, ModuleType] = {}


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Entries of one class by name: those of a package and its folders, then those of plugins. A name declared twice is an InputError."""

    def __init__(self, kind: str, of: type[T], package: str) -> None:
        """kind: what an entry is called in messages.  package: its own entries and those of its folders are listed."""
        self.kind, self.of, self.package = kind, of, package

    @property
    def _entries(self) -> dict[str, T]:
        entries: dict[str, T] = {}
        for module in (*_folders(self.package), *plugins()):
            for entry in getattr(module, "ENTRIES", ()):
                if isinstance(entry, self.of):
                    if entry.name in entries:
                        raise InputError(f"{self.kind} '{entry.name}' is declared twice, the second time in {module.__name__}: rename one")
                    entries[entry.name] = entry
        return entries

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def __iter__(self) -> Iterator[T]:
        return iter(self._entries.values())

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def get(self, name: str) -> T:
        """The entry of that name; an unknown name is answered with the nearest ones."""
        entries = self._entries
        return entries[choose(self.kind, name, list(entries))]


def load_object(target: str) -> Any:
    """What "module:attribute" names, imported now."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)


def plugins() -> list[ModuleType]:
    """The modules of NERM_PLUGINS and those that `load_plugin` took."""
    for place in filter(None, os.environ.get("NERM_PLUGINS", "").split(os.pathsep)):
        load_plugin(place)
    return list(_PLUGINS.values())


def plugin_folders() -> list[Path]:
    """The folders of the plugins; their tables (.yaml) lie in the same folders."""
    return list(dict.fromkeys(path.parent for path in (plugins() and _PLUGINS)))


def load_plugin(place: str | Path) -> None:
    """Import a .py file, or all of a folder, once; its ENTRIES are known from then on."""
    path = Path(place).resolve()
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    if not files or not all(file.is_file() for file in files):
        raise InputError(f"plugin {place} is no Python file and no folder of Python files; mend NERM_PLUGINS")
    for file in files:
        if file not in _PLUGINS:
            name = f"nerm_plugin_{sha256(str(file).encode()).hexdigest()[:8]}_{file.stem}"
            spec = util.spec_from_file_location(name, file)
            assert spec is not None and spec.loader is not None  # a .py file has both
            module = sys.modules[name] = util.module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except Exception as error:  # somebody else's code can fail in any way
                del sys.modules[name]
                raise InputError(f"plugin {file} cannot be imported ({type(error).__name__}: {error}); mend it, or NERM_PLUGINS") from error
            _PLUGINS[file] = module


def forget_plugin(place: str | Path) -> None:
    """Undo `load_plugin`, for tests."""
    path = Path(place).resolve()
    for file in [file for file in _PLUGINS if path in (file, file.parent)]:
        sys.modules.pop(_PLUGINS.pop(file).__name__, None)


@cache
def _folders(package: str) -> tuple[ModuleType, ...]:
    root = import_module(package)
    return (root, *(import_module(f"{package}.{folder.name}") for folder in iter_modules(root.__path__) if folder.ispkg))
