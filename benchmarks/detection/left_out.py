"""What the gate says of libraries and packages that it has not seen: python -m benchmarks.detection.left_out.

Writes the part of docs/results.md on honest files, leave one library out, and on gadgets of packages held out.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.common.tables import files, share, table
from benchmarks.detection.__main__ import put
from benchmarks.detection.files import (
    Outcome,
    held_out,
    honest_items,
    hostile_items,
    of_corpus,
    of_libraries,
    outcomes,
)
from benchmarks.detection.folds import folds
from benchmarks.detection.report import TESTS, families, listed, missed, overwriting_table
from picklegate.training import corpus

BEGIN = "<!-- benchmarks/detection/left_out.py writes from here ... -->"
_DIRECT = ("plain", "reflective", "nested")

_INTRODUCTION = """\
Seed {seed}. Five models, each trained without a fifth of the libraries, projects and packages, and without the names
that they bring in; each file is judged by the model that has not seen its group. *Model alone* blocks where a score
reaches its threshold, the *gate* also where a rule, a proof or a fault says so. Shares come with Wilson's 95 %
interval; the worst group stands beside the mean."""
_HELD_OUT = """\
The package of each gadget, or of each honest callable, is left out of training and of the index: the gate has never
heard of it."""


@click.command()
@click.option("--corpus", "root", type=click.Path(path_type=Path), default=corpus.DEFAULT_ROOT, show_default=True,
              help="Folder with manifest.csv and hub_imports.csv, beside the folder of honest files.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Seed of the samples and of the models.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("docs/results.md"),
              show_default=True, help="The page whose marked part is written anew.")  # fmt: skip
@click.option("--cache", type=click.Path(path_type=Path, file_okay=False), help="Where rows and folds are kept.")
@click.option("--samples", default=1000, show_default=True, help="Generated files of each table.")
@click.option("--processes", default=2, show_default=True, help="Processes that scan.")
def main(root: Path, seed: int, output: Path, cache: Path | None, samples: int, processes: int) -> None:
    """Write the tables on what was left out."""
    cache = cache or Path(tempfile.gettempdir()) / "picklegate-detection"
    cache.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def step(name: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {name}", file=sys.stderr, flush=True)

    step("five models")
    judges = folds(root, cache, seed=seed, hostile_count=8000, honest_count=4000)
    step("real files")
    real = outcomes([*of_corpus(root), *of_libraries(root)], judges, processes)
    step("gadgets")
    hostile = hostile_items(samples, seed + 1000, ())
    listed_ones = outcomes(hostile, judges, processes)
    step("gadgets of packages that the index does not have")
    unknown = outcomes(held_out(hostile), judges, processes)
    unknown_honest = outcomes(held_out(honest_items(samples, seed + 1000)), judges, processes)
    step("overwritten callables")
    overwritten = outcomes(hostile_items(samples // 2, seed + 2000, (), ("known",)), judges, processes)
    put(output, text(real, listed_ones, unknown, unknown_honest, overwritten, seed), BEGIN)
    step(f"{output} is written")


def text(
    real: Sequence[Outcome],
    gadgets: Sequence[Outcome],
    unknown: Sequence[Outcome],
    unknown_honest: Sequence[Outcome],
    overwritten: Sequence[Outcome],
    seed: int,
) -> str:
    """The tables."""
    honest = [result for result in real if result.item.label == "honest"]
    bad = [result for result in real if result.item.label == "hostile"]
    parts = (
        _INTRODUCTION.format(seed=seed),
        "### Honest files",
        _groups(honest),
        _listed_by_hand(honest),
        "### Hostile files of public repositories",
        table(("blocked by", "files"), [(name, files(bad, test)) for name, test in TESTS]),
        "### Gadgets of packages that the index has and training has not",
        families(gadgets),
        "### Gadgets of packages that neither has",
        _HELD_OUT,
        families(unknown),
        "What of them passes:",
        missed(unknown),
        "Honest callables of such packages (whole files, generated to their names and shapes):",
        table(("blocked by", "files"), [(name, files(unknown_honest, test)) for name, test in TESTS]),
        "### Well-known callables, overwritten",
        overwriting_table(overwritten),
    )
    return "\n\n".join(parts)


def _listed_by_hand(honest: Sequence[Outcome]) -> str:
    return f"Those that are blocked:\n\n{listed(honest, lambda result: result.gate or result.model)}"


def _groups(found: Sequence[Outcome]) -> str:
    """Shares by file and by library or project, the mean over them, and the worst beside it."""
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for result in found:
        groups[result.item.unit].append(result)
    lines = []
    for name, test in TESTS[:2]:
        shares = {unit: sum(map(test, group)) / len(group) for unit, group in groups.items()}
        hit = [unit for unit in shares if shares[unit]]
        worst = max(hit, key=lambda unit: (shares[unit], len(groups[unit]), unit), default="")
        lines.append(
            (
                name,
                files(found, test),
                share(len(hit), len(groups)),
                f"{100 * sum(shares.values()) / max(1, len(shares)):.2f} %",
                f"{worst}: {sum(map(test, groups[worst]))} of {len(groups[worst])}" if hit else "none",
            )
        )
    return table(("blocked by", "files", "libraries and projects with any", "mean of them", "the worst"), lines)


if __name__ == "__main__":
    main()
