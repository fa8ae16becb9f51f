"""What a call may have changed is not taken for what the stream put there."""

from __future__ import annotations

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.pickles import trace
from picklegate.report import FileReport

ITEMS = b"(lp1\nVos.getcwd\naVos.system\na0"
PAIRS = b"(dp1\nVk\nVos.getcwd\ns0"
FIRST = b"cpydoc\nlocate\n(coperator\ngetitem\n(g1\nI0\ntRtR)R."
OF_KEY = b"cpydoc\nlocate\n(coperator\ngetitem\n(g1\nVk\ntRtR)R."
READER = b"cfunctools\npartial\n(coperator\ngetitem\ng1\ntRp2\n0"
PICKLE = b"cos\nsystem\n(S'echo inert'\ntR."
PACKED = b"C%c%s" % (len(PICKLE), PICKLE)
HARMLESS = b"C\x02N."
FILE = b"cio\nBytesIO\n(" + HARMLESS + b"tRp1\n0"
LOAD = b"cpickle\nload\n(g1\ntR."
LOADS = b"cpickle\nloads\n(g1\ntR."
BYTEARRAY = b"\x96%s%s" % (len(PICKLE).to_bytes(8, "little"), PICKLE[::-1])

CHANGED = [
    pytest.param(ITEMS + b"cbuiltins\nlist.reverse\n(g1\ntR0" + FIRST, id="reverse"),
    pytest.param(ITEMS + b"cbuiltins\nlist.sort\n(g1\ntR0" + FIRST, id="sort"),
    pytest.param(ITEMS + b"cbuiltins\nlist.pop\n(g1\nI0\ntR0" + FIRST, id="pop"),
    pytest.param(ITEMS + b"coperator\nsetitem\n(g1\nI0\nVos.system\ntR0" + FIRST, id="setitem"),
    pytest.param(ITEMS + b"coperator\nmethodcaller\n(Vreverse\ntR(g1\ntR0" + FIRST, id="methodcaller"),
    pytest.param(ITEMS + b"cbuiltins\nmap\n(cbuiltins\nlist.reverse\n(g1\nltR0" + FIRST, id="map"),
    pytest.param(ITEMS + b"crandom\nshuffle\n((g1\nttR0" + FIRST, id="in-a-tuple"),
    pytest.param(ITEMS + b"csome.module\nC\n(tR(g1\nlb0" + FIRST, id="state"),
    pytest.param(
        ITEMS + b"cm\nf\n((lVa\natR0cbuiltins\nlist.reverse\n((lp3\ntR0cbuiltins\nlist.reverse\n(g1\ntR0" + FIRST,
        id="same-call-before",
    ),
    pytest.param(PAIRS + b"cbuiltins\ndict.update\n(g1\n(dVk\nVos.system\nstR0" + OF_KEY, id="update"),
    pytest.param(PAIRS + b"cbuiltins\ndict.pop\n(g1\nVk\ntR0" + OF_KEY, id="dict-pop"),
    pytest.param(
        PAIRS + READER + b"g1\nVk\nVos.system\ns0cpydoc\nlocate\n(g2\n(Vk\ntRtR)R.", id="set-after-a-partial-was-made"
    ),
    pytest.param(PAIRS + b"g1\ncm\nf\n(tRVos.system\ns0" + OF_KEY, id="key-that-cannot-be-told"),
]


@pytest.mark.parametrize("stream", CHANGED)
def test_an_item_of_what_was_changed_is_not_known(stream: bytes) -> None:
    """The stream seems to call os.getcwd, and really calls os.system; the trace says that it cannot tell."""
    found = trace(b"\x80\x04" + stream)
    assert found.stopped
    names = [event.name for event in found.events]
    assert "os.getcwd" not in names
    assert "unresolved" in names


@pytest.mark.parametrize(
    "pairs",
    [b"(Vk\nVos.getcwd\nVk\nVos.system\nd", b"(dVk\nVos.getcwd\nsVk\nVos.system\ns"],
    ids=["at-once", "one-by-one"],
)
def test_the_last_value_of_a_key_counts(pairs: bytes) -> None:
    """A key that is set twice has its last value, as in the real dict."""
    found = trace(b"\x80\x04" + pairs + b"p1\n0" + OF_KEY)
    assert found.events[-1].name == "os.system"


