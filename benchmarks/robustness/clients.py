"""The releases of huggingface_hub that are supported: python -m benchmarks.robustness.clients [VERSION]...

Makes a virtual environment for each, with picklegate from this tree, runs what meets the client in it, and counts.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
VERSIONS = ("0.36.0", "1.33.0", "2.4.0")
PATTERNS = (
    "hub/test_*.py",
    "demo/test_demo.py",
    "cli/test_run.py",
    "test_protect.py",
    "test_transfers.py",
    "test_quarantine.py",
    "test_audit_log.py",
)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """A command in this tree; raises CalledProcessError for a failure of anything but tests."""
    result = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1):
        print(result.stdout, result.stderr, file=sys.stderr)
        result.check_returncode()
    return result


def tried(version: str, place: Path) -> ET.Element:
    """The outcome of the tests with one release, as pytest writes it."""
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    run(python, "-m", "pip", "install", "-q", "-e", ROOT, "pytest", f"huggingface_hub=={version}").check_returncode()
    tests = sorted({path for pattern in PATTERNS for path in (ROOT / "tests").glob(pattern)})
    result = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={place / 'result.xml'}", *tests)
    if result.returncode:
        print(result.stdout, file=sys.stderr)
    return next(ET.parse(place / "result.xml").iter("testsuite"))


def main() -> int:
    """Try each release and print a line on it."""
    failed = 0
    print("| huggingface_hub | passed | failed | skipped | seconds |\n| --- | --- | --- | --- | --- |")
    for version in sys.argv[1:] or VERSIONS:
        with tempfile.TemporaryDirectory(prefix="clients-") as place:
            counts = tried(version, Path(place)).attrib
        total, skipped = int(counts["tests"]), int(counts["skipped"])
        bad = int(counts["failures"]) + int(counts["errors"])
        failed += bad
        took_s = float(counts["time"])
        print(f"| {version} | {total - bad - skipped} | {bad} | {skipped} | {took_s:.0f} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
