"""Passing over runs of plain data changes nothing of what a trace says."""

from __future__ import annotations

import pickle
import pickletools

import pytest

from benchmarks.robustness import runs
from picklegate.pickles import Event, trace


def test_a_mutated_stream_is_read_as_by_the_plain_loop() -> None:
    """2,000 streams: calls, texts, opcodes, the end, the fault and the notes are those of the plain loop."""
    differing, passed = runs.differing(list(runs.streams(20261128, 2_000)))
    assert differing == []
    assert passed > 200_000, "the streams must have runs"


@pytest.mark.parametrize("protocol", range(6))
def test_a_long_dict_is_passed_over(protocol: int) -> None:
    """Of a dict of 80,000 pairs of numbers nearly nothing stays, and every opcode is counted."""
    data = pickle.dumps({f"sample/{at:07d}": (at, at / 7) for at in range(80_000)}, protocol)
    found = trace(data)
    assert found.stopped
    assert found.opcodes == sum(1 for _ in pickletools.genops(data))
    assert len(found.result) < 10_000


def test_a_payload_behind_and_inside_a_run_is_seen() -> None:
    """A call in the middle of a long run of plain data is a call."""
    plain = pickle.dumps([("word", at) for at in range(200_000)], 4)
    at = plain.index(b"e(", len(plain) // 2) + 2
    found = trace(plain[:at] + b"cos\nsystem\n\x8c\x04true\x85R" + plain[at:])
    assert [event.name for event in found.events] == ["os.system"]
    assert found.stopped


def test_what_tells_in_a_full_list_is_kept() -> None:
    """A call that is given a long list of results is given their texts, also where equal results came before."""
    made = b"cm\nC\n(Vtouch owned\ntR"
    data = made + b"0cm\nf\n((" + (made + b"K\x01") * 60 + b"l" + (b"(" + (made + b"K\x01") * 60 + b"e") * 3 + b"tR."
    with runs.skipping():
        found = trace(data)
    (outer,) = (event for event in found.events if event.name == "m.f")
    assert sum(type(item) is Event for item in outer.args[0]) == 240