def test_equal_keys_of_two_types_are_one() -> None:
    """True and 1 are the same key."""
    found = trace(b"\x80\x04(I1\nVos.getcwd\n\x88Vos.system\ndp1\n0" + OF_KEY.replace(b"Vk\n", b"I1\n"))
    assert found.events[-1].name == "os.system"


def blocked(report: FileReport) -> bool:
    """Whether the report is of no clean file."""
    return report.verdict > Verdict.CLEAN


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(FILE + b"cio\nBytesIO.write\n(g1\n" + PACKED + b"tR0" + LOAD, id="written"),
        pytest.param(FILE + b"coperator\nmethodcaller\n(Vwrite\n" + PACKED + b"tR(g1\ntR0" + LOAD, id="methodcaller"),
        pytest.param(FILE + b"g1\n(" + PACKED + b"I3\nNtb0" + LOAD, id="moved-by-its-state"),
        pytest.param(FILE + LOAD[:-1] + b"0" + LOAD, id="read-twice"),
        pytest.param(
            BYTEARRAY + b"p1\n0cbuiltins\nbytearray.reverse\n(g1\ntR0cpickle\nloads\n(g1\ntR.", id="bytearray"
        ),
        pytest.param(
            b"cbuiltins\nbytearray\n(C\x00tRp1\n0cbuiltins\nbytearray.extend\n(g1\n" + PACKED + b"tR0" + LOADS,
            id="empty-bytearray",
        ),
    ],
)
def test_a_file_that_was_changed_is_not_taken_for_read(stream: bytes) -> None:
    """Bytes in memory that a call may have changed, or read from, are no longer those that were traced."""
    found = trace(b"\x80\x04" + stream)
    notes = {note.code for note in found.notes}
    assert "stream.nested-unread" in notes or "unresolved" in {event.name for event in found.events}
    assert blocked(scan_bytes(b"\x80\x04" + stream))


@pytest.mark.parametrize("data", [b"C\x01ap1\n", b"C\x02abp1\n"], ids=["one-byte", "memoised"])
def test_bytes_of_which_a_bytearray_was_made_are_known(data: bytes) -> None:
    """A bytearray is its own object: bytes that equal it, or that it was made of, cannot change with it."""
    found = trace(b"\x80\x04cbuiltins\nbytearray\n(" + data + b"tR0cbuiltins\nbytearray\n(g1\ntR.")
    assert {event.name for event in found.events} == {"builtins.bytearray"}


@pytest.mark.parametrize(
    "way", [b"cfunctools\npartial.__setstate__\n(g1\n", b"coperator\nmethodcaller\n(V__setstate__\n"]
)
def test_a_partial_that_was_changed_is_not_known(way: bytes) -> None:
    """A partial object whose state a call may have set is called by no name."""
    state = b"(cos\nsystem\n(t(dNttR"
    change = way + state + (b"" if b"g1" in way else b"(g1\ntR") + b"0"
    found = trace(b"\x80\x04cfunctools\npartial\n(cos\ngetcwd\ntRp1\n0" + change + b"g1\n)R.")
    assert [event.name for event in found.events][-1] == "unresolved"


def test_containers_that_nothing_changed_are_read() -> None:
    """A list is still known after it was read, copied into another and given items."""
    found = trace(b"\x80\x04" + ITEMS + b"coperator\ngetitem\n(g1\nI1\ntR0(lg1\na0" + FIRST)
    assert found.events[-1].name == "os.getcwd"


@pytest.mark.parametrize("made", [b"tR", b"t\x81"], ids=["called", "constructed"])
def test_a_partial_that_another_call_had_is_not_clean(made: bytes) -> None:
    """Whatever made it, a partial object that was handed on may call anything."""
    stream = b"\x80\x04cfunctools\npartial\n(cos\ngetcwd\n" + made + b"p1\n0csome.module\nf\n(g1\ntR0g1\n)R."
    assert "call.unresolved" in {finding.code for finding in scan_bytes(stream).reasons}
