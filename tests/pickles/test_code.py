"""Facts are read out of code objects of any version, without unmarshalling, and any bytes are survived."""

from __future__ import annotations

import glob
import marshal
import os
import random
import subprocess
import time
import types
from typing import Any

import pytest

from picklegate.limits import Limits
from picklegate.pickles import Event, Global
from picklegate.pickles.code import MAKERS, CodeFacts, facts_of_arguments, facts_of_marshal

SOURCE = """
import os, socket as net

def run(x):
    "does nothing"
    def inner():
        return b"\\xff\\x00blob", 1 << 70, 2j, 1.5, "caf\\xe9", frozenset(("q",)), x[1:2]
    return os.system("echo inert" + x) in {"r", "s"}
"""
SAMPLE = compile(SOURCE, "model.py", "exec")

STORED = {
    "2.7": (
        "630000000000000000020000004000000073190000006400006401006c00005a00006402008400005a010064010053280300000069ffffff"
        "ff4e6301000000010000000200000043000000730d0000007400006a01007c00008301005328010000004e280200000074020000006f7374"
        "0600000073797374656d28010000007401000000782800000000280000000073040000006d2e707974010000006602000000730200000000"
        "0128020000005200000000520300000028000000002800000000280000000073040000006d2e707974080000003c6d6f64756c653e010000"
        "0073020000000c01"
    ),
    "3.6": (
        "e300000000000000000000000002000000400000007314000000640064016c005a006402640384005a01640153002904e9000000004e6301"
        "00000000000000010000000200000043000000730a00000074006a017c008301530029014e2902da026f73da0673797374656d2901da0178"
        "a9007205000000fa046d2e7079da0166020000007302000000000172070000002902720200000072070000007205000000720500000072050"
        "000007206000000da083c6d6f64756c653e0100000073020000000801"
    ),
    "3.8": (
        "e30000000000000000000000000000000002000000400000007314000000640064016c005a006402640384005a01640153002904e9000000"
        "004e63010000000000000000000000010000000300000043000000730a0000007400a0017c00a101530029014e2902da026f73da06737973"
        "74656d2901da0178a9007205000000fa046d2e7079da016602000000730200000000017207000000290272020000007207000000720500000"
        "0720500000072050000007206000000da083c6d6f64756c653e0100000073020000000801"
    ),
    "3.13": (
        "e30000000000000000000000000200000000000000f3120000009500530053014b00720053021a00720167012903e9000000004e63010000"
        "0000000000000000000300000003000000f32e00000095005b0000000000000000005202000000000000000000000000000000000000220055"
        "003501000000000000240029014e2902da026f73da0673797374656d2901da0178730100000020da046d2e7079da0166720800000002000000"
        "73100000008000dc090b8f198a1990318b1cd00215f300000000290272040000007208000000a90072090000007207000000da083c6d6f6475"
        "6c653e720b00000001000000730d000000f003010101db0009f3020101167209000000"
    ),
}
"""What four versions of CPython marshal for ``import os`` and ``def f(x): return os.system(x)`` in m.py."""


def nested(code: types.CodeType) -> list[types.CodeType]:
    """The code object and all that are in it."""
    inner = [item for item in code.co_consts if isinstance(item, types.CodeType)]
    return [code, *(each for item in inner for each in nested(item))]


def facts(data: bytes) -> CodeFacts:
    """The facts, which there must be."""
    found = facts_of_marshal(data)
    assert found is not None
    return found


@pytest.mark.parametrize("version", range(marshal.version + 1))
def test_this_interpreters_code_is_read(version: int) -> None:
    """Names, constants, labels and depth are those of the code objects, in each version of the format."""
    found = facts(marshal.dumps(SAMPLE, version))
    every = nested(SAMPLE)
    assert found.whole
    assert found.depth == len(every) == 3
    assert set(found.names) == {name for code in every for name in code.co_names}
    assert {"does nothing", "echo inert", "caf\xe9", "q", "r", "s"} <= set(found.texts)
    assert found.blobs == (b"\xff\x00blob",)
    assert {"model.py", "run", "inner"} <= set(found.labels)


