"""Zip archives that readers take differently: every reading is scanned, and the difference is a finding."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from picklegate.containers import read
from picklegate.limits import Limits
from picklegate.report import Verdict
from samples.containers import HONEST, PAYLOAD, Member, imports, scan, torch_zip, zipped

OBJECT = b"archive/data.pkl"
GOOD = Member(OBJECT, HONEST)
BAD = Member(OBJECT, PAYLOAD)
VERSION = Member(b"archive/version", b"3\n")


def archive(*members: Member, **options: Any) -> bytes:
    """A zip that torch takes for one of its own."""
    return zipped(*members, VERSION, **options)


def with_end_in_comment() -> bytes:
    """Two end records: the outer one's comment is a second archive's directory and end."""
    inner = archive(BAD)
    return archive(GOOD, comment=inner)


def counted_back_over_zip64() -> bytes:
    """Zipfile before 3.13 counts back from the narrow end record where data stands between zip64 record and locator.

    That leads to a directory whose last entry has the zip64 records as its comment; their own locator, to another.
    """
    data = archive(GOOD, BAD)
    start, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    length = (end - start - len(VERSION.name) - 46) // 2
    good, bad, version = data[start : start + length], data[start + length : start + 2 * length], data[end - 61 : end]
    first, second = good + version, bytearray(bad + version)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 52, 45, 45, 0, 0, 2, 2, len(first), start) + bytes(8)
    wide += struct.pack("<4sLQL", b"PK\x06\x07", 0, start + len(first + second), 1)
    struct.pack_into("<H", second, length + 32, len(wide))
    narrow = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 2, 2, len(second + wide), start + len(first), 0)
    return data[:start] + first + second + wide + narrow


def overlapping() -> bytes:
    """Two members of different names whose bytes are the same."""
    return archive(Member(b"archive/a.pkl", PAYLOAD), Member(b"archive/b.pkl", PAYLOAD, central={"offset": 0}))


def with_two_starts() -> bytes:
    """Readers that add what precedes the archive find one member, readers that do not another."""
    first = archive(BAD)
    return archive(GOOD, prefix=first[: first.index(b"PK\x01\x02")].ljust(96, b"\0"))


TRICKS: dict[str, tuple[bytes, str | None]] = {
    "wrong-local-checksum": (archive(Member(OBJECT, PAYLOAD, local={"crc": 1})), "zip.header-mismatch"),
    "local-encryption-flag": (archive(Member(OBJECT, PAYLOAD, local={"flags": 1})), "zip.header-mismatch"),
    "another-local-name": (archive(Member(OBJECT, PAYLOAD, local={"name": b"archive/x"})), "zip.header-mismatch"),
    "another-local-method": (archive(Member(OBJECT, PAYLOAD, local={"method": 8})), "zip.header-mismatch"),
    "stored-in-local-header-only": (archive(Member(OBJECT, PAYLOAD, central={"method": 8})), "zip.header-mismatch"),
    "wrong-checksum-in-both": (
        archive(Member(OBJECT, PAYLOAD, local={"crc": 1}, central={"crc": 1})),
        "zip.bad-checksum",
    ),
    "encrypted": (archive(Member(OBJECT, PAYLOAD, central={"flags": 1})), "zip.encrypted"),
    "unknown-method": (archive(Member(OBJECT, PAYLOAD, central={"method": 98})), "zip.method"),
    "benign-then-hostile-duplicate": (archive(GOOD, BAD), "zip.duplicate-member"),
    "hostile-then-benign-duplicate": (archive(BAD, GOOD), "zip.duplicate-member"),
    "case-variant-duplicate": (archive(GOOD, Member(b"archive/DATA.PKL", PAYLOAD)), "zip.duplicate-member"),
    "case-variant-of-something-else": (
        archive(BAD, Member(b"archive/x.py", HONEST), Member(b"archive/X.py", HONEST)),
        None,
    ),
    "upper-case": (torch_zip(PAYLOAD, b"archive/DATA.PKL"), None),
    "data-descriptor": (
        archive(Member(OBJECT, PAYLOAD, local={"flags": 8, "crc": 0, "packed": 0, "size": 0}, central={"flags": 8})),
        None,
    ),
    "zip64": (archive(BAD, zip64=True), None),
    "junk-behind": (archive(BAD) + b"\0" * 64, None),
    "junk-in-front": (archive(BAD, prefix=b"#!/bin/sh\nexit 0\n"), None),
    "comment": (archive(BAD, comment=b"trained on Tuesday"), None),
    "too-few-counted": (archive(GOOD, Member(b"archive/x", PAYLOAD), count=1), "zip.end-record-mismatch"),
    "an-archive-before-it": (archive(BAD) + archive(GOOD), None),
    "an-archive-in-its-comment": (with_end_in_comment(), "zip.several-directories"),
    "two-starts": (with_two_starts(), "zip.ambiguous-offset"),
    "counted-back-over-zip64": (counted_back_over_zip64(), "zip.several-directories"),
    "overlapping-members": (overlapping(), "zip.overlap"),
    "cut-off": (archive(BAD)[:-30], "zip.no-directory"),
    "size-past-the-end": (
        archive(Member(OBJECT, PAYLOAD, central={"packed": 1 << 20, "size": 1 << 20})),
        "zip.truncated",
    ),
    "nul-in-name": (archive(Member(b"archive/data.pkl\0.txt", PAYLOAD)), None),
    "record-like-name-elsewhere": (archive(GOOD, Member(b"other/data/0", PAYLOAD)), None),
    "record-like-name-that-is-none": (archive(GOOD, Member(b"archive/data/0.pkl", PAYLOAD)), None),
    "no-torch-archive": (archive(Member(b"archive/data/0", PAYLOAD)), None),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_the_payload_is_seen(trick: str) -> None:
    """Whatever one reader or another makes of the archive, the import is in a trace, and oddities are findings."""
    data, code = TRICKS[trick]
    contents = scan(data)
    found = {finding.code for finding in contents.findings if finding.verdict > Verdict.CLEAN}
    assert ("os", "system") in imports(contents)
    assert code in found if code else not found


@pytest.mark.parametrize("trick", TRICKS)
def test_zipfile_reads_nothing_that_is_not_scanned(trick: str) -> None:
    """Whatever the standard library makes of the archive, its imports are among ours."""
    data, _ = TRICKS[trick]
    found = imports(scan(data))
    with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as opened:
        for member in opened.infolist():
            with contextlib.suppress(zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error, EOFError):
                assert imports(scan(opened.read(member))) <= found


@pytest.mark.parametrize("trick", TRICKS)
def test_torch_reads_nothing_that_is_not_scanned(trick: str) -> None:
    """Whatever torch's own reader takes for the object, its imports are among ours."""
    torch = pytest.importorskip("torch")
    data, _ = TRICKS[trick]
    with contextlib.suppress(RuntimeError):
        record = torch._C.PyTorchFileReader(io.BytesIO(data)).get_record("data.pkl")
        assert imports(scan(record)) <= imports(scan(data))


