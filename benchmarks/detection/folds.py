"""The models of five folds, each with the names and the thresholds that it may know.

A fold's model and vocabulary come from the rows of the other folds alone. Its thresholds come from the scores
that those rows have out of their own folds, so no score of the fold itself sets the level it is held against.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import picklegate
from picklegate.judging import features, judge, vocabulary
from picklegate.judging.classifier import SCHEMA, Classifier, from_json
from picklegate.training import corpus, dataset, fit, hostile, lists
from picklegate.training.__main__ import dataset_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """What judges the groups of one fold; ``offsets`` are the thresholds of its kinds of event, negated."""

    model: dict[str, Any]
    names: dict[str, Any]
    offsets: dict[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """A fold's classifier and vocabulary, ready to stand in for those that ship."""

    classifier: Classifier
    vocabulary: vocabulary.Vocabulary

    @classmethod
    def of(cls, fold: Fold) -> Judge:
        """Make the classifier as the shipped one is made."""
        card = {
            "schema": SCHEMA,
            "features": list(features.FEATURES),
            "offsets": fold.offsets,
            "review": fit.REVIEW,
            "block": fit.BLOCK,
            "version": "fold",
        }
        return cls(classifier=from_json(fold.model, card), vocabulary=vocabulary.Vocabulary.from_dict(fold.names))

    @contextmanager
    def presiding(self) -> Iterator[None]:
        """Let the gate's own policy judge with this classifier and vocabulary."""
        with (
            mock.patch.object(judge, "classifier", return_value=self.classifier),
            mock.patch.object(vocabulary, "vocabulary", return_value=self.vocabulary),
        ):
            yield


def folds(root: Path, cache: Path, *, seed: int, hostile_count: int, honest_count: int) -> list[Fold]:
    """The five folds, from ``cache`` where the same program has made them of the same corpus before."""
    key = _key(root, seed, hostile_count, honest_count)
    stored = cache / f"folds-{key}.json"
    if stored.is_file():
        return [Fold(**item) for item in json.loads(stored.read_text("utf-8"))]
    made = fit_folds(_material(root, cache / f"rows-{key}.json", seed, hostile_count, honest_count), seed)
    stored.write_text(json.dumps([asdict(fold) for fold in made]), "utf-8")
    return made


def fit_folds(material: fit.Material, seed: int) -> list[Fold]:
    """One model a fold, and thresholds from the scores that the other folds' rows have out of theirs."""
    rows = material.rows
    scores = np.zeros(len(rows))
    vectors: Any = np.zeros((len(rows), len(features.FEATURES)), dtype=np.float32)
    fitted = list(fit.fitted_folds(material, seed))
    for one in fitted:
        vectors[one.places], scores[one.places] = one.vectors, one.margins
    made = []
    for one in fitted:
        others = np.setdiff1d(np.arange(len(rows)), one.places)
        levels = fit.thresholds([rows[i] for i in others], (scores[others], vectors[others]))
        made.append(
            Fold(
                model=json.loads(bytes(one.booster.save_raw("json"))),
                names=one.names.vocabulary().to_dict(),
                offsets={kind: -level for kind, level in levels.items()},
            )
        )
    return made


def _material(root: Path, stored: Path, seed: int, hostile_count: int, honest_count: int) -> fit.Material:
    if stored.is_file():
        rows = [_row(item) for item in json.loads(stored.read_text("utf-8"))]
        return fit.Material(
            rows=rows,
            hub=corpus.read_hub_imports(root),
            gadgets=hostile.read_gadgets(),
            constructors=lists.rows("constructors.tsv"),
        )
    material = dataset_of(root, seed, hostile_count, honest_count)
    stored.write_text(json.dumps([asdict(row) for row in material.rows]), "utf-8")
    return material


def _row(item: dict[str, Any]) -> dataset.Row:
    return dataset.Row(**{**item, "description": tuple(item["description"])})


def _key(root: Path, *settings: object) -> str:
    """A digest of everything that the folds depend on: settings, corpus and program."""
    home = Path(picklegate.__file__).parent
    sources = sorted(
        path
        for folder in ("capabilities", "pickles", "containers", "judging", "training")
        for path in (home / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    )
    digest = hashlib.sha256(repr((*settings, str(root))).encode())
    for path in (root / "manifest.csv", root / "hub_imports.csv", home / "limits.py", *sources):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
