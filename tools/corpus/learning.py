"""Fitted models, encoders and series of the libraries around scikit-learn."""

from __future__ import annotations

import datetime as dt
import importlib
import random
from collections.abc import Callable
from typing import Any

from tools.corpus.torch_files import Objects
from tools.corpus.varied import JOBLIB, PICKLES, table, varied

_WHOLE = (*PICKLES, *JOBLIB)
"""The ways that write no function by value."""


def _words(text: str) -> list[str]:
    """Split a text, as a project's own tokenizer does."""
    return text.split()


def _first(x: Any, y: Any) -> Any:
    """Sample as a project's own sampler does."""
    return x[:10], y[:10]


def pipelines(rng: random.Random) -> Objects:
    """Pipelines that hold functions and texts, searches, and bundles of a model and its data."""
    np, pd = importlib.import_module("numpy"), importlib.import_module("pandas")
    compose, pipeline = importlib.import_module("sklearn.compose"), importlib.import_module("sklearn.pipeline")
    prep, svm = importlib.import_module("sklearn.preprocessing"), importlib.import_module("sklearn.svm")
    texts = importlib.import_module("sklearn.feature_extraction.text")
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4] * 5, "c": list("xyxz") * 5})
    lines = ["rm -rf the /", "import os; os.system", "eval exec shell curl http", "select from where drop"]
    logs = prep.FunctionTransformer(np.log1p, feature_names_out="one-to-one")
    encoded = ("o", prep.OneHotEncoder(handle_unknown="ignore"), compose.make_column_selector(dtype_include=object))
    columns = compose.ColumnTransformer([("n", logs, ["a"]), encoded])
    yield "columns", pipeline.Pipeline([("c", columns), ("m", svm.SVC())])
    yield "own-words", texts.TfidfVectorizer(tokenizer=_words, preprocessor=str.lower, token_pattern=None)
    yield "characters", texts.TfidfVectorizer(analyzer="char", ngram_range=(1, 3)).fit(lines)
    words = texts.TfidfVectorizer(token_pattern=r"(?u)\S+", stop_words=["rm", "os"], ngram_range=(1, 2)).fit(lines)
    yield "words", [words, texts.HashingVectorizer(n_features=8)]
    yield "labels", [prep.LabelEncoder().fit(lines), prep.LabelBinarizer().fit(["a", "b", "c"])]
    yield "target", compose.TransformedTargetRegressor(func=np.log1p, inverse_func=np.expm1)
    gaussian = importlib.import_module("sklearn.gaussian_process")
    kernel = gaussian.kernels.RBF() + gaussian.kernels.WhiteKernel()
    yield "gaussian", gaussian.GaussianProcessRegressor(kernel).fit([[1.0], [2.0]], [1, 2])
    search = importlib.import_module("sklearn.model_selection").GridSearchCV(svm.SVC(), {"C": [1, 2]}, cv=2)
    yield "search", search.fit(table(rng).x[:20], [0, 1] * 10)
    yield (
        "bundle",
        {
            "model": svm.SVC(),
            "encoder": prep.LabelEncoder().fit(["x"]),
            "columns": frame.columns,
            "created": dt.datetime(2024, 5, 6, 7, 8, 9),  # noqa: DTZ001  as projects write it
            "sklearn_version": "1.2.2",
            "cmd": "python train.py --out m.pkl",
        },
    )


def boosters(rng: random.Random) -> Objects:
    """Models of lightgbm and catboost, on categories and with what was measured."""
    lightgbm, catboost = importlib.import_module("lightgbm"), importlib.import_module("catboost")
    rows = table(rng)
    quiet = {"objective": "binary", "verbose": -1}
    made = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, categorical_feature=[0])
    yield "classifier", made.fit((rows.x * 5).astype(int), rows.classes)
    yield "booster", lightgbm.train(quiet, lightgbm.Dataset(rows.x, rows.classes), 3)
    frame = rows.frame.assign(city=rows.frame.city.astype("category"))
    yield "frame", lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(frame, rows.values)
    yield "validation", lightgbm.cv(quiet, lightgbm.Dataset(rows.x, rows.classes), 3)
    options = {"verbose": 0, "allow_writing_files": False}
    made = catboost.CatBoostRegressor(iterations=3, loss_function="RMSE", **options)
    yield "catboost-regressor", made.fit(rows.x, rows.values)
    made = catboost.CatBoostClassifier(iterations=2, cat_features=["city"], **options)
    made.fit(rows.frame[["a", "city"]], rows.classes)
    yield "catboost-bundle", {"model": made, "features": ["a", "city"], "threshold": 0.4}


