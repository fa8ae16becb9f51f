"""Downloads that are killed: python -m benchmarks.robustness.crash [TRIALS] [SEED].

A process downloads an ordinary or a hostile file through the gate and gets SIGKILL: at a random moment, or at a
random one of its operations on files, which finds narrow windows that moments rarely hit. Then no file that the
cache or local_dir leads to may have hostile content, every entry of the quarantine must be whole, and the next
downloads into the same place must succeed and refuse as if nothing had happened.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from picklegate import quarantine
from picklegate.demo import faults
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError
from picklegate.hub import download as front_door
from picklegate.policy import OnBlock, Policy

MARKER = hashlib.sha256(b"hostile").digest()
"""In the hostile file, so that any part of it that got somewhere is found."""
FILES = {
    "ordinary": b"\x80\x04]\x94.",
    "hostile": b"cos\nsystem\n(S'true'\ntR." + MARKER * 20_000,
}
NAME = "weights.bin"
PER_PLACE = 8
"""Trials that share a place, so that what earlier ones left lies about."""

Place = Literal["cache_dir", "local_dir"]

_METHODS = multiprocessing.get_context("forkserver")
_OPERATIONS = ("open", "os.rename", "os.link", "os.symlink", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "shutil.")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One download; it is killed at the operation on files with the number ``kill_at``, if that is given."""

    endpoint: str
    home: Path
    place: Place
    content: str
    on_block: OnBlock
    before: bool = False
    """Whether the plain client has put the file there before."""
    kill_at: int | None = None

    @property
    def folder(self) -> Path:
        """Where the download goes."""
        return self.home / self.place

    def __str__(self) -> str:
        """What distinguishes it."""
        return f"{self.content} into {self.place}, {self.on_block}{', there before' if self.before else ''}"


def options(job: Job) -> dict[str, Any]:
    """The client's options for a job; sets what the process needs as well."""
    os.environ.update(HF_HUB_DISABLE_PROGRESS_BARS="1", NO_PROXY="127.0.0.1", PICKLEGATE_HOME=str(job.home / "own"))
    return {"cache_dir": job.home / "unused", job.place: job.folder, "endpoint": job.endpoint, "token": False}


def fetch_plainly(job: Job) -> None:
    """Have the plain client put the file there."""
    import huggingface_hub

    huggingface_hub.hf_hub_download(f"org/{job.content}", NAME, **options(job))


def download(job: Job, answer: Any = None) -> None:
    """Do the job, in a process of its own; ``answer`` gets what came of it, and the number of operations."""
    done = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        if event.startswith(_OPERATIONS):
            done += 1
            if done == job.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)
    try:
        path = front_door.safe_hf_hub_download(
            f"org/{job.content}", NAME, **options(job), policy=Policy(on_block=job.on_block)
        )
        told = "arrived" if Path(path).read_bytes() == FILES[job.content] else "garbled"
    except BlockedError:
        told = "refused"
    if answer is not None:
        answer.send((told, done))


def prepare(job: Job) -> None:
    """What comes before the job, and is not killed."""
    if job.before:
        process = _METHODS.Process(target=fetch_plainly, args=(job,))
        process.start()
        process.join()


def outcome(job: Job) -> tuple[str, int, float]:
    """What comes of a job that is left alone, how many operations it takes, and how many seconds."""
    prepare(job)
    receiver, sender = _METHODS.Pipe(duplex=False)
    process = _METHODS.Process(target=download, args=(replace(job, kill_at=None), sender))
    start = time.monotonic()
    process.start()
    sender.close()
    try:
        told, operations = receiver.recv() if receiver.poll(60) else ("hung", 0)
    except EOFError:
        told, operations = "failed", 0
    took_s = time.monotonic() - start
    process.kill()
    process.join()
    return told, operations, took_s


def kill(job: Job, after_s: float | None) -> bool:
    """Kill the job after so many seconds, or where it says itself; whether it died of that."""
    prepare(job)
    process = _METHODS.Process(target=download, args=(job,))
    process.start()
    process.join(after_s)
    if after_s is not None:
        process.kill()
    process.join()
    return process.exitcode == -signal.SIGKILL