@pytest.mark.parametrize("version", STORED)
def test_stored_code_of_other_versions_is_read(version: str) -> None:
    """Each layout of the fields is known."""
    found = facts(bytes.fromhex(STORED[version]))
    assert found.whole
    assert (found.names, found.depth) == (("os", "f", "system"), 2)
    assert {"m.py", "f", "<module>"} <= set(found.labels)


def test_a_qualified_name_is_a_label() -> None:
    """The names of functions in functions, which are constants up to Python 3.10, are told from text."""
    constants = (None, "run.<locals>.<lambda>", "exec('<lambda>')")
    found = facts_of_arguments(fields(COUNTS["3.8"], constants))
    assert found is not None
    assert found.texts == ("exec('<lambda>')",)
    assert "run.<locals>.<lambda>" in found.labels


INTERPRETERS = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python")))


@pytest.mark.parametrize("python", INTERPRETERS or ["none"])
def test_code_of_installed_interpreters_is_read(python: str) -> None:
    """Whichever CPython marshals the same source, the same facts come out."""
    if python == "none":
        pytest.skip("no other interpreter is installed")
    program = f"import marshal, binascii; c = compile({SOURCE!r}, 'model.py', 'exec'); print(marshal.dumps(c).hex())"
    if "/2." in python:
        program = program.replace("marshal.dumps(c).hex()", "binascii.hexlify(marshal.dumps(c))")
    run = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    found = facts(bytes.fromhex(run.stdout))
    assert found.whole
    assert found.depth == 3
    assert {"os", "socket", "system"} <= set(found.names)
    assert {"does nothing", "echo inert", "q"} <= set(found.texts)
    assert b"\xff\x00blob" in found.blobs


@pytest.mark.parametrize(
    "value", [(SAMPLE, "beside"), [SAMPLE], {"key": SAMPLE}, ((SAMPLE,),)], ids=["tuple", "list", "dict", "deeper"]
)
def test_code_in_a_container_is_read(value: Any) -> None:
    """The root need not be the code object itself."""
    found = facts(marshal.dumps(value))
    assert "system" in found.names
    assert found.depth == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c",
        b"cos\nsystem\n(S'echo inert'\ntR.",
        b"\x80\x04N.",
        marshal.dumps(("os", b"\xe3", 1)),
        marshal.dumps([1] * 200_000),
        b"[" + b"\xff" * 8,
        bytes(64),
        b'{"a": 1}',
    ],
    ids=["empty", "one-byte", "pickle-0", "pickle-4", "no-code", "long-list", "huge-count", "zeros", "json"],
)
def test_what_is_no_code_has_no_facts(data: bytes) -> None:
    """Other bytes are told from code objects."""
    assert facts_of_marshal(data) is None


def test_an_unknown_layout_still_tells_its_strings() -> None:
    """Names and constants are found where fields stand in an order that no version has."""
    data = marshal.dumps(SAMPLE)
    at = data.index(b"echo inert")
    found = facts(data[: at + 10] + b"\xee\xee" + data[at + 10 :])
    assert not found.whole
    assert {"os", "system"} <= set(found.names)
    assert "echo inert" in found.texts


def test_deep_nesting_hides_nothing() -> None:
    """Tuples nested deeper than is followed do not keep names out of the facts."""
    deep = b"\x29\x01" * 500 + b"N"
    code = marshal.dumps(SAMPLE)
    found = facts(b"\x29\x02" + deep + code)
    assert not found.whole
    assert "system" in found.names


def test_shared_and_cyclic_values_are_bounded() -> None:
    """Tuples of references to tuples, a list in itself, long runs of values and of lengths end soon."""
    code = marshal.dumps(SAMPLE, 2)
    references = [b"r" + number.to_bytes(4, "little") for number in range(60)]
    doubling = b"[\x3e\0\0\0" + b"\xa9\0" + b"".join(b"\xa9\2" + one + one for one in references) + code
    cycle = b"\xdb\2\0\0\0" + references[0] + code
    run = b"[" + (1 << 19).to_bytes(4, "little") + b"N" * ((1 << 19) - 1) + code
    lengths = code[:30] + b"t\xff\xff\0\0" * 200_000
    started = time.perf_counter()
    found = [facts(data) for data in (doubling, cycle, run, lengths)]
    assert time.perf_counter() - started < 10
    assert [each.whole for each in found] == [True, True, False, False]
    assert all("system" in each.names for each in found[:3])


