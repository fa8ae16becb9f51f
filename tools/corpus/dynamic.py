"""What is written with its code: the functions and classes of a notebook, in the hands of cloudpickle and dill."""

from __future__ import annotations

import importlib
import random
import sys
from collections.abc import Callable
from typing import Any

from tools.corpus.torch_files import Objects
from tools.corpus.varied import varied

_CELLS = '''
import collections
import enum
import functools
import re


Point = collections.namedtuple("Point", "state action reward")


class Colour(enum.Enum):
    RED = "rm -rf"
    BLUE = 2


class Vocabulary:
    """Words and their numbers."""

    def __init__(self, words):
        import re
        self.stoi = {word: at for at, word in enumerate(words)}
        self.pattern = re.compile(r"\\w+|[^\\w\\s]")
        self.tokenizer = str.split

    def __len__(self):
        return len(self.stoi)


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, "import os"


class Wrapper:
    """A model as a registry of models wants it."""

    def __init__(self):
        self.threshold = 0.4

    def load_context(self, context):
        import joblib
        self.model = joblib.load(context.artifacts["model"])

    def predict(self, context, rows):
        import pandas as pd
        return self.model.predict(pd.DataFrame(rows)) > self.threshold


def clean(text):
    import re
    return re.sub(r"[^a-z]", "", text.lower())


def vectorise(df, by=2):
    df = df.copy()
    df["n"] = df["a"].map(lambda value: value * by)
    return df.fillna(0)


def model_path(folder):
    import os
    return os.path.join(folder, "m.pkl")


def logs(x):
    import numpy as np
    return np.log1p(x)


def counter(start):
    def step(by=1):
        nonlocal start
        start += by
        return start
    return step
'''


def _run() -> dict[str, Any]:
    """Run the cells as a notebook does: their globals are those of ``__main__``, which has no file."""
    main = vars(sys.modules["__main__"])
    main.pop("__file__", None)
    names: dict[str, Any] = {}
    exec(compile(_CELLS, "<ipython-input-7-5b1c2d3e4f60>", "exec"), main, names)
    return names


def notebook(_rng: random.Random) -> Objects:
    """Functions: plain, with a lambda, closed over a number, in partials, in settings, in a pipeline."""
    cell = _run()
    yield "clean", cell["clean"]
    yield "vectorise", cell["vectorise"]
    yield "path", cell["model_path"]
    yield "closure", cell["counter"](3)
    yield "partial", cell["functools"].partial(cell["vectorise"], by=3)
    yield "settings", {"fn": cell["clean"], "cfg": {"x": 1}, "modules": [cell["re"], importlib.import_module("numpy")]}


def notebook_steps(_rng: random.Random) -> Objects:
    """Steps of scikit-learn that hold such functions."""
    prep, linear = importlib.import_module("sklearn.preprocessing"), importlib.import_module("sklearn.linear_model")
    pipeline, cell = importlib.import_module("sklearn.pipeline"), _run()
    step = prep.FunctionTransformer(cell["logs"])
    yield "step", step
    yield "pipeline", pipeline.Pipeline([("f", step), ("m", linear.Ridge())])
    yield (
        "words",
        importlib.import_module("sklearn.feature_extraction.text").TfidfVectorizer(preprocessor=cell["clean"]),
    )


def notebook_classes(_rng: random.Random) -> Objects:
    """Classes and their instances."""
    cell = _run()
    yield "wrapper", cell["Wrapper"]()
    yield "class", cell["Wrapper"]
    yield "tuple", cell["Point"](1, 2, 3)
    yield "enum", cell["Colour"].RED
    yield "vocabulary", cell["Vocabulary"](["a", "eval"])
    yield "slots", [cell["Slotted"]()]


LIBRARIES: dict[str, Callable[[random.Random], Objects]] = {
    "notebook": varied(notebook, ways=("cloudpickle", "dill")),
    "notebook-steps": varied(notebook_steps, ways=("cloudpickle", "dill")),
    "notebook-classes": varied(notebook_classes, ways=("cloudpickle", "dill")),
}
