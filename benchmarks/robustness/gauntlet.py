"""Hostile streams that pass the scan, loaded behind a scan that approves of everything, and what comes of it.

python -m benchmarks.robustness.gauntlet ../shared/redteam/streams. Each stream is loaded by each entry point, in a
child process with limits and in a folder of its own, under a guard whose scan lists every name that is asked for and
says CLEAN. The streams are inert: what one did is seen by the files that are there after the load, after what the
manifest does with the object, and after the exit of the child.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import importlib
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent.parent
MARKERS = pathlib.Path("/tmp/inert/markers0/markers")
"""Where some of the streams leave theirs."""
SECONDS = 40


def left() -> list[str]:
    """The files that there are by now."""
    folders = [pathlib.Path.cwd(), MARKERS]
    return sorted(str(path) for folder in folders if folder.exists() for path in folder.rglob("*"))


def child(data: bytes, suffix: str, afterwards: str, load: Callable[[bytes], Any], out: int) -> None:
    """Load, use, exit; write what came of it to a pipe."""
    for limit, value in ((resource.RLIMIT_FSIZE, 1 << 20), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (value, value))
    signal.alarm(SECONDS)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    result = "loaded"
    try:
        loaded = load(data)
        # What the first use of an object does is no part of the load.
        if afterwards and not suffix.startswith("d"):
            exec(afterwards.replace("\\n", "\n"), {"o": loaded})
    except BaseException as error:  # noqa: BLE001 - streams raise anything
        result = f"{type(error).__name__}: {error}"
        if afterwards and not suffix.startswith("d"):
            with contextlib.suppress(BaseException):
                exec(afterwards.replace("\\n", "\n"), {"o": None})
    time.sleep(0.05)
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    os.write(out, result.encode("utf-8", "replace")[:2000])
    os._exit(0)


def run(path: pathlib.Path, afterwards: str, load: Callable[[bytes], Any]) -> tuple[str, list[str]]:
    """The outcome, and the files that are there after it."""
    # No TemporaryDirectory: the exit of the child would remove it.
    folder, before = tempfile.mkdtemp(), os.getcwd()
    os.chdir(folder)
    MARKERS.mkdir(parents=True, exist_ok=True)
    files = left()
    read, write = os.pipe()
    number = os.fork()
    if not number:
        try:
            child(path.read_bytes(), path.name, afterwards, load, write)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        result = pipe.read().decode("utf-8", "replace")
    os.waitpid(number, 0)
    time.sleep(0.02)
    made = [file for file in left() if file not in files]
    for file in made:
        with contextlib.suppress(OSError):
            pathlib.Path(file).unlink()
    os.chdir(before)
    shutil.rmtree(folder, ignore_errors=True)
    return result or "ended", made


def main() -> None:
    """Load all, and tell what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("streams", type=pathlib.Path)
    parser.add_argument("--entry", action="append", help="an entry point, if not all")
    parser.add_argument("--plain", action="store_true", help="without a guard: which of the streams run here at all")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "guard")]
    warnings.simplefilter("ignore")
    entry_points = importlib.import_module("gauntlet")

    from picklegate import guarded

    ways = {name: way for name, way in entry_points.entries().items() if not options.entry or name in options.entry}
    if not options.plain:
        entry_points.approve_of_everything()
    rows = [line.split("\t") for line in (options.streams / "manifest.tsv").read_text().splitlines()[1:]]
    counts: Counter[str] = Counter()
    happened: dict[str, list[str]] = {}
    for name, _, afterwards in rows:
        if options.only and options.only not in name:
            continue
        for way, load in ways.items():
            with contextlib.nullcontext() if options.plain or way.startswith("safe_") else guarded():
                result, made = run(options.streams / name, afterwards, load)
            counts["RAN" if made else result.split(":")[0]] += 1
            if made:
                happened.setdefault(name, []).append(way)
            if options.verbose:
                print(name, way, "RAN" if made else "", result[:300], flush=True)
    print(json.dumps({"outcomes": counts, "files were left by": happened}, indent=1))


if __name__ == "__main__":
    main()
