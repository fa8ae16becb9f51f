"""Hostile samples whose values are not what the stream first put there, or not what a reader takes them for."""

from __future__ import annotations

import bz2
import gzip
import lzma

from picklegate.report import Verdict
from picklegate.training.tree import Build, Call, Name
from support.builders import COMMAND, INNER, OS, SOURCE, Hostile, call, case

SHOWN, RUN = b"Vos.getcwd\n", b"Vos.system\n"
ITEMS = b"(lp1\n" + SHOWN + b"a" + RUN + b"a0"
PAIRS = b"(dp1\nVk\n" + SHOWN + b"s0"
ARGUMENT = b"(S'" + COMMAND.encode() + b"'\ntR."
FIRST = b"cpydoc\nlocate\n(coperator\ngetitem\n(g1\nI0\ntRtR" + ARGUMENT
OF_KEY = b"cpydoc\nlocate\n(coperator\ngetitem\n(g1\nVk\ntRtR" + ARGUMENT
PACKED = b"B" + len(INNER).to_bytes(4, "little") + INNER
HELD = b"cio\nBytesIO\n(C\x02N.tRp1\n0"
LOAD = b"cpickle\nload\n(g1\ntR."
BACKWARDS = b"\x96" + len(INNER).to_bytes(8, "little") + INNER[::-1] + b"p1\n0"
PARTIAL = b"cfunctools\npartial\n(cos\ngetcwd\ntRp1\n0"
STATE = b"(cos\nsystem\n(t(dNt"


def row(name: str, stream: bytes, why: str, seen: tuple[str, str] | None = None) -> Hostile:
    """A row of opcodes, of which the machine can say no more than that it cannot tell."""
    return case(name, b"\x80\x04" + stream, why, seen, verdict=Verdict.SUSPICIOUS)


def compressed(module: str, one: bytes, other: bytes) -> Hostile:
    """A row whose name is made of two compressed streams, one behind the other."""
    name = call("builtins", "bytes.decode", call(module, "decompress", one + other))
    made = Call(call("pydoc", "locate", name), (COMMAND,))
    return case(f"{module}-of-two-streams", made, "The name goes on in a second compressed stream.", OS)


