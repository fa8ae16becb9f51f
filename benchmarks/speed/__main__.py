"""Time and memory of picklegate beside its peers: python -m benchmarks.speed [--quick] [--output docs/speed.md].

Inputs are generated (speed_inputs.py), each tool runs in a virtual environment of its own (peers.py), each measurement
in a process of its own (speed_worker.py), and the tools take turns, so that whatever else the machine does
slows all of them alike. Run it with an interpreter that has picklegate.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import picklegate
from benchmarks.common import peers

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
LIMIT = 120.0
"""Seconds that one measurement may take."""
_LEAST = 1 << 20
"""Bytes of memory from which on a ratio says something."""
ONCE = 10.0
"""Seconds from which on a tool is measured once and not in every round."""

OURS = ("picklegate", "picklegate, sha256")
READS = ("read", "loader", "trace", "genops")
TOOLS = (*READS, *OURS, *peers.PEERS)
JUDGES = (OURS[0], *peers.PEERS)
INPUTS = {
    "state_dict.pt": "state_dict of 2,000 tensors, zip",
    "state_dict_legacy.pt": "state_dict of 2,000 tensors, legacy",
    "large.pt": "torch zip of 1 GB",
    "dict_p0.pkl": "dict of a million pairs, protocol 0",
    "dict_p2.pkl": "dict of a million pairs, protocol 2",
    "dict_p4.pkl": "dict of a million pairs, protocol 4",
    "instances.pkl": "list of 200,000 timedeltas",
    "forest.joblib": "random forest, joblib",
    "forest_zlib.joblib": "random forest, joblib with zlib",
    "small": "500 small pickles",
    "tiny.pkl": "one tiny pickle",
}
STREAMS = frozenset(name for name in INPUTS if name.endswith(".pkl")) | {"state_dict.pt", "large.pt"}
"""Inputs that are one pickle, which is what ``trace`` and ``genops`` read."""
COLD = {"picklegate": ("picklegate", "scan"), **{name: peer.command for name, peer in peers.PEERS.items()}}

_HEAD = f"""# Speed

How long each scanner takes, and how much memory, with the verdict beside it: a fast wrong answer does not count.
Written by `python -m benchmarks.speed`; every input is generated. The tools take turns in fresh processes; a cell is
the median over processes, each the median of its own repeated calls (over {ONCE:.0f} s: one call; over {LIMIT:.0f} s:
stopped). `python -m benchmarks.speed.scaling` draws how time grows with size:

![Seconds against opcodes, for picklegate, the loader, pickletools and two scanners](time-by-size.svg)
"""
_TIME = """## Time in process

`read` reads the bytes, `loader` is `pickle.load`, `torch.load` or `joblib.load` of the harmless file, `trace` is our
reading of the one stream without a verdict, `genops` is `pickletools.genops` on it. Bold: the fastest scanner with
right verdicts. Struck out: a wrong verdict or none, on the file or on its hostile twin.
"""
_MEMORY = """## Peak memory

MB that the first call adds to the process, pages of mapped files included.
"""
_VERDICTS = """## Verdicts

On the harmless file / on a small twin with a call of `os.system` at its very end.
"""
_RATIOS = """## Ratios

Processor time as a multiple of the loader's; only right verdicts.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What one tool did with one input: medians in seconds, bytes of memory, its answers, or what went wrong."""

    wall: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    result: str | int | None = None
    twin: str = ""
    trouble: str = ""

    @property
    def right(self) -> bool:
        """Whether the harmless file passes and its hostile twin does not."""
        return not self.trouble and (not self.twin or (self.twin == "hostile" and self.result in ("clean", "review")))


def interpreter(venvs: pathlib.Path, tool: str) -> str:
    """Where a tool lives."""
    return peers.python(venvs, tool) if tool in (*peers.PEERS, "loader") else sys.executable


