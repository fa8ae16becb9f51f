"""Many at once: python -m benchmarks.robustness.crowd [ROUNDS].

Four processes of eight threads each fetch the same repositories through the gate, into one cache, one local_dir each
and caches of their own. Every result must be right, and the Hub must have been asked for no part of a file twice.
"""

from __future__ import annotations

import collections
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from picklegate.demo import models
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError
from picklegate.hub.download import safe_hf_hub_download, safe_snapshot_download

PROCESSES, THREADS = 4, 8
PATIENCE_S = 240
REPOSITORIES = models.repositories()
_METHODS = multiprocessing.get_context("spawn")


def visit(endpoint: str, home: Path, number: int) -> list[str]:
    """What went wrong for one thread."""
    places: list[dict[str, Any]] = [
        {"cache_dir": home / "shared"},
        {"cache_dir": home / "own" / str(os.getpid())},
        {"cache_dir": home / "unused", "local_dir": home / "local" / str(os.getpid())},
    ]
    faults = []
    for step in range(len(places)):
        place = places[(number + step) % len(places)]
        folder = Path(safe_snapshot_download(models.ORDINARY, endpoint=endpoint, token=False, **place))
        for name, data in REPOSITORIES[models.ORDINARY].items():
            if (folder / name).read_bytes() != data:
                faults.append(f"{folder / name} is garbled")
        try:
            path = safe_hf_hub_download(models.HOSTILE, models.WEIGHTS, endpoint=endpoint, token=False, **place)
            faults.append(f"{path} arrived")
        except BlockedError:
            pass
    return faults


def work(endpoint: str, home: Path, answer: multiprocessing.SimpleQueue[list[str]]) -> None:
    """One process."""
    os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1", NO_PROXY="127.0.0.1", PICKLEGATE_HOME=str(home / "picklegate"))
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda number: visit(endpoint, home, number), range(THREADS))
        answer.put([fault for faults in found for fault in faults])


def crowd(home: Path) -> list[str]:
    """What went wrong in one round."""
    with Hub(REPOSITORIES) as hub:
        answers = [_METHODS.SimpleQueue() for _ in range(PROCESSES)]
        crew = [_METHODS.Process(target=work, args=(hub.endpoint, home, answer)) for answer in answers]
        deadline = time.monotonic() + PATIENCE_S
        for process in crew:
            process.start()
        for process in crew:
            process.join(max(0, deadline - time.monotonic()))
        found = [f"process {process.pid} hung" for process in crew if process.exitcode is None]
        found += [f"process {process.pid} ended with {process.exitcode}" for process in crew if process.exitcode]
        for process in crew:
            process.kill()
        found += [fault for answer in answers if not answer.empty() for fault in answer.get()]
        asked = collections.Counter((request.path, request.range) for request in hub.requests if request.status == 206)
        found += [f"{path} was asked for {part} {count} times" for (path, part), count in asked.items() if count > 1]
    return found


def main() -> int:
    """Have the rounds, each from nothing."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    wrong = 0
    for number in range(rounds):
        with tempfile.TemporaryDirectory(prefix="crowd-") as home:
            started = time.monotonic()
            found = crowd(Path(home))
            took_s = time.monotonic() - started
        wrong += bool(found)
        for fault in found:
            print(f"WRONG: {fault}")
        print(f"round {number + 1}: {PROCESSES} processes of {THREADS} threads, {took_s:.1f} s", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
