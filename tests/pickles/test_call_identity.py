"""No call is taken for another: decoys of the same shape change nothing of what a call results in."""

from __future__ import annotations

import random
import struct

import pytest

from picklegate import Verdict, scan_bytes
from picklegate.pickles import Trace, call_keys, recorder, trace

GETITEM = b"coperator\ngetitem\n"
PARTIAL = b"cfunctools\npartial\n"
HARMLESS, HARM = b"cos\ngetcwd\n", b"cos\nsystem\n"
PAIR = b"(" + HARMLESS + HARM + b"t"
DATE = b"cdatetime\ndatetime\n(C\x0a\x07\xe4\x01\x01\0\0\0\0\0%ctR"


STATE = b"(" + GETITEM + b"(%bt}NtbN0"


def number(value: int) -> bytes:
    """A number as some opcode writes it."""
    return random.Random(value).choice((b"K" + bytes([value]), b"I%d\n" % value, b"J" + struct.pack("<i", value)))


def names(found: Trace) -> set[str]:
    """The callees of a trace."""
    return {event.name for event in found.events}


CHOOSERS = {
    "partial-of-an-index": lambda at: PARTIAL + b"(" + GETITEM + PAIR + number(at) + b"tR)R",
    "itemgetter": lambda at: b"coperator\nitemgetter\n(" + number(at) + b"tR(" + PAIR + b"tR",
    "key-of-a-dict": lambda at: GETITEM + b"((" + b"I0\n" + HARMLESS + b"I1\n" + HARM + b"d" + number(at) + b"tR",
    "partial-set-later": lambda at: (
        PARTIAL + b"(" + HARMLESS + b"tR(" + GETITEM + b"(" + PAIR + number(at) + b"t}NtbN0)R"
    ),
}


@pytest.mark.parametrize("choose", CHOOSERS.values(), ids=CHOOSERS.keys())
@pytest.mark.parametrize("decoys", [0, 1, 3, 300])
def test_a_decoy_of_the_same_shape_is_not_the_call(choose: object, decoys: int) -> None:
    """The same expression with another number, before it, does not change which function is called."""
    assert callable(choose)
    data = b"\x80\x04(" + (choose(0) + b"0") * decoys + choose(1) + b"(S'echo inert'\ntRt."
    assert "os.system" in names(trace(data))
    assert scan_bytes(data).verdict == Verdict.MALICIOUS


def test_texts_are_told_apart_however_many_there_are() -> None:
    """Behind 12,000 calls with other words, a call with yet another word is a call of its own."""
    decoys = b"".join(b"cm\nf\n(Vword%d\ntR0" % at for at in range(12_000))
    found = trace(decoys + b"cm\nf\n(Vos\ntR.")
    assert len(found.events) == 12_001
    assert found.events[-1].args == ("os",)
    assert {event.count for event in found.events} == {1}


def test_a_second_state_of_the_same_shape_is_examined() -> None:
    """Two partial objects are given states of one shape; each calls what its own says."""
    state = b"(%s(t(dNtb"
    data = PARTIAL + b"(cm\nf\ntR" + state % HARMLESS + b"0" + PARTIAL + b"(cm\nf\ntR" + state % HARM + b"(S'x'\ntR."
    found = trace(data)
    assert "os.system" in names(found)
    assert "os.getcwd" not in names(found)


def test_a_state_that_is_written_twice_is_the_last_one() -> None:
    """One partial object, its state written twice."""
    state = b"(%s(t(dNtb"
    made = PARTIAL + b"(cm\nf\ntRp1\n" + state % HARMLESS + b"g1\n" + state % HARM + b"00g1\n(S'x'\ntR."
    assert "os.system" in names(trace(made))


@pytest.mark.parametrize("store", [b"p7\n0", b"q\x070", b"r\x07\0\0\0" + b"0", b"\x94" + b"0"])
def test_a_result_that_is_stored_and_fetched_is_the_same(store: bytes) -> None:
    """The memo gives back the value that was put there, not an equal one."""
    fetch = b"g0\n" if store[:1] == b"\x94" else b"h\x07"
    data = PARTIAL + b"(" + GETITEM + PAIR + b"I1\ntR" + store
    data += PARTIAL + b"(" + GETITEM + PAIR + b"I0\ntR0" + fetch + b")R(S'echo inert'\ntR."
    assert "os.system" in names(trace(data))


def test_equal_calls_are_counted_and_each_is_its_own_value() -> None:
    """1,000 dates are one event with its count; the one that is called is an event by itself, with its arguments."""
    dates = b"".join(DATE % (at % 60) for at in range(1_000))
    found = trace(b"(" + dates + b"(Vword\ntR" + b"l.")
    dated = [event for event in found.events if event.name == "datetime.datetime"]
    assert [event.count for event in dated] == [999, 1]
    assert dated[1].called
    assert dated[1].args == (b"\x07\xe4\x01\x01\0\0\0\0\0" + bytes([999 % 60]),)
    assert len({id(value) for value in found.result}) == 1_000


def test_counting_begins_again_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few keys are kept, the counts of all events are the calls of the stream."""
    monkeypatch.setattr(recorder, "_KEYS", 3)
    calls = b"".join(b"cm\nf\n(Vword%d\nI%d\ntR0" % (at % 7, at) for at in range(700))
    found = trace(calls + b"N.")
    assert sum(event.count for event in found.events) == 700
    assert {event.args[0] for event in found.events} == {f"word{at}" for at in range(7)}


def test_bytes_that_read_as_a_pickle_are_not_counted_as_numbers() -> None:
    """An array's numbers are not compared; bytes that import something are, wherever they stand."""
    dtype = b"cnumpy\ndtype\n(Vf8\nI0\nI1\ntRp9\n0"
    scalar = b"cnumpy.core.multiarray\nscalar\n(g9\nB" + b"%s%s" + b"tR0"
    dull, pickled = bytes(40), b"cos\nsystem\n(S'echo inert, at all'\ntR."[:40].ljust(40)
    first = scalar % (struct.pack("<I", 40), dull)
    found = trace(dtype + first + first + scalar % (struct.pack("<I", 40), pickled) + b"N.")
    scalars = [event for event in found.events if event.name.endswith("scalar")]
    assert [event.count for event in scalars] == [2, 1]


def test_a_key_of_shared_lists_costs_little() -> None:
    """A call of a list of lists that hold each other many times over is compared within bounds."""
    assert call_keys.Keys(lambda _: "word").of("REDUCE", trace(b"cm\nf\n.").result, (_layers(4),)) is None


def _layers(depth: int) -> list[object]:
    found: list[object] = []
    for _ in range(depth):
        found = [found] * 200
    return found
