"""Fitted models, vocabularies, graphs, agents and frames, as their libraries pickle them."""

from __future__ import annotations

import importlib
import io
import random
from collections.abc import Callable

from tools.corpus.torch_files import Objects, saved, torch_module


def boosting(rng: random.Random) -> Objects:
    """Other fitted models with scikit-learn's face."""
    numpy = importlib.import_module("numpy")
    x = numpy.array([[rng.random(), rng.random()] for _ in range(60)])
    y = numpy.arange(60) % 2
    catboost = importlib.import_module("catboost")
    yield "catboost.pkl", catboost.CatBoostClassifier(iterations=2, verbose=0, allow_writing_files=False).fit(x, y)
    over = importlib.import_module("imblearn.over_sampling")
    pipeline = importlib.import_module("imblearn.pipeline")
    linear = importlib.import_module("sklearn.linear_model")
    yield "imblearn.pkl", pipeline.Pipeline([("s", over.SMOTE()), ("m", linear.LogisticRegression())]).fit(x, y)
    yield "undersampler.pkl", importlib.import_module("imblearn.under_sampling").RandomUnderSampler().fit(x, y)
    lightgbm = importlib.import_module("lightgbm")
    yield "ranker.pkl", lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(x, y)
    skorch = importlib.import_module("skorch")
    net = skorch.NeuralNetClassifier(
        torch_module().nn.Linear, module__in_features=2, module__out_features=2, max_epochs=1, verbose=0
    )
    yield "skorch.pkl", net.fit(x.astype("float32"), y.astype("int64"))


def sklearn(rng: random.Random) -> Objects:
    """Fitted estimators of every part of scikit-learn."""
    numpy = importlib.import_module("numpy")
    utils = importlib.import_module("sklearn.utils")
    x = numpy.array([[rng.random(), rng.random(), rng.random()] for _ in range(40)])
    y = numpy.arange(40) % 2
    for name, cls in utils.all_estimators():
        try:
            made = cls()
            made.fit(numpy.abs(x), y)
        except Exception:  # noqa: BLE001  those that need other data are left out
            continue
        yield f"{name}.pkl", made
    search = importlib.import_module("sklearn.model_selection")
    ridge = importlib.import_module("sklearn.linear_model").Ridge
    yield "grid.pkl", search.GridSearchCV(ridge(), {"alpha": [0.1, 1.0]}, cv=2, scoring="r2").fit(x, y)
    yield (
        "random-search.pkl",
        search.RandomizedSearchCV(
            ridge(), {"alpha": importlib.import_module("scipy.stats").uniform()}, n_iter=2, cv=2
        ).fit(x, y),
    )
    metrics = importlib.import_module("sklearn.metrics")
    yield "scorer.pkl", metrics.make_scorer(metrics.f1_score, average="macro")


def language(_rng: random.Random) -> Objects:
    """Models and vocabularies of language libraries."""
    gensim = importlib.import_module("gensim")
    texts = [["import", "the", "model"], ["open", "the", "system"], ["cat", "dog"]] * 4
    dictionary = gensim.corpora.Dictionary(texts)
    corpus = [dictionary.doc2bow(text) for text in texts]
    yield "word2vec.pkl", gensim.models.Word2Vec(texts, vector_size=4, min_count=1)
    yield (
        "doc2vec.pkl",
        gensim.models.Doc2Vec(
            [gensim.models.doc2vec.TaggedDocument(t, [i]) for i, t in enumerate(texts)], vector_size=4, min_count=1
        ),
    )
    yield "fasttext.pkl", gensim.models.FastText(texts, vector_size=4, min_count=1, bucket=10)
    yield "lda.pkl", gensim.models.LdaModel(corpus, 2, dictionary)
    yield "tfidf.pkl", gensim.models.TfidfModel(corpus)
    yield "phrases.pkl", gensim.models.Phrases(texts)
    yield "dictionary.pkl", dictionary
    nltk = importlib.import_module("nltk")
    yield "naive-bayes.pkl", nltk.NaiveBayesClassifier.train([({"a": 1}, "x"), ({"a": 2}, "y")])
    yield "tagger.pkl", nltk.UnigramTagger([[("the", "DT"), ("dog", "NN")]], backoff=nltk.DefaultTagger("NN"))
    yield "regexp.pkl", nltk.RegexpTagger([(r".*ing$", "VBG"), (r".*", "NN")])
    yield "frequencies.pkl", [nltk.FreqDist("abc"), nltk.ConditionalFreqDist([("a", "b")])]
    yield "grammar.pkl", nltk.CFG.fromstring("S -> NP VP\nNP -> 'dog'\nVP -> 'runs'")
    yield "punkt.pkl", nltk.tokenize.PunktSentenceTokenizer("A dog. A cat.")
    yield "tree.pkl", nltk.Tree.fromstring("(S (NP dog) (VP runs))")
    yield "kneser.pkl", nltk.lm.Vocabulary(["a", "b"], unk_cutoff=1)
    spacy = importlib.import_module("spacy")
    pipe = spacy.blank("en")
    yield "doc.pkl", pipe("The dog runs to https://example.org .")
    yield "vocab.pkl", pipe.vocab


