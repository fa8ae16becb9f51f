"""Which container bytes are, told by content and never by name, and whether bytes are a pickle at all."""

from __future__ import annotations

import re
import struct

from picklegate.containers.source import Buffer, Source
from picklegate.pickles import Import, Trace

HEAD = 512
"""Bytes of the beginning that ``sniff`` looks at."""
ZFILE_HEADER = 21

_MAGICS: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x1f\x8b\x08", "gzip"),
    *((b"BZh%d" % level + block, "bz2") for level in range(1, 10) for block in (b"1AY&SY", b"\x17rE8P\x90")),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x5d\x00", "lzma"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
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
    (b"\xcf\xfa\xed\xfe", "mach-o"),
    (b"\x1f\x9d", "compress"),
    (b"LZIP", "lzip"),
    (b"\x89LZO\0\r\n\x1a\n", "lzop"),
    (b"\x02\x21\x4c\x18", "lz4-legacy"),
    *((bytes((version,)) + b"\xb5\x2f\xfd", "zstd-legacy") for version in (*range(0x22, 0x28), 0x1E)),
    (b"\xff\x06\x00\x00sNaPpY", "snappy"),
    (b"MSCF\0\0\0\0", "cab"),
    (b"!<arch>\n", "ar"),
    (b"070701", "cpio"),
    (b"070707", "cpio"),
    (b"\xce\x9a\x57\x13", "dbm"),
    (b"\xcf\x9a\x57\x13", "dbm"),
    (b"\xcd\x9a\x57\x13", "dbm"),
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
_VAGUE = frozenset(("unknown", "text", "json"))
_NUMERIC = frozenset(b"\t\n\v\f\r +01234567\x80\xff")
"""Bytes with which a checksum of a tar header can begin."""
_TAR_LOOKED_AT = 1 << 20
_TABLE_MAGIC = bytes.fromhex("57fb808b247547db")
"""The last eight bytes of a LevelDB table, which TensorFlow's checkpoints are."""
_ONNX = re.compile(rb"\x08[\x01-\x20](\x12.[\x20-\x7e]{2,60}\x1a|\x3a)", re.DOTALL)
"""The version of the format, then the producer's name and version, or the graph."""
_BERKELEY = (b"\x61\x15\x06\x00", b"\x62\x31\x05\x00", b"\x00\x06\x15\x61", b"\x00\x05\x31\x62")
_TEXT = re.compile(rb"[\t\n\r\f\x1b\x20-\x7e\x80-\xff]*\Z")

_CLAIMS = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill")
_PACKED = (
    ".gz", ".bz2", ".xz", ".lzma", ".zst", ".lz4", ".z", ".lz", ".lzo", ".sz", ".snappy", ".zip", ".tar", ".7z", ".rar",
)  # fmt: skip
COMPRESSED = frozenset(("gzip", "bz2", "xz", "lzma", "zlib", "lz4", "zstd", "zfile"))
FRAMED = frozenset(("zstd", "lz4"))
"""Compressions whose frames others can precede that say nothing."""
READABLE = COMPRESSED | {"zip", "7z", "tar", "npy"}
"""Containers that are opened."""

_NAME = re.compile(r"[^\W\d][\w-]*(\.[^\W\d][\w-]*)*\Z")
_STACK_GLOBAL = 0x93


def sniff(head: bytes, size: int, tail: bytes = b"") -> str:
    """The container that ``head`` (the first HEAD bytes, or all) begins; ``"unknown"`` where none is known."""
    if not head:
        return "empty"
    for magic, kind in _BY_FIRST.get(head[0], ()):
        if head.startswith(magic):
            return kind
    if is_zfile(head):
        return "zfile"
    if is_tar(head):
        return "tar"
    if head[0] == 0x78 and is_zlib(head):
        return "zlib"
    if len(head) > 8 and head[8] == 0x7B and struct.unpack_from("<Q", head)[0] <= size - 8:
        return "safetensors"
    if head[_TFLITE] == b"TFL3":
        return "tflite"
    if tail.endswith(_TABLE_MAGIC):
        return "tensorflow-table"
    if head[12:16] in _BERKELEY:
        return "dbm"
    if _ONNX.match(head):
        return "onnx"
    if _is_text(head, size):
        return "json" if head.lstrip()[:1] in (b"{", b"[") else "text"
    return "unknown"


