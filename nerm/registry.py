"""Names for things that are imported only when asked for. One registry type for systems and extractors; it knows none of them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from nerm.cli import choose
from nerm.errors import InputError


class Registry:
    """Name -> "module:attribute" (imported by `load`) or the object itself. Listing imports nothing."""

    def __init__(self, kind: str, entries: dict[str, Any]) -> None:
        """kind: what an entry is called in messages."""
        self.kind = kind
        self._entries: dict[str, Any] = {}
        for name, target in entries.items():
            self.register(name, target)

    def register(self, name: str, target: Any) -> None:
        """Add an entry; a name that is taken is refused."""
        if name in self._entries:
            raise InputError(f"{self.kind} '{name}' is registered twice; choose another name")
        self._entries[name] = target

    @property
    def names(self) -> list[str]:
        return list(self._entries)

    def load(self, name: str) -> Any:
        """The object of that name, imported on demand; an unknown name is answered with the nearest ones."""
        target = self._entries[choose(self.kind, name, self.names)]
        if not isinstance(target, str):
            return target
        module, _, attribute = target.partition(":")
        return getattr(import_module(module), attribute)