def sentences(_rng: random.Random) -> Objects:
    """Parts of sentence-transformers, speechbrain and graph libraries."""
    models = importlib.import_module("sentence_transformers.models")
    yield "pooling.pt", saved(models.Pooling(8))
    yield "dense.pt", saved(models.Dense(8, 4))
    speech = importlib.import_module("speechbrain.dataio.encoder")
    encoder = speech.CategoricalEncoder()
    encoder.update_from_iterable(["a", "b"])
    yield "label_encoder.pkl", encoder


def graphs(_rng: random.Random) -> Objects:
    """Graphs of torch_geometric."""
    torch = torch_module()
    data = importlib.import_module("torch_geometric.data")
    nn = importlib.import_module("torch_geometric.nn")
    one = data.Data(x=torch.zeros(2, 2), edge_index=torch.tensor([[0, 1], [1, 0]]), y=torch.tensor([1]), name="a graph")
    yield "data.pt", saved(one)
    yield "list.pt", saved([one, one])
    yield "batch.pt", saved(data.Batch.from_data_list([one, one]))
    other = data.HeteroData()
    other["paper"].x = torch.zeros(2, 2)
    yield "hetero.pt", saved(other)
    yield "gcn.pt", saved(nn.GCNConv(2, 2))
    yield "gat.pt", saved(nn.models.GAT(2, 2, 1))


def reinforcement(_rng: random.Random) -> Objects:
    """Agents, buffers and spaces."""
    module = importlib.import_module("stable_baselines3")
    gym = importlib.import_module("gymnasium")
    numpy = importlib.import_module("numpy")
    yield (
        "spaces.pkl",
        [gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(3), gym.spaces.Dict(a=gym.spaces.MultiBinary(2))],
    )
    buffers = importlib.import_module("stable_baselines3.common.buffers")
    yield "replay.pkl", buffers.ReplayBuffer(2, gym.spaces.Box(-1, 1, (2,)), gym.spaces.Discrete(2))
    agent = module.PPO("MlpPolicy", "CartPole-v1", n_steps=8, batch_size=8, device="cpu")
    out = io.BytesIO()
    agent.save(out)
    yield "ppo.zip", out.getvalue()
    yield "policy.pt", saved(agent.policy.state_dict())
    normal = importlib.import_module("stable_baselines3.common.vec_env")
    made = normal.VecNormalize(normal.DummyVecEnv([lambda: gym.make("CartPole-v1")]))
    yield "statistics.pkl", made.obs_rms
    del numpy


def statistics(_rng: random.Random) -> Objects:
    """Fitted models of statsmodels, frames and series with uncommon indexes."""
    pandas = importlib.import_module("pandas")
    numpy = importlib.import_module("numpy")
    api = importlib.import_module("statsmodels.api")
    x = api.add_constant(numpy.arange(20.0))
    yield "ols.pkl", api.OLS(numpy.arange(20.0) * 2 + numpy.sin(numpy.arange(20)), x).fit()
    formula = importlib.import_module("statsmodels.formula.api")
    frame = pandas.DataFrame({"y": numpy.arange(20) % 3 + 0.5, "x": numpy.sin(numpy.arange(20))})
    yield "formula.pkl", formula.ols("y ~ x + I(x**2)", frame).fit()
    yield "arima.pkl", api.tsa.ARIMA(numpy.arange(20.0), order=(1, 0, 0)).fit()
    times = pandas.date_range("2024-01-01", periods=3, tz="Europe/Berlin", freq="D")
    indexes = {
        "datetimes": times,
        "periods": pandas.period_range("2024-01", periods=3, freq="M"),
        "deltas": pandas.timedelta_range("1D", periods=3),
        "intervals": pandas.interval_range(0, 3),
        "multi": pandas.MultiIndex.from_product([["a", "b"], [1, 2]]),
        "categories": pandas.CategoricalIndex(["a", "b", "a"]),
        "range": pandas.RangeIndex(3),
        "floats": pandas.Index([0.5, 1.0, 2.0]),
    }
    for name, index in indexes.items():
        yield f"index-{name}.pkl", pandas.Series(range(len(index)), index=index)
    yield (
        "dtypes.pkl",
        pandas.DataFrame(
            {
                "s": pandas.array(["a", None, "b"], dtype="string"),
                "i": pandas.array([1, None, 3], dtype="Int64"),
                "b": pandas.array([True, None, False], dtype="boolean"),
                "t": times,
                "c": pandas.Categorical(["x", "y", "x"], ordered=True),
                "o": [{"a": 1}, [1], "rm -rf"],
            }
        ),
    )
    yield (
        "offsets.pkl",
        [pandas.offsets.BusinessDay(), pandas.offsets.MonthEnd(2), pandas.tseries.frequencies.to_offset("W-MON")],
    )


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "boosting": boosting,
    "estimators": sklearn,
    "language": language,
    "sentences": sentences,
    "graphs": graphs,
    "reinforcement": reinforcement,
    "statistics": statistics,
}
