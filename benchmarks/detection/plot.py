"""Detection against false alarms: python -m benchmarks.detection.plot draws docs/detection.svg from docs/results.md.

The table *Beside other scanners*, which benchmarks/detection/__main__.py writes, has the figures. Needs matplotlib.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

_ROW = re.compile(r"^\| (\S+)[^|]*\| [^|]+\| (\d+) of (\d+)[^|]*\| (\d+) of (\d+)", re.MULTILINE)


def main() -> None:
    """Draw one point for each scanner."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("docs/results.md"))
    parser.add_argument("--output", type=Path, default=Path("docs/detection.svg"))
    options = parser.parse_args()
    section = options.results.read_text(encoding="utf-8").split("## Beside other scanners")[1].split("\n## ")[0]
    mpl.rcParams |= {"svg.hashsalt": "picklegate", "svg.fonttype": "none", "font.family": "sans-serif"}
    figure, axes = plt.subplots(figsize=(7, 4))
    for name, blocked, honest, caught, hostile in _ROW.findall(section):
        scanner = name.rstrip(",")
        x, y = 100 * int(blocked) / int(honest), 100 * int(caught) / int(hostile)
        axes.scatter(x, y, s=60 if scanner == "picklegate" else 30, zorder=3)
        axes.annotate(scanner, (x, y), xytext=(7, -4), textcoords="offset points")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    axes.set(xlim=(-0.05, 180), ylim=(0, 103), xlabel="honest files blocked, %", ylabel="unseen gadgets blocked, %")
    axes.grid(visible=True, alpha=0.3)
    figure.tight_layout()
    figure.savefig(options.output, metadata={"Date": None})


if __name__ == "__main__":
    main()