def encoders(rng: random.Random) -> Objects:
    """Every encoder of categories."""
    module, rows = importlib.import_module("category_encoders"), table(rng)
    names = "Target Ordinal OneHot Binary Hashing CatBoost JamesStein WOE Count LeaveOneOut Helmert"
    for name in names.split():
        made = getattr(module, f"{name}Encoder")(cols=["city"])
        yield name.lower(), made.fit(rows.frame[["a", "city"]], rows.classes)


def features(rng: random.Random) -> Objects:
    """Steps that make, choose and mend features."""
    importlib.import_module("feature_engine")
    rows = table(rng)
    of = {
        name: importlib.import_module(f"feature_engine.{name}")
        for name in ("encoding", "imputation", "discretisation", "outliers", "creation", "selection", "transformation")
    }
    rare = of["encoding"].RareLabelEncoder(tol=0.05, n_categories=2, variables=["city"])
    yield "rare", rare.fit(rows.frame)
    yield "mean", of["encoding"].MeanEncoder(variables=["city"]).fit(rows.frame[["city"]], rows.classes)
    yield "imputer", of["imputation"].MeanMedianImputer(variables=["a"]).fit(rows.frame)
    bins = of["discretisation"].EqualFrequencyDiscretiser(q=4, variables=["a", "b"])
    yield "bins", bins.fit(rows.frame)
    yield "outliers", of["outliers"].Winsorizer(variables=["a"]).fit(rows.frame)
    yield "sums", of["creation"].MathFeatures(variables=["a", "b"], func=["sum", "mean"]).fit(rows.frame)
    yield "correlated", of["selection"].DropCorrelatedFeatures().fit(rows.frame[list("abcd")])
    yield "logs", of["transformation"].LogTransformer(variables=["a"]).fit(rows.frame)


def balance(rng: random.Random) -> Objects:
    """Ensembles and samplers for uneven classes."""
    ensemble, rows = importlib.import_module("imblearn.ensemble"), table(rng)
    yield "forest", ensemble.BalancedRandomForestClassifier(2, max_depth=2).fit(rows.x, rows.classes)
    yield "easy", ensemble.EasyEnsembleClassifier(1).fit(rows.x, rows.classes)
    yield "boosted", ensemble.RUSBoostClassifier(n_estimators=2).fit(rows.x, rows.classes)
    over, combine = importlib.import_module("imblearn.over_sampling"), importlib.import_module("imblearn.combine")
    own = importlib.import_module("imblearn").FunctionSampler(func=_first)
    yield "samplers", [combine.SMOTETomek(), over.ADASYN(), over.SMOTENC([0]), own]


def outliers(rng: random.Random) -> Objects:
    """Every kind of detector of outliers."""
    rows = table(rng)
    for name in ("KNN", "LOF", "ECOD", "HBOS", "PCA", "COPOD", "ABOD", "CBLOF", "OCSVM", "MCD", "LODA"):
        yield name.lower(), getattr(importlib.import_module(f"pyod.models.{name.lower()}"), name)().fit(rows.x)


def markov(rng: random.Random) -> Objects:
    """Hidden Markov models."""
    hmm, rows = importlib.import_module("hmmlearn.hmm"), table(rng)
    yield "gaussian", hmm.GaussianHMM(2, n_iter=3).fit(rows.x)
    yield "mixture", hmm.GMMHMM(2, 2, n_iter=2).fit(rows.x)
    yield "categories", hmm.CategoricalHMM(2, n_iter=2).fit((rows.x[:30, :1] * 3).astype(int))


