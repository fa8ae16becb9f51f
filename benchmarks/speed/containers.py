"""What opening large containers costs: python -m benchmarks.speed.containers [--hayward PYTHON] [--rounds N].

Two files are written to a temporary folder: a torch zip of 1 GB (300 tensors as zeros that take no room on disk) and
a scikit-learn forest that joblib wrote (20 MB, some 500 arrays between the opcodes). With ``--hayward``, an interpreter
that has hayward installed, it scans the same files in turn with us. Times are medians, in milliseconds; CPU time is
the one to compare on a machine that does other work.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import struct
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import joblib
import numpy as np
from sklearn.ensemble import RandomForestClassifier

from picklegate import scan_file
from picklegate.containers import read
from picklegate.pickles import trace

RECORDS = 300
SIZE = 1 << 30
HAYWARD = """
import json, sys, time
from pathlib import Path
import hayward
scanner, path = hayward.ModelFileScanner(), Path(sys.argv[1])
scanner.scan_file(path)
wall, cpu = time.perf_counter(), time.process_time()
scanner.scan_file(path)
print(json.dumps([time.perf_counter() - wall, time.process_time() - cpu]))
"""


class Pickle:
    """A state dict of float tensors, opcode by opcode as torch.save has them written."""

    def __init__(self) -> None:
        """Begin with an empty memo."""
        self.known: dict[bytes, int] = {}
        self.used = 0

    def put(self, opcodes: bytes) -> bytes:
        """The opcodes, and the memo entry that the pickler makes of everything."""
        index, self.used = self.used, self.used + 1
        return opcodes + (b"q" + bytes((index,)) if index < 256 else b"r" + struct.pack("<L", index))

    def once(self, opcodes: bytes) -> bytes:
        """The same, and from the second time on the memo entry alone."""
        if opcodes in self.known:
            return b"h" + bytes((self.known[opcodes],))
        self.known[opcodes] = self.used
        return self.put(opcodes)

    def tensor(self, key: int, items: int) -> bytes:
        """One tensor of one dimension."""
        storage = self.once(text("storage")) + self.once(b"ctorch\nFloatStorage\n") + self.put(text(str(key)))
        length = b"J" + struct.pack("<l", items)
        pid = self.put(b"(" + storage + self.once(text("cpu")) + length + b"t") + b"Q"
        sides = self.put(length + b"\x85") + self.put(b"K\x01\x85")
        hooks = self.put(self.once(b"ccollections\nOrderedDict\n") + b")R")
        rebuild = self.once(b"ctorch._utils\n_rebuild_tensor_v2\n")
        return self.put(rebuild + self.put(b"(" + pid + b"K\0" + sides + b"\x89" + hooks + b"t") + b"R")

    def state(self, items: int) -> bytes:
        """The whole stream."""
        head = b"\x80\x02" + self.put(b"}") + b"("
        names = (f"model.layers.{key // 9}.block.{key % 9}.weight" for key in range(RECORDS))
        return head + b"".join(self.put(text(name)) + self.tensor(key, items) for key, name in enumerate(names)) + b"u."


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b"X" + struct.pack("<L", len(value)) + value.encode()


def write_checkpoint(path: Path) -> bytes:
    """Write the 1 GB archive with members on multiples of 64 bytes, as torch does; its pickle."""
    items = SIZE // RECORDS // 4
    empty = zlib.crc32(bytes(4 * items))
    data = Pickle().state(items)
    words = {".format_version": b"1", ".storage_alignment": b"64", "byteorder": b"little"}
    members: list[tuple[str, bytes | int]] = [("data.pkl", data), *words.items()]
    members += [(f"data/{key}", 4 * items) for key in range(RECORDS)]
    members += [("version", b"3\n"), (".data/serialization_id", b"0" * 40)]
    directory = b""
    with path.open("wb") as file:
        for label, content in members:
            name, place = f"model/{label}".encode(), file.tell()
            raw = content if isinstance(content, bytes) else b""
            size = content if isinstance(content, int) else len(raw)
            padding = -(place + 34 + len(name)) % 64
            shared = struct.pack("<5H3L", 0, 0x800, 0, 0, 0, zlib.crc32(raw) if raw else empty, size, size)
            extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            file.write(b"PK\3\4" + shared + struct.pack("<2H", len(name), len(extra)) + name + extra + raw)
            file.seek(size - len(raw), io.SEEK_CUR)
            directory += b"PK\1\2\0\0" + shared + struct.pack("<5H2L", len(name), 0, 0, 0, 0, 0, place) + name
        start = file.tell()
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, len(members), len(members), len(directory), start, 0)
        file.write(directory + end)
    return data


def write_forest(path: Path) -> None:
    """Write a fitted forest of 20 MB."""
    draw = np.random.default_rng(0)
    model = RandomForestClassifier(n_estimators=120, random_state=0)
    joblib.dump(model.fit(draw.normal(size=(4000, 20)), draw.integers(0, 3, 4000)), path)


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


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of wall and of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def opened(path: Path) -> None:
    """Open the file and read a byte: what nobody can be faster than."""
    with path.open("rb") as file:
        file.read(1)


def contents(path: Path) -> None:
    """Find and trace the streams."""
    with path.open("rb") as file:
        read(file)


def hayward(python: str, path: Path) -> tuple[float, float]:
    """What the second scan of a process takes."""
    out = subprocess.run([python, "-c", HAYWARD, path], check=True, capture_output=True, text=True).stdout
    wall, cpu = json.loads(out.splitlines()[-1])
    return wall, cpu


def compare(title: str, ways: dict[str, Callable[[], tuple[float, float]]], rounds: int) -> None:
    """Print the medians of each way, which take turns."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            pair = way()
            if number:
                taken[name].append(pair)
    print(f"{title:44}{'wall':>10}{'CPU':>10}")
    for name, pairs in taken.items():
        wall, cpu = (1000 * statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"  {name:42}{wall:10.2f}{cpu:10.2f}")


def main() -> None:
    """Write the files and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hayward", metavar="PYTHON", help="an interpreter that has hayward")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint, forest = Path(folder, "checkpoint.pt"), Path(folder, "forest.joblib")
        pickle = write_checkpoint(checkpoint)
        write_forest(forest)
        for path, streams in ((checkpoint, {"the trace of its pickle alone": partial(trace, pickle)}), (forest, {})):
            ways: dict[str, Callable[[], tuple[float, float]]] = {
                "opening the file": partial(timed, partial(opened, path)),
                **{name: partial(timed, work) for name, work in streams.items()},
                "containers.read": partial(timed, partial(contents, path)),
                "scan_file, digest=False": partial(timed, partial(scan_file, path, digest=False)),
            }
            if options.hayward:
                ways["hayward"] = partial(hayward, options.hayward, path)
            compare(f"{path.name}, {path.stat().st_size:,} bytes", ways, options.rounds)
        file = Counting(checkpoint)
        found = read(file)  # type: ignore[arg-type]
        count = found.streams[0].trace.opcodes
        print(f"{checkpoint.name}, as a remote file: {file.bytes:,} bytes in {file.requests} reads, {count:,} opcodes")


if __name__ == "__main__":
    main()
