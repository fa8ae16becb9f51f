"""Rows -> the model: XGBoost on events, thresholds from scores of files that it was not trained on."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

try:
    import numpy as np
    import xgboost
except ModuleNotFoundError as error:
    message = f"training needs {error.name}: install it with `pip install 'picklegate[train]'`"
    raise ModuleNotFoundError(message, name=error.name) from error

from picklegate.judging import feature_table, features, vocabulary
from picklegate.judging.classifier import KINDS, SCHEMA, kind
from picklegate.judging.model_files import CARD, digest_of
from picklegate.judging.novelty import Shape
from picklegate.pickles import canonical
from picklegate.training import outliers
from picklegate.training.corpus import HubRow
from picklegate.training.dataset import Row
from picklegate.training.hostile import Gadget
from picklegate.training.names import Names

FOLDS = 5
ROUNDS = 180
PARAMETERS = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 5,
    "eta": 0.1,
    "min_child_weight": 2.0,
    "lambda": 2.0,
    "colsample_bytree": 0.6,
    "subsample": 0.9,
    "max_bin": 64,
    "nthread": 2,
    "monotone_constraints": "("
    + ",".join(
        "-1" if n in feature_table.FALLING else "1" if n in feature_table.RISING else "0" for n in features.FEATURES
    )
    + ")",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Everything that a model is made of."""

    rows: Sequence[Row]
    hub: Sequence[HubRow]
    gadgets: Sequence[Gadget]
    constructors: Sequence[Mapping[str, str]] = ()
    shapes: Sequence[Shape] = ()

    def without(self, fold: int) -> Names:
        """The reputation of names as if the groups of the fold did not exist."""
        return names_of(
            [row for row in self.rows if fold_of_row(row) != fold],
            [entry for entry in self.hub if fold_of(hub_group(entry.repo)) != fold],
            [gadget for gadget in self.gadgets if fold_of(gadget.package) != fold],
            [row for row in self.constructors if fold_of(row["package"]) != fold],
        )


REAL = ("corpus", "written")
"""Sources of files that real programs wrote."""


def fold_of(group: str) -> int:
    """The fold of a group, the same in every run."""
    return zlib.crc32(group.encode()) % FOLDS


def fold_of_row(row: Row) -> int:
    """The fold in which a row is judged."""
    return fold_of(hub_group(row.group) if row.source == "hub" else row.group)


def names_of(
    rows: Sequence[Row],
    hub: Sequence[HubRow],
    gadgets: Sequence[Gadget],
    constructors: Sequence[Mapping[str, str]] = (),
) -> Names:
    """The reputation of names in honest files, on the Hub, in ``__reduce__`` methods and among harmful callables."""
    names = Names()
    texts = features.DESCRIPTION.index("texts")
    for row in rows:
        if row.label == 0 and row.source in REAL and row.known:
            names.honest(row.group, row.known, text=row.description[texts] > 0)
    for entry in hub:
        for module, name in entry.imports:
            names.honest(hub_group(entry.repo), canonical(module, name), text=False)
    for made in constructors:
        names.harmless(made["package"], canonical(made["module"], made["name"]))
    for gadget in gadgets:
        names.hostile(gadget.package, canonical(gadget.module, gadget.name))
    return names


def hub_group(repo: str) -> str:
    """Repositories of one owner share what they import; owners are left out in 40 parts."""
    return f"hub {zlib.crc32(repo.partition('/')[0].encode()) % 40}"


def matrix(rows: Sequence[Row], names: Names, *, leave_out: bool = True) -> Any:
    """The vectors of the rows, as float32 of shape (rows, features).

    Each row's own group is left out of the names, or unknown honest names would never occur in training.
    """
    vocabularies: dict[str, vocabulary.Vocabulary] = {}
    known: dict[tuple[str, str], tuple[float, ...]] = {}
    result: Any = np.zeros((len(rows), len(features.FEATURES)), dtype=np.float32)
    for number, row in enumerate(rows):
        group = hub_group(row.group) if row.source == "hub" else row.group
        group = group if leave_out and names.knows(group) else ""
        if group not in vocabularies:
            vocabularies[group] = names.vocabulary((group,))
        key = (group, row.known)
        if key not in known:
            known[key] = vocabulary.reputation(row.known, vocabularies[group])
        result[number] = known[key] + row.description
    return result


def weights(rows: Sequence[Row]) -> Any:
    """The weight of each row: files of one group share what the group has, and so do rows of one file."""
    per_file: dict[str, int] = defaultdict(int)
    files: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        per_file[row.file] += 1
        files[row.group].add(row.file)
    labels = np.array([row.label for row in rows])
    found = np.ones(len(rows))
    for number, row in enumerate(rows):
        # The events of an honest file are many and alike; of a hostile file all tell of one deed.
        found[number] /= per_file[row.file] ** (0.5 if row.label == 0 else 1.0)
        if row.source in REAL:
            found[number] /= len(files[row.group]) ** 0.5
        elif row.source == "generated" and row.label == 0:
            found[number] /= 2
    for label in (0, 1):
        found[labels == label] *= len(rows) / 2 / max(found[labels == label].sum(), 1e-9)
    return found


def train(vectors: Any, labels: Any, row_weights: Any, seed: int) -> Any:
    """One booster."""
    data = xgboost.DMatrix(vectors, label=labels, weight=row_weights, feature_names=list(features.FEATURES))
    return xgboost.train({**PARAMETERS, "seed": seed}, data, num_boost_round=ROUNDS)


