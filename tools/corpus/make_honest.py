"""Write honest pickles with the real libraries that are installed, for training and for tests.

    python -m tools.corpus.make_honest FOLDER [--seed N] [--only NAME ...]

Run it in any virtual environment; a library that is absent is skipped and named on stderr. Each file is written in
several protocols, and its folder is named after the library: ``FOLDER/sklearn/pipeline.p4.pkl``.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import importlib
import io
import ipaddress
import operator
import pathlib
import pickle
import random
import re
import sys
import types
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from typing import Any

from tools.corpus import (
    arrays,
    dynamic,
    estimators,
    imitated_objects,
    imitations,
    learning,
    modules,
    sciences,
    text,
    torch_files,
)

Make = Callable[[random.Random], Iterator[tuple[str, Any]]]
"""Yields (name, object)."""


class Colour(enum.Enum):
    """An enum of one's own."""

    RED = "red"
    BLUE = 2


@dataclasses.dataclass
class Settings:
    """A dataclass of one's own."""

    rate: float = 0.1
    path: str = "data/train.csv"
    colour: Colour = Colour.RED
    tags: list[str] = dataclasses.field(default_factory=lambda: ["a", "b"])


class Reduced:
    """A class that writes its own ``__reduce__``."""

    def __init__(self, source: str) -> None:
        """Keep the text."""
        self.source = source

    def __reduce__(self) -> tuple[type[Reduced], tuple[str]]:
        """Made again from its text."""
        return Reduced, (self.source,)


def double(value: int, factor: int = 2) -> int:
    """Return a multiple, for partials and function pickles."""
    return value * factor


