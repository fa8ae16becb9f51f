"""Trace -> one named vector per event: the callee's reputation, its name, its arguments, what becomes of it.

docs/features.md explains each feature. Counts of benign projects come from the vocabulary
(data/vocabulary.json); every feature is computed from one event, so that nothing an attacker
adds beside an event can change its vector.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from picklegate.errors import ModelDataError
from picklegate.judging import callables, model_files
from picklegate.judging import text as text_signs
from picklegate.judging.arguments import Contents
from picklegate.pickles import Event, Global, Import, Persistent, Trace, canonical, trace
from picklegate.pickles.code import MAKERS, facts_of_arguments, facts_of_marshal

REPUTATION: tuple[str, ...] = (
    "callee_projects",
    "callee_text_projects",
    "module_projects",
    "root_projects",
    "name_weight",
    "name_worst",
    "module_weight",
)
"""What is known of the callee's name."""

DESCRIPTION: tuple[str, ...] = (
    *(
        "standard_library",
        "data_constructor",
        "private",
        "dunder",
        "class_like",
        "reflective",
        "serialiser",
        "makes_code",
        "unresolved",
        "detour",
    ),
    *("state", "construction", "on_global", "result_called", "made_function_called"),
    *("argument_count", "no_arguments", "texts", "longest_text", "sentences", "words_only"),
    *("code", "shell", "url", "path", "encoded", "dotted", "special_methods", "symbols"),
    *("bytes_count", "longest_bytes", "entropy", "nested_pickle", "nested_imports", "nested_execution"),
    *("machine_code", "code_object", "code_names"),
    *("imported_arguments", "function_arguments", "foreign_functions", "standard_functions", "executing_arguments"),
    *("result_arguments", "unresolved_arguments"),
)
"""What the event itself shows."""

FEATURES = REPUTATION + DESCRIPTION
"""The features of one event, in the order of the vector."""

FALLING = frozenset(REPUTATION[:4])
"""Features of which more never raises a score."""

RISING = frozenset(
    (
        *("name_weight", "name_worst", "unresolved", "code", "shell", "url", "encoded", "nested_imports"),
        *("nested_execution", "machine_code", "standard_functions"),
        *("executing_arguments", "special_methods", "made_function_called", "code_object", "code_names", "on_global"),
    )
)
"""Features of which more never lowers a score."""

_TOKENS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CLOSED_SET = 5
"""Benign projects that a serialiser's helper or a plain data constructor counts as seen in at least."""
_MOST_BLOBS = 16
"""Bytes arguments of one event that are opened."""
_VECTOR = 8
"""Words of the longest argument vector that is looked at as a command."""
_MANY_TEXTS = 12
"""Texts in one state from which on a single sign of a command says nothing."""
_CORPUS = 100
"""Texts in one object from which on they are a collection, in which anything occurs."""
_STRONG = 3
"""Signs of code or of a command that tell even in a collection that is handed to a call."""
_WORD_LIST = 50
"""Texts in one state from which on they are a vocabulary, in which anything occurs."""
_MOST_TEXTS = 20_000
"""Distinct texts of one event that are looked at; from then on the longest."""


def tokens(name: str) -> tuple[str, ...]:
    """The words that a dotted name is made of, in lower case."""
    return tuple(word.lower() for word in _TOKENS.findall(name))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Vocabulary:
    """The reputation of names: in how many benign projects each occurs, and what name words weigh.

    ``weights`` are log-odds of a word in hostile against benign callee names.
    """

    callees: Mapping[str, int]
    text_callees: Mapping[str, int]
    modules: Mapping[str, int]
    roots: Mapping[str, int]
    weights: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form, names sorted."""
        return {name: dict(sorted(getattr(self, name).items())) for name in self.__slots__}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Vocabulary:
        """From the JSON form; raises ModelDataError where a part is missing."""
        try:
            return cls(**{name: data[name] for name in cls.__slots__})
        except KeyError as error:
            raise ModelDataError(f"vocabulary.json lacks {error}") from error


@lru_cache(maxsize=1)
def vocabulary() -> Vocabulary:
    """The vocabulary of the model in use; raises ModelDataError where it is missing or was altered."""
    return Vocabulary.from_dict(model_files.part("vocabulary.json"))


@lru_cache(maxsize=8192)
def reputation(known: str, names: Vocabulary) -> tuple[float, ...]:
    """The features REPUTATION of a callee's canonical name."""
    owner, _, last = known.rpartition(".")
    closed = callables.serialises(known) or callables.constructs_data(known)
    weights = [] if closed else [names.weights.get(word, 0.0) for word in tokens(last)]
    module_weights = [] if closed or owner == "__main__" else [names.weights.get(word, 0.0) for word in tokens(owner)]
    least = _CLOSED_SET if closed else 0
    least_text = _CLOSED_SET if closed and callables.takes_text(known) else 0
    return (
        _log(max(least, names.callees.get(known, 0))),
        _log(max(least_text, names.text_callees.get(known, 0))),
        _log(max(least, names.modules.get(owner, 0))),
        _log(max(least, names.roots.get(known.partition(".")[0], 0))),
        sum(weights),
        max(weights, default=0.0),
        max(module_weights, default=0.0),
    )


