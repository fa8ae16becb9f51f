"""What reading may cost is bounded by opcodes, events and values held, and does not depend on the machine."""

from __future__ import annotations

import tracemalloc

import pytest

from picklegate.limits import Limits
from picklegate.pickles import trace
from picklegate.pickles.disassembly import around

LIMITS = Limits(max_opcodes=300_000, max_values=50_000, max_stack=50_000, max_marks=1_000, max_events=2_000)
COUNT = 400_000
CALLEE = b"cm\nf\nq\x00"

GROWING = {
    "tuple-in-tuple": b"N" + b"\x85" * COUNT,
    "memoized-tuples": b"N" + b"\x85\x94" * COUNT,
    "lists": b"(" + b"]" * COUNT,
    "dicts-in-a-list": b"](" + b"}" * COUNT + b"e",
    "sets": b"](" + b"\x8f" * COUNT + b"e",
    "lists-of-numbers": b"](" + b"](K\x01K\x02e" * (COUNT // 4) + b"e",
    "marks": b"(" * COUNT,
    "numbers": b"(" + b"K\x01" * COUNT + b"t",
    "results": CALLEE + b"](" + b"h\x00N\x85R" * COUNT + b"e",
    "results-of-results": CALLEE + b"N\x85R" * (COUNT // 4),
    "distinct-calls": CALLEE + b"".join(b"h\x00\x8c\x06%06d\x85R0" % at for at in range(20_000)),
    "memo": b"N" + b"".join(b"r" + (3 * at).to_bytes(4, "little") for at in range(200_000)),
    "pops": b"N0" * COUNT,
}


@pytest.mark.parametrize("data", GROWING.values(), ids=GROWING.keys())
def test_a_stream_that_grows_without_end_is_ended(data: bytes) -> None:
    """Whatever grows, reading ends with a fault, at the same opcode each time, and holds a few megabytes."""
    tracemalloc.start()
    try:
        found = trace(data + b".", limits=LIMITS)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.fault is not None
    assert found.fault.code == "limit.stream"
    assert most < 80 << 20
    assert trace(data + b".", limits=LIMITS).fault == found.fault


def test_nested_streams_share_one_budget() -> None:
    """Opcodes of streams in a stream are those of the file."""
    streams = [b"N0" * 50_000 + b"N." * at for at in range(1, 6)]
    loads = b"".join(b"cpickle\nloads\n(B" + len(one).to_bytes(4, "little") + one + b"tR0" for one in streams)
    found = trace(loads + b"N.", limits=LIMITS)
    faults = [found.fault, *(one.fault for _, one in found.nested)]
    assert "limit.stream" in {fault.code for fault in faults if fault}


@pytest.mark.parametrize("layers", [2, 3, 60])
def test_an_argument_that_holds_the_same_list_many_times_over_is_no_work(layers: int) -> None:
    """A list of two hundred times the same list of two hundred times the same list ... is ended, or cheap."""
    held = b"".join(b"](" + (b"h" + bytes([at])) * 200 + b"eq" + bytes([at + 1]) + b"0" for at in range(layers))
    found = trace(b"]q\x000" + held + b"cm\nf\nh" + bytes([layers]) + b"\x85R.")
    assert found.stopped if layers == 2 else found.fault is not None and found.fault.code == "limit.stream"


def test_many_objects_are_read_to_their_end() -> None:
    """An honest file of 12 MB with 300,000 objects meets no bound of the defaults; here are a tenth of both."""
    tenth = Limits(**{name: getattr(Limits(), name) // 10 for name in ("max_opcodes", "max_values", "max_events")})
    item = b"h\x00)\x81}(\x8c\x04sizeK\x01\x8c\x04word\x8c\x06%06dub"
    found = trace(CALLEE + b"](" + b"".join(item % at for at in range(30_000)) + b"e.", limits=tenth)
    assert found.stopped
    assert sum(event.count for event in found.events) == 60_000


def test_the_listing_around_a_place_far_behind_reads_little() -> None:
    """Opcodes around a place are found from a waypoint near it."""
    found = trace(b"N0" * 1_000_000 + CALLEE + b"N\x85R.")
    (event,) = found.events
    assert [step.opcode for step in around(found, event.offset, before=1, after=1)] == ["TUPLE1", "REDUCE", "STOP"]
    assert max(here - there for there, here in zip(found.waypoints, found.waypoints[1:], strict=False)) <= 1 << 17