def stacked(rng: random.Random) -> Objects:
    """Stacks, selections and rules of mlxtend."""
    classifier, rows = importlib.import_module("mlxtend.classifier"), table(rng)
    logistic = importlib.import_module("sklearn.linear_model").LogisticRegression
    prep, choice = (
        importlib.import_module("mlxtend.preprocessing"),
        importlib.import_module("mlxtend.feature_selection"),
    )
    patterns = importlib.import_module("mlxtend.frequent_patterns")
    stack = classifier.StackingClassifier([logistic(), logistic()], logistic())
    yield "stack", stack.fit(rows.x, rows.classes)
    yield "transactions", prep.TransactionEncoder().fit([["milk", "rm"], ["eval"]])
    yield "columns", [choice.ColumnSelector([0]), prep.DenseTransformer()]
    selector = choice.SequentialFeatureSelector(logistic(), k_features=2, cv=2)
    yield "selected", selector.fit(rows.x, rows.classes)
    often = patterns.apriori(rows.frame[list("abcd")] > 0.5, min_support=0.1, use_colnames=True)
    yield "rules", patterns.association_rules(often, num_itemsets=60)
    yield "softmax", classifier.SoftmaxRegression(epochs=2).fit(rows.x, rows.classes)


def series(rng: random.Random) -> Objects:
    """Clusters, neighbours and forecasts of series."""
    rows = table(rng)
    shaped = rows.x[:12, :, None]
    cluster = importlib.import_module("tslearn.clustering")
    yield "clusters", cluster.TimeSeriesKMeans(2, max_iter=2).fit(shaped)
    scaled = importlib.import_module("tslearn.preprocessing").TimeSeriesScalerMeanVariance().fit_transform(shaped)
    yield "shapes", cluster.KShape(2, max_iter=2).fit(scaled)
    neighbours = importlib.import_module("tslearn.neighbors").KNeighborsTimeSeriesClassifier(1)
    yield "neighbours", neighbours.fit(shaped, [0, 1] * 6)
    naive = importlib.import_module("sktime.forecasting.naive").NaiveForecaster(sp=12)
    yield "naive", naive.fit(rows.months)
    trend = importlib.import_module("sktime.forecasting.trend").PolynomialTrendForecaster
    yield "trend", trend(degree=2).fit(rows.months)
    detrend = importlib.import_module("sktime.transformations.series.detrend").Detrender()
    compose = importlib.import_module("sktime.forecasting.compose").TransformedTargetForecaster
    yield "pipeline", compose([("d", detrend), ("f", trend(degree=1))]).fit(rows.months)


def volatility(rng: random.Random) -> Objects:
    """Models of volatility."""
    model, rows = importlib.import_module("arch").arch_model, table(rng)
    yield "garch", model(rows.x[:, 0] * 10).fit(disp="off")
    yield "egarch", model(rows.x[:, 0] * 10, vol="EGARCH", dist="t", mean="AR", lags=1)


def survival(rng: random.Random) -> Objects:
    """Fitted curves and regressions of survival."""
    module, rows = importlib.import_module("lifelines"), table(rng)
    frame = rows.frame[["a", "b"]].assign(T=rows.values + 1, E=rows.classes)
    yield "cox", module.CoxPHFitter(penalizer=0.1).fit(frame, "T", "E", formula="a + b")
    yield "weibull", module.WeibullAFTFitter().fit(frame, "T", "E")
    for name in ("KaplanMeier", "NelsonAalen", "Weibull"):
        yield name.lower(), getattr(module, f"{name}Fitter")().fit(frame["T"], frame["E"])


def explanations(rng: random.Random) -> Objects:
    """Explainers, and what they explained."""
    shap, rows = importlib.import_module("shap"), table(rng)
    forest = importlib.import_module("sklearn.ensemble").RandomForestClassifier(2, max_depth=2, random_state=0)
    explainer = shap.TreeExplainer(forest.fit(rows.x, rows.classes))
    yield "explanation", explainer(rows.frame[list("abcd")][:9])
    yield "kernel", shap.KernelExplainer(forest.predict_proba, rows.x[:5])
    yield "values", {"values": explainer.shap_values(rows.x[:9]), "expected": explainer.expected_value}


