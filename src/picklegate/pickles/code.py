"""Code objects -> facts about them: what they name and which constants they carry. Nothing is run or unmarshalled.

The format is that of CPython's Python/marshal.c. A code object's fields differ between versions and the bytes do not
say which one wrote them, so that every layout is tried and the facts of all that fit are put together.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from picklegate.limits import DEFAULT, Limits
from picklegate.pickles.values import Event

MAKERS = frozenset(("types.CodeType", "dill._create_code"))
"""Canonical names of the callables whose arguments are the fields of a code object."""

_MOST = 100_000
"""Values that one reading takes in."""
_DEEP = 100
"""Values in values that a reading follows."""

_LAYOUTS = (
    "iiii scn lll tt i s",  # 2.3 to 2.7
    "iiiii scn lll tt i s",  # 3.0 to 3.7: keyword-only arguments
    "iiiiii scn lll tt i s",  # 3.8 to 3.10: positional-only arguments
    "iiiii scn l s ttt i ss",  # 3.11 on: all local names together, the qualified name, the exception table
)
"""Fields in order: i number, s bytes, c constants, n names, l local names, t text."""

_BARE = frozenset(b"NFTS.0")
"""Types without content, which no reference counts."""
_SIZES = {0x69: 4, 0x49: 8, 0x67: 8, 0x79: 16}
_STRINGS = {0x73: 4, 0x74: 4, 0x75: 4, 0x61: 4, 0x41: 4, 0x7A: 1, 0x5A: 1}
"""Types of text and bytes -> the width of their length."""
_CONTAINERS = {0x28: 4, 0x29: 1, 0x5B: 4, 0x3C: 4, 0x3E: 4, 0x7B: 0, 0x3A: 0}
"""Types of containers -> the width of their length; a dict ends by itself, a slice has three parts."""

_HEADER = re.compile(rb"[c\xe3](?:.\0\0\0){3}(?:....){1,4}?[s\xf3]", re.DOTALL)
_TEXT = re.compile(rb"(?=([zZ\xfa\xda])(.)|([aAtus\xe1\xc1\xf3-\xf5])(..\0\0))", re.DOTALL)
_QUALIFIED = re.compile(r"[\w.]*(?:<(?:locals|lambda|listcomp|setcomp|dictcomp|genexpr)>[\w.]*)+", re.ASCII)
"""A qualified name, which is a constant up to 3.10."""
_MOST_TEXT = 4096
"""Bytes of one string that are looked at where the format is not followed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeFacts:
    """What code objects, the nested ones among them, refer to; each fact once, those of the outermost first.

    ``names`` are globals, attributes and imported modules (``co_names``); ``texts`` the constants that are text, ASCII
    bytes among them; ``blobs`` the bytes; ``labels`` file names, names and qualified names. ``depth`` is that of the
    nesting, 1 for one code object. Unless ``whole`` the code was not read to its end: of its strings the
    identifiers then count as names. ``attributes`` are those of the names that are certainly asked of an object only.
    """

    names: tuple[str, ...]
    texts: tuple[str, ...]
    blobs: tuple[bytes, ...]
    labels: tuple[str, ...]
    depth: int
    whole: bool = True
    attributes: frozenset[str] = field(default=frozenset(), compare=False)


def facts_of_marshal(data: bytes, *, limits: Limits = DEFAULT) -> CodeFacts | None:
    """The facts of marshalled code, bare or in a container; None where the bytes are none. Never raises."""
    if not data or data[0] & 0x7F not in _ROOTS:
        return None
    data = data[: limits.max_literal_bytes]
    roots: list[Any] = []
    bounded = False
    for layout in _LAYOUTS:
        reader = _Reader(data, layout.replace(" ", ""))
        try:
            roots.append(reader.value(0))
        except _Exhausted:
            bounded = True
        except (IndexError, ValueError):
            continue
    found = _facts(roots)
    if (bounded and _HEADER.search(data)) or (found is None and _HEADER.match(data)):
        return _loose(data, found)
    return found


def facts_of_arguments(args: Sequence[Any]) -> CodeFacts | None:
    """The facts of a code object that is made of these resolved arguments; None where they are no such. Never raises.

    The fields are those of ``types.CodeType`` in any version, or of ``dill._create_code``, which may put one before.
    """
    made = _made(args)
    return None if made is None else _facts([made])


