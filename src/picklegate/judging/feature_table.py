"""The features of an event: which way each may move a score, and what it says in words.

A label never says the opposite of its sign: what may only raise a score is told where it is there, and what may only
lower one where it is missing or small.
"""

from __future__ import annotations

from typing import NamedTuple


class Feature(NamedTuple):
    """One feature; more of it never lowers a score (``+``), never raises one (``-``), or does either (``0``)."""

    name: str
    direction: str
    there: str
    zero: str


REPUTATION_FEATURES = (
    Feature("callee_projects", "-", "few honest projects call it", "no honest project calls it"),
    Feature("callee_text_projects", "-", "few honest projects give it a text", "no honest project gives it a text"),
    Feature("module_projects", "-", "few honest projects use its module", "no honest project uses its module"),
    Feature("root_projects", "-", "few honest projects use its package", "no honest project uses its package"),
    Feature("name_weight", "+", "the words of its name", "a name that tells nothing"),
    Feature("name_worst", "+", "a telling word in its name", "a name that tells nothing"),
    Feature("module_weight", "+", "the words of its module's name", "a module name that tells nothing"),
)
"""What is known of the callee's name."""

NAME_FEATURES = (
    Feature("standard_library", "+", "it is of the standard library", "it is not of the standard library"),
    Feature("data_constructor", "-", "it constructs plain data", "it constructs no plain data"),
    Feature("class_like", "-", "it looks like a class", "it looks like no class"),
    Feature("reflective", "+", "it reaches other callables", "it reaches no other callables"),
    Feature("serialiser", "0", "it is a serialiser's helper", "it is no serialiser's helper"),
    Feature("makes_code", "0", "it makes code", "it makes no code"),
    Feature("unresolved", "+", "what is called cannot be resolved", "what is called is known"),
)
"""What the callee's name says by itself."""

CALL_FEATURES = (
    Feature("detour", "+", "it is reached by a detour", "it is reached by an import"),
    Feature("state", "0", "it is given state", "it is called"),
    Feature("construction", "0", "it is constructed", "it is no construction"),
    Feature("on_global", "+", "it changes an imported object", "it changes no imported object"),
    Feature("result_called", "+", "its result is called", "its result is not called"),
    Feature("made_function_called", "+", "the stream made this function", "the stream did not make it"),
    Feature("argument_count", "+", "the number of its arguments", "it gets no argument"),
)
"""How it is called."""

TEXT_FEATURES = (
    Feature("texts", "+", "the number of texts", "no text"),
    Feature("longest_text", "+", "the length of the longest text", "no text"),
    Feature("sentences", "+", "a text of several words", "no text of several words"),
    Feature("code", "+", "a text looks like code", "no text looks like code"),
    Feature("shell", "+", "a text looks like a command", "no text looks like a command"),
    Feature("url", "+", "a text has an address", "no text has an address"),
    Feature("path", "+", "a text looks like a path", "no text looks like a path"),
    Feature("encoded", "+", "a text looks like encoded bytes", "no text looks like encoded bytes"),
    Feature("dotted", "+", "a text is a dotted name", "no text is a dotted name"),
    Feature("special_methods", "+", "a text names a special method", "no text names a special method"),
    Feature("symbols", "+", "brackets and operators in a text", "no brackets or operators in its texts"),
    Feature("wrapped_texts", "+", "a text in the result of another call", "no text in the result of another call"),
)
"""What the texts among its arguments show."""

BYTES_FEATURES = (
    Feature("bytes_count", "+", "the number of byte strings", "no byte string"),
    Feature("longest_bytes", "+", "the length of the longest bytes", "no byte string"),
    Feature("entropy", "+", "how random its bytes look", "no byte string"),
    Feature("nested_pickle", "+", "bytes are a pickle", "no bytes are a pickle"),
    Feature("nested_imports", "+", "a pickle in it imports", "no pickle in it imports"),
    Feature("nested_execution", "+", "a pickle in it imports what runs code", "no pickle in it imports what runs code"),
    Feature("machine_code", "+", "bytes are a program", "no bytes are a program"),
    Feature("code_object", "+", "bytes are compiled code", "no bytes are compiled code"),
    Feature("code_names", "+", "code in it reaches outside", "no code in it reaches outside"),
)
"""What the bytes among its arguments show."""

OBJECT_FEATURES = (
    Feature(
        "imported_arguments",
        "+",
        "imported objects among its arguments",
        "no imported object among its arguments",
    ),
    Feature("function_arguments", "+", "functions among its arguments", "no function among its arguments"),
    Feature(
        "foreign_functions",
        "+",
        "functions of other packages among its arguments",
        "no foreign function among its arguments",
    ),
    Feature(
        "standard_functions",
        "+",
        "functions of the standard library among its arguments",
        "no function of the standard library among its arguments",
    ),
    Feature("executing_arguments", "+", "it is handed what runs code", "it is handed nothing that runs code"),
    Feature(
        "result_arguments",
        "+",
        "results of other calls among its arguments",
        "no result of a call among its arguments",
    ),
    Feature("unresolved_arguments", "+", "arguments that cannot be resolved", "all its arguments are known"),
)
"""What the objects among its arguments show."""

CAPABILITY_FEATURES = (
    Feature("known_class", "-", "the index knows it as a class", "the index knows no such class"),
    Feature("known_function", "+", "the index knows it as a function", "the index knows no such function"),
    Feature("native", "+", "it is native code", "it is no native code"),
    Feature("unknown_function", "+", "a function that the index does not know", "the index knows it"),
    Feature("unbound", "+", "a method called by its class", "no method called by its class"),
    Feature("decides_execution", "+", "its arguments decide what is run", "its arguments decide nothing that is run"),
    Feature("decides_files", "+", "its arguments decide what is written", "its arguments decide nothing written"),
    Feature("decides_network", "+", "its arguments decide what is contacted", "its arguments decide no contact"),
    Feature("decides_change", "+", "its arguments decide what is changed", "its arguments decide no change"),
    Feature("calls_argument", "+", "it calls its argument", "it calls no argument"),
    Feature("reads_files", "+", "its arguments decide what is read", "its arguments decide nothing that is read"),
    Feature("fixed_effects", "+", "it runs, writes or changes something", "it runs, writes and changes nothing"),
    Feature("unfollowed", "+", "what it does with its arguments is not known", "what it does is known"),
)
"""What the callee can do (picklegate.capabilities)."""

DESCRIPTION_FEATURES = (
    *(*NAME_FEATURES, *CALL_FEATURES, *TEXT_FEATURES, *BYTES_FEATURES, *OBJECT_FEATURES),
    *CAPABILITY_FEATURES,
)
TABLE = {feature.name: feature for feature in (*REPUTATION_FEATURES, *DESCRIPTION_FEATURES)}

REPUTATION: tuple[str, ...] = tuple(feature.name for feature in REPUTATION_FEATURES)
DESCRIPTION: tuple[str, ...] = tuple(feature.name for feature in DESCRIPTION_FEATURES)
"""What the event itself shows."""
FEATURES = REPUTATION + DESCRIPTION
"""The features of one event, in the order of the vector."""
FALLING = frozenset(name for name, feature in TABLE.items() if feature.direction == "-")
"""Features of which more never raises a score."""
RISING = frozenset(name for name, feature in TABLE.items() if feature.direction == "+")
"""Features of which more never lowers a score."""


def words(feature: str, value: float) -> str:
    """The feature in words, by its value in the event's vector."""
    return TABLE[feature].zero if value == 0 else TABLE[feature].there
