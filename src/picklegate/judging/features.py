"""Trace -> one named vector per event: the callee's reputation and capabilities, its arguments.

docs/features.md explains each feature, feature_table.py has its direction and its words. Every feature is computed from
one event, so that nothing an attacker adds beside an event can change its vector; and each feature of the arguments
only grows with what is added to the arguments of a call, and may only raise the score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from picklegate.judging import callables
from picklegate.judging import text as text_signs
from picklegate.judging.arguments import Contents
from picklegate.judging.brought_code import CLASS_BODIES
from picklegate.judging.callee_facts import facts_of
from picklegate.judging.feature_table import BYTES_FEATURES, DESCRIPTION, FEATURES, TEXT_FEATURES
from picklegate.judging.vocabulary import Vocabulary, log, reputation
from picklegate.pickles import Event, Global, Import, Persistent, Trace, canonical, trace
from picklegate.pickles.code import MAKERS, facts_of_arguments, facts_of_marshal
from picklegate.pickles.opcodes import NAMES

__all__ = ["DESCRIPTION", "FEATURES", "callee", "description", "foreign_persistent", "reaching_names", "vector"]

_VECTOR = 8
"""Words at the beginning of an argument vector that are looked at as one command."""
_MANY_TEXTS = 12
"""Texts in one state from which on a single sign of a command says nothing."""
_CORPUS = 100
"""Texts in one state from which on they are a collection, in which anything occurs."""
_WORD_LIST = 50
"""Texts in one state from which on they are a vocabulary, in which anything occurs."""
_MOST_TEXTS = 20_000
"""Distinct texts of one state that are looked at; from then on the longest."""


def callee(event: Event) -> str:
    """The canonical name by which the event's callee is known, empty where it is unresolved.

    An instance that the stream constructs is called by its class's name, a class that a well-known callable makes by
    the name of that, and the helper with which Cython makes instances of a class by the name of the class.
    """
    if not event.unresolved:
        return event.known.replace("__pyx_unpickle_", "")
    made = event.callee
    if not isinstance(made, Event):
        return ""
    return made.known if made.kind == "construct" or made.known in callables.role("class-maker") else ""


@lru_cache(maxsize=8192)
def _named(known: str) -> tuple[float, ...]:
    """What a callee's canonical name shows by itself: NAME_FEATURES but the last."""
    return (
        callables.is_standard(known),
        callables.constructs_data(known),
        class_like(known),
        known in callables.role("reflective"),
        callables.serialises(known),
        callables.makes_code(known),
    )


