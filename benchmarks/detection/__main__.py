"""How well the gate tells hostile files from honest ones: python -m benchmarks.detection --help.

Needs the extra ``train`` and the corpus. Every figure is out of fold: the model that judges a file has seen neither
its group (project, family of twins, gadget's package) nor the names that this group brings in.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click

from benchmarks.detection import baselines as detection_baselines
from benchmarks.detection import beside_peers, evasion, injection, report
from benchmarks.detection.files import (
    Item,
    Outcome,
    honest_items,
    hostile_items,
    of_corpus,
    of_written,
    outcomes,
)
from benchmarks.detection.folds import Fold, folds
from picklegate.training import corpus, dataset

BEGIN = "<!-- benchmarks/detection/__main__.py writes from here ... -->"
END = "<!-- ... to here -->"


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How many samples are drawn: for training, and for each table."""

    trained_hostile: int = 8000
    trained_honest: int = 4000
    hostile: int = 3000
    honest: int = 1500
    overwriting: int = 800
    injected: int = 120
    rewritten: int = 120
    peers: int = 300


QUICK = Size(
    trained_hostile=600,
    trained_honest=400,
    hostile=400,
    honest=200,
    overwriting=100,
    injected=20,
    rewritten=8,
    peers=4,
)


@click.command()
@click.option("--corpus", "root", type=click.Path(path_type=Path), default=corpus.DEFAULT_ROOT, show_default=True,
              help="Folder with manifest.csv, hub_imports.csv and hub_opcode_counts.csv.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Seed of the samples and of the models.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("docs/results.md"),
              show_default=True, help="The page whose marked part is written anew.")  # fmt: skip
@click.option(
    "--cache", type=click.Path(path_type=Path, file_okay=False), help="Where rows and folds are kept between runs."
)
@click.option("--peers", "environments", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder with the other scanners' environments (speed.py makes them).")  # fmt: skip
@click.option("--processes", default=2, show_default=True, help="Processes that scan.")
@click.option("--quick", is_flag=True, help="Draw few samples: for trying the command out.")
def main(
    root: Path,
    seed: int,
    output: Path,
    cache: Path | None,
    environments: Path | None,
    processes: int,
    quick: bool,  # noqa: FBT001
) -> None:
    """Write the tables of docs/results.md."""
    size = QUICK if quick else Size()
    cache = cache or Path(tempfile.gettempdir()) / "picklegate-detection"
    cache.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()

    def step(name: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {name}", file=sys.stderr, flush=True)

    step("five models")
    judges = folds(root, cache, seed=seed, hostile_count=size.trained_hostile, honest_count=size.trained_honest)
    step("real files")
    real = outcomes(list(of_corpus(root)), judges, processes)
    streams = carriers(real)
    step("generated files")
    drawn = [
        *hostile_items(size.hostile, seed + 1000, streams[:: dataset.CARRIER_STEP]),
        *honest_items(size.honest, seed + 1000),
    ]
    generated = outcomes(drawn, judges, processes)
    overwritten = hostile_items(size.overwriting, seed + 2000, (), ("known",))
    overwriting = outcomes(overwritten, judges, processes)
    step("files of libraries")
    written = outcomes(list(of_written()), judges, processes)
    step("rewritten files")
    rewritten = list(evasion.items(size.rewritten, seed + 4000))
    evaded = outcomes(rewritten, judges, processes)
    step("injected files")
    moved = injections(real, streams, judges, processes, seed, size.injected)
    step("the paper's models")
    counted = [result for result in real if result.item.label != "suspicious"]
    everything_moved = [result for _, group in moved for result in group if result.item.family != "alone"]
    baselines = detection_baselines.report(counted, generated, everything_moved, root / "hub_opcode_counts.csv", seed)
    beside = ""
    if environments is not None:
        step("the other scanners")
        groups = {
            "hostile files": [result for result in real if result.item.label == "hostile"],
            "honest files": [result for result in real if result.item.label == "honest"],
            "gadgets of unseen packages": _whole(generated, drawn)[: size.peers],
            "overwritten callables": _whole(overwriting, overwritten)[: size.peers],
            "rewritten files": _whole(evaded, rewritten)[:: max(1, len(rewritten) // size.peers)],
        }
        beside = beside_peers.report(groups, environments, cache)
    text = report.report(
        real=real,
        written=written,
        evaded=evasion.report(evaded),
        beside=beside,
        generated=generated,
        overwriting=overwriting,
        injected=injection.report(moved),
        baselines=baselines,
        seed=seed,
    )
    put(output, text)
    step(f"{output} is written")


def _whole(found: list[Outcome], items: list[Item]) -> list[Outcome]:
    """The outcomes, their items with their bytes."""
    return [replace(result, item=item) for result, item in zip(found, items, strict=True)]


def carriers(real: list[Outcome]) -> list[bytes]:
    """The raw honest streams of the corpus that the gate lets pass by themselves."""
    return [
        data
        for result in real
        if result.item.label == "honest" and result.item.container == "raw" and not (result.gate or result.model)
        if len(data := Path(result.item.path).read_bytes()) < dataset.LARGEST_CARRIER
    ]


def injections(
    real: list[Outcome], streams: list[bytes], judges: list[Fold], processes: int, seed: int, count: int
) -> list[tuple[str, list[Outcome]]]:
    """Real and generated payloads, each alone, in carriers and padded."""
    rng = random.Random(seed)
    honest = injection.carriers(streams)
    originals = [result.item for result in real if result.item.label == "hostile" and result.item.container == "raw"]
    made = [item for item in hostile_items(count * 4, seed + 3000, ()) if item.container == "raw"][:count]
    groups: list[tuple[str, list[tuple[Item, bytes]]]] = [
        ("real", [(item, Path(item.path).read_bytes()) for item in originals]),
        ("generated", [(item, item.data) for item in made]),
    ]
    return [
        (title, outcomes(
            [item for payload in injection.payloads(pairs)
             for item in injection.injected(payload, honest, rng)], judges, processes))
        for title, pairs in groups
    ]  # fmt: skip


def put(page: Path, text: str, begin_mark: str = BEGIN) -> None:
    """Replace what stands between the marks of the page, or make the page."""
    old = page.read_text("utf-8") if page.is_file() else f"# Results\n\n{begin_mark}\n{END}\n"
    before, begin, rest = old.partition(begin_mark)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise click.ClickException(f"{page} lacks the marks that the tables go between: {begin_mark} and {END}")
    page.write_text(f"{before}{begin_mark}\n\n{text}\n\n{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
