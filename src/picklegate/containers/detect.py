"""Which container bytes are, told by content and never by name, and whether bytes are a pickle at all."""

from __future__ import annotations

import re
import struct

from picklegate.containers.source import Buffer
from picklegate.pickles import Import, Trace

HEAD = 512
"""Bytes of the beginning that ``sniff`` looks at."""

_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"ZF0x", "zfile"),
    (b"\x93NUMPY", "npy"),
    (b"Rar!\x1a\x07", "rar"),
    (b"GGUF", "gguf"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF8", "gif"),
    (b"RIFF", "riff"),
    (b"OggS", "ogg"),
    (b"fLaC", "flac"),
    (b"%PDF-", "pdf"),
    (b"\x7fELF", "elf"),
    (b"MZ", "exe"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"version https://git-lfs.github.com/spec/", "lfs-pointer"),
)
_BY_FIRST = {
    first: tuple((magic, kind) for magic, kind in _MAGICS if magic[0] == first) for first in {m[0] for m, _ in _MAGICS}
}
_MOSTLY = 0.7
"""The part of ASCII from which on bytes without control characters count as text of an older encoding."""
_TFLITE = slice(4, 8)
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
"""The last eight bytes of a LevelDB table, which TensorFlow's checkpoints are."""
_TEXT = re.compile(rb"[\t\n\r\f\x1b\x20-\x7e\x80-\xff]*\Z")

COMPRESSED = frozenset(("gzip", "bz2", "xz", "lzma", "zlib", "lz4", "zstd", "zfile"))
READABLE = COMPRESSED | {"zip", "7z", "tar", "npy"}
"""Containers that are opened."""

_CLAIMS = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill")
_NAME = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*\Z")
_STACK_GLOBAL = 0x93


def sniff(head: bytes, size: int, tail: bytes = b"") -> str:
    """The container that ``head`` (the first HEAD bytes, or all) begins; ``"unknown"`` where none is known."""
    if not head:
        return "empty"
    for magic, kind in _BY_FIRST.get(head[0], ()):
        if head.startswith(magic):
            return kind
    if is_tar(head):
        return "tar"
    if head[0] == 0x78 and len(head) > 1 and not (head[0] << 8 | head[1]) % 31:
        return "zlib"
    if len(head) > 8 and head[8] == 0x7B and struct.unpack_from("<Q", head)[0] <= size - 8:
        return "safetensors"
    if head[_TFLITE] == b"TFL3":
        return "tflite"
    if tail.endswith(_TABLE_MAGIC):
        return "tensorflow-table"
    if _is_text(head, size):
        return "json" if head.lstrip()[:1] in (b"{", b"[") else "text"
    return "unknown"


def is_tar(head: bytes) -> bool:
    """Whether the first 512 bytes are a tar header, by its checksum (unsigned, or signed as old tars wrote it)."""
    if len(head) < 512:
        return False
    field = head[148:156].strip(b"\x00 ")
    if not field or field.strip(b"01234567"):
        return False
    rest = head[:148] + b" " * 8 + head[156:512]
    total = sum(rest)
    return int(field, 8) in (total, total - 256 * sum(byte > 127 for byte in rest))


def is_lzma(head: bytes) -> bool:
    """Whether liblzma, told to find the format, would take the first 13 bytes for a header of LZMA without a magic.

    The properties, a dictionary of 2^n or 2^n + 2^(n-1) bytes and a length below 256 GiB (alone_decoder.c). The usual
    header has a magic of its own here; other bytes can be anything, and count where a pickle comes out.
    """
    if len(head) < 13 or head[0] >= 225 or head[0] % 9 + head[0] // 9 % 5 > 4:
        return False
    dictionary, length = int.from_bytes(head[1:5], "little"), int.from_bytes(head[5:13], "little")
    bits = f"{dictionary:b}".rstrip("0")
    return (bits in ("", "1", "11") or dictionary == 0xFFFFFFFF) and (0 < length < 1 << 38 or length == (1 << 64) - 1)


def _is_text(head: bytes, size: int) -> bool:
    if not _TEXT.match(head):
        return False
    try:
        head.decode()
    except UnicodeDecodeError as error:
        cut = size > len(head) and error.start > len(head) - 4
        return cut or sum(byte < 0x80 for byte in head) > _MOSTLY * len(head)
    return True


def claims(name: str) -> bool:
    """Whether a name belongs to files that are pickles or nothing."""
    return name.lower().endswith(_CLAIMS)


def is_importable(one: Import) -> bool:
    """Whether an import's names could be those of a module and of something in it."""
    return bool(_NAME.match(one.module) and _NAME.match(one.name))


def is_candidate(data: Buffer, found: Trace, *, claimed: bool) -> bool:
    """Whether loading these bytes as a pickle would do something, so that they are a stream.

    - A protocol header as pickle writes it (2 to 5), unless the very next opcode is none: the loader ends there.
    - Otherwise an import with STACK_GLOBAL, which no text has, or a call, construction or state write beside
      an import of a name that Python could import. What the loader meets later does not matter.
    - Otherwise opcodes so many or so deep that a limit ended the reading.
    - Otherwise STOP at the very end of the bytes: a small literal, or imports that nothing uses.

    So ``GLOBAL`` alone is none in text that goes on: a word list (``cat``, ``dog``), a source (``class A``)
    and a ``.gitignore`` begin with it, and importing a name is all that it does. Where the name of the
    artifact claims a pickle (``claimed``) there is no text to spare: any import or STOP counts, and so do opcodes
    that are cut off.
    """
    if found.fault is not None and found.fault.code.startswith("limit."):
        return True
    head = data[found.start : found.start + 2]
    cut = found.fault is not None and found.fault.code == "stream.truncated"
    if len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5 and (found.opcodes > 2 or found.stopped or cut):
        return True
    if any(data[one.offset] == _STACK_GLOBAL for one in found.imports):
        return True
    if any(note.code == "import.unresolved" for note in found.notes):
        return True
    if any(map(is_importable, found.imports)) and (found.events or claimed):
        return True
    if claimed and cut and found.opcodes > 1:
        return True
    return found.stopped and (claimed or not data[found.end : found.end + HEAD].strip(b"\x00\t\n\r "))
