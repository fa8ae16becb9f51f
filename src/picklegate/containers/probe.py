"""What is compressed is decompressed only as far as it matters."""

from __future__ import annotations

from picklegate.containers import npy, raw
from picklegate.containers.context import Walk
from picklegate.containers.decompress import Inflated
from picklegate.containers.detect import HEAD, READABLE, claims, sniff
from picklegate.containers.raw import PROBE
from picklegate.containers.source import Source


def inflate(walk: Walk, codec: str, source: Source, name: str, length: int = -1) -> Inflated | None:
    """Decompress a beginning, and all of it where that begins a container or a pickle; None where nothing can be.

    ``length`` is that of the whole, where it is known.
    """
    found = walk.inflate(codec, source, name, beginning=PROBE)
    if found is not None and len(found.data) >= PROBE and not found.bound and _is_worth(walk, found.data, name, length):
        found = walk.inflate(codec, source, name)
    return found


def is_lzma_of_pickles(walk: Walk, source: Source) -> bool:
    """Whether bytes that liblzma takes for LZMA begin something to open; a large dictionary is not needed for that."""
    head = source.prefix(PROBE)
    small = min(int.from_bytes(head[1:5], "little"), PROBE).to_bytes(4, "little")
    found = walk.inflate("lzma", Source(head[:1] + small + head[5:]), "", beginning=PROBE)
    return found is not None and _is_worth(walk, found.data, "", -1)


def _is_worth(walk: Walk, beginning: bytes, name: str, length: int) -> bool:
    kind = sniff(beginning[:HEAD], len(beginning))
    if kind in READABLE:
        return kind != "npy" or not npy.is_numbers(Source(beginning), length)
    return raw.is_worth(walk, beginning, claimed=claims(name))