def test_records_are_not_read() -> None:
    """What torch reads as numbers is no stream, whatever its bytes, unless they begin a pickle that imports."""
    numbers = b"\x80\x02" + bytes(range(256))
    data = zipped(GOOD, Member(b"archive/data/0", numbers), Member(b"archive/data/12", PAYLOAD))
    contents = scan(data)
    assert [stream.name for stream in contents.streams] == ["archive/data.pkl", "archive/data/12"]
    assert contents.findings == ()


class Counting(io.RawIOBase):
    """A file that counts what is asked of it, as a remote one would."""

    def __init__(self, path: Path) -> None:
        """Open ``path``."""
        self.file = path.open("rb")
        self.bytes = self.requests = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move."""
        return self.file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        data = self.file.read(size)
        self.bytes += len(data)
        self.requests += 1
        return data


def sparse_archive(path: Path, hole: int) -> None:
    """A torch archive with one record of ``hole`` zero bytes that take no room."""
    large = {"packed": hole, "size": hole}
    data = bytearray(zipped(GOOD, Member(b"archive/data/0", b"", local=large, central=large)))
    cut, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    struct.pack_into("<L", data, end + 16, cut + hole)
    with path.open("wb") as file:
        file.write(data[:cut])
        file.seek(hole, io.SEEK_CUR)
        file.write(data[cut:])


def test_a_gigabyte_of_records_costs_a_few_requests(tmp_path: Path) -> None:
    """Of a 1 GB archive less than a megabyte is asked for, mapped or not."""
    sparse_archive(tmp_path / "big.pt", 1 << 30)
    file = Counting(tmp_path / "big.pt")
    contents = read(file)  # type: ignore[arg-type]
    assert [stream.name for stream in contents.streams] == ["archive/data.pkl"]
    assert contents.findings == ()
    assert file.bytes < 1 << 20
    assert file.requests < 20
    with (tmp_path / "big.pt").open("rb") as local:
        assert read(local).container == "torch_zip"


def test_several_ends_within_a_member_are_no_oddity() -> None:
    """An archive stored as the last member of another has its end record near the outer one's."""
    contents = scan(zipped(Member(b"inner.pt", torch_zip(HONEST))))
    assert [stream.name for stream in contents.streams] == ["inner.pt/archive/data.pkl"]
    assert contents.findings == ()


