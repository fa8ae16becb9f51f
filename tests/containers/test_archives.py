"""Archives, compression and bombs: opened to a bounded depth and size, and never clean where a bound is met."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import zlib
from typing import Any

import pytest

from picklegate.containers import read
from picklegate.limits import Limits
from picklegate.report import Verdict
from samples.containers import (
    HONEST,
    PAYLOAD,
    Member,
    imports,
    joblib_file,
    lzma_alone,
    scan,
    standard_zip,
    tarred,
    torch_zip,
    zipped,
)


def codes(data: bytes, limits: Limits) -> set[str]:
    """The codes of the findings that make a file UNSCANNABLE under these limits."""
    findings = read(io.BytesIO(data), limits=limits).findings
    return {finding.code for finding in findings if finding.verdict == Verdict.UNSCANNABLE}


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_damage_behind_the_payload_hides_nothing(compress: Any) -> None:
    """A stream that breaks off is read as far as a loader reads it, and never passes."""
    data = compress(PAYLOAD)
    contents = scan(data[:-3])
    assert ("os", "system") in imports(contents)
    assert "archive.damaged" in {finding.code for finding in contents.findings}


@pytest.mark.parametrize("compress", [gzip.compress, lzma.compress, zlib.compress])
def test_an_error_behind_the_payload_hides_nothing(compress: Any) -> None:
    """Readers that take small pieces have the payload before they meet the error in the same chunk."""
    rest = bytes(range(256)) * 64
    data = compress(PAYLOAD + rest)
    for place in (len(data) - 4, len(data) - 20, len(data) // 2 + 20):
        contents = scan(data[:place] + bytes((data[place] ^ 0x55,)) + data[place + 1 :])
        assert ("os", "system") in imports(contents)
        assert "archive.damaged" in {finding.code for finding in contents.findings}


def test_members_of_a_multi_member_stream_are_one_content() -> None:
    """A second gzip member goes on where the first ended."""
    assert ("os", "system") in imports(scan(gzip.compress(PAYLOAD[:9]) + gzip.compress(PAYLOAD[9:])))
    assert scan(gzip.compress(HONEST) + b"junk").findings == ()


def test_a_damaged_tar_is_unscannable() -> None:
    """A header that does not hold ends the reading with a finding."""
    data = bytearray(tarred(a=HONEST, b=PAYLOAD))
    data[1024 + 148 : 1024 + 156] = b"7777777\0"
    assert "tar.damaged" in {finding.code for finding in scan(bytes(data)).findings}


def test_a_pickle_that_is_a_tar_header_too_is_read_as_both() -> None:
    """The first member's name can be a payload for a loader that takes the file for a pickle."""
    data = bytearray(tarred(**{"x" * 90: HONEST}))
    data[: len(PAYLOAD)] = PAYLOAD
    checksum = sum(data[:148]) + 8 * 32 + sum(data[156:512])
    data[148:156] = b"%06o\0 " % checksum
    contents = scan(bytes(data))
    assert ("os", "system") in imports(contents)
    assert contents.container == "tar"
    assert len(contents.streams) == 2


def test_a_pickle_in_front_of_an_archive_is_read_as_both() -> None:
    """torch.load takes the pickle, a reader that looks for the end of a zip takes the archive."""
    contents = scan(PAYLOAD + torch_zip(HONEST))
    assert ("os", "system") in imports(contents)
    assert "archive/data.pkl" in {stream.name for stream in contents.streams}


@pytest.mark.parametrize(("levels", "deep"), [(3, False), (12, True)])
def test_nesting_ends_at_its_limit(levels: int, *, deep: bool) -> None:
    """Archives in archives are opened to the limit, and beyond it the file is UNSCANNABLE."""
    data = torch_zip(PAYLOAD)
    for _ in range(levels):
        data = standard_zip("inner.zip", data)
    contents = scan(data)
    assert (("os", "system") in imports(contents)) != deep
    assert ("archive.too-deep" in {finding.code for finding in contents.findings}) == deep


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress, zlib.compress])
def test_a_bomb_ends_at_its_limit(compress: Any) -> None:
    """Decompression stops at the limit on size, in memory that the limit bounds."""
    bomb = compress(b"\x80\x02C\x01x" + bytes(4 << 20))
    assert "limit.inflated" in codes(bomb, Limits(max_inflated_bytes=1 << 20))


@pytest.mark.parametrize("dictionary", [1 << 31, (1 << 32) - 1], ids=["2-gigabytes", "4-gigabytes"])
@pytest.mark.parametrize("magic", [True, False])
def test_a_large_dictionary_hides_nothing(dictionary: int, *, magic: bool) -> None:
    """What would take more memory than a scan takes, and liblzma decompresses, is UNSCANNABLE."""
    data = lzma.compress(PAYLOAD, lzma.FORMAT_ALONE) if magic else lzma_alone(PAYLOAD)
    data = data[:1] + dictionary.to_bytes(4, "little") + data[5:]
    assert lzma.decompress(data) == PAYLOAD
    assert "limit.inflated" in codes(data, Limits())


@pytest.mark.parametrize(
    "head",
    [(3, 32 << 8, 1, 0), (64, 32, 5, 0), (0, 0, 5, 0), (0, 0, 0, 0), (2, 128 << 24, 7, 0)],
    ids=["shape", "small", "zeros-and-a-number", "zeros", "large-dictionary"],
)
def test_numbers_that_could_begin_lzma_are_no_finding(head: tuple[int, ...]) -> None:
    """A file of plain numbers is no archive, whatever a header of LZMA they happen to spell."""
    for rest in (bytes(4096), bytes(range(256)) * 16):
        contents = scan(b"".join(number.to_bytes(4, "little") for number in head) + rest)
        assert (contents.streams, contents.findings) == ((), ())


