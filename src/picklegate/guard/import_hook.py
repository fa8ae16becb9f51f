"""Modules that are imported later: something is done to them as soon as they are there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class Waiting(MetaPathFinder):
    """Finds nothing itself; calls ``arrived`` with each module of ``names`` that the other finders find."""

    def __init__(self, names: Sequence[str], arrived: Callable[[ModuleType], None]) -> None:
        """It waits while it stands in ``sys.meta_path``."""
        self._names = frozenset(names)
        self._arrived = arrived

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """The spec that the other finders give, with a loader that tells when the module is there."""
        if fullname not in self._names:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(fullname, path, target) if find and finder is not self else None
            if spec is not None and spec.loader is not None:
                self._listen(spec.loader)
                return spec
        return None

    def _listen(self, loader: object) -> None:
        execute = loader.exec_module  # type: ignore[attr-defined]

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module  # type: ignore[attr-defined]
            execute(module)
            if module.__name__ in self._names:
                self._arrived(module)

        loader.exec_module = exec_module  # type: ignore[attr-defined]
