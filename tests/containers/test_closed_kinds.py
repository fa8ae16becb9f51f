"""What one reader takes and another refuses is read as each of them reads it, or the file is UNSCANNABLE."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable

import pytest

from picklegate.containers import Contents
from picklegate.report import Verdict
from samples.containers import (
    HONEST,
    PAYLOAD,
    Member,
    imports,
    joblib_array,
    npy,
    scan,
    stable_baselines,
    standard_zip,
    tarred,
    torch_tar,
    torch_zip,
    zfile,
    zipped,
)

NUMBERS = (
    b"\x93NUMPY\1\0" + struct.pack("<H", 60) + b"{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}".ljust(60)
) + bytes(8)


def blocks(contents: Contents) -> bool:
    """Whether the payload is seen, or the file cannot be read."""
    unreadable = any(finding.verdict == Verdict.UNSCANNABLE for finding in contents.findings)
    return ("os", "system") in imports(contents) or unreadable


def spelled(write: Callable[[int], bytes], data: bytes) -> bytes:
    """A tar whose first header has its checksum in another spelling."""
    total = sum(data[:148]) + 256 + sum(data[156:512])
    return data[:148] + write(total).ljust(8, b"\0")[:8] + data[156:]


CHECKSUMS: dict[str, Callable[[int], bytes]] = {
    "base-256": lambda total: b"\x80" + total.to_bytes(7, "big"),
    "prefix": lambda total: b"0o%o" % total,
    "sign": lambda total: b"+%o" % total,
    "underscore": lambda total: b"%o_%03o" % (total >> 9, total & 0o777),
    "cut-at-nul": lambda total: b"%o\0zz" % total,
    "spaces": lambda total: b" %o" % total,
    "no-end": lambda total: b"%08o" % total,
}


@pytest.mark.parametrize("write", CHECKSUMS)
@pytest.mark.parametrize("build", [lambda: tarred(a=PAYLOAD), lambda: torch_tar(PAYLOAD)], ids=["tar", "torch"])
def test_a_tar_is_what_tarfile_takes_for_one(write: str, build: Callable[[], bytes]) -> None:
    """Each spelling of the checksum that tarfile reads leads to the members."""
    data = spelled(CHECKSUMS[write], build())
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        assert archive.getnames()
    contents = scan(data)
    assert ("os", "system") in imports(contents)
    assert [finding for finding in contents.findings if finding.verdict > Verdict.CLEAN] == []


@pytest.mark.parametrize("kind", "ADMNVZ!")
def test_members_of_an_unknown_type_are_files(kind: str) -> None:
    """Tarfile serves what it does not know as a file."""
    data = bytearray(tarred(pickle=PAYLOAD, storages=b"\x80\x02K\0."))
    data[156] = ord(kind)
    assert ("os", "system") in imports(scan(spelled(lambda total: b"%06o\0 " % total, bytes(data))))


@pytest.mark.parametrize(
    "data",
    [
        bytes(512) + tarred(a=PAYLOAD),
        bytes(10_240) + tarred(a=PAYLOAD),
        tarred(a=HONEST) + tarred(b=PAYLOAD),
        tarred(a=HONEST)[:2048] + tarred(b=PAYLOAD),
        b"x" * 1024 + tarred(a=PAYLOAD),
        tarred(a=HONEST) + b"junk" * 200 + tarred(b=PAYLOAD),
    ],
    ids=["zeros", "many-zeros", "two", "no-record-between", "junk-before", "junk-between"],
)
def test_members_behind_what_a_reader_can_pass_over(data: bytes) -> None:
    """With ``ignore_zeros`` tarfile comes to members behind zeros, and behind blocks that are no headers."""
    assert blocks(scan(data))
    assert blocks(scan(gzip.compress(data)))


def test_zeros_and_concatenated_archives_are_no_alarm() -> None:
    """Zeros alone, zeros behind a tar, and two tars one after another are honest."""
    for data in (bytes(4096), tarred(a=HONEST) + bytes(700), tarred(a=HONEST) + tarred(b=HONEST)):
        assert [finding for finding in scan(data).findings if finding.verdict > Verdict.CLEAN] == []


def flagged(flags: int, content: bytes = PAYLOAD, checksum: int = 0) -> bytes:
    """A gzip member with these flags of its header."""
    data = gzip.compress(content, mtime=0)
    extra = (struct.pack("<H", 3) + b"abc" if flags & 4 else b"") + b"name\0" * bool(flags & 8)
    extra += b"comment\0" * bool(flags & 16) + struct.pack("<H", checksum) * bool(flags & 2)
    return data[:3] + bytes((flags,)) + data[4:10] + extra + data[10:]


@pytest.mark.parametrize("flags", [1, 2, 4, 8, 16, 30, 32, 64, 128, 0xE0, 255])
def test_gzip_is_what_python_reads(flags: int) -> None:
    """Flags that zlib refuses, and a checksum of the header that is wrong, do not stop Python."""
    assert gzip.decompress(flagged(flags)) == PAYLOAD
    assert ("os", "system") in imports(scan(flagged(flags)))
    assert ("os", "system") in imports(scan(gzip.compress(HONEST) + flagged(flags)))
    assert ("os", "system") in imports(scan(gzip.compress(PAYLOAD[:5]) + bytes(9) + flagged(flags, PAYLOAD[5:])))


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(PAYLOAD)[:10] + b"\xff" * 40,
        bz2.compress(PAYLOAD)[:14],
        lzma.compress(PAYLOAD)[:9],
        b"\x28\xb5\x2f\xfd" + b"\xff" * 40,
        b"ZF0x10".ljust(21) + b"nothing",
    ],
    ids=["gzip", "bz2", "xz", "zstd", "zfile"],
)
def test_a_magic_without_content_is_unscannable(data: bytes) -> None:
    """What begins like compressed data and gives nothing is told, under any name."""
    assert blocks(scan(data, "weights.bin"))


@pytest.mark.parametrize("library", ["zstandard", "lz4.frame"])
def test_frames_that_say_nothing_are_passed_over(library: str) -> None:
    """Readers skip such frames before, between and behind those of data."""
    codec = pytest.importorskip(library)
    compress = codec.ZstdCompressor().compress if library == "zstandard" else codec.compress
    for number in range(16):
        skip = struct.pack("<LL", 0x184D2A50 + number, 3) + b"abc"
        assert ("os", "system") in imports(scan(skip * 2 + compress(PAYLOAD)))
        assert ("os", "system") in imports(scan(compress(PAYLOAD[:5]) + skip + compress(PAYLOAD[5:])))
        assert scan(skip + compress(HONEST) + skip).findings == ()
    assert blocks(scan(skip + PAYLOAD))


@pytest.mark.parametrize("form", ["{:x}", "0x{:x}", "0X{:X}", "+{:x}", " {:x}", "{:_x}", "0x0_{:x}"])
@pytest.mark.parametrize("space", ["", " "])
def test_the_oldest_joblib_header_is_what_int_reads(form: str, space: str) -> None:
    """The length may stand there in any way that Python reads a number in hexadecimal."""
    header = b"ZF" + form.format(len(PAYLOAD)).encode().ljust(19) + space.encode()
    assert ("os", "system") in imports(scan(header + zlib.compress(PAYLOAD), "m.bin"))
    assert scan(zfile(HONEST)).findings == ()
    assert scan(b"ZFS pools and such: a text\n").findings == ()


@pytest.mark.parametrize(
    "data",
    [NUMBERS + PAYLOAD, NUMBERS * 3 + PAYLOAD, npy(HONEST) + PAYLOAD, NUMBERS + npy(HONEST) + PAYLOAD],
    ids=["numbers", "many", "objects", "both"],
)
def test_what_follows_arrays_is_a_pickle_to_numpy(data: bytes) -> None:
    """The next ``numpy.load`` of an open file unpickles what is no array."""
    assert ("os", "system") in imports(scan(data))


def test_an_array_longer_than_its_file_is_unscannable() -> None:
    """Numpy's product of the sides can overflow, and then it reads on at once."""
    wide = NUMBERS.replace(b"(2,)}", b"(4294967296, 4294967296)}")[: len(NUMBERS)]
    assert blocks(scan(wide + PAYLOAD))
    assert "npy.truncated" in {finding.code for finding in scan(NUMBERS[:-3]).findings}
    assert scan(NUMBERS).findings == ()


