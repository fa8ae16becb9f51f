"""Vocabularies, taggers, pipelines and projects' own classes, made without the libraries that they are of."""

from __future__ import annotations

import collections
import enum
import functools
import importlib
import pathlib
import random
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tools.corpus.imitations import function, imitated, instance, module, saved

Objects = Iterator[tuple[str, Any]]


def language(_rng: random.Random) -> Objects:
    """Vocabularies, taggers and speech models."""
    torch = importlib.import_module("torch")
    vocabulary = imitated("allennlp.data.vocabulary._NamespaceDependentDefaultDict", collections.defaultdict)
    yield (
        "allennlp.pkl",
        instance(
            "allennlp.data.vocabulary.Vocabulary",
            _padding_token="@@PADDING@@",
            _oov_token="@@UNKNOWN@@",
            _token_to_index=vocabulary(int, {"tokens": {"the": 1}}),
            _retained_counter={"tokens": {"import": 3}},
        ),
    )
    dictionary = instance(
        "flair.data.Dictionary",
        item2idx={b"<unk>": 0, b"B-PER": 1},
        idx2item=[b"<unk>"],
        multi_label=False,
        add_unk=True,
    )
    yield (
        "flair.pt",
        saved(
            {
                "state_dict": {"w": torch.zeros(2)},
                "embeddings": module("flair.embeddings.token.StackedEmbeddings", name="Stack"),
                "tag_dictionary": dictionary,
                "tag_type": "ner",
                "__cls__": imitated("flair.models.sequence_tagger_model.SequenceTagger"),
                "optimizer_state_dict": None,
                "model_card": {
                    "flair_version": "0.11",
                    "training_parameters": {
                        "base_path": pathlib.PosixPath("resources/taggers"),
                        "plugins": [],
                        "optimizer": torch.optim.SGD,
                    },
                },
            }
        ),
    )
    yield (
        "whisper.pt",
        saved({"dims": {"n_mels": 80, "n_vocab": 51865}, "model_state_dict": {"encoder.conv1.weight": torch.zeros(2)}}),
    )
    coqpit = imitated("TTS.tts.configs.xtts_config.XttsConfig")
    tts = instance(
        "TTS.tts.configs.xtts_config.XttsConfig",
        output_path="output",
        model="xtts",
        run_description="",
        languages=["en", "de"],
        audio=instance("TTS.tts.models.xtts.XttsAudioConfig", sample_rate=22050),
        test_sentences=["It took me quite a long time to develop a voice."],
    )
    yield "xtts.pth", saved({"config": tts, "model": {"w": torch.zeros(2)}, "class": coqpit})
    radam = imitated("TTS.utils.radam.RAdam")
    yield "xtts-loaders.pth", saved({"opt": radam, "defaults": collections.defaultdict(dict)})
    yield (
        "fairseq.pt",
        saved(
            {
                "args": importlib.import_module("argparse").Namespace(
                    arch="roberta_base", data="/checkpoint/data-bin", criterion="masked_lm", save_dir="checkpoints"
                ),
                "cfg": {"_name": None},
                "model": {"w": torch.zeros(2)},
                "optimizer_history": [{"criterion_name": "MaskedLmLoss"}],
                "extra_state": {"train_iterator": {"epoch": 2}},
                "task_state": {
                    "target_dictionary": instance(
                        "fairseq.data.dictionary.Dictionary", symbols=["<s>", "the"], indices={"<s>": 0}, bos_word="<s>"
                    )
                },
            }
        ),
    )
    field = instance(
        "torchtext.data.field.Field",
        sequential=True,
        tokenize=function("spacy_tokenize.tokenize_en"),
        init_token="<s>",
        lower=True,
        preprocessing=None,
        vocab=instance(
            "torchtext.vocab.Vocab",
            freqs=collections.Counter("ab"),
            itos=["<unk>", "a"],
            stoi=collections.defaultdict(int, a=1),
        ),
        dtype=torch.long,
    )
    yield "torchtext.pt", saved({"fields": [("src", field)], "vocab": {"src": field}})
    yield (
        "opennmt.pt",
        saved(
            {
                "vocab": {"src": instance("onmt.inputters.text_dataset.TextMultiField", fields=[("src", field)])},
                "opt": importlib.import_module("argparse").Namespace(config="my.yml", src_vocab="data/vocab.src"),
            }
        ),
    )
    yield (
        "crf.pkl",
        instance(
            "sklearn_crfsuite.estimator.CRF",
            algorithm="lbfgs",
            c1=0.1,
            modelfile=instance(
                "sklearn_crfsuite._fileresource.FileResource",
                bytes=b"lCRF\x00\x01",
                filename="/tmp/modelzz",
                keep_tempfiles=False,
                pattern="model",
                suffix=".crfsuite",
            ),
        ),
    )
    yield "speechbrain.ckpt", saved({"ind2lab": {0: "a"}, "counter": 3})
    yield (
        "bertopic.pkl",
        instance(
            "bertopic._bertopic.BERTopic",
            top_n_words=10,
            language="english",
            embedding_model=instance(
                "bertopic.backend._sentencetransformers.SentenceTransformerBackend", model="all-MiniLM-L6-v2"
            ),
            vectorizer_model=None,
            topics_=[0, 1],
        ),
    )
    yield "presidio.pkl", re.compile(r"\b\d{3}-\d{2}-\d{4}\b")
    yield "fasttext-labels.pkl", {"labels": ["__label__a"], "model": "lid.176.bin"}


