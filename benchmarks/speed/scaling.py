"""How time grows with size: python -m benchmarks.speed.scaling [--most 10000000] draws docs/time-by-size.svg.

Dicts of 1,000 to ``--most`` pairs (6 opcodes a pair, protocol 4) are read by picklegate, by the loader and by the peers
that walk whole streams, each in a process of its own, as in benchmarks/speed/__main__.py. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import pathlib
import sys
import tempfile

import matplotlib as mpl
from matplotlib import pyplot as plt

from benchmarks.common import peers
from benchmarks.speed import __main__ as speed
from benchmarks.speed import inputs

TOOLS = ("loader", "genops", "trace", "picklegate", "picklescan", "hayward")
MOST_OF_PEERS = 1_000_000
"""Pairs that picklescan and hayward are given: beyond, they take gigabytes."""


def main() -> None:
    """Generate, measure, draw, and print the table behind the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, default=10_000_000, help="pairs of the largest dict")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--venvs", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir(), "picklegate-peers"))
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs/time-by-size.svg"))
    options = parser.parse_args()
    options.venvs = options.venvs.resolve()
    peers.install(options.venvs)
    write = inputs.dict_of(4)
    counts = [count for power in range(3, 9) if (count := 10**power) <= options.most]
    times: dict[str, list[tuple[int, float]]] = {tool: [] for tool in TOOLS}
    with tempfile.TemporaryDirectory() as made:
        folder = pathlib.Path(made)
        (folder / "hostile").mkdir()
        write(str(folder / "hostile" / "dict.pkl"), inputs.TWIN_SCALE, hostile=True)
        for count in counts:
            write(str(folder / "dict.pkl"), count / 1e6, hostile=False)
            taken: dict[str, list[speed.Cell]] = {}
            for _ in range(options.rounds):
                for tool in TOOLS:
                    if tool not in peers.PEERS or count <= MOST_OF_PEERS:
                        taken.setdefault(tool, []).append(speed.measure(options.venvs, folder, tool, "dict.pkl"))
            opcodes = int(taken["trace"][0].result or 0)
            for tool, cells in taken.items():
                cell = speed.median(cells)
                if cell.right:
                    times[tool].append((opcodes, cell.wall))
            print(f"{opcodes:,} opcodes", file=sys.stderr)
    draw(times, options.output)
    sizes = [opcodes for opcodes, _ in times["trace"]]
    rows = [[f"{n:,}", *(speed.seconds(dict(times[tool])[n]) if n in dict(times[tool]) else "" for tool in TOOLS)]
            for n in sizes]  # fmt: skip
    print(speed.table(["opcodes", *TOOLS], rows))


def draw(times: dict[str, list[tuple[int, float]]], output: pathlib.Path) -> None:
    """One line a tool, both axes logarithmic: a line at 45 degrees is linear time."""
    mpl.rcParams |= {"svg.hashsalt": "picklegate", "svg.fonttype": "none", "font.family": "sans-serif"}
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for tool, points in times.items():
        if points:
            wide = 2.5 if tool == "picklegate" else 1.2
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, linewidth=wide, label=tool)
    axes.set(xscale="log", yscale="log", xlabel="opcodes", ylabel="seconds")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(output, metadata={"Date": None})


if __name__ == "__main__":
    main()
