"""Arrays, distributions, frames and what is computed from them, in the states that are seldom saved."""

from __future__ import annotations

import datetime as dt
import decimal
import importlib
import io
import random
from collections.abc import Callable
from typing import Any

from tools.corpus.torch_files import Objects
from tools.corpus.varied import JOBLIB, PICKLES, table, varied


def _clean(text: str) -> str:
    """Clean a text, as a project's own function does."""
    return text.strip()


def _decay(_time: float, value: Any) -> Any:
    """The right-hand side of an equation of one's own."""
    return -value


def arrays(rng: random.Random) -> Objects:
    """Arrays of objects, of texts, of records, and files of arrays that hold pickles."""
    np = importlib.import_module("numpy")
    yield "objects", np.array([{"a": [1]}, "x", None, 3], dtype=object)
    yield (
        "batch",
        {"images": np.zeros((3, 4, 4), "u1"), "labels": np.arange(3), b"batch_label": b"training batch 1 of 5"},
    )
    yield "texts", np.array(["rm", "os.system"])
    yield "records", np.rec.array([(1, "a")], dtype=[("x", "i4"), ("y", "U3")])
    yield "fortran", np.asfortranarray(np.random.default_rng(rng.randrange(9)).random((3, 4)))
    yield "strings", np.array(["a", "bb"], dtype=np.dtypes.StringDType())
    yield "embeddings", {word: np.random.default_rng(1).random(4) for word in ("rm", "eval")}
    yield "zero-dimensional", [np.array(3.0), np.matrix([[1, 2]]), np.ma.masked_array([1, 2], [True, False])]
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}, "import os"], dtype=object), allow_pickle=True)
    yield "objects.npy", out.getvalue()
    out = io.BytesIO()
    np.savez(out, x=np.array(["q", None], dtype=object), y=np.arange(4))
    yield "objects.npz", out.getvalue()


def scalars(_rng: random.Random) -> Objects:
    """Scalars, types, functions, polynomials and generators."""
    np = importlib.import_module("numpy")
    yield "polynomials", [np.poly1d([1, 2]), np.polynomial.Polynomial([1, 2]), np.polynomial.Chebyshev([1, 2])]
    yield "generators", [np.random.Generator(np.random.MT19937(1)), np.random.Philox(3), np.random.SeedSequence(5)]
    yield "functions", [np.sin, np.add, np.mean, np.float64, np.vectorize, np.linalg.norm]
    yield "types", [np.dtype("M8[ns]"), np.dtype([("a", "f4", (2,)), ("b", "O")]), np.dtype("S3"), np.dtype("=i8")]
    yield "times", [np.datetime64("2020"), np.timedelta64(3, "D"), np.array(["2020-01-01"], "M8[D]")]
    yield "texts", [np.str_("eval"), np.bytes_(b"x"), np.void(b"abc"), np.complex64(1j), np.float16(1)]
    yield "vectorized", np.vectorize(_clean)
    yield "limits", [np.finfo("f4"), np.iinfo("i4")]


def distributions(rng: random.Random) -> Objects:
    """Frozen distributions, densities, the results of tests and of searches."""
    stats, optimize = importlib.import_module("scipy.stats"), importlib.import_module("scipy.optimize")
    np, rows = importlib.import_module("numpy"), table(rng)
    yield "frozen", [stats.gamma(2), stats.beta(1, 2), stats.lognorm(0.5), stats.poisson(3), stats.randint(1, 9)]
    yield "space", {"C": stats.loguniform(1e-3, 1e3), "depth": stats.randint(2, 9), "rate": stats.uniform(0, 1)}
    yield "several", [stats.multivariate_normal([0, 0]), stats.dirichlet([1, 2])]
    yield "histogram", stats.rv_histogram(np.histogram(rows.values))
    yield "discrete", stats.rv_discrete(values=([1, 2], [0.5, 0.5]))
    yield "density", stats.gaussian_kde(rows.x.T)
    yield "tests", [stats.ttest_ind(rows.x[:, 0], rows.x[:, 1]), stats.pearsonr(rows.x[:, 0], rows.x[:, 1])]
    yield "minimum", optimize.minimize(optimize.rosen, [1, 2.0])
    yield "bounds", [optimize.Bounds([0], [1]), optimize.LinearConstraint(np.eye(2))]


