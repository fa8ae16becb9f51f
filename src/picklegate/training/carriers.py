"""Where a payload stands: in a stream of its own, in a real one, and in which container."""

from __future__ import annotations

import io
import pickletools
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from picklegate.training.assembler import assemble
from picklegate.training.style import Style

if TYPE_CHECKING:
    import random

PLACES = ("prepend", "append", "middle", "wrap", "before", "after")
"""Of a payload in a real stream: opcodes at its start, before its STOP, between any two opcodes, as a neighbour
in a tuple with the real object; or a whole stream of its own before or after it."""

CONTAINERS = ("raw", "raw", "raw", "torch_zip", "torch_zip", "torch_legacy", "npy", "joblib_zlib")
"""What samples are contained in, each as often as it is named."""

_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One built file; ``start`` and ``end`` bound the payload's opcodes, both 0 in honest samples.

    They are offsets into the member data.pkl of a zip, else into the file (decompressed where the container is).
    ``arguments`` are the kinds of the payload's arguments.
    """

    data: bytes
    label: str
    family: str
    module: str
    name: str
    package: str
    effect: str = ""
    arguments: str = ""
    carrier: str = "alone"
    container: str = "raw"
    protocol: int = 4
    style: str = "cpython"
    start: int = 0
    end: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Carrier:
    """A real stream, cut at its opcodes and without its frames (which an injection would break)."""

    head: bytes
    opcodes: tuple[bytes, ...]

    @classmethod
    def parse(cls, stream: bytes) -> Carrier | None:
        """Cut one stream of ordinary opcodes; None where pickletools cannot read it."""
        try:
            places = [(opcode.name, place or 0) for opcode, _, place in pickletools.genops(stream)]
        except Exception:  # noqa: BLE001  it raises many kinds for what it cannot read
            return None
        ends = [place for _, place in places[1:]] + [places[-1][1] + 1]
        parts = [
            stream[place:end]
            for (name, place), end in zip(places, ends, strict=True)
            if name not in {"FRAME", "STOP", "PROTO"}
        ]
        head = stream[:2] if places[0][0] == "PROTO" else b""
        return cls(head=head, opcodes=tuple(parts))

    def inject(self, payload: bytes, place: str, rng: random.Random) -> tuple[bytes, int]:
        """Put opcodes that push one value into the stream, and tell where they begin."""
        body = self.opcodes
        if place == "wrap":
            at, before, after = 0, b"(", (b"", b"t")
            if rng.random() < 0.5:
                at, before, after = len(body), b"", (b"", b"\x86")
        else:
            at = {"prepend": 0, "append": len(body)}.get(place, rng.randrange(len(body) + 1))
            before, after = b"", (b"0", b"")
        left = self.head + (before if at == 0 else b"") + b"".join(body[:at])
        return left + payload + after[0] + b"".join(body[at:]) + after[1] + b".", len(left)

    def stream(self) -> bytes:
        """The stream as it was, without frames."""
        return self.head + b"".join(self.opcodes) + b"."


def contain(stream: bytes, container: str, rng: random.Random) -> tuple[bytes, int]:
    """Wrap the stream in a container, and tell by how much its offsets moved."""
    if container == "torch_zip":
        return _torch_zip(stream, rng), 0
    if container == "torch_legacy":
        before = b"".join(assemble(value, Style(protocol=2)).data for value in (_MAGIC, 1001, _SYS_INFO))
        return before + stream + assemble([], Style(protocol=2)).data, len(before)
    if container == "npy":
        header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
        header += b" " * (-(len(header) + 11) % 64) + b"\n"
        head = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
        return head + stream, len(head)
    if container == "joblib_zlib":
        return zlib.compress(stream, rng.choice((3, 6, 9))), 0
    return stream, 0


_SYS_INFO = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}


def _torch_zip(stream: bytes, rng: random.Random) -> bytes:
    name = rng.choice(("archive", "archive", "pytorch_model", "model", "checkpoint", "best", "data"))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        members = (("data.pkl", stream), ("byteorder", b"little"), ("data/0", bytes(16)), ("version", b"3\n"))
        for member, data in members:
            archive.writestr(zipfile.ZipInfo(f"{name}/{member}"), data)
    return out.getvalue()