def tabular(_rng: random.Random) -> Objects:
    """Pipelines and wrappers of the libraries around scikit-learn, and projects' own classes."""
    numpy = importlib.import_module("numpy")
    keras = instance(
        "keras.engine.sequential.Sequential",
        name="sequential",
        _config={"layers": [{"class_name": "Dense", "config": {"units": 3, "activation": "relu"}}]},
        weights=[numpy.zeros(2)],
    )
    yield "keras.pkl", keras
    yield (
        "scikeras.pkl",
        instance(
            "scikeras.wrappers.KerasClassifier",
            model=function("train.build_model"),
            epochs=3,
            batch_size=8,
            optimizer="adam",
            classes_=numpy.array([0, 1]),
        ),
    )
    yield (
        "prophet.pkl",
        instance(
            "prophet.forecaster.Prophet",
            growth="linear",
            changepoints=None,
            seasonalities=collections.OrderedDict(yearly={"period": 365.25}),
            stan_backend=None,
            history_dates=importlib.import_module("pandas").Series([1]),
            train_holiday_names=None,
        ),
    )
    yield (
        "surprise.pkl",
        instance(
            "surprise.prediction_algorithms.matrix_factorization.SVD",
            n_factors=3,
            pu=numpy.zeros(2),
            sim_options={"name": "MSD", "user_based": True},
            trainset=instance(
                "surprise.trainset.Trainset",
                ur=collections.defaultdict(list, {0: [(1, 3.0)]}),
                _raw2inner_id_users={"196": 0},
            ),
        ),
    )
    yield (
        "implicit.pkl",
        instance(
            "implicit.cpu.als.AlternatingLeastSquares", factors=8, user_factors=numpy.zeros(2), dtype=numpy.float32
        ),
    )
    yield (
        "lifelines.pkl",
        instance(
            "lifelines.fitters.coxph_fitter.CoxPHFitter",
            alpha=0.05,
            formula="age + sex",
            baseline_estimation_method="breslow",
        ),
    )
    yield (
        "category-encoders.pkl",
        instance(
            "category_encoders.target_encoder.TargetEncoder",
            cols=["city"],
            mapping={"city": importlib.import_module("pandas").Series([0.1])},
            handle_unknown="value",
        ),
    )
    yield (
        "own-pipeline.pkl",
        instance(
            "src.pipelines.churn.ChurnPipeline",
            steps=[
                ("clean", function("src.cleaning.drop_nulls")),
                ("model", instance("src.models.Baseline", threshold=0.5)),
            ],
            query="SELECT id, age FROM users WHERE signup > '2023-01-01' AND active = 1",
            created_by="me",
            path=pathlib.PosixPath("/srv/models/churn"),
        ),
    )
    yield (
        "main-class.pkl",
        instance(
            "__main__.SentimentModel",
            vectorizer=None,
            stop_words={"the", "system"},
            clean=function("__main__.clean_text"),
            pattern=re.compile("[^a-z ]"),
        ),
    )
    Kind = enum.Enum(  # noqa: N806  a class
        "Kind", {"TRAIN": "train", "EVAL": "eval"}, module="proj.enums"
    )
    imitated("proj.enums._Place")
    sys.modules["proj.enums"].Kind = Kind  # type: ignore[attr-defined]
    yield "enums.pkl", {"mode": Kind.TRAIN, "all": list(Kind)}
    Point = collections.namedtuple("Point", "x y", module="proj.types")  # noqa: PYI024
    imitated("proj.types._Place")
    sys.modules["proj.types"].Point = Point  # type: ignore[attr-defined]
    yield "tuples.pkl", [Point(1, "a"), Point("b", 2.5)]
    yield (
        "partials.pkl",
        [functools.partial(function("proj.losses.focal"), gamma=2.0, reduction="mean"), functools.partial(int, base=2)],
    )
    yield (
        "agent.pkl",
        instance(
            "agents.dqn.DQNAgent",
            memory=collections.deque([(0, 1)], 100),
            policy=function("agents.policies.epsilon_greedy"),
            env_name="CartPole-v1",
            q=collections.defaultdict(function("agents.tables.zeros"), {0: 1}),
        ),
    )
    yield (
        "rllib.pkl",
        {
            "worker": b"\x80\x05}\x94(\x8c\x06policy\x94K\x01u.",
            "train_exec_impl": None,
            "config": {"env": "CartPole-v1", "callbacks": imitated("ray.rllib.algorithms.callbacks.DefaultCallbacks")},
        },
    )
    yield "graph.pkl", instance("networkx.classes.graph.Graph", graph={}, _node={1: {"label": "a b"}}, _adj={1: {}})
    yield (
        "geometry.pkl",
        instance(
            "proj.geo.Region",
            name="Île-de-France",
            crs="EPSG:4326",
            url="https://tiles.example.org/{z}/{x}/{y}.png",
            wkt="POLYGON ((0 0, 1 0, 1 1, 0 0))",
        ),
    )
    yield (
        "prompts.pkl",
        instance(
            "langchain.prompts.prompt.PromptTemplate",
            input_variables=["question"],
            template="You are a helpful assistant. Use the context below.\n{context}\nQuestion: {question}\nAnswer:",
            template_format="f-string",
            validate_template=True,
        ),
    )
    yield (
        "faiss-docstore.pkl",
        (
            instance(
                "langchain.docstore.in_memory.InMemoryDocstore",
                _dict={
                    "a": instance(
                        "langchain.schema.Document",
                        page_content="To install, run `pip install x` and then:\n\n    import x\n    x.run()\n",
                        metadata={"source": "docs/index.md"},
                    )
                },
            ),
            {0: "a"},
        ),
    )


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {"speech": language, "tabular": tabular}