def run(command: Sequence[str]) -> tuple[str, str]:
    """(output, trouble) of a process with a time limit, away from here: fickling leaves a file where it runs."""
    options: dict[str, Any] = {
        "env": os.environ | peers.QUIET | {"PYTHONPATH": str(ROOT)},
        "cwd": tempfile.gettempdir(),
    }
    try:
        done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False, **options)
    except subprocess.TimeoutExpired:
        return "", f"over {LIMIT:.0f} s"
    return done.stdout.decode("utf-8", "replace"), "fails" if done.returncode else ""


def measure(venvs: pathlib.Path, folder: pathlib.Path, tool: str, name: str) -> Cell:
    """One measurement in a fresh process."""
    worker = (str(HERE / "worker.py"), tool, str(folder / name), str(folder / "hostile" / name))
    output, trouble = run((interpreter(venvs, tool), *worker))
    return Cell(trouble=trouble) if trouble else Cell(**json.loads(output.splitlines()[-1]))


def median(cells: Sequence[Cell]) -> Cell:
    """The cell of the median time; the first trouble where there was any."""
    bad = next((cell for cell in cells if cell.trouble), None)
    return bad or sorted(cells, key=lambda cell: cell.wall)[len(cells) // 2]


def measurements(
    venvs: pathlib.Path, folder: pathlib.Path, rounds: int, names: Iterable[str]
) -> dict[tuple[str, str], Cell]:
    """(tool, input) -> its medians; the tools take turns on each input."""
    taken: dict[tuple[str, str], list[Cell]] = {}
    for name in names:
        for _ in range(rounds):
            for tool in TOOLS:
                if tool in ("trace", "genops") and name not in STREAMS:
                    continue
                cells = taken.setdefault((tool, name), [])
                if not cells or (not cells[0].trouble and cells[0].wall < ONCE):
                    cells.append(measure(venvs, folder, tool, name))
        print(f"measured {name}", file=sys.stderr)
    return {key: median(cells) for key, cells in taken.items()}


def cold(venvs: pathlib.Path, path: pathlib.Path, rounds: int) -> dict[str, float]:
    """Tool -> median seconds of its command line on one tiny file, the interpreter's start included."""
    taken: dict[str, list[float]] = {}
    for _ in range(rounds * 3):
        for tool, (program, *options) in COLD.items():
            start = time.perf_counter()
            run((str(pathlib.Path(interpreter(venvs, tool)).with_name(program)), *options, str(path)))
            taken.setdefault(tool, []).append(time.perf_counter() - start)
    return {tool: statistics.median(times) for tool, times in taken.items()}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, its columns after the first aligned right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def seconds(value: float) -> str:
    """Three digits, in ms below one second."""
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def timed(cells: dict[tuple[str, str], Cell]) -> Callable[[Cell, str], str]:
    """Shows the time: struck out where the verdict is wrong, bold for the fastest scanner of those that are right."""

    def show(cell: Cell, name: str) -> str:
        if cell.trouble or not cell.right:
            return cell.trouble or f"~~{seconds(cell.wall)}~~"
        rivals = [other for tool in JUDGES if (other := cells[tool, name]).right]
        fastest = cell.twin and cell.wall == min((other.wall for other in rivals), default=0.0)
        return f"**{seconds(cell.wall)}**" if fastest else seconds(cell.wall)

    return show


def judged(cell: Cell) -> str:
    """What is said of the harmless file and of its twin."""
    words = {"clean": "passes", "review": "review", "none": "no verdict", "hostile": "blocks"}
    return cell.trouble or f"{words[str(cell.result)]} / {words[cell.twin]}"


def grid(
    cells: dict[tuple[str, str], Cell], tools: Sequence[str], names: Iterable[str], show: Callable[[Cell, str], str]
) -> str:
    """One row an input, one column a tool."""
    rows = [
        [INPUTS[name], *(show(cells[tool, name], name) if (tool, name) in cells else "" for tool in tools)]
        for name in names
    ]
    return table(["", *tools], rows)


def ratio_to(cells: dict[tuple[str, str], Cell], base: str, what: str = "cpu") -> Callable[[Cell, str], str]:
    """Shows processor time, or memory (``"peak"``), as a multiple of another tool's on the same input."""

    def show(cell: Cell, name: str) -> str:
        other = cells[base, name]
        least = getattr(other, what)
        enough = least > (_LEAST if what == "peak" else 0)
        return f"{getattr(cell, what) / least:.2f}" if cell.right and other.right and enough else "-"

    return show


def processor() -> str:
    """The name of the processor, where the system tells it."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def report(
    cells: dict[tuple[str, str], Cell], starts: dict[str, float], names: Sequence[str], options: argparse.Namespace
) -> str:
    """The page."""
    walked = {name: cells["trace", name] for name in names if name in STREAMS}
    rates = [
        [INPUTS[name], f"{int(cell.result or 0):,}", f"{int(cell.result or 0) / cell.cpu / 1e6:.2f}"]
        for name, cell in walked.items()
        if not cell.trouble and cell.cpu
    ]
    versions = ", ".join([f"picklegate {picklegate.__version__}", *(p.packages[0] for p in peers.PEERS.values())])
    date = f"{dt.datetime.now(dt.timezone.utc):%d %B %Y}"
    machine = f"{os.cpu_count()} x {processor()}, load average at the end {os.getloadavg()[0]:.1f}"
    size = ", inputs of a tenth of the size" if options.quick else ""
    parts = [
        _HEAD,
        f"{date}, {machine}, {platform.system()}, CPython {platform.python_version()}.",
        f"{versions}, {peers.LOADER[0]}. Processes a cell: {options.rounds}{size}.\n",
        _TIME,
        grid(cells, TOOLS, names, timed(cells)),
        _MEMORY,
        grid(cells, TOOLS, names, lambda cell, _: cell.trouble or f"{cell.peak / 1e6:.1f}"),
        "As a multiple of picklescan's, where that one adds a megabyte or more.\n",
        grid(cells, TOOLS, names, ratio_to(cells, "picklescan", "peak")),
        _VERDICTS,
        grid(cells, JUDGES, names, lambda cell, _: judged(cell)),
        _RATIOS,
        grid(cells, TOOLS[2:], names, ratio_to(cells, "loader")),
        "As a multiple of picklescan's, where that one is right.\n",
        grid(cells, TOOLS[1:], names, ratio_to(cells, "picklescan")),
        "## Opcodes\n",
        table(["", "opcodes", "millions a second, `trace`"], rates),
        "## Cold command line\n\nOne tiny file, from the start of the interpreter to its end.\n",
        table(["", *starts], [["seconds", *(f"{value:.3f}" for value in starts.values())]]),
    ]
    return "\n".join(parts)


def main() -> None:
    """Install, generate, measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="inputs of a tenth of the size, one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(INPUTS), choices=list(INPUTS), metavar="INPUT")
    parser.add_argument("--venvs", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir(), "picklegate-peers"))
    parser.add_argument("--output", type=pathlib.Path, help="write the page here instead of printing it")
    options: Any = parser.parse_args()
    options.venvs = options.venvs.resolve()
    if options.quick:
        options.rounds = 1
    peers.install(options.venvs)
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made, "inputs")
        maker = [peers.python(options.venvs, "loader"), str(HERE / "inputs.py"), str(folder)]
        subprocess.run([*maker, *(["--quick"] if options.quick else [])], check=True)
        cells = measurements(options.venvs, folder, options.rounds, options.only)
        starts = cold(options.venvs, folder / "tiny.pkl", options.rounds)
    page = report(cells, starts, options.only, options)
    if options.output:
        options.output.write_text(page, encoding="utf-8")
    else:
        print(page)


if __name__ == "__main__":
    main()
