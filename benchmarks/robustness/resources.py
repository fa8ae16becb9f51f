"""Time and memory of small files that make a reader work: python -m benchmarks.robustness.resources [NAME ...].

Each file is scanned in a process of its own. Prints processor seconds, megabytes above those of a scan of nothing, the
size of the JSON report, and the verdict. ``PYTHONPATH`` of another release gives the numbers before.
"""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import os
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MEGABYTE = 1 << 20
SECONDS = 10
ROOM = 300


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip of these members."""
    with zipfile.ZipFile(out := io.BytesIO(), "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def packed(head: bytes, unit: bytes, count: int, tail: bytes, engine: Callable[[], Any] = bz2.BZ2Compressor) -> bytes:
    """``head``, ``count`` times ``unit`` and ``tail``, compressed without ever being held."""
    compressor = engine()
    piece = unit * (MEGABYTE // len(unit))
    whole, rest = divmod(count * len(unit), len(piece))
    parts = [head, *(piece for _ in range(whole)), piece[:rest], tail]
    return bytes(b"".join(map(compressor.compress, parts)) + compressor.flush())


def deflater() -> Any:
    """Gzip as an engine."""
    return zlib.compressobj(9, zlib.DEFLATED, 31)


def streams(number: int, name: int) -> bytes:
    """Many streams, each of which imports a long name and calls it."""
    return (b"\x80\x02c" + b"m" * name + b"\nf\n(X\x04\0\0\0textK\x01tR.") * number


def overlapping(number: int) -> bytes:
    """A zip whose members are one and the same compressed content."""
    body = zlib.compress(b"\x80\x02](" + b"K\x01" * 400_000 + b"e.", 9)[2:-4]
    first = b"PK\3\4" + struct.pack("<5H3L2H", 20, 0, 8, 0, 33, 0, len(body), 800_005, 1, 0) + b"a" + body
    entry = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 8, 0, 33, 0, len(body), 800_005, 1, 0, 0, 0, 0, 0, 0)
    directory = (entry + b"a") * number
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(directory), len(first), 0)
    return first + directory + end


def tars(levels: int) -> bytes:
    """Compression in compression in compression."""
    data = b"N" * 60 + b"."
    for _ in range(levels):
        data = gzip.compress(data * 200, mtime=0)
    return data


FILES: dict[str, Callable[[], bytes]] = {
    "tuples in bz2": lambda: packed(b"N", b"\x85", 60_000_000, b"."),
    "four of them in a zip": lambda: zipped({f"{n}.pkl": packed(b"N", b"\x85", 60_000_000, b".") for n in range(4)}),
    "one long list": lambda: b"\x80\x02](" + b"K\x01" * 8_000_000 + b"e.",
    "one long tuple": lambda: b"\x80\x02(" + b"K\x01" * 8_000_000 + b"t.",
    "lists in bz2": lambda: packed(b"", b"]", 60_000_000, b"."),
    "lists in gzip": lambda: packed(b"", b"]", 30_000_000, b".", deflater),
    "dicts in gzip": lambda: packed(b"", b"}", 30_000_000, b".", deflater),
    "marks in gzip": lambda: packed(b"", b"(", 30_000_000, b".", deflater),
    "memo in gzip": lambda: packed(b"N", b"\x94", 30_000_000, b".", deflater),
    "texts in gzip": lambda: packed(b"\x80\x02(", b"X\4\0\0\0texq", 3_000_000, b"t.", deflater),
    "calls in gzip": lambda: packed(b"\x80\x02cm\nf\n0", b"cm\nf\n)R0", 1_000_000, b"N.", deflater),
    "long names in gzip": lambda: gzip.compress(streams(9_000, 1_200)),
    "streams in gzip": lambda: gzip.compress(streams(300_000, 8)),
    "imports in gzip": lambda: gzip.compress(b"".join(b"cm%d\nf\n0" % n for n in range(400_000)) + b"N."),
    "one content in many members": lambda: overlapping(3_000),
    "gzip in gzip in gzip": lambda: tars(4),
    "damaged members": lambda: zipped({str(n): gzip.compress(os.urandom(9_000))[:-9] for n in range(300)}),
    "zeros in xz": lambda: packed(b"", b"\0", 200_000_000, b""),
    "end records": lambda: zipped({"a": b"PK\5\6" * 16_000}) + b"PK\5\6" * 16_000,
    "skippable frames": lambda: struct.pack("<LL", 0x184D2A50, 0) * 1_000_000,
}
"""Small files, each made to cost much."""


def measured(data: bytes) -> Iterator[str]:
    """Scan one file in another process; the columns of its row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.bin")
        path.write_bytes(data)
        start = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(
                [sys.executable, __file__, "--child", str(path)],
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            seconds = time.monotonic() - start
            if done.returncode:
                yield f"ended with {done.returncode} after {seconds:.1f} s"
                return
            row = json.loads(done.stdout)
            over = row["seconds"] > SECONDS or row["megabytes"] > ROOM + 2 * len(data) / MEGABYTE
            yield f"{row['seconds']:8.1f} s {row['megabytes']:8.0f} MB {row['report'] / MEGABYTE:8.2f} MB  "
            yield row["verdict"]
            yield "  TOO MUCH" if over else ""
            return
        yield "still at it after 300 s"


def child(path: str) -> None:
    """Scan one file and print what it took."""
    from picklegate.scan import scan_bytes, scan_file

    scan_bytes(b"\x80\x02cm\nf\n)R.", name="nothing")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    report = scan_file(path)
    text = json.dumps(report.to_dict())
    print(
        json.dumps(
            {
                "seconds": time.process_time() - start,
                "megabytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
                "report": len(text),
                "verdict": report.verdict.name,
            }
        )
    )


def cut_while_read(size: int = 256 * MEGABYTE) -> str:
    """Cut a file while it is scanned; what becomes of the process that scans it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.pkl")
        with path.open("wb") as file:
            file.write(b"\x80\x02]")
            for _ in range(size // MEGABYTE):
                file.write((b"(" + b"K\x01" * 511 + b"e") * 1024)
            file.write(b".")
        scanning = subprocess.Popen([sys.executable, __file__, "--child", str(path)], stderr=subprocess.PIPE, text=True)
        threading.Timer(2.5, os.truncate, (path, 4096)).start()
        _, errors = scanning.communicate(timeout=300)
        return f"ends with {scanning.returncode}: {errors.strip().splitlines()[-1:] or 'a report'}"


def main(names: list[str]) -> None:
    """Print a row for each file."""
    print(f"{'file':30}{'bytes':>10}   time        memory      report    verdict")
    for name, build in FILES.items():
        if not names or name in names:
            data = build()
            print(f"{name:30}{len(data):10} {''.join(measured(data))}", flush=True)
    if not names or "cut" in names:
        print(f"{'a file cut while it is read':30}", cut_while_read())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
    else:
        main(sys.argv[1:])
