"""Whether another seed gives other verdicts: python -m benchmarks.detection.seeds --help.

Fits one model a seed on the corpus and what is generated from that seed, and scans the corpus with each. ``--twice``
fits the first seed again and compares the files byte for byte. Needs the extra ``train`` and the corpus.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import click

from benchmarks.common.tables import share
from benchmarks.detection.files import Item, of_corpus
from benchmarks.detection.folds import Judge
from picklegate import scan_bytes
from picklegate.judging.classifier import from_json
from picklegate.judging.vocabulary import Vocabulary
from picklegate.training import corpus, fit
from picklegate.training.__main__ import dataset_of

_FILES = ("model.json", "vocabulary.json", "novelty.json", "card.json")


@click.command()
@click.option("--corpus", "root", type=click.Path(path_type=Path), default=corpus.DEFAULT_ROOT, show_default=True)
@click.option("--seeds", default=5, show_default=True, help="How many seeds, from 1 on.")
@click.option("--hostile", default=8000, show_default=True, help="Hostile samples to generate.")
@click.option("--honest", default=6000, show_default=True, help="Honest samples to generate.")
@click.option("--twice", is_flag=True, help="Fit the first seed twice and compare the files.")
def main(root: Path, seeds: int, hostile: int, honest: int, twice: bool) -> None:  # noqa: FBT001
    """Print on how many files of the corpus the models of all seeds agree."""
    os.nice(10)
    items = [item for item in of_corpus(root) if item.label != "suspicious"]
    said: list[list[str]] = []
    with tempfile.TemporaryDirectory() as place:
        for seed in range(1, seeds + 1):
            folder = fitted(root, Path(place, str(seed)), seed, hostile, honest)
            said.append(verdicts(items, folder))
            click.echo(f"seed {seed}: {sum(word == 'CLEAN' for word in said[-1])} clean", err=True)
        if twice:
            again = fitted(root, Path(place, "again"), 1, hostile, honest)
            same = all(Path(place, "1", name).read_bytes() == (again / name).read_bytes() for name in _FILES)
            click.echo(f"seed 1 twice: {'the same bytes' if same else 'other bytes'}")
    agreed = sum(len(set(words)) == 1 for words in zip(*said, strict=True))
    blocked = sum(len({word == "CLEAN" for word in words}) == 1 for words in zip(*said, strict=True))
    click.echo(f"{seeds} seeds, the same verdict on {share(agreed, len(items))}")
    click.echo(f"{seeds} seeds, all block or all pass {share(blocked, len(items))}")
    for item, *words in zip(items, *said, strict=True):
        if len(set(words)) > 1:
            click.echo(f"  {item.name}: {' '.join(words)}")


def fitted(root: Path, folder: Path, seed: int, hostile: int, honest: int) -> Path:
    """The folder, with the seed's model in it."""
    folder.mkdir(parents=True)
    fit.write(dataset_of(root, seed, hostile, honest), folder, seed)
    return folder


def verdicts(items: list[Item], folder: Path) -> list[str]:
    """What the gate says of each file with the folder's model."""
    model, names, card = (json.loads((folder / name).read_text("utf-8")) for name in (*_FILES[:2], _FILES[3]))
    judge = Judge(classifier=from_json(model, card), vocabulary=Vocabulary.from_dict(names))
    with judge.presiding():
        return [scan_bytes(Path(item.path).read_bytes()).verdict.name for item in items]


if __name__ == "__main__":
    main()
