"""Files that are no models must pass: python -m benchmarks.robustness.ordinary [--seconds N] DIR...

Reads every regular file under the folders and lists each that is above CLEAN, with its first reason. Pickles are
among ordinary files too (test data, caches): they are listed apart, for only a person can tell whether they are right.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from picklegate import FileReport, Verdict, scan_file

PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".dill", ".npy", ".npz", ".bin")


def files(folders: list[str]) -> Iterator[Path]:
    """Every regular file, each once."""
    seen: set[tuple[int, int]] = set()
    for folder in folders:
        for place, inside, names in os.walk(folder):
            inside.sort()
            for name in sorted(names):
                path = Path(place, name)
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    yield path


def line(path: Path, report: FileReport) -> str:
    """The verdict on a file, and what it rests on."""
    reason = next(iter(report.reasons), None)
    words = f"{reason.code}: {reason.message}" if reason else f"score {report.score:.2f}"
    return f"{report.verdict.name:11} {path}  [{report.container}] {words[:160]!r}"


def main() -> int:
    """Scan, print and count; 1 where a file that is not named like a pickle is above CLEAN."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", metavar="DIR")
    parser.add_argument("--seconds", type=float, default=600, help="stop after so long")
    options = parser.parse_args()
    alarms: list[str] = []
    named: list[str] = []
    kinds: Counter[str] = Counter()
    size = streams = 0
    slowest = (0.0, Path())
    began = time.perf_counter()
    for path in files(options.folders):
        started = time.perf_counter()
        if started - began > options.seconds:
            print(f"stopped after {options.seconds:.0f} s, before {path}", file=sys.stderr)
            break
        try:
            report = scan_file(path, digest=False)
        except PermissionError:
            continue
        slowest = max(slowest, (time.perf_counter() - started, path))
        kinds[report.container] += 1
        size += report.size
        streams += len(report.streams)
        if report.verdict > Verdict.CLEAN:
            (named if path.name.lower().endswith(PICKLES) else alarms).append(line(path, report))
    for title, lines in (("above CLEAN", alarms), ("above CLEAN, and named like pickles", named)):
        print(f"{title}: {len(lines)}")
        for text in lines:
            print(f"  {text}")
    took = time.perf_counter() - began
    print(f"{kinds.total():,} files, {size / 1e9:.2f} GB, {streams:,} streams, {took:.0f} s")
    print(f"slowest: {slowest[0]:.2f} s, {slowest[1]}")
    print(", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common()))
    return 1 if alarms else 0


if __name__ == "__main__":
    sys.exit(main())