POLYGLOTS = {
    "persistent-id": b"PK\3\4 a line\n0" + PAYLOAD,
    "float": b"GGUF\3\0\0\0\x000" + PAYLOAD,
    "archive-behind": b"PK\3\4 a line\n0" + PAYLOAD + torch_zip(HONEST),
    "tar": spelled(lambda total: b"%06o\0 " % total, tarred(**{"PK\3\4": PAYLOAD})),
    "tar-and-7z": spelled(lambda total: b"%06o\0 " % total, tarred(**{"7z\xbc\xaf": PAYLOAD})),
    "tar-and-archive": spelled(lambda total: b"%06o\0 " % total, tarred(**{"PK\3\4": PAYLOAD})) + torch_zip(HONEST),
    "array-and-archive": NUMBERS + torch_zip(PAYLOAD),
}


@pytest.mark.parametrize("case", POLYGLOTS)
def test_a_file_of_several_kinds_is_read_as_each(case: str) -> None:
    """The magic of one format does not end the reading as another."""
    assert ("os", "system") in imports(scan(POLYGLOTS[case]))


@pytest.mark.parametrize("method", [0, 8])
@pytest.mark.parametrize("levels", [1, 2])
def test_an_array_where_torch_keeps_numbers(method: int, levels: int) -> None:
    """``numpy.load`` takes the members of any archive, also of one inside another, stored or not."""
    data = zipped(Member(b"x/data.pkl", HONEST), Member(b"x/data/0", npy(PAYLOAD), method))
    for _ in range(levels):
        data = zipped(Member(b"inner.npz", data))
    assert ("os", "system") in imports(scan(data))