def scientific(rng: random.Random) -> Objects:
    """Sparse arrays, interpolations, trees, filters and solutions."""
    np, rows = importlib.import_module("numpy"), table(rng)
    sparse, interpolate = importlib.import_module("scipy.sparse"), importlib.import_module("scipy.interpolate")
    eye = np.eye(4)
    forms = ("csr_array", "csc_array", "coo_array", "dok_matrix", "lil_matrix", "bsr_matrix", "dia_matrix")
    yield "sparse", [getattr(sparse, form)(eye) for form in forms]
    yield "operator", importlib.import_module("scipy.sparse.linalg").aslinearoperator(np.eye(2))
    yield (
        "splines",
        [
            interpolate.interp1d([0, 1, 2], [0, 1, 4]),
            interpolate.PchipInterpolator([0, 1, 2], [0, 1, 4]),
            interpolate.BSpline([0, 1, 2, 3], [1, 1], 1),
            interpolate.UnivariateSpline(range(6), range(6)),
            interpolate.Akima1DInterpolator([0, 1, 2], [0, 1, 4]),
            interpolate.RectBivariateSpline(range(5), range(5), np.eye(5)),
        ],
    )
    yield "grid", interpolate.RegularGridInterpolator((range(2), range(3)), np.zeros((2, 3)))
    yield "radial", interpolate.RBFInterpolator(rows.x[:9], rows.values[:9])
    yield "nearest", interpolate.NearestNDInterpolator(rows.x[:9, :2], rows.values[:9])
    spatial = importlib.import_module("scipy.spatial")
    yield "trees", [spatial.KDTree(rows.x), spatial.cKDTree(rows.x)]
    yield "rotation", spatial.transform.Rotation.from_euler("x", 1)
    hierarchy = importlib.import_module("scipy.cluster.hierarchy")
    yield "hierarchy", hierarchy.to_tree(hierarchy.linkage(rows.x[:6]))
    signal = importlib.import_module("scipy.signal")
    yield "systems", [signal.lti([1], [1, 2]), signal.dlti([1], [1, 2]), signal.butter(2, 0.3)]
    solve = importlib.import_module("scipy.integrate").solve_ivp
    yield "solution", solve(_decay, [0, 1], [1.0], dense_output=True)


_CODE = (
    "def add(a, b):\n    return a + b\n",
    "import os\nprint(os.getcwd())\n",
    "import os\nos.system('ls -la')\n",
    "def run(text):\n    return eval(text)\n",
    "SELECT * FROM users WHERE id = 1 OR 1 = 1; --",
    "exec(compile(open('x').read(), 'x', 'exec'))",
)
_LINES: dict[str, tuple[str, ...]] = {
    "words": ("a", "b"),
    "posts": ("the movie was great, eval it", "visit https://example.org/a?b=c", "hello (world) [x] {y} = 1;", "$ ls"),
    "reviews": ("This film is one of the best (really!) I have seen; don't miss it.",),
    "urls": tuple(f"https://www.example.com/x?y={number}" for number in range(20)),
    "paths": tuple(f"/data/images/train/img_{number}.png" for number in range(20)),
    "pages": ("<div class='x'>Hi</div><script>f(x);</script>",),
    "code": _CODE,
    "json": ('{"a": [1, 2], "b": "x"}',),
    "logs": ('127.0.0.1 - - "GET /a HTTP/1.1" 200 "curl/7.1"',),
    "chat": (
        "How do I list files? Use `ls -la | grep foo`.",
        "Run `pip install torch` then `python train.py --lr 0.1`",
    ),
    "smiles": ("CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O"),
    "images": ("iVBORw0KGgoAAAANSUhEUgAAAAUAAAAFCAYAAACNbyblAAAAHElEQVQI12P4" * 4,),
}


def texts(_rng: random.Random) -> Objects:
    """Frames and series of texts, in the type that pandas gives texts today."""
    pd = importlib.import_module("pandas")
    for title, lines in _LINES.items():
        yield title, pd.DataFrame({"text": list(lines) * 5, "label": range(5 * len(lines))})


def code(_rng: random.Random) -> Objects:
    """Programs and commands as data: in lists, arrays, series, indexes and names of columns."""
    np, pd = importlib.import_module("numpy"), importlib.import_module("pandas")
    lines = list(_CODE)
    yield "list", {"code": lines, "lang": ["py"] * len(lines)}
    yield "objects", np.array(lines, dtype=object)
    yield "fixed", np.array(lines)
    yield "series", [pd.Series(lines, name="code"), pd.Series(lines, dtype="string")]
    yield "index", [pd.Index(lines), pd.Categorical(lines)]
    yield "multi", pd.DataFrame({"v": range(6)}, index=pd.MultiIndex.from_arrays([lines, range(6)]))
    yield "columns", pd.DataFrame([[1] * 6], columns=lines)
    yield "scalars", [np.str_(lines[2]), np.bytes_(b"import os")]
    yield "records", np.array([(lines[0], 1)], dtype=[("a", "U60"), ("b", "i4")])
    yield "bytes", [line.encode() for line in lines]
    yield (
        "vocabulary",
        {
            word: at
            for at, word in enumerate(
                ["import", "os", ".", "system", "(", ")", "'", "rm", "-rf", "eval", "exec", ";", "&&"]
            )
        },
    )