@dataclass(slots=True)
class _Code:
    constants: Sequence[Any] = ()
    names: Sequence[Any] = ()
    labels: list[Any] = field(default_factory=list)
    raw: Any = None
    """The opcodes, where they are known."""
    fields: int = 0


class _Exhausted(Exception):  # noqa: N818  a signal inside this module
    """A bound was passed."""


class _Reader:
    """One reading of marshalled data: text as str, containers as lists, numbers and the rest as None."""

    def __init__(self, data: bytes, layout: str) -> None:
        self.data = data
        self.layout = layout
        self.pos = 0
        self.left = _MOST
        self.references: list[Any] = []
        self.interned: list[Any] = []

    def take(self, size: int) -> bytes:
        """The next ``size`` bytes; raises IndexError past the end."""
        start, self.pos = self.pos, self.pos + size
        if self.pos > len(self.data):
            raise IndexError("truncated")
        return self.data[start : self.pos]

    def number(self, width: int) -> int:
        """The next ``width`` bytes as an unsigned number."""
        return int.from_bytes(self.take(width), "little")

    def value(self, depth: int) -> Any:
        """The next value; raises IndexError, ValueError or _Exhausted."""
        self.left -= 1
        if depth > _DEEP or self.left < 0:
            raise _Exhausted
        byte = self.take(1)[0]
        kind = byte & 0x7F
        if kind in _BARE:
            return _END if kind == 0x30 else None
        if kind == 0x72:  # a reference
            return self.references[self.number(4)]
        if kind == 0x52:  # a reference of Python 2
            return self.interned[self.number(4)]
        found: Any = _Code() if kind == 0x63 else [] if kind in _CONTAINERS else self.atom(kind)
        if byte & 0x80:
            self.references.append(found)
        if kind == 0x63:
            self.code(found, depth)
        elif kind in _CONTAINERS:
            self.fill(found, kind, depth)
        return found

    def atom(self, kind: int) -> Any:
        """A value that holds no others."""
        if kind in _STRINGS:
            raw = self.take(self.number(_STRINGS[kind]))
            text = raw if kind == 0x73 else _text(raw)
            if kind == 0x74:
                self.interned.append(text)
            return text
        if kind in _SIZES:
            self.take(_SIZES[kind])
        elif kind == 0x6C:  # a long number, in digits of 15 bits
            self.take(2 * abs(int.from_bytes(self.take(4), "little", signed=True)))
        elif kind in b"fx":  # a floating-point or complex number as text
            for _ in range(1 + (kind == 0x78)):
                self.take(self.number(1))
        else:
            raise ValueError(f"type 0x{kind:02x} is not known")
        return None

    def fill(self, items: list[Any], kind: int, depth: int) -> None:
        """The items of a container."""
        if kind == 0x7B:
            while (item := self.value(depth + 1)) is not _END:
                items.append(item)
            return
        size = 3 if kind == 0x3A else self.number(_CONTAINERS[kind])
        if size > len(self.data) - self.pos:
            raise IndexError("truncated")
        items.extend([self.value(depth + 1) for _ in range(size)])

    def code(self, code: _Code, depth: int) -> None:
        """The fields of a code object."""
        for letter in self.layout:
            if letter == "i":
                self.take(4)
                continue
            item = self.value(depth + 1)
            if not isinstance(item, _FIELDS[letter]):
                raise ValueError("a field is of another type")  # noqa: TRY004  of the data, not of our call
            if letter == "c":
                code.constants = item
            elif letter == "n":
                code.names = item
            elif letter == "t":
                code.labels.append(item)


_END = object()
_ROOTS = frozenset((0x63, *_CONTAINERS))
_FIELDS: dict[str, Any] = {"s": bytes, "c": list, "n": list, "l": list, "t": (str, bytes)}


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _strings(items: Iterable[Any]) -> Iterator[str]:
    """The texts among the items; names were bytes in Python 2."""
    for item in items:
        if isinstance(item, (str, bytes)):
            yield item if isinstance(item, str) else _text(item)