@pytest.mark.parametrize("compress", [bz2.compress, lzma.compress])
def test_zeros_are_no_bomb(compress: Any) -> None:
    """An array of zeros shrinks more than any ratio that tells bombs, and is honest."""
    zeros = bytes(8 << 20)
    contents = scan(compress(joblib_file(raw=zeros, count=len(zeros) // 8)))
    assert all(stream.trace.stopped for stream in contents.streams)
    assert contents.findings == ()


@pytest.mark.parametrize("method", [8, 12, 14])
def test_many_members_share_one_budget(method: int) -> None:
    """A thousand small bombs in one archive are one bomb."""
    content = b"\x80\x02B" + (1 << 19).to_bytes(4, "little") + bytes(1 << 19) + b"."
    data = zipped(*(Member(b"m%d" % number, content, method) for number in range(8)))
    assert "limit.inflated" in codes(data, Limits(max_total_inflated_bytes=1 << 20))


def test_overlapping_members_cannot_multiply_the_work() -> None:
    """Members that are one and the same pickle share one budget of opcodes."""
    body = b"\x80\x02](" + b"K\x01" * 200_000 + b"e."
    again = {"offset": 0, "packed": len(body), "size": len(body)}
    data = zipped(Member(b"a", body), *(Member(b"%d" % number, b"", central=again) for number in range(50)))
    contents = read(io.BytesIO(data), limits=Limits(max_opcodes=1_000_000))
    assert sum(stream.trace.opcodes for stream in contents.streams) < 2_000_000
    assert "limit.opcodes" in {finding.code for finding in contents.findings}


def test_streams_end_at_their_limit() -> None:
    """Ten thousand pickles in one file are a bound, not a wait."""
    contents = read(io.BytesIO(b"\x80\x02N." * 100), limits=Limits(max_streams=10))
    assert "limit.streams" in {finding.code for finding in contents.findings}
    assert len(contents.streams) == 10


@pytest.mark.parametrize(
    ("library", "data"),
    [
        ("lz4", b"\x04\x22\x4d\x18" + bytes(32)),
        ("py7zr", b"7z\xbc\xaf\x27\x1c" + bytes(32)),
    ],
)
def test_a_missing_library_is_named(library: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional library the file is UNSCANNABLE, and the message names the extra to install."""
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name.partition(".")[0] == library:
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    (finding,) = scan(data).findings
    assert finding.code == "archive.library-missing"
    assert finding.verdict == Verdict.UNSCANNABLE
    assert "picklegate[archives]" in finding.message


@pytest.mark.parametrize("name", ["data.jsonl.zst", "model.pkl.zst"])
def test_zstd_without_a_library_blocks_only_what_claims_to_be_a_pickle(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing can decompress it, no loader of this machine can; the report says that nothing was judged."""
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name in ("zstandard", "compression.zstd"):
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without)
    contents = scan(b"\x28\xb5\x2f\xfd" + bytes(32), name)
    codes = [finding.code for finding in contents.findings]
    assert codes == (["archive.library-missing"] if "pkl" in name else [])
    assert bool(contents.unjudged) == ("pkl" not in name)


@pytest.mark.parametrize("pickle", [PAYLOAD, HONEST, joblib_file()], ids=["hostile", "benign", "joblib"])
def test_lz4_frames_are_opened(pickle: bytes) -> None:
    """Joblib's lz4 files are read where the library is installed."""
    lz4 = pytest.importorskip("lz4.frame")
    contents = scan(lz4.compress(pickle))
    assert contents.container.endswith("_lz4")
    assert (("os", "system") in imports(contents)) == (pickle == PAYLOAD)


@pytest.mark.parametrize("pickle", [PAYLOAD, HONEST], ids=["hostile", "benign"])
def test_zstandard_frames_are_opened(pickle: bytes) -> None:
    """Zstd around a pickle is read where the library is installed."""
    zstandard = pytest.importorskip("zstandard")
    contents = scan(zstandard.ZstdCompressor().compress(pickle))
    assert contents.container == "raw_zstd"
    assert (("os", "system") in imports(contents)) == (pickle == PAYLOAD)
    bomb = zstandard.ZstdCompressor().compress(b"\x80\x02C\x01x" + bytes(8 << 20))
    assert "limit.inflated" in codes(bomb, Limits(max_inflated_bytes=1 << 20))


@pytest.mark.parametrize("pickle", [PAYLOAD, HONEST], ids=["hostile", "benign"])
def test_7z_archives_are_opened(pickle: bytes) -> None:
    """A 7z under a model's name is opened where the library is installed."""
    py7zr = pytest.importorskip("py7zr")
    out = io.BytesIO()
    with py7zr.SevenZipFile(out, "w") as archive:
        archive.writestr(pickle, "model/data.pkl")
    contents = scan(out.getvalue(), "model.pt")
    assert contents.container == "7z"
    assert [stream.name for stream in contents.streams] == ["model/data.pkl"]
    assert (("os", "system") in imports(contents)) == (pickle == PAYLOAD)
    assert "limit.inflated" in codes(out.getvalue(), Limits(max_inflated_bytes=4))
    assert "7z.damaged" in codes(out.getvalue()[:-20], Limits())
