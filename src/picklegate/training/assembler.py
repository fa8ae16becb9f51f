"""A pickle assembler: a tree of values -> the bytes of a stream, in many hands.

A tree is made of Python literals and containers and of the nodes below. ``assemble`` writes it as
CPython's own pickler does, or, where the style says so, as an injector or a person might: with other
opcodes, without memo, with junk. An object that stands twice in a tree is written once and fetched from the memo.
"""

from __future__ import annotations

import random
import struct
from _compat_pickle import REVERSE_IMPORT_MAPPING, REVERSE_NAME_MAPPING
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from picklegate.training import literals
from picklegate.training.style import Style
from picklegate.training.tree import (
    Build,
    Call,
    Extend,
    Fill,
    Marked,
    Name,
    New,
    PersistentId,
    Raw,
    Then,
    Tree,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FRAME_TARGET = 64 * 1024
_BATCH = 1000
_JUNK = (b"N0", b"K\x010", b"]0", b"(1", b"(K\x02K\x031", b"}200")
_TEXT_MEMO = 64
"""Characters up to which equal strings count as one object, as interned ones do in real programs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assembled:
    """The bytes of a stream, and the (start, end) of each ``Marked`` value in them."""

    data: bytes
    marks: tuple[tuple[int, int], ...] = ()


def assemble(tree: Tree, style: Style | None = None, rng: random.Random | None = None) -> Assembled:
    """Write the tree as one stream, PROTO to STOP."""
    style = style or Style()
    writer = _write(tree, style, rng or random.Random(0))
    head = b"\x80" + bytes([style.protocol]) if style.header and style.protocol >= 2 else b""
    body, places = _framed([*writer.chunks, b"."], framed=style.frame and style.protocol >= 4)
    marks = tuple((len(head) + places[start], len(head) + places[end]) for start, end in writer.marks)
    return Assembled(data=head + body, marks=marks)


def assemble_value(tree: Tree, style: Style, rng: random.Random) -> bytes:
    """Write only the opcodes that push the tree, to be put into another stream (use memo ``"none"``)."""
    return b"".join(_write(tree, style, rng).chunks)


def _write(tree: Tree, style: Style, rng: random.Random) -> _Writer:
    wanted: set[Any] | None = None
    if style.memo == "none":
        wanted = set()
    elif style.memo == "used":
        probe = _Writer(Style(protocol=style.protocol), random.Random(0), None)
        probe.value(tree)
        wanted = probe.reused
    writer = _Writer(style, rng, wanted)
    writer.value(tree)
    return writer


def _framed(chunks: Sequence[bytes], *, framed: bool) -> tuple[bytes, list[int]]:
    """Join the chunks, with FRAME opcodes where CPython's pickler puts them, and tell where each chunk lies."""
    out = bytearray()
    places: list[int] = []
    pending: list[bytes] = []
    size = 0
    for chunk in (*chunks, b""):
        large = len(chunk) > _FRAME_TARGET
        if framed and pending and (large or not chunk or size >= _FRAME_TARGET):
            if size >= 4:
                out += b"\x95" + struct.pack("<Q", size)
            for part in pending:
                places.append(len(out))
                out += part
            pending, size = [], 0
        if framed and chunk and not large:
            pending.append(chunk)
            size += len(chunk)
        elif chunk:
            places.append(len(out))
            out += chunk
    return bytes(out), places


class _Writer:
    """One pass over a tree; ``wanted`` are the keys that get a memo entry, None for all."""

    def __init__(self, style: Style, rng: random.Random, wanted: set[Any] | None) -> None:
        self.style = style
        self.protocol = style.protocol
        self.rng = rng
        self.wanted = wanted
        self.chunks: list[bytes] = []
        self.marks: list[tuple[int, int]] = []
        self.memo: dict[Any, tuple[int, Tree]] = {}
        self.entries = 0
        self.reused: set[Any] = set()

    def emit(self, *opcodes: bytes) -> None:
        self.chunks.extend(opcodes)

    def pick(self, usual: str, *others: str) -> str:
        """CPython's choice, or in a wild style now and then another."""
        if others and self.style.wild and self.rng.random() < self.style.wild:
            return self.rng.choice(others)
        return usual

    # Memo.

    def key(self, tree: Tree) -> Any:
        if isinstance(tree, (str, bytes)):
            return (type(tree), tree) if len(tree) <= _TEXT_MEMO else id(tree)
        return (Name, tree.module, tree.name) if isinstance(tree, Name) and isinstance(tree.name, str) else id(tree)

    def put(self, tree: Tree) -> None:
        key = self.key(tree)
        if (self.wanted is not None and key not in self.wanted) or key in self.memo:
            return
        self.emit(literals.memo_put(self.entries, self.protocol, self.pick))
        self.memo[key] = (self.entries, tree)
        self.entries += 1

    def get(self, tree: Tree) -> bool:
        entry = self.memo.get(self.key(tree))
        if entry is None:
            return False
        self.reused.add(self.key(tree))
        self.emit(literals.memo_get(entry[0], self.protocol, self.pick))
        return True

    # Values.

    def value(self, tree: Tree) -> None:
        if self.style.junk and self.rng.random() < self.style.junk:
            self.emit(self.rng.choice(_JUNK))
        if tree is None:
            self.emit(b"N")
        elif tree is True or tree is False:
            self.emit(literals.boolean(tree, self.protocol, self.pick))
        elif isinstance(tree, int):
            self.emit(literals.integer(tree, self.protocol, self.pick))
        elif isinstance(tree, float):
            self.emit(literals.number(tree, self.protocol, self.pick))
        elif isinstance(tree, Raw):
            self.emit(tree.opcodes)
        elif isinstance(tree, Marked):
            start = len(self.chunks)
            self.value(tree.value)
            self.marks.append((start, len(self.chunks)))
        elif isinstance(tree, Then):
            self.value(tree.first)
            self.emit(b"0")
            self.value(tree.value)
        elif isinstance(tree, (Build, Fill, Extend)):
            self.write_state(tree)
        elif isinstance(tree, tuple) and not tree:
            self.emit(b"(t" if self.protocol == 0 else b")")
        elif not self.get(tree):
            self.memoised(tree)

    def memoised(self, tree: Tree) -> None:
        if isinstance(tree, str):
            self.emit(literals.text(tree, self.protocol, self.pick))
        elif isinstance(tree, (bytes, bytearray)):
            self.write_binary(tree)
        elif isinstance(tree, tuple):
            self.write_tuple(tree)
        elif isinstance(tree, list):
            self.write_list(tree)
        elif isinstance(tree, dict):
            self.write_dict(tree)
        elif isinstance(tree, (set, frozenset)):
            self.write_set(tree)
        elif isinstance(tree, Name):
            self.write_name(tree)
        elif isinstance(tree, Call):
            self.write_call(tree)
        elif isinstance(tree, New):
            self.write_new(tree)
        elif isinstance(tree, PersistentId):
            self.write_persistent(tree.pid)
            return
        else:
            raise TypeError(f"no opcode for {type(tree).__name__}")
        self.put(tree)

    def write_binary(self, tree: bytes | bytearray) -> None:
        if self.protocol < 3:
            text = bytes(tree).decode("latin-1")
            self.write_call(
                Call(Name("_codecs", "encode"), (text, "latin1")) if text else Call(Name("builtins", "bytes"))
            )
        elif isinstance(tree, bytearray):
            if self.protocol >= 5:
                self.emit(b"\x96" + struct.pack("<Q", len(tree)) + tree)
            else:
                self.write_call(Call(Name("builtins", "bytearray"), (bytes(tree),)))
        else:
            self.emit(literals.binary(bytes(tree), self.pick))

    def write_tuple(self, tree: Sequence[Tree]) -> None:
        short = self.protocol >= 2 and len(tree) <= 3
        if self.pick("short" if short else "mark", "mark") == "short":
            self.values(tree)
            self.emit((b")", b"\x85", b"\x86", b"\x87")[len(tree)])
        else:
            self.emit(b"(")
            self.values(tree)
            self.emit(b"t")

    def write_list(self, tree: Sequence[Tree]) -> None:
        usual = "EMPTY_LIST" if self.protocol else "LIST"
        if self.pick(usual, "LIST_OF_ALL") == "LIST_OF_ALL":
            self.emit(b"(")
            self.values(tree)
            self.emit(b"l")
            return
        self.emit(b"]" if usual == "EMPTY_LIST" else b"(l")
        self.put(tree)
        self.append(tree)

    def append(self, items: Sequence[Tree]) -> None:
        for at in range(0, len(items), _BATCH):
            batch = items[at : at + _BATCH]
            single = self.protocol == 0 or len(batch) == 1
            if self.pick("one by one" if single else "all", "one by one" if not single else "all") == "all":
                self.emit(b"(")
                self.values(batch)
                self.emit(b"e")
            else:
                for item in batch:
                    self.value(item)
                    self.emit(b"a")

    def write_dict(self, tree: dict[Tree, Tree]) -> None:
        usual = "EMPTY_DICT" if self.protocol else "DICT"
        if self.pick(usual, "DICT_OF_ALL") == "DICT_OF_ALL":
            self.emit(b"(")
            for pair in tree.items():
                self.values(pair)
            self.emit(b"d")
            return
        self.emit(b"}" if usual == "EMPTY_DICT" else b"(d")
        self.put(tree)
        self.set_items(tuple(tree.items()))

    def set_items(self, pairs: Sequence[tuple[Tree, Tree]]) -> None:
        for at in range(0, len(pairs), _BATCH):
            batch = pairs[at : at + _BATCH]
            single = self.protocol == 0 or len(batch) == 1
            if self.pick("one by one" if single else "all", "one by one" if not single else "all") == "all":
                self.emit(b"(")
                for pair in batch:
                    self.values(pair)
                self.emit(b"u")
            else:
                for pair in batch:
                    self.values(pair)
                    self.emit(b"s")

    def write_set(self, tree: set[Tree] | frozenset[Tree]) -> None:
        items = sorted(tree, key=repr)
        if self.protocol < 4:
            self.write_call(Call(Name("builtins", type(tree).__name__), (items,)))
        elif isinstance(tree, frozenset):
            self.emit(b"(")
            self.values(items)
            self.emit(b"\x91")
        else:
            self.emit(b"\x8f")
            self.put(tree)
            if items:
                self.emit(b"(")
                self.values(items)
                self.emit(b"\x90")

    def write_name(self, tree: Name) -> None:
        if not (isinstance(tree.module, str) and isinstance(tree.name, str)):
            self.stack_global(tree)
            return
        if self.protocol < 4 and "." in tree.name:
            parent, _, attribute = tree.name.rpartition(".")
            self.write_call(Call(Name("builtins", "getattr"), (Name(tree.module, parent), attribute)))
            return
        opcode = self.pick("STACK_GLOBAL" if self.protocol >= 4 else "GLOBAL", "STACK_GLOBAL", "GLOBAL")
        if opcode == "STACK_GLOBAL" or "\n" in tree.module + tree.name:
            self.stack_global(tree)
        else:
            module, name = self.old_name(tree)
            self.emit(b"c" + f"{module}\n{name}\n".encode())

    def stack_global(self, tree: Name) -> None:
        self.values((tree.module, tree.name))
        self.emit(b"\x93")

    def old_name(self, tree: Name) -> tuple[str, str]:
        """The name as protocols 0 to 2 write it: Python 2's."""
        if self.protocol >= 3:
            return tree.module, tree.name
        module, name = REVERSE_NAME_MAPPING.get((tree.module, tree.name), (tree.module, tree.name))
        return REVERSE_IMPORT_MAPPING.get(module or "", module or ""), name

    def write_call(self, tree: Call) -> None:
        callee, args = tree.callee, tree.args
        if not isinstance(args, tuple):
            self.values((callee, args))
            self.emit(b"R")
            return
        literal = isinstance(callee, Name) and isinstance(callee.module, str) and isinstance(callee.name, str)
        plain = literal and not (self.protocol < 4 and "." in callee.name) and "\n" not in callee.module + callee.name
        opcode = self.pick("REDUCE", "OBJ", *(("INST",) if plain else ()))
        if opcode == "REDUCE":
            self.value(callee)
            self.value(args)
            self.emit(b"R")
            return
        self.emit(b"(")
        if opcode == "OBJ":
            self.value(callee)
        self.values(args)
        if opcode == "OBJ":
            self.emit(b"o")
        else:
            module, name = self.old_name(callee)
            self.emit(b"i" + f"{module}\n{name}\n".encode())

    def write_new(self, tree: New) -> None:
        if tree.kwargs is not None and self.protocol >= 4:
            self.values((tree.cls, tree.args, tree.kwargs))
            self.emit(b"\x92")
        elif tree.kwargs is not None:
            self.write_call(Call(Name("copyreg", "__newobj_ex__"), (tree.cls, tree.args, tree.kwargs)))
        elif self.protocol >= 2:
            self.values((tree.cls, tree.args))
            self.emit(b"\x81")
        elif tree.args:
            self.write_call(Call(Name("copyreg", "__newobj__"), (tree.cls, *tree.args)))
        else:
            self.write_call(Call(Name("copyreg", "_reconstructor"), (tree.cls, Name("builtins", "object"), None)))

    def write_persistent(self, pid: Tree) -> None:
        if isinstance(pid, str) and "\n" not in pid and (self.protocol == 0 or self.pick("BIN", "TEXT") == "TEXT"):
            self.emit(literals.line(b"P", pid))
        else:
            self.value(pid)
            self.emit(b"Q")

    def write_state(self, tree: Build | Fill | Extend) -> None:
        """The state is written once: the object itself comes from the memo when it stands again."""
        if self.get(tree):
            return
        self.value(tree.target)
        if isinstance(tree, Build):
            self.value(tree.state)
            self.emit(b"b")
        elif isinstance(tree, Fill):
            self.set_items(tree.pairs)
        else:
            self.append(tree.items)
        entry = self.memo.get(self.key(tree.target))
        if entry is not None:
            self.memo[id(tree)] = (entry[0], tree)

    def values(self, trees: Iterable[Tree]) -> None:
        for tree in trees:
            self.value(tree)