def description(event: Event, arguments: Contents) -> tuple[float, ...]:
    """The features DESCRIPTION of ``event``, whose arguments hold ``arguments``."""
    made = event.callee if event.unresolved and isinstance(event.callee, Event) else None
    known = callee(event)
    values: tuple[float, ...] = (
        *_named(known),
        not known,
        bool(event.via) and not event.unresolved,
        event.kind == "state",
        event.kind == "construct",
        writes_into_import(event),
        event.called and event.known not in CLASS_BODIES and not callables.makes_code(event.known),
        made is not None and made.known in callables.role("maker"),
        min(len(event.args) + len(event.kwargs) // 2, 8),
        *_texts(event, arguments),
        *_bytes(event, arguments),
        *_objects(known, arguments),
        min(arguments.results, 8),
        min(arguments.unresolved, 8),
        *facts_of(event, arguments).features,
    )
    return tuple(map(float, values))


def writes_into_import(event: Event) -> bool:
    """Whether an event writes state into an imported object; those of ``__main__`` are the user's own program."""
    return event.kind == "state" and isinstance(event.callee, Global) and event.callee.module != "__main__"


def _objects(known: str, arguments: Contents) -> tuple[float, ...]:
    """What the imported objects handed to a callee show: OBJECT_FEATURES but the last two."""
    if not arguments.globals:
        return (0.0,) * 5
    functions = [item for item in arguments.globals if not _is_type(item.known)]
    root = known.partition(".")[0]
    # A function that is being made is handed whatever its globals are.
    foreign = () if callables.makes_code(known) else [f for f in functions if f.known.partition(".")[0] != root]
    return (
        min(len(arguments.globals), 20),
        min(len(functions), 20),
        min(len(foreign), 20),
        min(sum(_standard(item.known) for item in functions), 20),
        min(sum(callables.executes(item.known) for item in arguments.globals), 5),
    )


_NO_TEXTS = (0.0,) * len(TEXT_FEATURES)


def _texts(event: Event, arguments: Contents) -> tuple[float, ...]:
    """TEXT_FEATURES of an event: of a call each the most that any of its texts shows."""
    values: list[str | bytes] = [*arguments.texts, *arguments.wrapped, *arguments.blobs]
    if not values:
        return _NO_TEXTS
    if event.kind == "state":
        return _texts_of_state(event, arguments)
    hidden = [text for value in values for text in text_signs.inside(value)]
    texts = list(arguments.texts)
    other = [*arguments.wrapped, *hidden]
    if not texts and not other and not arguments.direct:
        return _NO_TEXTS
    whole = [*arguments.direct, *hidden, *_vectors(event)]
    looks = [text_signs.look(text) for text in texts]
    kept = [
        *(look for look in looks if _strong(look)),
        *(look for look in map(text_signs.look, other) if _strong(look)),
    ]
    most = text_signs.Look(*map(max, zip(text_signs.NOTHING, *map(text_signs.look, whole), *kept, strict=True)))
    return _text_features(event, [*texts, *arguments.direct], looks, most, other)


def _strong(look: text_signs.Look) -> bool:
    """Whether a text tells by itself, in a collection in which anything may occur."""
    return look.code >= _STRONG or look.shell >= _STRONG


_STRONG = 2
"""Signs of code or of a command that tell in an item of a container, too."""


def _vectors(event: Event) -> Iterator[str]:
    """What the lists and tuples among a call's arguments begin with, as one command or piece of code each."""
    for item in event.args:
        if isinstance(item, (list, tuple)):
            words = [part for part in item[:_VECTOR] if isinstance(part, str)]
            yield " ".join(words)
            yield from words


def _texts_of_state(event: Event, arguments: Contents) -> tuple[float, ...]:
    """TEXT_FEATURES of a state.

    What an object keeps is data in the first place: in many texts anything occurs, so there, and only there, what one
    of them looks like counts less among many others.
    """
    texts = list(arguments.texts)
    if len(texts) > _MOST_TEXTS:
        texts = sorted(texts, key=len)[-_MOST_TEXTS:]
    few: list[str | bytes] = [*texts[:_FEW], *arguments.blobs[:_FEW]]
    hidden = [text_signs.look(text) for value in few for text in text_signs.inside(value)]
    looks = [text_signs.look(text) for text in texts]
    counted = looks if len(texts) <= _CORPUS else []
    most = text_signs.Look(*map(max, zip(text_signs.NOTHING, *looks, strict=True)))
    told = text_signs.Look(*map(max, zip(text_signs.NOTHING, *counted, *hidden, strict=True)))
    shell = max((look.shell for look in looks if not look.word), default=0)
    if len(texts) > _MANY_TEXTS:
        shell = shell if shell > 1 else 0
    elif len(texts) <= _VECTOR:
        shell = max((look.shell for look in looks), default=0)
    most = most._replace(
        special=any(look.special for look in map(text_signs.look, arguments.direct)),
        code=told.code,
        url=told.url,
        symbols=max((look.symbols for look in counted), default=0),
        shell=max(shell, *(look.shell for look in hidden), 0),
        encoded=most.encoded if len(texts) <= _WORD_LIST else 0,
    )
    if callables.constructs_data(callee(event)):
        # What partial calls hold is judged where somebody calls them.
        return _NO_TEXTS
    return _text_features(None, texts, looks, most, ())


_FEW = 16
"""Texts and bytes of one state that are opened."""


def _text_features(
    event: Event | None,
    texts: Sequence[str],
    looks: Sequence[text_signs.Look],
    most: text_signs.Look,
    other: Sequence[str],
) -> tuple[float, ...]:
    if event is not None and callables.constructs_data(callee(event)):
        # Any text is what such constructors are for; contracts.py says which of them take none.
        most = text_signs.NOTHING
    return (
        log(len(texts)),
        log(max(map(len, (*texts, *other)), default=0)),
        any(not look.word for look in looks),
        most.code,
        most.shell,
        most.url,
        most.path,
        most.encoded,
        most.dotted,
        most.special,
        most.symbols,
        min(len(other), 3),
    )


def _bytes(event: Event, arguments: Contents) -> tuple[float, ...]:
    """BYTES_FEATURES of an event."""
    blobs = arguments.blobs
    if not blobs and not arguments.carried and event.known not in MAKERS:
        return (0.0,) * len(BYTES_FEATURES)
    nested = [inner for inner in map(_nested, blobs) if inner is not None]
    return (
        min(len(blobs), 20),
        log(max(map(len, blobs), default=0)),
        max((round(text_signs.entropy(blob), 1) for blob in blobs), default=0.0),
        len(nested) > 0,
        min(max([len(inner.imports) for inner in nested], default=0), 20),
        min(max([sum(map(_executes, inner.imports)) for inner in nested], default=0), 5),
        any(map(text_signs.machine_code, (*blobs, *arguments.carried))),
        any(map(facts_of_marshal, blobs)),
        min(len(reaching_names(event, arguments)), 10),
    )


def reaching_names(event: Event, arguments: Contents) -> frozenset[str]:
    """Names in the code objects that the event makes or is handed, by which code reaches outside (code_names.tsv)."""
    blobs = arguments.carried or arguments.blobs
    if not blobs and event.known not in MAKERS:
        return frozenset()
    facts = [facts_of_arguments(event.args) if event.known in MAKERS else None, *map(facts_of_marshal, blobs)]
    names = {part for found in facts if found is not None for name in found.names for part in name.split(".")}
    return callables.names("code_names") & names


def vector(event: Event, arguments: Contents, names: Vocabulary) -> tuple[float, ...]:
    """The features of ``event``, whose arguments hold ``arguments``, in the order of FEATURES."""
    return reputation(callee(event), names) + description(event, arguments)


def _is_type(known: str) -> bool:
    """Whether what is handed over is a class or a data type, or a function of numpy's or torch's own."""
    return class_like(known) or callables.constructs_data(known) or known.rpartition(".")[0] in ("numpy", "torch")


def class_like(known: str) -> bool:
    """Whether a name looks like a class's."""
    last = known.rpartition(".")[2].lstrip("_")
    return last[:1].isupper()


def _nested(blob: bytes) -> Trace | None:
    """The pickle that some bytes are, where they look like one."""
    if len(blob) < _LEAST_PICKLE or blob[0] not in _FIRST_OPCODES or not _IMPORTING.intersection(blob[:_PEEK]):
        return None
    inner = trace(blob, depth=1)
    if blob[0] != _PROTO:
        return inner if inner.stopped and inner.imports else None
    return inner if inner.stopped or inner.imports else None


_LEAST_PICKLE = 4
_PEEK = 1 << 16
_PROTO = 0x80
_FIRST_OPCODES = frozenset(NAMES)
_IMPORTING = frozenset(b"ci\x82\x83\x84\x93")


def _executes(found: Import) -> bool:
    return callables.executes(canonical(found.module, found.name))


def _standard(known: str) -> bool:
    """Whether a function is one of the standard library's own, and makes no plain data."""
    return callables.is_standard(known) and not callables.constructs_data(known)


def foreign_persistent(found: Trace) -> tuple[Persistent, ...]:
    """The persistent ids that are no torch storage."""
    return tuple(item for item in found.persistent if not _torch_storage(item.pid))


def _torch_storage(pid: Any) -> bool:
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
        return False
    kind = pid[1]
    return isinstance(kind, Global) and kind.module.partition(".")[0] == "torch" and kind.name.endswith("Storage")
