"""The arrays that joblib writes between the opcodes of a pickle, after BUILD of each ``NumpyArrayWrapper``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from picklegate.containers.dtypes import item_size, items
from picklegate.pickles import Event, Trace, trace
from picklegate.pickles.recorder import Inline

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"


@dataclass(frozen=True, kw_only=True, slots=True)
class InlineArray:
    """An array of ``code`` items at ``offset``; ``dtype`` is the object whose state tells their byte order."""

    code: str
    dtype: Event
    shape: tuple[int, ...]
    fortran: bool
    offset: int


class InlineArrays(Mapping[tuple[str, str], Inline]):
    """Tells ``trace`` where opcodes go on behind each array, and keeps where the arrays of numbers are.

    ``found`` has one item for each wrapper in their order; None for an array of objects.
    """

    def __init__(self, data: bytes) -> None:
        """``data`` is the pickle that is traced."""
        self.found: list[InlineArray | None] = []
        self._data = data

    def array(self, attributes: dict[str, Any], offset: int) -> int:
        """Note the array behind a wrapper; the offset at which opcodes go on."""
        dtype, shape = attributes.get("dtype"), attributes.get("shape")
        code = dtype.args[0] if isinstance(dtype, Event) and dtype.args and isinstance(dtype.args[0], str) else ""
        size, count = item_size(code) if code else None, items(shape)
        if size is None or count is None or not isinstance(dtype, Event) or not isinstance(shape, tuple):
            raise ValueError("the length of an array between the opcodes is not known")
        if size < 0:
            self.found.append(None)
            return trace(self._data, offset).end
        if attributes.get("numpy_array_alignment_bytes") is not None:
            offset += 1 + self._data[offset]
        fortran = attributes.get("order") == "F"
        self.found.append(InlineArray(code=code, dtype=dtype, shape=shape, fortran=fortran, offset=offset))
        return offset + size * count

    def by_wrapper(self, traced: Trace) -> dict[int, InlineArray | None]:
        """The arrays by the identity of their wrappers."""
        wrappers = [id(event) for event, _ in traced.states if event.known.startswith(WRAPPER)]
        return dict(zip(wrappers, self.found, strict=False))

    def __getitem__(self, key: tuple[str, str]) -> Inline:
        """Who reads behind the BUILD of an instance of this class."""
        if ".".join(key) != WRAPPER:
            raise KeyError(key)
        return self.array

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The one class."""
        return iter([tuple(WRAPPER.rsplit(".", 1))])  # type: ignore[list-item]

    def __len__(self) -> int:
        """One."""
        return 1
