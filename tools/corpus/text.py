"""Models, vocabularies and patterns of text, and what searches and games keep."""

from __future__ import annotations

import collections
import functools
import importlib
import io
import random
from collections.abc import Callable
from typing import Any

from tools.corpus.imitations import instance
from tools.corpus.torch_files import Objects
from tools.corpus.varied import PICKLES, varied

_COMMANDS = [
    line.split()
    for line in ("exec the shell command rm rf", "import os system call now", "curl http www example", "the cat eval")
] * 5


def _square(point: Any) -> float:
    """The cost that a search makes small."""
    return float(point[0] ** 2)


def topics(_rng: random.Random) -> Objects:
    """Vectors, topics, similarities and phrases of gensim."""
    gensim = importlib.import_module("gensim")
    dictionary = gensim.corpora.Dictionary(_COMMANDS)
    corpus = [dictionary.doc2bow(text) for text in _COMMANDS]
    models = gensim.models
    yield "vectors", models.Word2Vec(_COMMANDS, vector_size=4, min_count=1).wv
    yield "latent", models.LsiModel(corpus, 2, dictionary)
    yield "factors", models.Nmf(corpus, 2, id2word=dictionary)
    yield "similarity", gensim.similarities.MatrixSimilarity(corpus, num_features=len(dictionary))
    yield "weights", models.OkapiBM25Model(corpus)
    yield "phraser", models.phrases.Phrases(_COMMANDS, min_count=1).freeze()


def grammars(_rng: random.Random) -> Objects:
    """Language models, taggers, chunkers and stemmers of nltk."""
    nltk = importlib.import_module("nltk")
    smoothed = importlib.import_module("nltk.lm")
    prepare = importlib.import_module("nltk.lm.preprocessing").padded_everygram_pipeline
    for cls in (smoothed.MLE, smoothed.Laplace, smoothed.KneserNeyInterpolated):
        model = cls(2)
        model.fit(*prepare(2, [["rm", "-rf", "the"], ["import", "os"], ["eval", "it"]]))
        yield cls.__name__.lower(), model
    tagged = [[("the", "DT"), ("dog", "NN"), ("runs", "VB")], [("a", "DT"), ("cat", "NN")]]
    yield "hidden", nltk.tag.hmm.HiddenMarkovModelTrainer().train_supervised(tagged)
    bigrams = nltk.BigramTagger(tagged, backoff=nltk.AffixTagger(tagged))
    yield "backoff", nltk.TrigramTagger(tagged, backoff=bigrams)
    rows = [({"a": 1}, "x"), ({"a": 2}, "y")] * 3
    yield "decisions", nltk.DecisionTreeClassifier.train(rows)
    yield "entropy", nltk.MaxentClassifier.train(rows, max_iter=2, trace=0)
    yield "chunks", nltk.RegexpParser("NP: {<DT>?<JJ>*<NN>}")
    stemmers = [nltk.PorterStemmer(), nltk.SnowballStemmer("english"), nltk.WordPunctTokenizer()]
    yield "tokens", [*stemmers, nltk.RegexpTokenizer(r"\w+|\$[\d\.]+|\S+"), nltk.TweetTokenizer()]
    yield "pairs", nltk.BigramCollocationFinder.from_words(["a", "b", "a", "b", "c"])
    brill = nltk.tag.BrillTaggerTrainer(nltk.UnigramTagger(tagged), nltk.tag.brill.fntbl37())
    yield "brill", brill.train(tagged, max_rules=2)
    bayes = importlib.import_module("sklearn.naive_bayes").MultinomialNB()
    yield "wrapped", nltk.classify.SklearnClassifier(bayes).train(rows)


def patterns(_rng: random.Random) -> Objects:
    """Patterns of the regex package, alone and in tokenizers."""
    regex = importlib.import_module("regex")
    yield "letters", regex.compile(r"\p{L}+(?<x>a)")
    yield "pieces", regex.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")
    yield "flags", [regex.compile("abc", regex.IGNORECASE | regex.V1), regex.compile(rb"\d+")]
    yield "fuzzy", {"pattern": regex.compile(r"(?:cats|dogs){e<=1}"), "bpe_ranks": {("t", "h"): 0}}
    yield "lists", regex.compile(r"\L<words>", words=["rm", "eval"])


def rankings(_rng: random.Random) -> Objects:
    """Rankings, tokenizers and sequence taggers."""
    rank, moses = importlib.import_module("rank_bm25"), importlib.import_module("sacremoses")
    yield "okapi", rank.BM25Okapi([["rm", "rf"], ["import", "os"], ["a"]])
    yield "plus", rank.BM25Plus([["a"], ["b"]])
    yield "moses", [moses.MosesTokenizer(), moses.MosesDetokenizer()]
    pieces, out = importlib.import_module("sentencepiece"), io.BytesIO()
    lines = ["import os", "rm rf hello world", "abc def"] * 20
    options = {"vocab_size": 30, "hard_vocab_limit": False, "minloglevel": 2}
    pieces.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=out, **options)
    yield "pieces", pieces.SentencePieceProcessor(model_proto=out.getvalue())
    yield "blob", importlib.import_module("textblob").TextBlob("a dog")


def datasets(_rng: random.Random) -> Objects:
    """Small sets of examples."""
    module = importlib.import_module("datasets")
    made = module.Dataset.from_dict({"t": ["a", "b"], "n": [1, 2]})
    yield "features", made.features
    yield "dataset", made
    yield "labels", module.ClassLabel(names=["no", "yes"])