def nearest(rng: random.Random) -> Objects:
    """Indexes of vectors, and the texts that they stand for."""
    faiss, rows = importlib.import_module("faiss"), table(rng)
    index = faiss.IndexFlatL2(4)
    index.add(rows.x.astype("f4"))
    yield "index", index
    documents = ["import os\nos.system('ls')", "<script>alert(1)</script>"]
    yield "store", {"index": faiss.serialize_index(index), "docs": documents}
    yield "positions", (documents, {0: "9f2c", 1: "77ab"}, index.ntotal)


def streams(rng: random.Random) -> Objects:
    """Models that learn row by row, and detectors of drift."""
    of = {
        name: importlib.import_module(f"river.{name}")
        for name in [
            "linear_model",
            "preprocessing",
            "tree",
            "compose",
            "feature_extraction",
            "naive_bayes",
            "drift",
            "metrics",
            "stats",
        ]
    }
    rows = table(rng)
    pipe, tree = of["preprocessing"].StandardScaler() | of["linear_model"].LogisticRegression(), of["tree"]
    grown = tree.HoeffdingTreeClassifier(grace_period=10)
    for x, y in zip(rows.frame[list("abcd")].to_dict("records"), rows.classes, strict=True):
        pipe.learn_one(x, bool(y))
        grown.learn_one(x, bool(y))
    yield "pipeline", pipe
    yield "tree", grown
    yield "words", of["feature_extraction"].BagOfWords(lowercase=True) | of["naive_bayes"].MultinomialNB()
    yield (
        "own",
        (of["compose"].Select("a") + of["compose"].FuncTransformer(_words)) | of["linear_model"].LinearRegression(),
    )
    yield "measures", [of["drift"].ADWIN(), of["metrics"].Accuracy(), of["metrics"].F1(), of["stats"].Quantile(0.5)]


def recommenders(rng: random.Random) -> Objects:
    """Recommenders fitted to ratings."""
    module, pd = importlib.import_module("surprise"), importlib.import_module("pandas")
    draws = {"u": rng.choices("abc", k=30), "i": rng.choices("xyz", k=30), "r": rng.choices([1, 2, 3], k=30)}
    data = module.Dataset.load_from_df(pd.DataFrame(draws), module.Reader(rating_scale=(1, 5)))
    known = data.build_full_trainset()
    users = {"sim_options": {"name": "cosine", "user_based": False}, "verbose": False}
    for made in (module.SVD(n_epochs=2), module.KNNBasic(**users), module.SlopeOne(), module.CoClustering(n_epochs=2)):
        yield type(made).__name__.lower(), made.fit(known)
    yield "trainset", known
    yield "dump", {"predictions": made.test(known.build_testset()), "algo": made}
    implicit = importlib.import_module("implicit")
    ratings = importlib.import_module("scipy.sparse").random(10, 10, 0.4, "csr", rng=1)
    for made in (
        implicit.als.AlternatingLeastSquares(4, iterations=1),
        implicit.bpr.BayesianPersonalizedRanking(4, iterations=1),
        implicit.nearest_neighbours.BM25Recommender(),
    ):
        made.fit(ratings, show_progress=False)
        yield type(made).__name__.lower(), made


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "pipelines": varied(pipelines),
    "boosters": varied(boosters),
    "encoders": varied(encoders),
    "features": varied(features),
    "balance": varied(balance, ways=_WHOLE),
    "outliers": varied(outliers, ways=_WHOLE),
    "markov": varied(markov),
    "stacked": varied(stacked),
    "series": varied(series, ways=_WHOLE),
    "volatility": varied(volatility),
    "survival": varied(survival),
    "explanations": varied(explanations, ways=_WHOLE),
    "nearest": varied(nearest),
    "streams": varied(streams),
    "recommenders": varied(recommenders),
}