def faults_after(job: Job, *, finished: bool) -> Iterator[str]:
    """What is wrong after a kill, in words."""
    os.environ["PICKLEGATE_HOME"] = str(job.home / "own")
    if not (job.before and not finished):
        yield from (f"reachable: {path}" for path in hostile(job.folder))
    for content, expected in (("ordinary", "arrived"), ("hostile", "refused")):
        told = outcome(replace(job, content=content, before=False))[0]
        if told != expected:
            yield f"the {content} file {told} afterwards"
    yield from (f"reachable after the next call: {path}" for path in hostile(job.folder))
    left = [path for path in (job.home / ".picklegate").glob("*") if path.is_dir()]
    if left:
        yield f"left after the next call: {left}"
    for entry in quarantine.entries():
        if entry.report is None:
            yield f"a record of the quarantine cannot be read: {entry.id}"
        if entry.content and hashlib.sha256(entry.content.read_bytes()).hexdigest() != entry.id:
            yield f"a file in quarantine is not what it says: {entry.id}"


def hostile(folder: Path) -> list[Path]:
    """The files that can be reached in a folder and have hostile content in them."""
    found = [Path(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names]
    return [path for path in found if path.is_file() and MARKER in path.read_bytes()]


def jobs(hub: Hub, home: Path) -> list[Job]:
    """Each kind of download."""
    kinds: tuple[tuple[str, OnBlock, bool], ...] = (
        ("ordinary", "raise", False),
        ("hostile", "raise", False),
        ("hostile", "quarantine", False),
        ("hostile", "quarantine", True),
    )
    places: tuple[Place, ...] = ("cache_dir", "local_dir")
    return [
        Job(endpoint=hub.endpoint, home=home, place=place, content=content, on_block=on_block, before=before)
        for place in places
        for content, on_block, before in kinds
    ]


def trials(count: int, *, seed: int, moments: float) -> Iterator[tuple[Job, bool, list[str]]]:
    """The job of each trial, whether it was killed in time, and what was wrong afterwards.

    A share of ``moments`` is killed at a moment, the others at an operation.
    """
    draw = random.Random(seed)
    _METHODS.set_forkserver_preload(["huggingface_hub.file_download", "picklegate.hub", "picklegate.demo.faults"])
    repositories = {f"org/{name}": {NAME: data} for name, data in FILES.items()}
    with tempfile.TemporaryDirectory(prefix="crash-") as root, Hub(repositories) as hub:
        # Judged from afar a hostile file would never be fetched: this Hub knows no ranges.
        hub.faults.append(faults.on("", faults.unranged))
        usual: dict[str, tuple[int, float]] = {}
        for number in range(count):
            home = Path(root, str(number // PER_PLACE))
            home.mkdir(exist_ok=True)
            every = jobs(hub, home)
            job = every[number % len(every)]
            if str(job) not in usual:
                usual[str(job)] = outcome(replace(job, home=Path(root, "usual")))[1:]
                shutil.rmtree(Path(root, "usual"))
            operations, took_s = usual[str(job)]
            if draw.random() < moments:
                killed = kill(job, draw.uniform(0, took_s))
            else:
                killed = kill(replace(job, kill_at=draw.randint(1, operations)), None)
            yield job, killed, list(faults_after(job, finished=not killed))


def main() -> int:
    """Run the trials and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trials", type=int, nargs="?", default=200)
    parser.add_argument("seed", type=int, nargs="?", default=1)
    options = parser.parse_args()
    killed: collections.Counter[str] = collections.Counter()
    made: collections.Counter[str] = collections.Counter()
    wrong = 0
    for job, died, found in trials(options.trials, seed=options.seed, moments=0.5):
        made[str(job)] += 1
        killed[str(job)] += died
        wrong += bool(found)
        for fault in found:
            print(f"WRONG after {job}: {fault}")
    for name, count in made.items():
        print(f"{name:<50}{killed[name]:>4} killed of {count}")
    print(f"{sum(killed.values())} killed of {sum(made.values())} downloads, {wrong} with something wrong afterwards")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