def _made(args: Sequence[Any]) -> _Code | None:
    """The code object of these arguments: constants, names and local names are the first three tuples in a row."""
    for at in range(4, len(args) - 2):
        if all(isinstance(item, tuple) for item in args[at : at + 3]):
            return _Code(args[at], args[at + 1], list(args[at + 3 : at + 6]), args[at - 1], len(args))
    return None


_GLOBALS = frozenset((47, 48, 55, 91, 92, 111, 112, 116, *range(190, 212)))
"""Numbers that LOAD_GLOBAL, specialised or not, has in CPython 2.7 to 3.14."""
_NAMES = frozenset((*range(72, 77), *range(90, 95), 101, 108, 109, 148, 175))
"""Numbers that LOAD_NAME, IMPORT_NAME, IMPORT_FROM and their kin have there."""
_SHIFTED = 18
"""Fields of code since 3.11, where the lowest bit of what LOAD_GLOBAL is given is a flag."""


def _may_be_global(code: _Code) -> Iterator[str]:
    """The names that an opcode of some version may look up or import, rather than ask of an object."""
    if type(code.raw) is not bytes:
        yield from _strings(code.names)
        return
    pairs = list(zip(code.raw[::2], code.raw[1::2], strict=False))
    flag = int(code.fields >= _SHIFTED)
    at = {arg >> flag for op, arg in pairs if op in _GLOBALS} | {arg for op, arg in pairs if op in _NAMES}
    # Of large arguments, the higher bits stand in an opcode before.
    yield from _strings(name for place, name in enumerate(code.names) if place % (256 >> flag) in at or place in at)


def _facts(roots: Iterable[Any]) -> CodeFacts | None:
    """The facts of the code objects in the values; None where there is no code object."""
    names: dict[str, None] = {}
    texts: dict[str, None] = {}
    blobs: dict[bytes, None] = {}
    labels: dict[str, None] = {}
    looked_up: set[str] = set()
    deepest = 0
    seen: set[int] = set()
    pending = deque((root, 0) for root in roots)
    left = _MOST * len(_LAYOUTS)
    while pending and left:
        left -= 1
        item, depth = pending.popleft()
        if isinstance(item, (list, tuple, Event)):
            if id(item) in seen:
                continue
            seen.add(id(item))
        if isinstance(item, Event):
            made = _made(item.args) if item.known in MAKERS else None
            pending.append((item.args if made is None else made, depth))
        elif isinstance(item, _Code):
            deepest = max(deepest, depth + 1)
            names.update(dict.fromkeys(_strings(item.names)))
            looked_up.update(_may_be_global(item))
            labels.update(dict.fromkeys(_strings(item.labels)))
            pending.append((item.constants, depth + 1))
        elif isinstance(item, (list, tuple)):
            pending.extend((inner, depth) for inner in item[:left])
        elif isinstance(item, str):
            (labels if _QUALIFIED.fullmatch(item) else texts)[item] = None
        elif isinstance(item, bytes):
            blobs[item] = None
            if item.isascii():
                texts[item.decode("ascii")] = None
    if not deepest:
        return None
    return CodeFacts(
        names=tuple(names),
        texts=tuple(texts),
        blobs=tuple(blobs),
        labels=tuple(labels),
        depth=deepest,
        whole=not pending,
        attributes=frozenset(names) - looked_up,
    )


def _loose(data: bytes, found: CodeFacts | None) -> CodeFacts:
    """The facts of code that no reading reaches the end of: every printable string in it, and what was found before."""
    names: dict[str, None] = dict.fromkeys(found.names if found else ())
    texts: dict[str, None] = dict.fromkeys(found.texts if found else ())
    end = 0
    for match in _TEXT.finditer(data):
        if match.start() < end:
            continue
        short = match[1] is not None
        start = match.start() + (2 if short else 5)
        raw = data[start : start + min(int.from_bytes(match[2] if short else match[4], "little"), _MOST_TEXT)]
        text = "" if b"\0" in raw else _text(raw)
        if len(text) > 1 and text.isprintable():
            end = start + len(raw)
            (names if text.isidentifier() else texts)[text] = None
    return CodeFacts(
        names=tuple(names),
        texts=tuple(texts),
        blobs=found.blobs if found else (),
        labels=found.labels if found else (),
        depth=found.depth if found else 1,
        whole=False,
    )