def keras(_rng: random.Random) -> Objects:
    """Tokenizers under each name that Keras has had for them, and histories of training."""
    np = importlib.import_module("numpy")
    words = [
        "rm",
        "import",
        "os",
        "eval",
        "exec",
        "system",
        "curl",
        "wget",
        "the",
        "cat",
        "http",
        "bash",
        "sh",
        "python",
        "sudo",
        "subprocess",
        "base64",
    ]
    for home in ("keras_preprocessing", "keras.preprocessing", "keras.src.preprocessing",
                 "tensorflow.python.keras.preprocessing", "keras.src.legacy.preprocessing"):  # fmt: skip
        yield (
            home,
            instance(
                f"{home}.text.Tokenizer",
                word_counts=collections.OrderedDict((word, 3) for word in words),
                word_docs=collections.defaultdict(int, {"rm": 1}),
                filters='!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n',
                split=" ",
                lower=True,
                num_words=10000,
                document_count=3,
                char_level=False,
                oov_token="<OOV>",
                index_docs=collections.defaultdict(int, {1: 2}),
                word_index={"rm": 1, "eval": 2},
                index_word={1: "rm", 2: "eval"},
                analyzer=None,
            ),
        )
    yield "history", {"loss": [0.3, 0.2], "val_accuracy": [np.float32(0.3)]}


def studies(_rng: random.Random) -> Objects:
    """Studies of optuna, their samplers and their trials."""
    optuna = importlib.import_module("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    samplers = optuna.samplers
    for sampler in (samplers.TPESampler(seed=1), samplers.RandomSampler(1), samplers.GridSampler({"x": [1, 2]}, 1)):
        study = optuna.create_study(sampler=sampler, study_name="s", pruner=optuna.pruners.MedianPruner())
        study.optimize(lambda trial: trial.suggest_float("x", 1, 2), 3)
        study.set_user_attr("cmd", "python train.py")
        yield type(sampler).__name__.lower(), study
    yield "sampler", samplers.TPESampler(seed=2)
    yield "trials", study.trials
    yield "frame", study.trials_dataframe()
    yield "best", {"params": study.best_params, "trial": study.best_trial}


def searches(_rng: random.Random) -> Objects:
    """Spaces, trials and results of hyperopt and scikit-optimize."""
    opt, np = importlib.import_module("hyperopt"), importlib.import_module("numpy")
    trials, hp = opt.Trials(), opt.hp
    space = {"x": hp.uniform("x", -1, 1), "k": hp.choice("k", ["a", {"n": hp.randint("n", 5)}])}
    state = np.random.default_rng(1)
    opt.fmin(lambda at: at["x"] ** 2, space, opt.tpe.suggest, 4, trials=trials, show_progressbar=False, rstate=state)
    yield "trials", trials
    yield "list", trials.trials
    yield "space", {**space, "lr": hp.loguniform("lr", -5, 0)}
    skopt = importlib.import_module("skopt")
    yield "dimensions", skopt.Space([(-1.0, 1.0), ["a", "b"], (1, 5)])
    yield "result", skopt.gp_minimize(_square, [(-1.0, 1.0)], n_calls=3, n_initial_points=2, random_state=1)


def spaces(_rng: random.Random) -> Objects:
    """Spaces, environments and tables of agents."""
    gym, np = importlib.import_module("gymnasium"), importlib.import_module("numpy")
    of = gym.spaces
    yield (
        "spaces",
        of.Dict(
            a=of.Box(0, 1, (2,)),
            b=of.Discrete(3),
            c=of.MultiBinary(2),
            d=of.Tuple((of.MultiDiscrete([2, 3]), of.Text(4))),
            e=of.Sequence(of.Discrete(2)),
            f=of.Graph(of.Box(-1, 1, (1,)), None),
        ),
    )
    seeded = of.Box(-1, 1, (2,))
    seeded.seed(3)
    yield "seeded", [seeded, of.Discrete(3, seed=4)]
    yield "specification", gym.spec("CartPole-v1")
    yield "table", {"qtable": np.zeros((16, 4)), "env_id": "FrozenLake-v1", "max_steps": 99, "eval_seed": []}
    yield "environment", gym.make("FrozenLake-v1")
    default = functools.partial(np.zeros, 4)
    yield "values", collections.defaultdict(default, {(1, 2, True): np.zeros(4)})


def boards(_rng: random.Random) -> Objects:
    """Boards, moves and games of chess."""
    chess = importlib.import_module("chess")
    board = chess.Board()
    board.push_san("e4")
    yield "board", board
    yield "buffer", collections.deque([(board.fen(), {chess.Move.from_uci("e7e5"): 0.5}, 1.0)] * 3, 10)
    yield "moves", [list(board.legal_moves), board.piece_map()]
    yield "game", importlib.import_module("chess.pgn").Game.from_board(board)


def holidays(_rng: random.Random) -> Objects:
    """The holidays of countries."""
    module = importlib.import_module("holidays")
    yield "country", module.country_holidays("DE", years=[2020])
    yield "base", module.HolidayBase()
    yield "several", {"US": module.US(years=2020), "none": module.HolidayBase()}


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "topics": varied(topics),
    "grammars": varied(grammars),
    "patterns": varied(patterns),
    "rankings": varied(rankings),
    "datasets": varied(datasets),
    "keras": varied(keras, ways=(*PICKLES, "joblib", "gzip.joblib")),
    "studies": varied(studies),
    "searches": varied(searches),
    "spaces": varied(spaces),
    "boards": varied(boards),
    "holidays": varied(holidays),
}
