"""What chains of calls end in: callables whose own doing is known (data/primitives.tsv, a reason for each row)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources

from picklegate.capabilities.effects import Effect, Parameter, Summary
from picklegate.capabilities.records import Call, Value

TWINS = {
    "_io": "io", "_pyio": "io", "posix": "os", "nt": "os", "_pickle": "pickle", "cPickle": "pickle",
    "_operator": "operator", "_functools": "functools", "_codecs": "codecs", "_collections": "collections",
    "_weakref": "weakref", "__builtin__": "builtins", "__builtins__": "builtins", "exceptions": "builtins",
    "copy_reg": "copyreg", "_frozen_importlib": "importlib._bootstrap",
    "_frozen_importlib_external": "importlib._bootstrap_external", "urllib2": "urllib.request", "Queue": "queue",
    "ConfigParser": "configparser", "SocketServer": "socketserver", "httplib": "http.client", "thread": "_thread",
    "dummy_thread": "_thread", "_sqlite3": "sqlite3", "_socket": "socket", "dumbdbm": "dbm.dumb", "anydbm": "dbm",
    "whichdb": "dbm", "gdbm": "dbm.gnu", "StringIO": "io", "cStringIO": "io", "xmlrpclib": "xmlrpc.client",
    "SimpleXMLRPCServer": "xmlrpc.server", "BaseHTTPServer": "http.server", "SimpleHTTPServer": "http.server",
    "CGIHTTPServer": "http.server", "cookielib": "http.cookiejar", "Cookie": "http.cookies", "Tkinter": "tkinter",
    "HTMLParser": "html.parser", "urlparse": "urllib.parse", "robotparser": "urllib.robotparser",
    "UserDict": "collections", "UserList": "collections", "UserString": "collections", "repr": "reprlib",
    "_winreg": "winreg", "test.test_support": "test.support", "pathlib._local": "pathlib",
}  # fmt: skip
"""C twins and Python 2 names of modules."""


@dataclass(frozen=True, slots=True)
class Primitive:
    """One effect of a primitive.

    ``decided`` are (position, name); position -1 is by name only, -2 the receiver, -3 anything.
    """

    name: str
    effect: str
    decided: tuple[tuple[int, str], ...]
    condition: str
    reason: str


RECEIVER, ANY = -2, -3


@functools.cache
def table() -> dict[str, tuple[Primitive, ...]]:
    """Every primitive by its name; names that begin with ``?.`` are methods, whatever they are looked up on."""
    text = resources.files("picklegate.capabilities").joinpath("data", "primitives.tsv").read_text(encoding="utf-8")
    found: dict[str, tuple[Primitive, ...]] = {}
    for line in text.splitlines()[1:]:
        name, effect, decided, condition, reason = line.split("\t")
        row = Primitive(
            name, effect, tuple(map(_parameter, decided.split(","))) if decided != "-" else (), condition, reason
        )
        found[name] = (*found.get(name, ()), row)
    return found


def _parameter(text: str) -> tuple[int, str]:
    if text == "@":
        return RECEIVER, "self"
    if text == "*":
        return ANY, ""
    position, colon, name = text.partition(":")
    return (int(position), name) if colon else (-1, position)


def primitives_of(dotted: str) -> tuple[Primitive, ...]:
    """The effects of the primitive of this name; none if it is none."""
    return table().get(dotted, ())


def twin(module: str) -> str:
    """The module that another is the C twin of."""
    return TWINS.get(module, module)


def applies(primitive: Primitive, call: Call) -> bool:
    """Whether a call meets the condition of an effect: a mode that writes, pickles that are allowed."""
    condition = primitive.condition
    if not condition:
        return True
    if condition == "mode":
        return not _reads(_given(call, 0 if "Path" in primitive.name else 1, "mode"))
    if condition == "read-mode":
        return _reads(_given(call, 1, "mode"))
    if condition == "flags":
        flags = _given(call, 1, "flags")
        return flags is not None and not (flags.refs and all(ref.endswith("O_RDONLY") for ref in flags.refs))
    if condition == "weights_only":
        return _text(_given(call, -1, "weights_only")) != "True"
    if condition == "allow_pickle":
        allowed = _given(call, 2, "allow_pickle")
        return allowed is not None and _text(allowed) != "False"
    if condition == "yaml":
        loader = _given(call, 1, "Loader")
        return loader is None or not (loader.refs and all("Safe" in ref or "Base" in ref for ref in loader.refs))
    if condition == "prefix":
        name = _given(call, 0, "name")
        text = _text(name)
        return not (text.endswith("…") and "." in text.rstrip("…"))
    return True


def _given(call: Call, position: int, name: str) -> Value | None:
    for word, value in call.keywords:
        if word == name:
            return value
    return call.args[position] if 0 <= position < len(call.args) else None


def _text(value: Value | None) -> str:
    return value.const if value is not None else ""


def _reads(mode: Value | None) -> bool:
    """Whether a file opened in this mode is not written."""
    if mode is None:
        return True
    if mode.const:
        return not set("wax+") & set(mode.const)
    return not mode.mask and not mode.refs


def primitive_summary(dotted: str) -> Summary:
    """What a primitive does."""
    found = []
    for primitive in primitives_of(dotted):
        parameters = []
        for position, name in primitive.decided:
            if position == ANY:
                parameters += [Parameter(position=0, rest=True), Parameter(position=-1, name="**")]
            else:
                parameters.append(Parameter(position=0 if position == RECEIVER else position, name=name))
        found.append(Effect(kind=primitive.effect, way="call", parameters=tuple(parameters), sink=dotted, chain=0))
    kind = "class" if dotted.rpartition(".")[2][:1].isupper() else "native"
    return Summary(kind=kind, effects=tuple(found))