CHANGES = (
    row("list-reversed", ITEMS + b"cbuiltins\nlist.reverse\n(g1\ntR0" + FIRST, "The list is reversed by a call."),
    row("list-sorted", b"(lp1\nVz\na" + RUN + b"a0cbuiltins\nlist.sort\n(g1\ntR0" + FIRST, "The list is sorted."),
    row("list-popped", ITEMS + b"cbuiltins\nlist.pop\n(g1\nI0\ntR0" + FIRST, "Its first item is taken away."),
    row("list-item-set", ITEMS + b"coperator\nsetitem\n(g1\nI0\n" + RUN + b"tR0" + FIRST, "An item is replaced."),
    row("list-heapified", b"(lp1\nVz\na" + RUN + b"a0cheapq\nheapify\n(g1\ntR0" + FIRST, "A heap is made of it."),
    row(
        "list-reversed-by-name",
        ITEMS + b"coperator\nmethodcaller\n(Vreverse\ntR(g1\ntR0" + FIRST,
        "Its method is called by name.",
    ),
    row(
        "list-reversed-by-map",
        ITEMS + b"cbuiltins\nlist\n(cbuiltins\nmap\n(cbuiltins\nlist.reverse\n(g1\nltRtR0" + FIRST,
        "Its method is called by map.",
    ),
    row("dict-updated", PAIRS + b"cbuiltins\ndict.update\n(g1\n(dVk\n" + RUN + b"stR0" + OF_KEY, "A dict is updated."),
    row(
        "dict-popped",
        PAIRS + b"cbuiltins\ndict.pop\n(g1\nVk\ntR0cpydoc\nlocate\n(cbuiltins\ndict.pop\n(g1\nVk\n" + RUN
        + b"tRtR" + ARGUMENT,
        "A key is taken away, and its default is another value.",
    ),
    case("dict-key-twice", b"\x80\x04" + PAIRS + b"g1\nVk\n" + RUN + b"s0" + OF_KEY, "A key is set again.", OS),
    case(
        "dict-key-of-two-types",
        b"\x80\x04(I1\n" + SHOWN + b"\x88" + RUN + b"dp1\n0" + OF_KEY.replace(b"Vk\n", b"I1\n"),
        "True is the key 1.",
        OS,
    ),
    row(
        "partial-of-a-changing-dict",
        PAIRS + b"cfunctools\npartial\n(coperator\ngetitem\ng1\ntRp2\n0g1\nVk\n" + RUN
        + b"s0cpydoc\nlocate\n(g2\n(Vk\ntRtR" + ARGUMENT,
        "The dict changes after the partial object that reads it was made.",
    ),
    row("file-written", HELD + b"cio\nBytesIO.write\n(g1\n" + PACKED + b"tR0" + LOAD, "A file in memory is written."),
    row("file-made-again", HELD + b"cio\nBytesIO.__init__\n(g1\n" + PACKED + b"tR0" + LOAD, "It is filled anew."),
    row(
        "file-moved",
        b"cio\nBytesIO\n(B" + (len(INNER) + 2).to_bytes(4, "little") + b"N." + INNER
        + b"tRp1\n0cpickle\nload\n(g1\ntR0" + LOAD,
        "The second stream of a file in memory is loaded.",
    ),
    row("file-moved-by-its-state", HELD + b"g1\n(" + PACKED + b"I2\nNtb0" + LOAD, "Its position is set by its state."),
    row(
        "bytearray-reversed",
        BACKWARDS + b"cbuiltins\nbytearray.reverse\n(g1\ntR0cpickle\nloads\n(g1\ntR.",
        "A bytearray is reversed before it is loaded.",
    ),
    row(
        "partial-state-set",
        PARTIAL + b"cfunctools\npartial.__setstate__\n(g1\n" + STATE + b"tR0g1\n" + ARGUMENT,
        "A partial object is given another function by a call.",
    ),
    row(
        "partial-state-set-by-name",
        PARTIAL + b"coperator\nmethodcaller\n(V__setstate__\n" + STATE + b"tR(g1\ntR0g1\n" + ARGUMENT,
        "The same, its method called by name.",
    ),
    case(
        "partial-keywords",
        Call(
            Build(
                call("functools", "partial", Name("os", "getcwd")),
                (Name("subprocess", "getoutput"), (), {"cmd": COMMAND}, None),
            )
        ),
        "A partial object's keywords come by its state.",
        ("subprocess", "getoutput"),
    ),
    case(
        "locate-a-builtin",
        Call(call("pydoc", "locate", "exec"), (SOURCE,)),
        "pydoc.locate finds builtins without their module.",
        ("builtins", "exec"),
    ),
    case(
        "annotated-called",
        Call(call("operator", "getitem", Name("typing", "Annotated"), (call("pydoc", "locate", "os.system"), 1)),
             (COMMAND,)),
        "What typing.Annotated stands for is called through it.",
        OS,
    ),
    case(
        "getattr-default",
        Call(
            call("builtins", "getattr", Name("os", "path"), "nothing", call("pydoc", "locate", "os.system")), (COMMAND,)
        ),
        "The default of an attribute that does not exist.",
        OS,
    ),
    case(
        "map-over-keys",
        call("builtins", "list", call("builtins", "map", Name("subprocess", "getoutput"), {COMMAND: "true"})),
        "map goes over the keys of a dict.",
        ("subprocess", "getoutput"),
    ),
    compressed("bz2", bz2.compress(b"os"), bz2.compress(b".system")),
    compressed("lzma", lzma.compress(b"os"), lzma.compress(b".system")),
    compressed("gzip", gzip.compress(b"os", mtime=0), gzip.compress(b".system", mtime=0)),
)  # fmt: skip
