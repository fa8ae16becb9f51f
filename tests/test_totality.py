"""Reading takes any bytes and never raises."""

from __future__ import annotations

import gzip
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picklegate import Verdict, scan_bytes
from picklegate.limits import Limits
from picklegate.pickles import trace
from picklegate.policy import Policy
from samples.hostile import HOSTILE
from support.builders import OPCODES as SYSTEM

LIMITS = Limits(max_opcodes=200_000, max_stack=50_000, max_inflated_bytes=1 << 20, max_streams=50, max_members=50)
KNOWN = b"(.012FIJKLMNPQRSTUVXabcdeghijlopqrstu]})\x80\x81\x85\x86\x8c\x93\x94\x95"
OPCODES = st.sampled_from([bytes([op]) for op in KNOWN])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=1 << 12) | st.lists(OPCODES | st.binary(max_size=9), max_size=200).map(b"".join))
def test_any_bytes_have_a_trace_and_a_report(data: bytes) -> None:
    """Random bytes, and random opcodes among random bytes: a trace inside the data, and a report."""
    found = trace(data, limits=LIMITS)
    assert 0 <= found.end <= len(data)
    assert found.stopped == (found.fault is None)
    assert scan_bytes(data, policy=Policy(limits=LIMITS)).size == len(data)


def test_large_random_inputs_stay_within_their_limits() -> None:
    """64 KiB of noise, of one opcode repeated, and of hostile samples shuffled together."""
    draw = random.Random(64)
    size = 1 << 16
    inputs = [draw.randbytes(size) for _ in range(10)]
    inputs += [bytes([op]) * size for op in b"(N]})0.2\x85\x94"]
    inputs += [b"".join(draw.choice(HOSTILE).data for _ in range(200))[:size] for _ in range(5)]
    for data in inputs:
        assert trace(data, limits=LIMITS).opcodes <= LIMITS.max_opcodes + size
        assert scan_bytes(data, policy=Policy(limits=LIMITS)).size == len(data)


def test_a_huge_memo_index_costs_nothing() -> None:
    """PUT of 2**32 - 1 sets one entry."""
    assert trace(b"\x80\x02Nr\xff\xff\xff\xff0j\xff\xff\xff\xff.").stopped


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(SYSTEM + b"0" + b"N0" * 1_000_000 + b"N.", id="opcodes"),
        pytest.param(SYSTEM + b"0" + b"N." + SYSTEM * 20_000 + b".", id="streams"),
        pytest.param(SYSTEM + b"(" + b"cm\nn\n(V%d\ntR" * 20_000 % tuple(range(20_000)) + b"l.", id="events"),
    ],
)
def test_time_has_a_bound(data: bytes) -> None:
    """What takes too long is UNSCANNABLE at least, and what was seen until then is reported."""
    report = scan_bytes(data, name="m.pkl", policy=Policy(limits=Limits(max_seconds=0.05)))
    codes = {finding.code for finding in report.reasons}
    assert "limit.time" in codes
    assert report.verdict == Verdict.MALICIOUS
    assert "call.execution" in codes


def test_no_time_is_no_verdict() -> None:
    """Without any time nothing is read, and nothing is CLEAN."""
    for sample in (b"N.", gzip.compress(b"N."), HOSTILE[0].data):
        report = scan_bytes(sample, name="m.pkl", policy=Policy(limits=Limits(max_seconds=0)))
        assert report.verdict == Verdict.UNSCANNABLE
