"""What a file may cost follows from its bytes, and a file that is cut while it is read is an error."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import os
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from picklegate.containers import Contents
from picklegate.containers.source import LocalFile, Source
from picklegate.containers.sparse import Sparse
from picklegate.report import Verdict
from picklegate.scan import scan_bytes, scan_file
from samples.containers import HONEST, Member, scan, zipped

LONG = 2 << 20


def unread(contents: Contents) -> set[str]:
    """The codes of what could not be read."""
    codes = {finding.code for finding in contents.findings if finding.verdict == Verdict.UNSCANNABLE}
    return codes | {stream.trace.fault.code for stream in contents.streams if stream.trace.fault is not None}


def test_a_small_file_has_small_budgets() -> None:
    """A few hundred bytes of bz2 cannot make a scan execute tens of millions of opcodes."""
    bomb = bz2.compress(b"N" + b"\x94" * 12_000_000 + b".")
    contents = scan(bomb)
    assert unread(contents) & {"limit.opcodes", "limit.stream"}
    assert sum(stream.trace.opcodes for stream in contents.streams) < 5_000_000


def test_the_budget_is_one_for_all_that_a_file_holds() -> None:
    """Four bombs in one archive cost no more than one."""
    bomb = bz2.compress(b"N" + b"\x94" * 3_000_000 + b".")
    contents = scan(zipped(*(Member(b"%d.pkl" % number, bomb) for number in range(4))))
    assert unread(contents) & {"limit.opcodes", "limit.stream"}
    assert sum(stream.trace.opcodes for stream in contents.streams) < 5_000_000


def test_a_file_in_the_open_is_read_to_its_end() -> None:
    """A pickle that is not compressed has an opcode a byte at most, and the budget has more than that."""
    (stream,) = scan(b"\x80\x02" + b"N0" * 3_000_000 + b"N.").streams
    assert stream.trace.stopped


def test_a_report_is_bounded_by_the_file() -> None:
    """Names that are repeated in many streams shrink, and would not in the report."""
    data = gzip.compress((b"\x80\x02c" + b"m" * 1_200 + b"\nf\n.") * 9_000)
    report = scan_bytes(data)
    assert report.verdict == Verdict.UNSCANNABLE
    assert "limit.report" in {finding.code for finding in report.findings}
    assert len(json.dumps(report.to_dict())) < 8 << 20


def test_results_are_let_go() -> None:
    """What a load would return is of no use once a stream is kept."""
    assert [stream.trace.result for stream in scan(HONEST).streams] == [None]


def long_pickle(path: Path) -> None:
    """A pickle that is longer than what is read at once."""
    path.write_bytes(b"\x80\x02B" + LONG.to_bytes(4, "little") + bytes(LONG) + b".")


def test_a_long_file_is_read_and_not_mapped(tmp_path: Path) -> None:
    """A mapped file that is cut ends the process; what was read stays."""
    long_pickle(tmp_path / "m.pkl")
    with (tmp_path / "m.pkl").open("rb") as file:
        source = Source.of(file)
        assert type(source.prefix(source.size)) is bytes
        assert source.is_whole
        assert source.resident
        assert source.window(3, 4).read(0, 9) == LONG.to_bytes(4, "little")
    assert scan_file(tmp_path / "m.pkl").verdict == Verdict.CLEAN


def test_a_file_that_gets_shorter_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever it is cut: before it is read, or afterwards and before the report."""
    path = tmp_path / "m.pkl"
    long_pickle(path)
    with path.open("rb") as file:
        source = Source.of(file)
        os.truncate(path, 100)
        assert source.read(0, 50)
        with pytest.raises(OSError, match="became shorter"):
            source.prefix(source.size)
    long_pickle(path)
    real = LocalFile.whole

    def cut(file: LocalFile) -> object:
        whole = real(file)
        os.truncate(path, 100)
        return whole

    monkeypatch.setattr(LocalFile, "whole", cut)
    with pytest.raises(OSError, match="became shorter"):
        scan_file(path, digest=False)


def test_bytes_are_found_across_pieces() -> None:
    """A search reads a file in pieces and misses nothing at their joints."""
    size = 1 << 22
    for place in (0, size - 3, size - 1, size, size + 5):
        data = bytearray(size + 100)
        data[place : place + 4] = b"find"
        assert Source(bytes(data)).find(b"find") == place
    assert Source(bytes(9)).find(b"find") == -1


def test_a_large_file_that_is_fetched_needs_no_memory_for_all_of_it() -> None:
    """Of a file that is larger than the memory, what was asked for is held."""

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return (1 << 37) + offset if whence == io.SEEK_END else offset

        def read(self, size: int = -1) -> bytes:
            return b"\0" * size

    sparse = Sparse(Source(cast("BinaryIO", Endless()), 0, 1 << 37))
    sparse.fetch(1 << 36, (1 << 36) + 10)
    assert sparse.held == 10
