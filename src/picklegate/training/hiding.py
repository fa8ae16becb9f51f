"""The index without some packages: what the gate knows of a package that no index and no environment has."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from picklegate.capabilities import Callee, Callees
from picklegate.judging import callables

_PARTS = 3
"""Of the packages, one in so many is hidden while the model is trained."""


class Hiding(Callees):
    """The index that ships, without the top-level packages that ``hidden`` holds for."""

    def __init__(self, hidden: Callable[[str], bool]) -> None:
        """Hide the packages; the standard library never is."""
        super().__init__()
        self._hidden = hidden
        self._asked: dict[tuple[str, str], Callee] = {}

    def find(self, module: str, name: str) -> Callee:
        """What (module, name) leads to, nothing where its package is hidden."""
        key = (module, name)
        if key not in self._asked:
            root = module.partition(".")[0]
            dotted = f"{module}.{name}" if name else module
            if self._hidden(root) and not callables.is_standard(root):
                self._asked[key] = Callee(name=dotted, canonical=dotted)
            else:
                # The lookup that ships takes a limited number of names.
                self._asked[key] = Callees().find(module, name)
        return self._asked[key]


def in_training(package: str) -> bool:
    """Whether a package is hidden while the model is trained, so that it learns to judge strangers as well."""
    return zlib.crc32(package.encode()) % _PARTS == 0