def objects(rng: random.Random) -> Objects:
    """What joblib writes beside its arrays: objects in them, frames of them, encoders of them."""
    np, pd = importlib.import_module("numpy"), importlib.import_module("pandas")
    preprocessing, impute = importlib.import_module("sklearn.preprocessing"), importlib.import_module("sklearn.impute")
    frame = pd.DataFrame({"city": ["Paris", "Rome", "NY"] * 9, "n": np.arange(27), "d": ["x", "y", "z"] * 9})
    plain = frame.astype({"city": object, "d": object})
    answers = np.array(["no", "yes", "no"] * 9, dtype=object)
    yield "one-hot", [preprocessing.OneHotEncoder().fit(of[["city", "d"]]) for of in (plain, frame)]
    unknown = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    yield "ordinal", preprocessing.OrdinalEncoder(**unknown).fit(plain)
    yield "imputer", [impute.SimpleImputer(strategy="most_frequent").fit(of) for of in (plain, frame)]
    forest = importlib.import_module("sklearn.ensemble").RandomForestClassifier
    logistic = importlib.import_module("sklearn.linear_model").LogisticRegression
    yield "forest", forest(2, random_state=rng.randrange(9)).fit(frame[["n"]], answers)
    compose, pipeline = importlib.import_module("sklearn.compose"), importlib.import_module("sklearn.pipeline")
    parts = [("o", preprocessing.OneHotEncoder(), ["city", "d"]), ("i", impute.SimpleImputer(), ["n"])]
    yield "pipeline", pipeline.make_pipeline(compose.ColumnTransformer(parts), logistic()).fit(plain, answers)
    label = preprocessing.LabelEncoder().fit(answers)
    yield "ragged", {"X": np.array([np.zeros(2), np.zeros(3)], dtype=object), "y": answers, "enc": label}
    yield "scalars", np.array([np.int64(1), np.float32(2), 1.5, np.str_("x")], dtype=object)
    yield "dates", pd.DataFrame({"a": [pd.Timestamp("2020"), None], "o": [dt.date(2020, 1, 1), decimal.Decimal(1)]})
    yield "dicts", np.array([{"a": np.int64(1)}, {"b": [1]}, ["a", "b", None]], dtype=object)
    yield "frames", [plain, frame, plain.groupby("city").n.mean()]
    yield "target", preprocessing.TargetEncoder().fit(plain[["city"]], np.arange(27) % 2)
    yield "mixed", [np.array(["a", "b", None], dtype=object), np.arange(3), np.eye(2)]


def polars(_rng: random.Random) -> Objects:
    """Frames, expressions and types of polars."""
    pl = importlib.import_module("polars")
    frame = pl.DataFrame({"a": [1, 2], "t": ["rm -rf x", "import os"], "d": [dt.date(2020, 1, 1)] * 2})
    yield "frame", frame
    yield "series", frame["t"]
    yield "lazy", frame.lazy().filter(pl.col("a") > 1)
    yield "expression", pl.col("a").sum() + 1
    yield "schema", frame.schema
    yield "types", [pl.Int64, pl.List(pl.String), pl.Datetime("us", "UTC"), pl.Enum(["a"]), pl.Categorical]


def xarray(rng: random.Random) -> Objects:
    """Datasets and arrays with names."""
    xr, pd = importlib.import_module("xarray"), importlib.import_module("pandas")
    values = importlib.import_module("numpy").random.default_rng(rng.randrange(9)).random((2, 3))
    made = xr.Dataset(
        {"t": (("x", "time"), values)},
        {"x": [1, 2], "time": pd.date_range("2020", periods=3)},
        {"history": "ncks -O in.nc out.nc; rm tmp.nc", "url": "https://example.org"},
    )
    yield "dataset", made
    yield "array", made.t
    yield "variable", made.t.variable
    yield "stacked", made.stack(z=("x", "time"))


def dask(_rng: random.Random) -> Objects:
    """Graphs of work to do."""
    module, pd = importlib.import_module("dask"), importlib.import_module("pandas")
    yield "array", importlib.import_module("dask.array").ones((4, 4), chunks=2) + 1
    yield "bag", importlib.import_module("dask.bag").from_sequence([1, 2]).map(str)
    yield "delayed", module.delayed(len)([1])
    yield "nested", module.delayed(sum)([module.delayed(max)(1, 2)])
    frame = importlib.import_module("dask.dataframe").from_pandas(pd.DataFrame({"a": [1, 2]}), npartitions=1)
    yield "frame", frame


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "arrays": varied(arrays),
    "scalars": varied(scalars),
    "distributions": varied(distributions),
    "scientific": varied(scientific),
    "texts": varied(texts, ways=(*PICKLES, *JOBLIB)),
    "code": varied(code),
    "joblib": varied(objects, ways=JOBLIB),
    "polars": varied(polars),
    "xarray": varied(xarray),
    "dask": varied(dask),
}
