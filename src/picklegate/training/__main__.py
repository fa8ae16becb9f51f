"""python -m picklegate.training: fit the model that ships, or one on your own files."""

from __future__ import annotations

from pathlib import Path

import click

from picklegate.training import corpus, dataset, fit, hostile

DATA = Path(__file__).parents[1] / "data"


@click.group()
def main() -> None:
    """Train picklegate's model."""


@main.command("fit")
@click.option("--corpus", "root", type=click.Path(path_type=Path), default=corpus.DEFAULT_ROOT, show_default=True,
              help="Folder with manifest.csv and hub_imports.csv.")  # fmt: skip
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=DATA,
    help="Where model, vocabulary and card go.",
)
@click.option("--seed", default=1, show_default=True, help="Seed of the generated samples and of the trees.")
@click.option("--hostile", "hostile_count", default=8000, show_default=True, help="Hostile samples to generate.")
@click.option("--benign", "benign_count", default=5000, show_default=True, help="Benign samples to generate.")
def fit_command(root: Path, output: Path, seed: int, hostile_count: int, benign_count: int) -> None:
    """Fit, calibrate and write the model; takes some minutes on two cores."""
    try:
        material = dataset_of(root, seed, hostile_count, benign_count)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    output.mkdir(parents=True, exist_ok=True)
    card = fit.write(material, output, seed)
    click.echo(f"model {card['version']} written to {output}", err=True)


def dataset_of(root: Path, seed: int, hostile_count: int, benign_count: int) -> fit.Material:
    """Everything that the model is made of, from the corpus at ``root`` and from generated samples."""
    carriers = [
        row.read()
        for row in corpus.read_manifest(root)
        if row.label == "benign" and row.container == "raw" and row.size < dataset.LARGEST_CARRIER
    ][:: dataset.CARRIER_STEP]
    rows = [
        *dataset.of_corpus(root),
        *dataset.of_hub(root, seed),
        *dataset.of_hostile(hostile_count, seed, carriers),
        *dataset.of_benign(benign_count, seed),
    ]
    return fit.Material(
        rows=[row for row in rows if row.description],
        hub=corpus.read_hub_imports(root),
        gadgets=hostile.read_gadgets(),
    )


if __name__ == "__main__":
    main()
