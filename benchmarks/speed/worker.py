"""One measurement in a process of its own: python speed_worker.py TOOL PATH TWIN; prints a line of JSON.

Imports and one scan of the twin come first; then the call is repeated until a second has passed. ``peak`` is what the
first timed call adds to the resident memory, pages of mapped files included (Linux; 0 elsewhere).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import mmap
import pathlib
import pickle
import pickletools
import statistics
import sys
import time
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

from benchmarks.common import peers

Call = Callable[[], Any]
_SECONDS = 1.0
_MOST = 200


def picklegate(*, digest: bool) -> peers.Scan:
    """The whole gate on a file."""
    from picklegate import Verdict, scan_file

    words = {
        Verdict.CLEAN: "clean",
        Verdict.SUSPICIOUS: "review",
        Verdict.UNSCANNABLE: "none",
        Verdict.MALICIOUS: "hostile",
    }
    return lambda path: words[scan_file(path, digest=digest).verdict]


SCANS: dict[str, Callable[[], peers.Scan]] = {
    "picklegate": lambda: picklegate(digest=False),
    "picklegate, sha256": lambda: picklegate(digest=True),
    **{name: peer.ready for name, peer in peers.PEERS.items()},
}


def trace() -> Callable[[str], int]:
    """Our reading of one stream alone; how many opcodes it has."""
    from picklegate.pickles import trace as read

    return lambda path: read(stream(path)).opcodes


def genops() -> Callable[[str], int]:
    """The standard library's reading of one stream, opcode by opcode."""
    return lambda path: sum(1 for _ in pickletools.genops(stream(path)))


def load() -> Callable[[str], Any]:
    """The loader itself."""
    for name in ("torch", "joblib", "sklearn.ensemble"):
        importlib.import_module(name)
    return lambda path: [_load(one) for one in _files(path)]


def read() -> Callable[[str], int]:
    """Reading the bytes, and nothing else."""
    return lambda path: sum(len(pathlib.Path(one).read_bytes()) for one in _files(path))


READS: dict[str, Callable[[], Callable[[str], Any]]] = {"trace": trace, "genops": genops, "loader": load, "read": read}


def stream(path: str) -> Any:
    """The one pickle of a file, as a map or, out of a torch archive, as bytes."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))
    with pathlib.Path(path).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _files(path: str) -> list[pathlib.Path]:
    place = pathlib.Path(path)
    return sorted(place.iterdir()) if place.is_dir() else [place]


def _load(path: pathlib.Path) -> Any:
    if path.suffix == ".pt":
        import torch

        return torch.load(path, weights_only=False)
    if path.suffix == ".joblib":
        import joblib

        return joblib.load(path)
    with path.open("rb") as file:
        return pickle.load(file)


def _memory(field: str) -> int:
    try:
        status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return int(status.split(f"{field}:")[1].split()[0]) << 10


def measure(call: Call) -> dict[str, Any]:
    """Medians of wall and processor seconds over several calls, and the first call's result and memory."""
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # VmHWM starts again
    before = _memory("VmRSS")
    wall: list[float] = []
    cpu: list[float] = []
    result = None
    peak = 0
    while not wall or (sum(wall) < _SECONDS and len(wall) < _MOST):
        start, start_cpu = time.perf_counter(), time.process_time()
        value = call()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
        if len(wall) == 1:
            peak = max(0, _memory("VmHWM") - before)
            result = value if isinstance(value, (int, str)) else None
        del value
    return {"wall": statistics.median(wall), "cpu": statistics.median(cpu), "peak": peak, "result": result}


def main() -> None:
    """Measure one tool on one input."""
    tool, path, twin = sys.argv[1:]
    warnings.simplefilter("ignore")
    answer: dict[str, Any]
    if tool in SCANS:
        scan = SCANS[tool]()
        caught = peers.scan_all(scan, twin)
        answer = measure(lambda: peers.scan_all(scan, path)) | {"twin": caught}
    else:
        use = READS[tool]()
        if tool != "loader":
            use(twin)
        answer = measure(lambda: use(path))
    print("\n" + json.dumps(answer))


if __name__ == "__main__":
    main()
