"""What is compressed is decompressed only as far as it matters."""

from __future__ import annotations

from dataclasses import replace

from picklegate.containers import npy, raw
from picklegate.containers.context import Context
from picklegate.containers.decompress import Inflated, after_skippable
from picklegate.containers.detect import HEAD, READABLE, claims, sniff, tar_start
from picklegate.containers.raw import PROBE
from picklegate.containers.source import Source


def inflate(context: Context, codec: str, source: Source, name: str, length: int = -1) -> Inflated | None:
    """Decompress a beginning, and all of it where that begins a container or a pickle; None where nothing can be.

    ``length`` is that of the whole, where it is known.
    """
    inflated = context.inflate(codec, source, name, beginning=PROBE)
    if inflated is None or len(inflated.data) < PROBE or inflated.bound:
        return inflated
    if _is_worth(context, inflated.data, name, length):
        return context.inflate(codec, source, name)
    return replace(inflated, partial=True)


def is_lzma_of_pickles(context: Context, source: Source) -> bool:
    """Whether bytes that liblzma takes for LZMA begin something to open; a large dictionary is not needed for that."""
    head = source.prefix(PROBE)
    small = min(int.from_bytes(head[1:5], "little"), PROBE).to_bytes(4, "little")
    inflated = context.inflate("lzma", Source(head[:1] + small + head[5:]), "", beginning=PROBE)
    return inflated is not None and _is_worth(context, inflated.data, "", -1)


def is_zlib_of_pickles(context: Context, source: Source) -> bool:
    """Whether bytes that zlib takes for its own, with another window than its tools write, begin something to open."""
    inflated = context.inflate("zlib", source, "", beginning=PROBE)
    return inflated is not None and _is_worth(context, inflated.data, "", -1)


def _is_worth(context: Context, beginning: bytes, name: str, length: int) -> bool:
    kind = sniff(beginning[:HEAD], len(beginning))
    source = Source(beginning)
    if after_skippable(source) or tar_start(source, beginning[:HEAD], kind) is not None:
        return True
    if kind in READABLE:
        return kind != "npy" or not npy.is_numbers(Source(beginning), length)
    return raw.is_worth(context, beginning, claimed=claims(name))
