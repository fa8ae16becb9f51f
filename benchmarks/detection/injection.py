"""Payloads put into real honest streams, and padded with them: what an attacker adds beside the harm."""

from __future__ import annotations

import pickletools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmarks.common.tables import share, table
from picklegate.training.carriers import PLACES, Carrier

if TYPE_CHECKING:
    from benchmarks.detection.files import Item, Outcome

LARGEST_CARRIER = 50_000
"""Bytes of the largest honest stream that is used as a carrier."""
PADDING = 100
"""Times the payload's size that padding takes."""
_ROOM = 10_000
"""Memo entries that each part of a stream may use."""
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))
_EDGES = frozenset(("PROTO", "FRAME", "STOP"))
_HEAD = b"\x80\x04"


def parts(stream: bytes, base: int) -> tuple[bytes, ...] | None:
    """The opcodes of one stream, its memo moved to ``base``; None where pickletools does not read it to its end.

    So two streams can stand in one and each still means what it meant.
    """
    try:
        read = [(opcode.name, value or 0, place or 0) for opcode, value, place in pickletools.genops(stream)]
    except Exception:  # noqa: BLE001  it raises many kinds for what it cannot read
        return None
    ends = [place for _, _, place in read[1:]] + [read[-1][2] + 1]
    made: list[bytes] = []
    memo: set[int] = set()
    for (name, value, place), end in zip(read, ends, strict=True):
        if name in _EDGES:
            continue
        if name in _PUTS:
            index = len(memo) if name == "MEMOIZE" else int(value)
            memo.add(index)
            made.append(b"r" + (base + index).to_bytes(4, "little"))
        elif name in _GETS:
            made.append(b"j" + (base + int(value)).to_bytes(4, "little"))
        else:
            made.append(stream[place:end])
    return tuple(made) if max(memo, default=0) < _ROOM and ends[-1] == len(stream) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Payload:
    """A hostile stream that stands alone, and its opcodes, ready to be put into another."""

    item: Item
    stream: bytes
    opcodes: bytes


def payloads(items: Sequence[tuple[Item, bytes]]) -> list[Payload]:
    """Those of the hostile files that are one stream which can be moved."""
    found = ((item, data, parts(data, 2 * _ROOM)) for item, data in items)
    return [Payload(item=item, stream=data, opcodes=b"".join(made)) for item, data, made in found if made]


def carriers(streams: Sequence[bytes]) -> list[Carrier]:
    """The honest streams that payloads can be put into."""
    found = (parts(stream, 0) for stream in streams if len(stream) <= LARGEST_CARRIER)
    return [Carrier(head=_HEAD, opcodes=made) for made in found if made]


def injected(payload: Payload, honest: Sequence[Carrier], rng: random.Random) -> Iterator[Item]:
    """The payload alone, at each place of a carrier drawn anew, and padded; ``family`` tells which."""
    whole = replace(payload.item, path="", container="raw")
    yield replace(whole, family="alone", data=payload.stream)
    for place in PLACES:
        carrier = rng.choice(honest)
        if place == "before":
            data = payload.stream + carrier.stream()
        elif place == "after":
            data = carrier.stream() + payload.stream
        else:
            data, _ = carrier.inject(payload.opcodes, place, rng)
        yield replace(whole, family=place, data=data)
    yield replace(whole, family=f"padded x{PADDING}", data=padded(payload, honest, rng))


def padded(payload: Payload, honest: Sequence[Carrier], rng: random.Random) -> bytes:
    """The payload between honest values that are pushed and popped, before it and after."""
    sides: list[list[bytes]] = [[], []]
    sizes = [0, 0]
    while min(sizes) < PADDING * len(payload.stream) / 2:
        side = sizes.index(min(sizes))
        value = b"".join(rng.choice(honest).opcodes) + b"0"
        sides[side].append(value)
        sizes[side] += len(value)
    return b"".join((_HEAD, *sides[0], payload.opcodes, *sides[1], b"."))


def report(groups: Sequence[tuple[str, Sequence[Outcome]]]) -> str:
    """The table: of the payloads of each group that are caught alone, how many still are."""
    lines = []
    for title, found in groups:
        alone = {result.item.name: result for result in found if result.item.family == "alone"}
        for family in ("alone", *PLACES, f"padded x{PADDING}"):
            chosen = [result for result in found if result.item.family == family]
            fell = sum(result.score < alone[result.item.name].score - 1e-9 for result in chosen)
            lost = sum(alone[result.item.name].gate and not result.gate for result in chosen)
            lines.append((
                title,
                family,
                share(sum(result.model for result in chosen), len(chosen)),
                share(sum(result.gate for result in chosen), len(chosen)),
                str(fell),
                str(lost),
            ))  # fmt: skip
    head = ("payloads", "where", "model alone blocks", "gate blocks", "score fell", "lost to the gate")
    return table(head, lines)