@pytest.mark.parametrize("method", [8, 12, 14])
def test_a_member_that_breaks_off_is_read_as_far_as_it_goes(method: int) -> None:
    """Damage behind the payload hides nothing, and is a finding."""
    whole = zipped(Member(OBJECT, PAYLOAD + bytes(range(256)) * 2000, method))
    place = whole.index(b"PK\x01\x02") - 40
    contents = scan(whole[:place] + bytes(40) + whole[place + 40 :])
    if method != 12:
        assert ("os", "system") in imports(contents)
    assert {"zip.damaged", "zip.bad-checksum"} & {finding.code for finding in contents.findings}


def test_too_many_members_are_a_bound() -> None:
    """The count of members ends at its limit, with a finding."""
    data = zipped(*(Member(b"m%d" % number, HONEST) for number in range(40)))
    contents = read(io.BytesIO(data), limits=Limits(max_members=10))
    assert "limit.members" in {finding.code for finding in contents.findings}
    nested = zipped(*(Member(b"%d.zip" % number, data) for number in range(9)))
    contents = read(io.BytesIO(nested), limits=Limits(max_members=60))
    assert "limit.members" in {finding.code for finding in contents.findings}
    assert len(contents.streams) <= 60


def test_a_hostile_directory_raises_nothing() -> None:
    """Each byte of an archive overwritten in turn gives contents, never an exception."""
    data = zipped(GOOD, Member(b"archive/x", PAYLOAD, 8), zip64=True)
    for place in range(len(data)):
        for value in (0, 0xFF):
            scan(data[:place] + bytes((value,)) + data[place + 1 :])
    for place in range(len(data)):
        scan(data[:place])


def test_a_zip64_extra_field_gives_the_real_place() -> None:
    """Sizes and offset of a member are taken from its extra field where 32 bits do not hold them."""
    data = bytearray(zipped(BAD))
    start = data.index(b"PK\x01\x02")
    extra = struct.pack("<HHQQQ", 1, 24, len(PAYLOAD), len(PAYLOAD), 0)
    struct.pack_into("<LL", data, start + 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<H", data, start + 30, len(extra))
    struct.pack_into("<L", data, start + 42, 0xFFFFFFFF)
    end = data.index(b"PK\x05\x06")
    struct.pack_into("<L", data, end + 12, end - start + len(extra))
    contents = scan(bytes(data[:end]) + extra + bytes(data[end:]))
    assert ("os", "system") in imports(contents)
    assert contents.findings == ()


def test_a_record_that_would_stand_before_the_file_is_no_crash() -> None:
    """An end record may claim a directory so far on that the members lie before the first byte."""
    data = bytearray(archive(GOOD, Member(b"archive/data/0", b"\0" * 8)).replace(b"PK\x03\x04", b"PK\x00\x00"))
    end = data.rindex(b"PK\x05\x06")
    struct.pack_into("<L", data, end + 16, struct.unpack_from("<L", data, end + 16)[0] + 1_000)
    assert "zip.no-local-header" in {finding.code for finding in scan(bytes(data)).findings}
