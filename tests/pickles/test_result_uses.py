"""The trace says what becomes of each event's result, and how many events lie in one another."""

from __future__ import annotations

from typing import Any

import pytest

from picklegate.pickles import Event, trace
from picklegate.training.tree import Build, Call, Extend, Fill, Name, New, Then
from support.builders import OPCODES, call, written

USES = ("called", "given", "stored", "written", "kept")
MADE = call("some.module", "make", "text")


def made(data: bytes) -> Event:
    """The event of ``some.module.make`` in the stream."""
    return next(event for event in trace(data).events if event.name == "some.module.make")


@pytest.mark.parametrize(
    ("tree", "uses"),
    [
        pytest.param(Then(MADE, None), "", id="popped"),
        pytest.param(MADE, "kept", id="returned"),
        pytest.param([{"key": (1, MADE)}], "kept", id="returned-in-containers"),
        pytest.param(Call(MADE, (1,)), "called", id="called"),
        pytest.param(call("some.module", "take", MADE), "given", id="argument"),
        pytest.param(call("some.module", "take", [{"key": (MADE,)}]), "given", id="argument-in-containers"),
        pytest.param(New(Name("some.module", "Class"), (MADE,)), "given", id="argument-of-a-construction"),
        pytest.param(Build(call("some.module", "Class", 1), {"a": MADE}), "stored", id="state"),
        pytest.param(Extend(call("some.module", "Class", 1), (MADE, 2)), "stored", id="item-of-an-object"),
        pytest.param(Fill(call("some.module", "Class", 1), ((MADE, 2),)), "stored", id="key-of-an-object"),
        pytest.param(Then(Build(MADE, {"a": 1}), None), "written", id="built"),
        pytest.param(call("builtins", "setattr", MADE, "a", 1), "written", id="setattr"),
        pytest.param(call("types", "MethodType", MADE, 1), "given kept", id="bound"),
        pytest.param(Then(call("some.module", "take", MADE), [MADE]), "given kept", id="same-call-twice"),
        pytest.param(
            [Build(New(Name("some.module", "Class")), {"a": 1}), Build(MADE, {"a": 1})], "written kept", id="same-state"
        ),
    ],
)
def test_a_use_is_recorded(tree: Any, uses: str) -> None:
    """What a call's result is used for stands on its event, and nothing else does."""
    event = made(written(tree))
    assert [use for use in USES if getattr(event, use)] == uses.split()


@pytest.mark.parametrize(
    ("tree", "depth"),
    [
        pytest.param(MADE, 1, id="alone"),
        pytest.param(
            call("some.module", "take", [(MADE, 1), call("some.module", "take", MADE)]), 3, id="in-containers"
        ),
        pytest.param(Call(Call(MADE, ()), ()), 3, id="by-the-callee"),
        pytest.param(Build(call("some.module", "take", MADE), {"a": 1}), 3, id="state"),
        pytest.param(
            call("types", "MethodType", call("types", "MethodType", MADE, 1), 2), 2, id="known-results-count-none"
        ),
    ],
)
def test_depth_counts_events_in_one_another(tree: Any, depth: int) -> None:
    """The depth of the outermost event is the length of the longest chain of events in its callee and arguments."""
    assert max(event.depth for event in trace(written(tree)).events) == depth


def test_nothing_beside_an_event_changes_its_depth() -> None:
    """Padding before, after and around a call leaves its depth as it is."""
    padding = [call("some.module", "pad", number, [call("some.module", "pad", "inner")]) for number in range(5)]
    tree = [padding, Build(MADE, {"a": padding}), call("some.module", "take", MADE, padding), padding]
    assert made(written(tree)).depth == 1


def test_long_chains_cycles_and_sharing_cost_no_recursion_and_little_time() -> None:
    """Thousands of calls in one another, a list that holds itself, and one list that many calls share."""
    chain = trace(b"cm\nf\np0\n" + b"h\x00(tR" + b"q\x01h\x00h\x01\x85R" * 20_000 + b".").events
    assert chain[-1].depth == len(chain) == 20_001
    shared = b"(lp1\n(" + b"cm\ng\n(I1\ntR" * 1000 + b"e0" + b"cm\nf\n(g1\nV%d\ntR0" * 3000
    found = trace(shared % tuple(range(3000)) + b"N.").events
    assert [event.given for event in found] == [True] + [False] * 3000
    assert trace(b"(lp0\ng0\na" + OPCODES + b"a.").events[0].kept


def test_an_empty_text_may_be_called() -> None:
    """A call of a value that holds nothing, with no arguments, is an event of depth 1."""
    assert [event.depth for event in trace(b"V\n)R.").events] == [1]