def callee(event: Event) -> str:
    """The canonical name by which the event's callee is known, empty where it is unresolved.

    An instance that the stream constructs is called by its class's name, and so is the helper with which Cython
    makes instances of one of its classes.
    """
    if event.name != "unresolved":
        return event.known.replace("__pyx_unpickle_", "")
    made = event.callee
    return made.known if isinstance(made, Event) and made.kind == "construct" else ""


@lru_cache(maxsize=8192)
def _named(known: str) -> tuple[float, ...]:
    """What a callee's canonical name shows by itself: the features from standard_library to makes_code."""
    parts = known.split(".")
    return (
        parts[0] in callables.STANDARD,
        callables.constructs_data(known),
        any(part.startswith("_") and not part.startswith("__") for part in parts),
        any(part.startswith("__") and part.endswith("__") for part in parts),
        _class_like(known),
        known in callables.REFLECTIVE,
        callables.serialises(known),
        callables.makes_code(known),
    )


def description(event: Event, given: Contents) -> tuple[float, ...]:
    """The features DESCRIPTION of ``event``, whose arguments hold ``given``."""
    made = event.callee if event.name == "unresolved" and isinstance(event.callee, Event) else None
    known = callee(event)
    values: tuple[float, ...] = (
        *_named(known),
        not known,
        bool(event.via) and event.name != "unresolved",
        event.kind == "state",
        event.kind == "construct",
        event.kind == "state" and isinstance(event.callee, Global),
        event.called,
        made is not None and made.known in callables.MADE,
        min(len(event.args) + len(event.kwargs) // 2, 20),
        not event.args and not event.kwargs,
        *_texts(event, given),
        *_blobs(event, given),
        *_objects(known, given),
        min(given.results, 20),
        min(given.unresolved, 20),
    )
    return tuple(map(float, values))


def _objects(known: str, given: Contents) -> tuple[float, ...]:
    """What the imported objects given to a callee show: the features from imported_arguments to executing_arguments."""
    if not given.globals:
        return (0.0,) * 5
    functions = [item for item in given.globals if not _is_type(item.known)]
    root = known.partition(".")[0]
    # A function that is being made is given whatever its globals are.
    foreign = () if callables.makes_code(known) else [f for f in functions if f.known.partition(".")[0] != root]
    return (
        min(len(given.globals), 20),
        min(len(functions), 20),
        min(len(foreign), 20),
        min(sum(_standard(item.known) for item in functions), 20),
        min(sum(callables.executes(item.known) for item in given.globals), 5),
    )


_NO_TEXTS = (0.0,) * 12


def _texts(event: Event, given: Contents) -> tuple[float, ...]:
    """What the texts given to an event show: the features from texts to symbols."""
    if not given.texts and not given.blobs:
        return _NO_TEXTS
    texts = list(given.texts)
    opened: list[str | bytes] = [*texts[:_MOST_BLOBS], *given.blobs[:_MOST_BLOBS]]
    held = [text for value in opened for text in text_signs.inside(value)]
    if not texts and not held:
        return _NO_TEXTS
    if len(texts) > _MOST_TEXTS:
        texts = sorted(texts, key=len)[-_MOST_TEXTS:]
    looks = [text_signs.look(text) for text in texts]
    counted, direct = looks, event.kind == "call" and not callables.serialises(callee(event))
    if len(texts) > _CORPUS:
        strong = [look for look in looks if direct and (look.code >= _STRONG or look.shell >= _STRONG)]
        counted = [*strong, *(text_signs.look(item) for item in event.args if direct and isinstance(item, str))]
    most = text_signs.Look(*map(max, zip(text_signs.NOTHING, *looks, strict=True)))
    most = most._replace(symbols=max((look.symbols for look in counted), default=0))
    told = text_signs.Look(*map(max, zip(text_signs.NOTHING, *counted, *map(text_signs.look, held), strict=True)))
    most = most._replace(code=told.code, url=told.url)
    if callables.constructs_data(callee(event)):
        # Paths, addresses and dotted names are what such constructors are for.
        most = most._replace(url=0, path=0, dotted=0)
    return (
        _log(len(texts)),
        _log(max(map(len, texts), default=0)),
        any(not look.word for look in looks),
        bool(looks) and all(look.word for look in looks),
        most.code,
        max(_shell(event, texts, counted), *(text_signs.look(text).shell for text in held), 0),
        most.url,
        most.path,
        most.encoded if event.kind != "state" or len(texts) <= _WORD_LIST else 0,
        most.dotted,
        most.special,
        most.symbols,
    )


def _blobs(event: Event, given: Contents) -> tuple[float, ...]:
    """What the bytes given to an event show: the features from bytes_count to code_names."""
    blobs, opened = given.blobs, given.blobs[:_MOST_BLOBS]
    if not blobs and not given.carried and event.known not in MAKERS:
        return (0.0,) * 9
    longest = max(blobs, key=len, default=b"")
    nested = [inner for inner in map(_nested, opened) if inner is not None]
    return (
        min(len(blobs), 20),
        _log(len(longest)),
        round(text_signs.entropy(longest), 1),
        len(nested) > 0,
        min(max([len(inner.imports) for inner in nested], default=0), 20),
        min(max([sum(map(_executes, inner.imports)) for inner in nested], default=0), 5),
        any(map(text_signs.machine_code, (*blobs, *given.carried))),
        any(map(facts_of_marshal, opened)),
        min(len(reaching_names(event, given)), 10),
    )


def reaching_names(event: Event, given: Contents) -> frozenset[str]:
    """Names in the code objects that the event makes or is given, by which code reaches outside (callees.REACHING)."""
    blobs = (given.carried or given.blobs)[:_MOST_BLOBS]
    if not blobs and event.known not in MAKERS:
        return frozenset()
    facts = [facts_of_arguments(event.args) if event.known in MAKERS else None, *map(facts_of_marshal, blobs)]
    names = {part for found in facts if found is not None for name in found.names for part in name.split(".")}
    return callables.REACHING & names


def vector(event: Event, given: Contents, names: Vocabulary) -> tuple[float, ...]:
    """The features of ``event``, whose arguments hold ``given``, in the order of FEATURES."""
    return reputation(callee(event), names) + description(event, given)


def _log(number: int) -> float:
    return round(math.log2(1 + number), 4)


def _is_type(known: str) -> bool:
    """Whether what is handed over is a class or a data type, or a function of numpy's or torch's own."""
    return _class_like(known) or callables.constructs_data(known) or known.rpartition(".")[0] in ("numpy", "torch")


def _class_like(known: str) -> bool:
    last = known.rpartition(".")[2].lstrip("_")
    return last[:1].isupper()


def _shell(event: Event, texts: Sequence[str], looks: Sequence[text_signs.Look]) -> int:
    """Signs of a command; words count only in a short argument vector, for a long list of words is data."""
    signs = max((look.shell for look in looks if not look.word), default=0)
    if event.kind == "state" and len(texts) > _MANY_TEXTS:
        return signs if signs > 1 else 0
    if 0 < len(texts) <= _VECTOR:
        signs = max(signs, *(look.shell for look in looks))
    for item in event.args:
        if isinstance(item, (list, tuple)) and 1 < len(item) <= _VECTOR and all(isinstance(part, str) for part in item):
            signs = max(signs, text_signs.look(" ".join(item)).shell)
    return signs


def _nested(blob: bytes) -> Trace | None:
    """The pickle that some bytes are, where they look like one."""
    if len(blob) < 4 or not (blob[0] in b"c(" or (blob[0] == 0x80 and 2 <= blob[1] <= 5)):
        return None
    inner = trace(blob, depth=1)
    if blob[0] != 0x80:
        return inner if inner.stopped and inner.imports else None
    return inner if inner.stopped or inner.imports else None


def _executes(found: Import) -> bool:
    return callables.executes(canonical(found.module, found.name))


def _standard(known: str) -> bool:
    """Whether a function is one of the standard library's own, and makes no plain data."""
    return known.partition(".")[0] in callables.STANDARD and not callables.constructs_data(known)


def foreign_persistent(found: Trace) -> tuple[Persistent, ...]:
    """The persistent ids that are no torch storage."""
    return tuple(item for item in found.persistent if not _torch_storage(item.pid))


def _torch_storage(pid: Any) -> bool:
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        return False
    kind = pid[1]
    return isinstance(kind, Global) and kind.module.partition(".")[0] == "torch" and kind.name.endswith("Storage")
