"""The listing of a stream's opcodes, and the part of it that a report shows."""

from __future__ import annotations

import collections
import datetime as dt
import io
import pickle
import pickletools

import joblib
import numpy as np
import pytest

from picklegate import Verdict, scan_bytes
from picklegate.pickles import trace
from picklegate.pickles.disassembly import around, disassemble
from samples.hostile import HOSTILE
from support.builders import Hostile

VALUE = [
    1, -70_000, 2**80, 1.5, True, None, "text", "x" * 300, b"bytes", {"a": (1, 2, 3, 4)}, {1},
    collections.deque([1]),
    dt.date(2026, 1, 1), "text",
]  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
def test_a_listing_has_the_opcodes_of_pickletools(protocol: int) -> None:
    """Names and offsets are those of the standard library's own listing."""
    data = pickle.dumps(VALUE, protocol)
    assert [(step.offset, step.opcode) for step in disassemble(trace(data))] == [
        (offset, opcode.name) for opcode, _, offset in pickletools.genops(data)
    ]


def test_arguments_are_short() -> None:
    """A long literal is cut and tells its length."""
    steps = list(disassemble(trace(pickle.dumps("x" * 5000))))
    assert any("(5,005 bytes) b'xxx" in step.argument for step in steps)
    assert max(len(step.argument) for step in steps) < 120


def test_a_listing_steps_over_raw_arrays() -> None:
    """What joblib reads as an array between opcodes is one instruction, and the opcodes go on behind it."""
    file = io.BytesIO()
    joblib.dump({"a": np.arange(1000), "b": "behind"}, file)
    from picklegate import containers

    (stream,) = containers.read(file).streams
    steps = list(disassemble(stream.trace))
    assert next(step.argument for step in steps if not step.opcode).endswith("bytes that are no opcodes")
    assert steps[-1].opcode == "STOP"
    assert any(step.argument == "'behind'" for step in steps)


def test_a_place_behind_a_long_stream_is_found() -> None:
    """The opcodes around a place are those of the whole listing, wherever reading began."""
    data = pickle.dumps([collections.OrderedDict(a=i) for i in range(500)])
    found = trace(data)
    steps = list(disassemble(found))
    for at in (0, 5, 700, len(steps) - 1):
        assert around(found, steps[at].offset) == tuple(steps[max(0, at - 14) : at + 4])


def test_a_place_inside_an_argument_has_no_listing() -> None:
    """An offset that is no opcode's gives nothing."""
    assert around(trace(pickle.dumps("text")), 14) == ()


@pytest.mark.parametrize("sample", HOSTILE[::4], ids=lambda sample: sample.id)
def test_a_blocked_stream_shows_the_opcodes_of_its_worst_finding(sample: Hostile) -> None:
    """Whatever the container, the finding's offset is among the instructions."""
    for stream in scan_bytes(sample.data).streams:
        if stream.verdict > Verdict.CLEAN:
            worst = max(stream.findings, key=lambda finding: finding.verdict)
            assert worst.offset in {step.offset for step in stream.disassembly}
