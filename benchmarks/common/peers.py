"""The other scanners: their versions, their virtual environments, and how each is asked for a verdict.

Nothing outside the standard library is imported before a scanner is asked for, so this module works in
every environment. A verdict is one of ``WORDS``.
"""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

WORDS = ("clean", "review", "none", "hostile")
"""Passed, left to a person, no verdict (an error, or nothing scanned), blocked; of several, the last one counts."""

Scan = Callable[[str], str]
"""path of a file -> verdict."""

QUIET = {"PROMPTFOO_DISABLE_TELEMETRY": "1", "NO_ANALYTICS": "1", "AISBOM_NO_TELEMETRY": "1"}
"""Settings under which no scanner reports home."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A scanner: what pip installs, the command line, and what loads its interface."""

    packages: tuple[str, ...]
    command: tuple[str, ...]
    ready: Callable[[], Scan]

    @property
    def version(self) -> str:
        """The pinned version."""
        return self.packages[0].partition("==")[2]


def picklescan() -> Scan:
    """Count dangerous globals first, then suspicious ones."""
    from picklescan.scanner import scan_file_path  # type: ignore[import-not-found]

    def scan(path: str) -> str:
        result = scan_file_path(path)
        if result.issues_count:
            return "hostile"
        if result.scan_err or not result.scanned_files:
            return "none"
        return "review" if result.suspicious_count else "clean"

    return scan


def modelscan() -> Scan:
    """Any issue blocks; an error or a file that was skipped is no verdict."""
    from modelscan.modelscan import ModelScan  # type: ignore[import-not-found]

    def scan(path: str) -> str:
        scanner = ModelScan()
        scanner.scan(path)
        if scanner.issues.all_issues:
            return "hostile"
        return "none" if scanner.errors or not scanner.scanned else "clean"

    return scan


def fickling() -> Scan:
    """The severity; SUSPICIOUS with nothing but errors behind it is no verdict."""
    import fickling as module  # type: ignore[import-not-found]
    from fickling.analysis import Severity  # type: ignore[import-not-found]

    def scan(path: str) -> str:
        ask = module.scan_zip_archive if zipfile.is_zipfile(path) else module.scan_file
        found = ask(path, graceful=True)
        worst = "clean"
        for result in found.values() if isinstance(found, dict) else [found]:
            if result.severity > Severity.SUSPICIOUS:
                word = "hostile"
            elif result.errors:
                word = "none"
            else:
                word = "clean" if result.severity == Severity.LIKELY_SAFE else "review"
            worst = max(worst, word, key=WORDS.index)
        return worst

    return scan


def hayward() -> Scan:
    """Medium and above block, low asks for a review."""
    from hayward import ModelFileScanner  # type: ignore[import-not-found]

    words = {"info": "clean", "low": "review"}

    def scan(path: str) -> str:
        found = ModelFileScanner().scan_file(pathlib.Path(path))
        return max((words.get(one.severity.value, "hostile") for one in found), key=WORDS.index, default="clean")

    return scan


def modelaudit() -> Scan:
    """Critical issues block, warnings ask for a review."""
    from modelaudit.core import scan_model_directory_or_file  # type: ignore[import-not-found]

    words = {"critical": "hostile", "warning": "review"}

    def scan(path: str) -> str:
        result = scan_model_directory_or_file(path, cache_enabled=False)
        worst = max((words.get(one.severity.value, "clean") for one in result.issues), key=WORDS.index, default="clean")
        return "none" if result.has_errors and worst != "hostile" else worst

    return scan


PEERS: dict[str, Peer] = {
    "picklescan": Peer(packages=("picklescan==1.0.5", "numpy"), command=("picklescan", "-p"), ready=picklescan),
    "modelscan": Peer(packages=("modelscan==0.8.8",), command=("modelscan", "-p"), ready=modelscan),
    "fickling": Peer(
        packages=("fickling==0.1.12", "typing_extensions"), command=("fickling", "--check-safety"), ready=fickling
    ),
    "hayward": Peer(packages=("hayward==1.4.1",), command=("hayward", "scan"), ready=hayward),
    "modelaudit": Peer(packages=("modelaudit==0.2.54",), command=("modelaudit", "scan"), ready=modelaudit),
}

LOADER = ("torch==2.13.0", "joblib", "scikit-learn", "numpy")
"""What writes the inputs, and loads the benign ones."""


def python(folder: pathlib.Path, name: str) -> str:
    """The interpreter of one environment."""
    return str(folder / name / "bin" / "python")


def install(folder: pathlib.Path) -> None:
    """Make each environment that is not there yet; raises CalledProcessError where pip fails."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, packages in {**{name: peer.packages for name, peer in PEERS.items()}, "loader": LOADER}.items():
        if not pathlib.Path(python(folder, name)).exists():
            print(f"installing {' '.join(packages)}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", folder / name], check=True)
            subprocess.run([python(folder, name), "-m", "pip", "install", "--quiet", *packages], check=True)


def scan_all(scan: Scan, path: str) -> str:
    """The worst verdict on a file, or on each file of a folder."""
    if not pathlib.Path(path).is_dir():
        return scan(path)
    names = sorted(os.listdir(path))
    return max((scan(str(pathlib.Path(path, name))) for name in names), key=WORDS.index)


class _Late(BaseException):
    """The time for one file is over; no scanner's own handling of errors may take this for one."""


def _late(_signal: int, _frame: FrameType | None) -> None:
    raise _Late


def main() -> None:
    """Ask one scanner about each path on standard input: python peers.py NAME SECONDS; prints a JSON line for each.

    A file on which the scanner raises, or takes longer, gets no verdict. Whatever else the scanner prints is dropped.
    """
    name, seconds = sys.argv[1:]
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    signal.signal(signal.SIGALRM, _late)
    scan = PEERS[name].ready()
    for path in sys.stdin.read().splitlines():
        signal.alarm(int(seconds))
        try:
            word = scan(path)
        except (Exception, _Late):  # noqa: BLE001  whatever a scanner raises, it said nothing
            word = "none"
        signal.alarm(0)
        print(json.dumps([path, word]), file=answers, flush=True)


if __name__ == "__main__":
    main()