def test_every_prefix_is_survived() -> None:
    """Cut anywhere, code gives facts that are not whole, or none; never more than it has."""
    data = marshal.dumps(SAMPLE)
    for end in range(len(data)):
        found = facts_of_marshal(data[:end])
        assert found is None or not found.whole


@pytest.mark.parametrize("seed", range(4))
def test_mutants_are_survived(seed: int) -> None:
    """Whatever the bytes, reading ends without an exception and gives no more strings than there are bytes."""
    draw = random.Random(seed)
    pool = [marshal.dumps(SAMPLE), *map(bytes.fromhex, STORED.values())]
    for _ in range(1500):
        body = bytearray(draw.choice(pool))
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(body))
            if draw.random() < 0.5:
                body[at] = draw.choice(b"crR()[]{<>:sztuaAZlfxy0N\xe3\xa9\xda\xff\0") if at else body[at]
            else:
                body[at:at] = draw.randbytes(draw.randint(1, 4))
        found = facts_of_marshal(bytes(body))
        if found is not None:
            assert len(found.names) + len(found.texts) + len(found.blobs) <= 2 * len(body)


def test_bytes_are_bounded() -> None:
    """Only as many bytes are read as the limits allow for a literal."""
    data = marshal.dumps(compile("x = 'a'\ny = " + repr("b" * 5000), "m.py", "exec"))
    assert facts(data).whole
    cut = facts_of_marshal(data, limits=Limits(max_literal_bytes=1000))
    assert cut is not None
    assert not cut.whole


COUNTS = {
    "2.7": (1, 1, 2, 67),
    "3.7": (1, 0, 1, 2, 67),
    "3.8": (1, 0, 0, 1, 2, 67),
    "dill with a line table": (b"\0\1", 1, 0, 0, 1, 2, 67),
}


def fields(counts: tuple[Any, ...], constants: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a code object that calls os.system."""
    return (*counts, b"d\0S\0", constants, ("os", "system"), ("x",), "model.py", "run", 1, b"\0\1", (), ())


@pytest.mark.parametrize("counts", COUNTS.values(), ids=COUNTS.keys())
def test_arguments_of_code_are_read(counts: tuple[Any, ...]) -> None:
    """The facts are those of marshalled code, whichever version's arguments they come from."""
    found = facts_of_arguments(fields(counts, (None, "echo inert", (1, "deep"), b"\xffblob")))
    assert found == CodeFacts(
        names=("os", "system"),
        texts=("echo inert", "deep"),
        blobs=(b"\xffblob",),
        labels=("model.py", "run"),
        depth=1,
    )


@pytest.mark.parametrize("maker", sorted(MAKERS))
def test_nested_code_in_arguments_is_read(maker: str) -> None:
    """A code object among the constants is an event of the stream, at any depth and beside other events."""

    def event(known: str, args: tuple[Any, ...]) -> Event:
        module, _, name = known.rpartition(".")
        return Event("call", "REDUCE", 0, Global(module, name, 0), known, args, known=known)

    inner = event(maker, fields(COUNTS["3.8"], ("innermost", event("builtins.frozenset", (["in a set"],)))))
    found = facts_of_arguments(fields(COUNTS["3.8"], (None, (inner, inner))))
    assert found is not None
    assert found.depth == 2
    assert found.texts == ("innermost", "in a set")


@pytest.mark.parametrize("args", [(), (1, 2, 3, 4, "x"), ((),) * 8, (1, 2, 3, 4, b"", (), ())], ids=str)
def test_other_arguments_are_no_code(args: tuple[Any, ...]) -> None:
    """Arguments that no code object has give no facts, and a self-made cycle ends."""
    found = facts_of_arguments(args)
    assert found is None or not (found.names or found.texts)