def margins(booster: Any, vectors: Any) -> Any:
    """Log-odds of each row."""
    data = xgboost.DMatrix(vectors, feature_names=list(features.FEATURES))
    return booster.predict(data, output_margin=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedFold:
    """What was fitted without one fold, and how it judges that fold's rows, which stand at ``places``."""

    names: Names
    booster: Any
    places: Any
    vectors: Any
    margins: Any


def fitted_folds(material: Material, seed: int) -> Iterator[FittedFold]:
    """For each fold a model that saw neither its groups nor their names."""
    rows = material.rows
    folds = np.array([fold_of_row(row) for row in rows])
    labels = np.array([row.label for row in rows])
    for fold in range(FOLDS):
        inside: Any = np.flatnonzero(folds != fold)
        outside: Any = np.flatnonzero(folds == fold)
        seen = [rows[i] for i in inside]
        names = material.without(fold)
        booster = train(matrix(seen, names), labels[inside], weights(seen), seed)
        vectors = matrix([rows[i] for i in outside], names)
        yield FittedFold(
            names=names, booster=booster, places=outside, vectors=vectors, margins=margins(booster, vectors)
        )


def out_of_fold(material: Material, seed: int) -> Any:
    """Log-odds of each row from a model that saw neither its group nor its group's names."""
    result = np.zeros(len(material.rows))
    for fitted in fitted_folds(material, seed):
        result[fitted.places] = fitted.margins
    return result


MARGIN = 0.5
"""Log-odds between the highest score of the honest real groups that count, out of fold, and the threshold of a kind."""

REAL_ALARMS = 0.004
"""Share of the honest real groups (projects, libraries) whose highest score does not set the threshold of a kind."""

ALARMS = 0.007
"""Share of the generated honest files, out of fold, that events of one kind may make suspicious."""

LEAST = {"state": 1.1}
"""Log-odds below which no threshold of a kind lies: people's own classes have states of more kinds than are at hand."""

REVIEW = 0.5
BLOCK = 0.9


def thresholds(rows: Sequence[Row], *scored: tuple[Any, Any]) -> dict[str, float]:
    """Kind of event -> the log-odds from which on it is suspicious; ``scored`` are (scores, vectors) of the rows.

    All but REAL_ALARMS of the honest real groups stay MARGIN below it, and at most ALARMS of the generated honest files
    reach it.
    """
    levels = dict.fromkeys(KINDS, -1.0 + MARGIN) | LEAST
    generated = {row.file for row in rows if row.label == 0 and row.source == "generated"}
    real = {row.group for row in rows if row.label == 0 and row.source != "generated"}
    for scores, vectors in scored:
        drawn: dict[str, dict[str, float]] = {name: {} for name in KINDS}
        found: dict[str, dict[str, float]] = {name: {} for name in KINDS}
        for row, score, vector in zip(rows, scores, vectors, strict=True):
            if row.label:
                continue
            highest, unit = (drawn, row.file) if row.source == "generated" else (found, row.group)
            of_kind = highest[kind(vector)]
            of_kind[unit] = max(of_kind.get(unit, -np.inf), float(score))
        for name in KINDS:
            levels[name] = max(levels[name], _level(drawn[name], ALARMS * len(generated)))
            levels[name] = max(levels[name], _level(found[name], REAL_ALARMS * len(real)) + MARGIN)
    return {name: round(level, 3) for name, level in levels.items()}


def _level(highest: Mapping[str, float], above: float) -> float:
    """The level that at most ``above`` of the units exceed."""
    ordered = sorted(highest.values(), reverse=True)
    return ordered[int(above)] if len(ordered) > int(above) else -np.inf


def write(material: Material, folder: Path, seed: int) -> dict[str, Any]:
    """Fit on everything, calibrate out of fold, and write model, vocabulary and card to ``folder``."""
    rows = material.rows
    names = names_of(rows, material.hub, material.gadgets, material.constructors)
    vectors = matrix(rows, names)
    labels = np.array([row.label for row in rows])
    booster = train(vectors, labels, weights(rows), seed)
    shipped = matrix(rows, names, leave_out=False)
    levels = thresholds(rows, (out_of_fold(material, seed), vectors), (margins(booster, shipped), shipped))
    files = {
        "model.json": bytes(booster.save_raw("json")),
        "vocabulary.json": json.dumps(names.vocabulary().to_dict(), separators=(",", ":")).encode(),
        "novelty.json": json.dumps(outliers.fit(material.shapes, seed), separators=(",", ":")).encode(),
    }
    card: dict[str, Any] = {
        "schema": SCHEMA,
        "version": digest(b"".join(files.values()) + json.dumps(levels).encode())[:12],
        "features": list(features.FEATURES),
        "offsets": {name: -level for name, level in levels.items()},
        "review": REVIEW,
        "block": BLOCK,
        "sha256": {name: digest(data) for name, data in files.items()},
        "training": {
            "seed": seed,
            "rounds": ROUNDS,
            "parameters": PARAMETERS,
            "data": {name: _counted([row for row in rows if source(row) == name]) for name in SOURCES},
            "hub_lists": len(material.hub),
            "gadgets": len(material.gadgets),
            "novelty_streams": len(material.shapes),
            "xgboost": xgboost.__version__,
        },
    }
    card["sha256"][CARD] = digest_of(card)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    return card


SOURCES = {
    "real honest files": ("corpus", 0),
    "real hostile files": ("corpus", 1),
    "honest files of widely used libraries": ("written", 0),
    "honest files rebuilt from what the Hub's import": ("hub", 0),
    "generated honest files": ("generated", 0),
    "generated hostile files": ("generated", 1),
}
"""What the card calls the parts of the material, and their source and label."""


def source(row: Row) -> str:
    """What the card calls the part of the material that the row is of."""
    return next(name for name, part in SOURCES.items() if part == (row.source, row.label))


def _counted(rows: Sequence[Row]) -> dict[str, int]:
    return {"files": len({row.file for row in rows}), "groups": len({row.group for row in rows}), "events": len(rows)}


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()
