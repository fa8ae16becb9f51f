"""What is compressed is decompressed only as far as it matters."""

from __future__ import annotations

from dataclasses import replace

from picklegate.containers import npy, raw
from picklegate.containers.context import Context
from picklegate.containers.decompress import Inflated, after_skippable
from picklegate.containers.detect import HEAD, READABLE, claims, is_lzma, is_zlib, sniff, tar_start
from picklegate.containers.directories import TAIL, directories
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


def guessed(context: Context, source: Source, head: bytes, deep: int = 0) -> str:
    """The compression that bytes without a telling magic are in, where something to open comes out; else ``""``.

    liblzma takes 13 bytes of many kinds for a header, and zlib two bytes that name another window than its tools
    write. A large dictionary is not needed to tell.
    """
    if deep > context.limits.max_depth:
        return ""
    if is_lzma(head):
        start = source.prefix(PROBE)
        small = min(int.from_bytes(start[1:5], "little"), PROBE).to_bytes(4, "little")
        inflated = context.inflate("lzma", Source(start[:1] + small + start[5:]), "", beginning=PROBE)
        if inflated is not None and _is_worth(context, inflated.data, "", -1, deep + 1):
            return "lzma"
    if is_zlib(head):
        inflated = context.inflate("zlib", source, "", beginning=PROBE)
        if inflated is not None and _is_worth(context, inflated.data, "", -1, deep + 1):
            return "zlib"
    return ""


def _is_worth(context: Context, beginning: bytes, name: str, length: int, deep: int = 0) -> bool:
    source, head = Source(beginning), beginning[:HEAD]
    kind = sniff(head, len(beginning))
    if after_skippable(source) or tar_start(source, head, kind) is not None:
        return True
    if directories(source, source.tail(TAIL), 1).directories:
        return True
    if kind in READABLE:
        return kind != "npy" or not npy.is_numbers(source, length)
    return raw.is_worth(context, beginning, claimed=claims(name)) or bool(guessed(context, source, head, deep))
