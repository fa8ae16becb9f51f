"""python -m picklegate.training: fit the model that ships, or one on your own files."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import click

from picklegate.judging.model_files import CARD, VARIABLE, digest_of
from picklegate.training import corpus, dataset, distributions, fit, hostile, index, lists

DATA = Path(__file__).parents[1] / "data"


def _output(context: click.Context, _: click.Parameter, folder: Path | None) -> Path:
    """The folder to write to; a model of one's own never takes the place of the one that ships."""
    own = any(isinstance(given, Path) for name, given in context.params.items() if name != "root")
    if folder is None and own:
        raise click.UsageError(f"with your own files, name a folder: --output FOLDER (then {VARIABLE}=FOLDER uses it)")
    if own and folder is not None and folder.resolve() == DATA.resolve():
        raise click.UsageError(f"--output {folder} is the installed package's own: name another folder")
    return folder or DATA


@click.group()
def main() -> None:
    """Train picklegate's model."""


@main.command("fit")
@click.option("--corpus", "root", type=click.Path(path_type=Path),
              help="Folder with manifest.csv and hub_imports.csv; the project's own if none is given.")  # fmt: skip
@click.option("--honest", "honest_folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of your honest files; each folder in it is a project of its own.")  # fmt: skip
@click.option("--hostile", "hostile_folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of your hostile files; each folder in it is a family of like ones.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), callback=_output,
              help="Where model, vocabulary and card go; needed with your own files.")  # fmt: skip
@click.option("--seed", default=1, show_default=True, help="Seed of the generated samples and of the trees.")
@click.option("--generated-hostile", default=8000, show_default=True, help="Hostile samples to generate.")
@click.option("--generated-honest", default=4000, show_default=True, help="Honest samples to generate.")
def fit_command(
    root: Path | None,
    honest_folder: Path | None,
    hostile_folder: Path | None,
    output: Path,
    seed: int,
    generated_hostile: int,
    generated_honest: int,
) -> None:
    """Fit, calibrate and write the model; takes some minutes on two cores."""
    if root is None and honest_folder is None and hostile_folder is None:
        root = corpus.DEFAULT_ROOT
    try:
        material = dataset_of(
            root, seed, generated_hostile, generated_honest, own=honest_folder, own_hostile=hostile_folder
        )
    except OSError as error:
        raise click.ClickException(str(error)) from error
    output.mkdir(parents=True, exist_ok=True)
    card = fit.write(material, output, seed)
    click.echo(f"model {card['version']} written to {output}; {VARIABLE}={output} puts it to use", err=True)


@main.command("seal")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), default=DATA)
def seal_command(folder: Path) -> None:
    """Write into the card of a model the digest that the card has now.

    For a card that was edited on purpose; `fit` does it itself.
    """
    path = folder / CARD
    card = json.loads(path.read_text("utf-8"))
    card["sha256"][CARD] = digest_of(card)
    path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")


@main.command("index")
@click.option("--wheels", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder with the wheels of data/packages.tsv.")  # fmt: skip
@click.option("--python", "pythons", multiple=True, help="Interpreter whose standard library counts; repeat.")
@click.option("--installed", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of installed packages to take torch from.")  # fmt: skip
@click.option("--records", type=click.Path(path_type=Path, file_okay=False), default=Path("records"), show_default=True,
              help="Folder where what was read of each package is kept for the next time.")  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default=index.DATA,
              help="Where the index and its card go. [default: the package's own]")  # fmt: skip
@click.option("--made", default="", help="The day that the card names. [default: today]")
def index_command(
    wheels: Path, pythons: tuple[str, ...], installed: Path | None, records: Path, output: Path, made: str
) -> None:
    """Make the index of what callables can do; takes some ten minutes on two cores and 8 GB."""
    records.mkdir(parents=True, exist_ok=True)
    work = distributions.jobs(wheels, pythons, installed, records)
    try:
        card = index.build(distributions.read_all(work), output, today=made)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"{card['names']} names of {card['packages']} packages, {card['decided']} decided by an argument", err=True
    )


def dataset_of(
    root: Path | None,
    seed: int,
    hostile_count: int,
    honest_count: int,
    *,
    own: Path | None = None,
    own_hostile: Path | None = None,
) -> fit.Material:
    """Everything that the model is made of: the corpus at ``root``, one's own files, and generated samples."""
    real = [row for row in corpus.read_manifest(root) if row.label == "honest"] if root else []
    small = [row for row in real if row.container == "raw" and row.size < dataset.LARGEST_CARRIER]
    carriers = [row.read() for row in small][:: dataset.CARRIER_STEP]
    rows = [
        *(dataset.of_corpus(root) if root else ()),
        *(dataset.of_libraries(root) if root else ()),
        *(dataset.of_hub(root, seed) if root else ()),
        *(dataset.of_folder(own, "honest") if own else ()),
        *(dataset.of_folder(own_hostile, "hostile") if own_hostile else ()),
        *dataset.of_written(),
        *dataset.of_hostile(hostile_count, seed, carriers),
        *dataset.of_honest(honest_count, seed),
    ]
    mine = [path for path in sorted(own.rglob("*")) if path.is_file()] if own else []
    files = chain(
        ((row.project, row.read()) for row in real),
        ((path.parent.name, path.read_bytes()) for path in mine),
        ((f"written {name.partition('/')[0]}", data) for name, data in dataset.written()),
    )
    return fit.Material(
        rows=list(dataset.thinned(row for row in rows if row.description)),
        hub=corpus.read_hub_imports(root) if root else (),
        gadgets=hostile.read_gadgets(),
        constructors=lists.rows("constructors.tsv"),
        shapes=tuple(dataset.shapes(files)),
    )


if __name__ == "__main__":
    main()
