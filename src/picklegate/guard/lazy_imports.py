"""Imports inside a load: an installed module is imported outside of it, with the effects that its import has.

A finder of the interpreter's own kind stands before the others while loads last
(https://docs.python.org/3/reference/import.html#the-meta-path), and has each module made and run outside of the load.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Outside = Callable[[], AbstractContextManager[None]]


class LazyImports(MetaPathFinder):
    """Finds, in a thread that loads, what the other finders find."""

    def __init__(self, admit: Callable[[str], bool], outside: Outside) -> None:
        """``admit`` raises for a module that a load may not import, and says no where there is no load."""
        self._admit = admit
        self._outside = outside
        self._lock = threading.RLock()
        self._loads = 0

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """The spec of the others, with a loader that works outside of the load."""
        if not self._admit(fullname):
            return None
        with self._outside():
            for finder in tuple(sys.meta_path):
                find = getattr(finder, "find_spec", None)
                spec: ModuleSpec | None = find(fullname, path, target) if find and finder is not self else None
                if spec is not None:
                    if spec.loader is not None:
                        spec.loader = _LoaderOutside(spec.loader, self._outside)
                    return spec
        return None

    def raise_wall(self) -> None:
        """Stand before the other finders, for one more load."""
        with self._lock:
            self._loads += 1
            if self._loads == 1:
                sys.meta_path.insert(0, self)

    def lower_wall(self) -> None:
        """End one load; after the last one it stands there no more."""
        with self._lock:
            self._loads -= 1
            if self._loads == 0 and self in sys.meta_path:
                sys.meta_path.remove(self)


class _LoaderOutside(Loader):
    """A loader that lends itself to one import, and does it outside of the load."""

    def __init__(self, loader: Any, outside: Outside) -> None:
        self._loader = loader
        self._outside = outside

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        with self._outside():
            made: ModuleType | None = self._loader.create_module(spec)
            return made

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        with self._outside():
            self._loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
