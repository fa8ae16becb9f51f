"""Whatever detour a random program takes to the canary, the trace names the call or the stream is not CLEAN."""

from __future__ import annotations

from picklegate.pickles import trace
from picklegate.report import Verdict
from picklegate.scan import scan_bytes
from picklegate.training.assembler import assemble
from picklegate.training.tree import Call, Name
from support import canary
from support.programs import escapes, named, program

PROGRAMS = 2_000


def test_no_program_reaches_the_canary_unseen() -> None:
    """Of 2,000 programs, most of which run, none calls the canary without the gate's word for it."""
    programs = [program(seed) for seed in range(PROGRAMS)]
    answers = canary.run([one.data for one in programs])
    ran = [seed for seed, calls in enumerate(answers) if any(calls)]
    assert len(ran) > PROGRAMS // 2
    assert [seed for seed in ran if escapes(programs[seed], answers[seed])] == []


def test_the_canary_alone_alarms_nobody() -> None:
    """A plain call of it is CLEAN and named, so that the test above rests on the trace."""
    data = assemble(Call(Name(canary.MODULE, canary.CANARY), ("t1",))).data
    assert scan_bytes(data).verdict is Verdict.CLEAN
    assert named(trace(data)) == {("t1",)}
    assert canary.run([data]) == [([("Circle", ("t1",))],) * 2]
