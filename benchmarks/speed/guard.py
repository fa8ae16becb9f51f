"""What the guard costs beside the plain loaders: python -m benchmarks.speed.guard --help.

Inputs are generated. Plain and guarded loads take turns in one process; a round's overhead is the difference of its two
times, and the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import collections
import datetime as dt
import itertools
import os
import pathlib
import pickle
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import joblib
import numpy as np
import torch

from picklegate import guarded, install_guard, safe_joblib_load, safe_torch_load

BEGIN, END = "<!-- benchmarks/speed/guard.py writes from here ... -->", "<!-- ... to here -->"
Load = Callable[[], Any]


def timed(load: Load, repeats: int = 1) -> float:
    """Seconds of processor time of one call, in the thread that loads: what else the machine does is not counted."""
    start = time.thread_time()
    for _ in range(repeats):
        load()
    return (time.thread_time() - start) / repeats


def timed_in_guard(load: Load, repeats: int) -> float:
    """Seconds of one call in a guarded process."""
    with guarded():
        return timed(load, repeats)


def row(label: str, pairs: Sequence[tuple[float, float]]) -> str:
    """A line of the table, of the times of each round: both medians, and the median of the differences."""
    before = statistics.median(one for one, _ in pairs)
    after = statistics.median(two for _, two in pairs)
    extra = statistics.median(two - one for one, two in pairs)
    share = f"{100 * extra / before:+.1f} %" if before > 0.1 else ""
    line = f"| {label} | {spelled(before)} | {spelled(after)} | {spelled(extra)} | {share} |"
    print(line, flush=True)
    return line


def spelled(seconds: float) -> str:
    """A time in the unit that fits it."""
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(seconds) >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds * 1e6:.2g} µs"


def tables(folder: pathlib.Path, rounds: int) -> list[str]:
    """All lines."""
    large, small, many = folder / "large.pt", folder / "small.pt", folder / "many.pt"
    torch.save({f"layer{n}.weight": torch.full((4096, 4096), 0.5) for n in range(16)}, large)
    torch.save(torch.nn.Linear(350, 350).state_dict(), small)
    torch.save({f"layer{n}.weight": torch.ones(16) for n in range(2000)}, many)
    forest = folder / "arrays.joblib"
    joblib.dump({f"tree{n}": np.arange(10_000.0) for n in range(50)}, forest)
    files: dict[str, tuple[Load, Load]] = {
        f"`torch.load` of {label}": (partial(torch.load, path, weights_only=True), partial(safe_torch_load, path))
        for label, path in (("1 GB", large), ("500 KB", small), ("2,000 tensors", many))
    }
    files["`joblib.load` of 50 arrays, 4 MB"] = (
        partial(joblib.load, forest),
        partial(safe_joblib_load, forest),
    )
    lines = ["| Load | Plain | Guarded | Difference | |", "| --- | --: | --: | --: | --: |"]
    for label, (plain, safe) in files.items():
        timed(plain), timed(safe)
        lines.append(row(label, [(timed(plain), timed(safe)) for _ in range(rounds)]))
    pickles: dict[str, Any] = {
        "plain data, 60 bytes": {"a": [1, 2, 3], "b": "text", "c": None},
        "an `OrderedDict`": collections.OrderedDict(a=1),
    }
    for label, value in pickles.items():
        data = pickle.dumps(value)

        def load(data: bytes = data) -> Any:
            return pickle.loads(data)

        timed_in_guard(load, 1)
        times = [(timed(load, 500), timed_in_guard(load, 500)) for _ in range(rounds)]
        lines.append(row(f"`pickle.loads` of {label}, met before", times))
        counter = itertools.count()

        def load_new(value: Any = value, counter: Iterator[int] = counter) -> Any:
            return pickle.loads(pickle.dumps((next(counter), value)))

        times = [(timed(load_new, 100), timed_in_guard(load_new, 100)) for _ in range(rounds)]
        lines.append(row(f"`pickle.loads` of {label}, new each time, with `dumps`", times))

    def in_and_out() -> None:
        install_guard()()

    times = [(0.0, timed(in_and_out)) for _ in range(rounds)]
    return [*lines, row(f"putting the guard in place and away, {len(sys.modules):,} modules imported", times)]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        lines = tables(pathlib.Path(name), options.rounds)
    note = (
        f"{dt.datetime.now(tz=dt.timezone.utc):%d %B %Y}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, "
        f"CPython {platform.python_version()}, torch {torch.__version__}, joblib {joblib.__version__}; "
        f"medians of {options.rounds} rounds, page cache warm; processor time of the thread that loads."
    )
    text = "\n".join([BEGIN, "", note, "", *lines, "", END])
    if options.output is None:
        print(text)
        return
    page = options.output.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    options.output.write_text(before + text + rest.partition(END)[2], encoding="utf-8")


if __name__ == "__main__":
    main()