def standard(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Objects of the standard library, and of classes of one's own."""
    now = dt.datetime(2024, rng.randrange(1, 13), 5, 6, 7, 8, tzinfo=dt.timezone.utc)
    yield "datetime", [now, now.date(), now.time(), dt.timedelta(3), zoneinfo.ZoneInfo("UTC")]
    yield "path", {"root": pathlib.PurePosixPath("/home/me/data.csv"), "win": pathlib.PureWindowsPath("C:/x.txt")}
    yield "numbers", [decimal.Decimal("0.1"), fractions.Fraction(1, 3), 1j, 2**100, float("nan")]
    yield (
        "collections",
        [
            collections.OrderedDict(a=1),
            collections.Counter("hello"),
            collections.defaultdict(list, {"a": [1]}),
            collections.deque([1, 2], 9),
            collections.ChainMap({"a": 1}),
        ],
    )
    yield "sets", [{"rm", "os", "exec", "the"}, frozenset(range(5)), range(3), slice(1, 2), bytearray(b"abc")]
    yield "enum", {"colour": Colour.BLUE, "all": list(Colour)}
    yield "dataclass", [Settings(), Settings(rate=rng.random())]
    yield "namespace", [argparse.Namespace(lr=0.1, cmd="train"), types.SimpleNamespace(a=1)]
    yield "partial", functools.partial(double, factor=3)
    yield "operator", [operator.itemgetter(0), operator.attrgetter("a.b"), operator.methodcaller("strip", "x")]
    yield "regex", [re.compile(r"(?u)\b\w\w+\b"), re.compile(rb"\d+", re.IGNORECASE)]
    yield "misc", [uuid.UUID(int=rng.getrandbits(128)), ipaddress.ip_address("10.0.0.1"), ValueError("no", 3)]
    yield "random", random.Random(3)
    yield "reduced", [Reduced("SELECT * FROM t"), Reduced("def f(x):\n    return x\n"), Reduced("/usr/bin/python")]


def numpy(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Arrays of every kind, scalars, generators."""
    np = importlib.import_module("numpy")
    yield "arrays", [np.arange(5), np.zeros((2, 3), "f4"), np.array(["a", "bc"]), np.array([{"a": 1}, None], object)]
    yield "scalars", [np.float64(0.5), np.int32(3), np.bool_(True), np.datetime64("2024-01-01"), np.str_("text")]  # noqa: FBT003
    yield "records", np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    yield "masked", np.ma.array([1, 2], mask=[0, 1])
    yield "random", [np.random.RandomState(rng.randrange(99)), np.random.default_rng(1)]
    yield "functions", [np.add, np.float32, np.dtype("f4"), np.ndarray]


def pandas(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Frames, series and indexes."""
    pd = importlib.import_module("pandas")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2024-01-01", "2024-01-02"])})
    yield "frame", frame
    yield "indexed", frame.set_index(["a", "b"])
    yield "series", [frame["a"], pd.Series(["u", "v"], dtype="category"), pd.Series([rng.random()])]
    yield "scalars", [pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1D"), pd.Interval(0, 1), pd.NaT]
    yield "grouped", frame.groupby("b")["a"].sum()


def sklearn(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Fitted estimators and pipelines."""
    for module in (
        "compose",
        "ensemble",
        "feature_extraction.text",
        "linear_model",
        "neighbors",
        "pipeline",
        "preprocessing",
    ):
        importlib.import_module(f"sklearn.{module}")
    sk = importlib.import_module("sklearn")
    x = [[rng.random() for _ in range(3)] for _ in range(20)]
    y = [i % 2 for i in range(20)]
    texts = ["rm the file", "import the model", "open a system", "cat and dog"]
    yield "forest", sk.ensemble.RandomForestClassifier(3, random_state=0).fit(x, y)
    yield "boosting", sk.ensemble.GradientBoostingClassifier(n_estimators=3).fit(x, y)
    yield "logistic", sk.linear_model.LogisticRegression().fit(x, y)
    yield "neighbours", sk.neighbors.KNeighborsClassifier(2).fit(x, y)
    yield "vectorizer", sk.feature_extraction.text.TfidfVectorizer(stop_words="english").fit(texts)
    yield "counts", sk.feature_extraction.text.CountVectorizer(tokenizer=str.split, token_pattern=None).fit(texts)
    yield "function", sk.preprocessing.FunctionTransformer(double)
    scaler = sk.preprocessing.StandardScaler()
    yield "pipeline", sk.pipeline.Pipeline([("scale", scaler), ("model", sk.linear_model.Ridge())]).fit(x, y)
    yield "columns", sk.compose.ColumnTransformer([("a", sk.preprocessing.MinMaxScaler(), [0, 1])]).fit(x)


def scipy(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Sparse matrices, splines and distributions."""
    sparse, stats = importlib.import_module("scipy.sparse"), importlib.import_module("scipy.stats")
    interpolate, spatial = importlib.import_module("scipy.interpolate"), importlib.import_module("scipy.spatial")
    yield "sparse", [sparse.random(4, 4, 0.5, fmt, rng=1) for fmt in ("csr", "csc", "coo")]
    yield "distribution", [stats.norm(0, rng.random()), stats.uniform(0, 1)]
    yield "spline", interpolate.CubicSpline([0, 1, 2], [0, 1, 4])
    yield "tree", spatial.cKDTree([[0.0, 1.0], [2.0, 3.0]])


def xgboost(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Boosters, raw and behind the scikit-learn face."""
    module = importlib.import_module("xgboost")
    np = importlib.import_module("numpy")
    x = np.array([[rng.random(), rng.random()] for _ in range(20)])
    y = np.arange(20) % 2
    yield "classifier", module.XGBClassifier(n_estimators=2, max_depth=2).fit(x, y)
    yield "booster", module.train({"max_depth": 2}, module.DMatrix(x, y), 2)


def lightgbm(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Boosters, raw and behind the scikit-learn face."""
    module = importlib.import_module("lightgbm")
    np = importlib.import_module("numpy")
    x = np.array([[rng.random(), rng.random()] for _ in range(40)])
    model = module.LGBMClassifier(n_estimators=2, verbose=-1).fit(x, np.arange(40) % 2)
    yield "classifier", model
    yield "booster", model.booster_


def torch(rng: random.Random) -> Iterator[tuple[str, Any]]:
    """Modules, optimizers and tensors, through plain pickle."""
    module = importlib.import_module("torch")
    net = module.nn.Sequential(module.nn.Linear(2, 3), module.nn.ReLU(), module.nn.LSTM(3, 2))
    yield "module", net
    yield "state", dict(net.state_dict())
    yield "optimizer", module.optim.Adam(net.parameters(), lr=rng.random()).state_dict()
    yield "tensors", [module.zeros(2), module.arange(3), module.tensor(True), module.device("cpu"), module.float16]  # noqa: FBT003
    yield "layers", [module.nn.Conv2d(1, 2, 3), module.nn.Embedding(4, 2), module.nn.TransformerEncoderLayer(4, 2, 8)]


def by_value(name: str) -> Make:
    """Functions and classes that a library pickles with their code."""

    def make(rng: random.Random) -> Iterator[tuple[str, Any]]:
        library = importlib.import_module(name)
        bias = rng.randrange(9)

        class Local:
            """A class that no import finds."""

            def predict(self, rows: list[int]) -> list[int]:
                return [row + bias for row in rows]

        for title, made in (
            ("lambda", lambda x: x + bias),
            ("closure", functools.partial(lambda a, b: a + b, 1)),
            ("object", Local()),
        ):
            yield title, _Written(library.dumps(made))

    return make


@dataclasses.dataclass
class _Written:
    data: bytes


LIBRARIES: dict[str, Make] = {
    "standard": standard,
    "numpy": numpy,
    "pandas": pandas,
    "sklearn": sklearn,
    "scipy": scipy,
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "torch": torch,
    "cloudpickle": by_value("cloudpickle"),
    "dill": by_value("dill"),
    **torch_files.LIBRARIES,
    **estimators.LIBRARIES,
    **imitations.LIBRARIES,
    **imitated_objects.LIBRARIES,
    **arrays.LIBRARIES,
    **learning.LIBRARIES,
    **text.LIBRARIES,
    **sciences.LIBRARIES,
    **modules.LIBRARIES,
    **dynamic.LIBRARIES,
}


def saved(library: str, title: str, made: Any) -> Iterator[tuple[str, bytes]]:
    """The files for one object: each protocol, and the library's own format where it has one."""
    if isinstance(made, bytes):
        yield title, made
        return
    if isinstance(made, _Written):
        yield f"{title}.pkl", made.data
        return
    for protocol in (0, 2, 4, 5):
        try:
            data = pickle.dumps(made, protocol)
        except (TypeError, AttributeError, pickle.PicklingError):  # not every object has every protocol
            continue
        yield f"{title.removesuffix('.pkl')}.p{protocol}.pkl", data
    if library == "torch":
        module = importlib.import_module("torch")
        for zipped in (True, False):
            out = io.BytesIO()
            module.save(made, out, _use_new_zipfile_serialization=zipped)
            yield f"{title}.{'zip' if zipped else 'legacy'}.pt", out.getvalue()
    if library in {"numpy", "sklearn", "pandas"}:
        try:
            joblib = importlib.import_module("joblib")
        except ImportError:
            return
        for compress in (0, 3):
            out = io.BytesIO()
            joblib.dump(made, out, compress)
            yield f"{title}.c{compress}.joblib", out.getvalue()


def main() -> int:
    """Write the files, and say how many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=LIBRARIES, default=LIBRARIES, metavar="NAME")
    options = parser.parse_args()
    count = 0
    for library in options.only:
        folder = options.folder / library
        try:
            for title, made in LIBRARIES[library](random.Random(options.seed)):
                for name, data in saved(library, title, made):
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / name).write_bytes(data)
                    count += 1
        except ImportError as error:
            print(f"{library}: skipped, {error}", file=sys.stderr)
    print(f"{count} files under {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
