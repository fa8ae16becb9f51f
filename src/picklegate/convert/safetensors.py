"""Writing the safetensors format (https://huggingface.co/docs/safetensors): a JSON header, then the bytes, no holes."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import BinaryIO

from picklegate.convert.dtypes import SIZES

_MOST_HEADER = 100_000_000
"""Bytes of a header that the format's own reader takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A tensor to be written; ``pieces`` gives its bytes when it is its turn."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[bytes]]

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * SIZES[self.dtype]


def write(target: Path, entries: Iterable[Entry], metadata: Mapping[str, str]) -> None:
    """Write the file, which appears whole or not at all; raises ValueError for tensors that the format cannot hold."""
    # As the format's own writer does: the widest elements first, so that all of them are aligned.
    ordered = sorted(entries, key=lambda entry: (-SIZES[entry.dtype], entry.name))
    header = _header(ordered, metadata)
    handle, partial = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(struct.pack("<Q", len(header)) + header)
            for entry in ordered:
                _copy(entry, file)
        os.chmod(partial, 0o666 & ~_umask())
        os.replace(partial, target)
    except BaseException:
        os.unlink(partial)
        raise


def _copy(entry: Entry, file: BinaryIO) -> None:
    written = sum(file.write(piece) for piece in entry.pieces())
    if written != entry.size:
        raise ValueError(f"{entry.name} has {written:,} bytes where its shape needs {entry.size:,}")


def _header(entries: Sequence[Entry], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    position = 0
    for entry in entries:
        span = [position, position + entry.size]
        header[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": span}
        position += entry.size
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    if len(text) > _MOST_HEADER:
        raise ValueError("the names and shapes are longer than the format takes")
    return text + b" " * (-len(text) % 8)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
