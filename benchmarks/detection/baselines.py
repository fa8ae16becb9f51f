"""The paper's own models: classifiers and outlier detectors on the opcode frequencies of a file, on the same folds."""

from __future__ import annotations

import csv
import pickletools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xgboost
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from benchmarks.common.tables import f1, share, table
from picklegate.training import fit

if TYPE_CHECKING:
    from benchmarks.detection.files import Outcome

OPCODES = tuple(sorted(opcode.name for opcode in pickletools.opcodes))
MOST_ALARMS = 0.003
"""Share of honest files that the strict threshold may block."""

Scorer = Callable[[Any], Any]


def _forest(x: Any, y: Any, seed: int) -> Scorer:
    model = RandomForestClassifier(n_estimators=300, class_weight="balanced", random_state=seed).fit(x, y)
    return lambda rows: model.predict_proba(rows)[:, 1]


def _boosting(x: Any, y: Any, seed: int) -> Scorer:
    parameters = {"objective": "binary:logistic", "max_depth": 5, "eta": 0.1, "nthread": 1, "seed": seed}
    weights = np.where(y == 1, (y == 0).sum() / max(1, (y == 1).sum()), 1.0)
    model = xgboost.train(parameters, xgboost.DMatrix(x, label=y, weight=weights), num_boost_round=200)
    return lambda rows: model.predict(xgboost.DMatrix(rows))


def _outliers(make: Callable[[int], Any]) -> Callable[[Any, Any, int], Scorer]:
    """A detector that sees honest files only; its own limit becomes 0.5."""

    def train(x: Any, y: Any, seed: int) -> Scorer:
        model = make_pipeline(StandardScaler(), make(seed)).fit(x[y == 0])
        return lambda rows: 0.5 - model.decision_function(rows)

    return train


MODELS: Mapping[str, Callable[[Any, Any, int], Scorer]] = {
    "random forest": _forest,
    "XGBoost": _boosting,
    "isolation forest": _outliers(lambda seed: IsolationForest(n_estimators=300, random_state=seed)),
    "one-class SVM": _outliers(lambda seed: OneClassSVM(nu=0.05)),
    "local outlier factor": _outliers(lambda seed: LocalOutlierFactor(n_neighbors=20, novelty=True)),
}


def frequencies(counts: Sequence[Mapping[str, int]]) -> Any:
    """Opcode counts as shares of all opcodes of a file, of shape (files, opcodes)."""
    rows = np.array([[float(count.get(name, 0)) for name in OPCODES] for count in counts])
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)


def strict(scores: Any) -> float:
    """The lowest threshold that at most MOST_ALARMS of these honest scores reach."""
    ordered = np.sort(scores)[::-1]
    return float(np.nextafter(ordered[int(MOST_ALARMS * len(ordered))], np.inf))


def report(real: Sequence[Outcome], made: Sequence[Outcome], moved: Sequence[Outcome], hub: Path, seed: int) -> str:
    """The tables on real, generated and injected files, and on the Hub's counts.

    The strict threshold is chosen in hindsight on the very files it is then measured on, which favours these models.
    """
    everything = [*real, *made, *moved]
    x = frequencies([result.opcodes for result in everything])
    y = np.array([int(result.item.label == "hostile") for result in everything])
    fold = np.array([result.item.fold for result in everything])
    place: Any = np.repeat([0, 1, 2], [len(real), len(made), len(moved)])
    hub_x, hub_y, hub_fold = read_hub(hub)
    own, carried = [], []
    for title, most in (("real files", 0), ("real and generated files", 1)):
        for name, train in MODELS.items():
            scores = np.zeros(len(y))
            for number in range(fit.FOLDS):
                inside, outside = (fold != number) & (place <= most), fold == number
                scores[outside] = train(x[inside], y[inside], seed)(x[outside])
            level = strict(scores[(place == 0) & (y == 0)])
            shares = [_blocked(scores[(place == 0) & (y == 1)], level), _f1(scores[place == 0], y[place == 0], level)]
            shares += [_blocked(scores[(place == 0) & (y == label)], 0.5) for label in (1, 0)]
            shares += [_blocked(scores[(place == 1) & (y == 1)], level), _blocked(scores[place == 2], level)]
            own.append((f"{name}, trained on {title}", *shares))
            scores = train(x[place <= most], y[place <= most], seed)(hub_x)
            carried.append((f"{name}, trained on {title}", *_pair(scores, hub_y, level), *_pair(scores, hub_y, 0.5)))
    for name, train in MODELS.items():
        scores = np.zeros(len(hub_y))
        for number in range(fit.FOLDS):
            inside, outside = hub_fold != number, hub_fold == number
            scores[outside] = train(hub_x[inside], hub_y[inside], seed)(hub_x[outside])
        pairs = (_pair(scores, hub_y, strict(scores[hub_y == 0])), _pair(scores, hub_y, 0.5))
        carried.append((f"{name}, trained on the Hub's own counts", *pairs[0], *pairs[1]))
    own.append(_picklegate(real, made, moved))
    head = ("model", "recall, strict", "F1, strict", "recall at 0.5", "honest blocked at 0.5")
    first = table((*head, "generated caught, strict", "injected or padded caught, strict"), own)
    head = ("model", "recall, strict", "honest blocked, strict", "recall at 0.5", "honest blocked at 0.5")
    return (
        f"{first}\n\nOn the opcode counts of 1,000 honest and 20 hostile models of the Hub:\n\n{table(head, carried)}"
    )


def _picklegate(real: Sequence[Outcome], made: Sequence[Outcome], moved: Sequence[Outcome]) -> tuple[str, ...]:
    """The same columns for picklegate's model alone, at the thresholds that it had before."""

    def blocked(found: Sequence[Outcome], label: str) -> str:
        chosen = [result.model for result in found if result.item.label == label]
        return share(sum(chosen), len(chosen))

    hostile, honest = ([r for r in real if r.item.label == label] for label in ("hostile", "honest"))
    score = f1(hostile, honest, lambda result: result.model)
    recall, alarms = blocked(real, "hostile"), blocked(real, "honest")
    return (
        "picklegate, model alone, thresholds not chosen in hindsight",
        *(recall, score, recall, alarms, blocked(made, "hostile"), blocked(moved, "hostile")),
    )


def _blocked(scores: Any, level: float) -> str:
    return share(int((scores >= level).sum()), len(scores))


def _pair(scores: Any, y: Any, level: float) -> tuple[str, str]:
    return _blocked(scores[y == 1], level), _blocked(scores[y == 0], level)


def _f1(scores: Any, y: Any, level: float) -> str:
    hits, alarms = int((scores[y == 1] >= level).sum()), int((scores[y == 0] >= level).sum())
    return f"{2 * hits / max(1, hits + alarms + int((y == 1).sum())):.3f}"


def read_hub(path: Path) -> tuple[Any, Any, Any]:
    """Frequencies, labels and folds (by owner) of hub_opcode_counts.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = [{name: int(value) for name, value in row.items() if name in OPCODES} for row in rows]
    owners = [row["name"].replace("__", "/").partition("/")[0] for row in rows]
    labels = np.array([int(row["label"] == "hostile") for row in rows])
    return frequencies(counts), labels, np.array([fit.fold_of(owner) for owner in owners])