@pytest.mark.parametrize("spaces", [1, 64, 5_000])
@pytest.mark.parametrize("depth", [0, 985, 100_000])
def test_the_json_of_stable_baselines_is_read_whatever_its_form(spaces: int, depth: int) -> None:
    """Neither white space nor depth hides a value that a loader with more room unpickles."""
    value = json.dumps({":serialized:": base64.b64encode(PAYLOAD).decode()})
    text = " " * spaces + '{"deep": ' + "[" * depth + "]" * depth + ', "policy_class": ' + value + "}"
    contents = scan(zipped(Member(b"data", text.encode(), 8), Member(b"version", b"2")))
    assert ("os", "system") in imports(contents)
    assert contents.container == "stable_baselines_zip"
    assert scan(stable_baselines(HONEST)).findings == ()


def moved(where: str) -> bytes:
    """A torch archive whose directory, or zip64 record, is not where archivers put it."""
    data = zipped(Member(b"archive/data.pkl", PAYLOAD), Member(b"archive/version", b"3\n"))
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    directory = data[start:end]
    if where == "comment":
        record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, len(directory), start + 22, len(directory))
        return data[:start] + record + directory
    offset = start + 56 if where == "front" else start
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 2, len(directory), offset)
    place = start if where == "front" else end
    body = wide + directory if where == "front" else directory + wide + b"between"
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
    narrow = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return data[:start] + body + locator + narrow


@pytest.mark.parametrize("where", ["comment", "front", "apart"])
def test_a_directory_is_found_wherever_a_reader_finds_it(where: str) -> None:
    """The record's word is followed, before it and behind it; torch reads all of these."""
    torch = pytest.importorskip("torch")
    data = moved(where)
    assert torch._C.PyTorchFileReader(io.BytesIO(data)).get_record("data.pkl") == PAYLOAD
    assert ("os", "system") in imports(scan(data))


def test_an_end_record_that_leads_nowhere_is_unscannable() -> None:
    """A claim that cannot be followed is told, whatever else the file holds."""
    record = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2, 2, 100, 7, 0)
    assert blocks(scan(b"PK\3\4" + bytes(300) + record))
    assert blocks(scan(torch_zip(HONEST) + bytes(40) + record))
    assert blocks(scan(torch_zip(HONEST) + record))


def test_archives_in_a_row_are_each_read() -> None:
    """So distributed checkpoints are: every archive counts its offsets from its own start."""
    for count in (2, 3, 40):
        honest = scan(torch_zip(HONEST) * count, "__0_0.distcp")
        assert len(honest.streams) == count
        assert [finding for finding in honest.findings if finding.verdict > Verdict.CLEAN] == []
        for place in (0, count // 2, count - 1):
            parts = [torch_zip(HONEST)] * count
            parts[place] = torch_zip(PAYLOAD)
            assert ("os", "system") in imports(scan(b"".join(parts)))


@pytest.mark.parametrize(("name", "size"), [("bfloat16", 2), ("float8_e4m3fn", 1), ("int4", 1), ("uint2", 1)])
def test_joblib_arrays_of_small_floats(name: str, size: int) -> None:
    """The length follows from the name, and a state that says another is told."""
    kind = b"cnumpy\ndtype\ncml_dtypes\n" + name.encode() + b"\n\x89\x88\x87R(K\x03X\1\0\0\0<NNNK%cK\x01K\x40tb"
    raw = bytes(range(200, 200 + 3 * size))
    for said, honest in ((size, True), (size + 4, False)):
        data = b"\x80\x02](" + joblib_array("", raw, count=3, kind=kind.replace(b"%c", bytes((said,)))) + b"Ne."
        contents = scan(data)
        assert ([finding.code for finding in contents.findings] == []) == honest


def test_joblib_arrays_of_strings_of_any_length() -> None:
    """StringDType goes into a pickle of its own."""
    kind = b"cnumpy._core._internal\n_convert_to_stringdtype_kwargs\nK\x01\x85R"
    for inner in (HONEST, PAYLOAD):
        contents = scan(b"\x80\x02](" + joblib_array("", inner, count=1, kind=kind) + b"Ne.")
        assert (("os", "system") in imports(contents)) == (inner == PAYLOAD)
        assert contents.findings == ()


def test_values_in_blocks_are_all_read() -> None:
    """A shelf of ``dbm.dumb`` starts each value at a block of its own."""
    assert ("os", "system") in imports(scan(HONEST.ljust(512, b"\0") + b"\x80\x02" + PAYLOAD, "shelf.dat"))
    assert len(scan(HONEST.ljust(512, b"\0") + HONEST, "shelf.dat").streams) == 2


def test_an_archive_in_a_tar_is_read_once() -> None:
    """The end of a tar is a zip to readers that look there; it is its member, and no second archive."""
    data = tarred(a=torch_zip(HONEST), b=torch_zip(HONEST))
    assert scan(data).findings == ()
    assert scan(lzma.compress(data)).findings == ()
    assert ("os", "system") in imports(scan(tarred(a=standard_zip("x", PAYLOAD))))