def is_tar(head: bytes) -> bool:
    """Whether ``tarfile`` takes the first 512 bytes for a header, by its checksum (unsigned, or signed as of old)."""
    if len(head) < 512:
        return False
    told = _tar_number(head[148:156])
    if told is None:
        return False
    rest = head[:148] + b" " * 8 + head[156:512]
    more = sum(rest) - told
    return more == 0 or (more > 0 and more % 256 == 0 and more == 256 * sum(byte > 127 for byte in rest))


def tar_start(source: Source, head: bytes, kind: str) -> int | None:
    """Where the first header of a tar stands that ``tarfile`` finds; None where there is none.

    It can be told to pass over blocks of zeros, and then passes over all other blocks as well. These are looked at
    in the first megabyte of what begins like no other format.
    """
    if is_tar(head):
        return 0
    if len(head) < 512:
        return None
    zeros = 0 if head.strip(b"\0") else source.zeros(0) // 512 * 512
    if zeros or kind in _VAGUE:
        data = source.read(zeros, _TAR_LOOKED_AT if source.resident else HEAD)
        for place in range(0, len(data) - 511, 512):
            if data[place + 148] in _NUMERIC and is_tar(data[place : place + 512]):
                return zeros + place
    return None


def _tar_number(field: bytes) -> int | None:
    """A number of a tar header: base 256, or octal in all the ways that Python reads it (CPython's tarfile.nti)."""
    if field[0] in (0o200, 0o377):
        number = int.from_bytes(field[1:], "big")
        return number if field[0] == 0o200 else number - (1 << 8 * len(field) - 8)
    try:
        return int(field.partition(b"\0")[0].decode("ascii").strip() or "0", 8)
    except ValueError:
        return None


def is_zfile(head: bytes) -> bool:
    """Whether joblib before 0.10 would read on: ``ZF`` and a length in hexadecimal, in any way that Python reads."""
    if not head.startswith(b"ZF"):
        return False
    try:
        int(head[2:ZFILE_HEADER], 16)
    except ValueError:
        return False
    return True


def is_zlib(head: bytes) -> bool:
    """Whether zlib takes the first two bytes for its header: method, window and a check, without a dictionary."""
    return (len(head) > 1 and head[0] & 15 == 8 and head[0] < 0x80 and not (head[0] << 8 | head[1]) % 31) and not head[
        1
    ] & 0x20


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
    """Whether a name belongs to files that are pickles or nothing, compressed or not."""
    name = name.lower()
    while name.endswith(_PACKED) and not name.endswith(_CLAIMS):
        name = name.rpartition(".")[0]
    return name.endswith(_CLAIMS)


def is_importable(one: Import) -> bool:
    """Whether an import's names could be those of a module and of something in it."""
    return bool(_NAME.match(one.module) and _NAME.match(one.name))


def is_candidate(data: Buffer, seen: Trace, *, claimed: bool) -> bool:
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
    if seen.fault is not None and seen.fault.code.startswith("limit."):
        return True
    head = data[seen.start : seen.start + 2]
    cut = seen.fault is not None and seen.fault.code == "stream.truncated"
    if len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5 and (seen.opcodes > 2 or seen.stopped or cut):
        return True
    if any(data[one.offset] == _STACK_GLOBAL for one in seen.imports):
        return True
    text = {one.offset for one in seen.imports if not is_importable(one)}
    if any(note.code == "import.unresolved" and note.offset not in text for note in seen.notes):
        return True
    if any(map(is_importable, seen.imports)) and (seen.events or claimed):
        return True
    if claimed and cut and seen.opcodes > 1:
        return True
    return seen.stopped and (claimed or not data[seen.end : seen.end + HEAD].strip(b"\x00\t\n\r "))
