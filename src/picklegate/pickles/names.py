"""One name for each thing that a stream can call by several: a dotted name is a path of attributes, and is followed."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from picklegate.capabilities import Callees
from picklegate.pickles.standard import standard

_TWINS = {
    "__builtins__": "builtins",
    "exceptions": "builtins",
    "nt": "os",
    "posix": "os",
    "_frozen_importlib": "importlib._bootstrap",
    "_frozen_importlib_external": "importlib._bootstrap_external",
    "_posixsubprocess": "subprocess",
    "_pyio": "io",
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_py_abc": "abc",
    "_collections_abc": "collections.abc",
    "_weakrefset": "weakref",
    "_elementtree": "xml.etree.ElementTree",
    "_hotshot": "hotshot",
    "_thread": "_thread",
    "pathlib._local": "pathlib",
    "dill._dill": "dill",
    "dill.dill": "dill",
    "_dill": "dill",
    "torch.serialization": "torch",
}
"""Modules under another name; ``_pickle`` and its kin are told by their underscore."""
_CLOUDPICKLE = ("cloudpickle.cloudpickle_fast", "cloudpickle.cloudpickle", "cloudpickle")

_SAME = frozenset(("__call__", "__func__", "__wrapped__"))
"""Attributes of a function that do what it does."""
_OPAQUE = frozenset((
    "__base__", "__bases__", "__class__", "__closure__", "__code__", "__defaults__", "__kwdefaults__", "__loader__",
    "__module__", "__mro__", "__path__", "__reduce__", "__reduce_ex__", "__spec__", "__subclasses__", "__weakref__",
    "f_back", "f_builtins", "f_globals", "f_locals", "gi_frame", "mro",
))  # fmt: skip
"""Attributes that lead to objects of which a name says nothing."""

_STEPS = 100
"""Steps of a dotted name that are looked at, from its end."""
_LONG = 4096
"""Characters of a module's or an object's name that are kept, from its end: what is longer names nothing real."""


class Name(NamedTuple):
    """What a (module, name) is known by; ``doubt`` says why it may be something else, and is empty where it cannot."""

    known: str
    doubt: str = ""


def canonical(module: str, name: str) -> str:
    """The dotted name under which rules, lists and the model know (module, name)."""
    return resolve(module, name).known


@lru_cache(maxsize=8192)
def resolve(module: str, name: str) -> Name:
    """Follow (module, name), as a stream writes them, to what they stand for.

    Python 2 names, C twins of a module (``posix``, ``_pickle``), vendored copies of cloudpickle and joblib, and modules
    reached through others are folded into one.
    """
    steps = name[-_LONG:].split(".")
    doubt = "the name is too long" if len(module) > _LONG or len(name) > _LONG or len(steps) > _STEPS else ""
    renamed = standard().renamed.get(f"{module}.{steps[0]}")
    if renamed is not None:
        module, _, steps[0] = renamed.rpartition(".")
    path = _Path(_module(module[-_LONG:]))
    if not name:
        return Name(path.module, doubt)
    steps = steps[-_STEPS:]
    for at, step in enumerate(steps, 1):
        path.take(step, last=at == len(steps))
    found = Name(path.known(), doubt or path.doubt)
    return found if doubt or not path.doubt else _asked(module, name, found)


def _asked(module: str, name: str, found: Name) -> Name:
    """What the index of capabilities knows of a doubtful name: a path through modules stays one that nobody writes."""
    callee = _index().find(module, name)
    told = callee.known != "no" and callee.kind != "unknown" and callee.canonical != f"{module}.{name}"
    owner, _, attribute = name.partition(".")
    sure = "__" not in name and "." not in attribute and _index().find(module, owner).kind == "class"
    return Name(callee.canonical if told else found.known, "" if sure else found.doubt)


@lru_cache(maxsize=1)
def _index() -> Callees:
    return Callees()


def acts(module: str) -> bool:
    """Whether importing a module does what it is for: a package's ``__main__``, ``this``, ``idlelib.idle``."""
    package, _, last = module.rpartition(".")
    return (package != "" and last == "__main__") or module in _ACTING


_ACTING = frozenset((
    "__hello__", "__phello__", "__phello__.spam", "antigravity", "idlelib.idle", "sitecustomize", "test.autotest",
    "test.regrtest", "this", "turtledemo.__main__", "user", "usercustomize",
))  # fmt: skip
"""Standard modules whose import prints, opens windows or runs files of the user."""


class _Path:
    """Where a path of attributes has led: to a module, or to an object in one."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.steps: list[str] = []
        self.doubt = ""

    def known(self) -> str:
        return ".".join((self.module, *self.steps))

    def take(self, step: str, *, last: bool) -> None:
        """Go on to the attribute ``step``."""
        if step == "__builtins__" and not self.steps:
            self.module, self.steps = "builtins", ["__dict__"]
        elif step in _OPAQUE:
            self.doubtful(step)
            self.steps.append(step)
        elif self.steps:
            self.attribute(step, last=last)
        elif last or step.startswith("__"):
            self.steps.append(step)
        else:
            if not _is_told(self.module, step):
                self.doubtful(step)
            if (target := _held(self.module, step)) is None:
                self.steps.append(step)
            else:
                self.module = _module(target)

    def attribute(self, step: str, *, last: bool) -> None:
        """Go on from an object."""
        if step in _SAME:
            return
        namespace = self.steps[-1] == "__dict__"
        if step == "__globals__":
            self.doubtful(step)
            self.steps = ["__dict__"]
        elif step == "__self__":
            if self.module in standard().native and len(self.steps) == 1:
                self.steps.clear()
                return
            self.doubtful(step)
            self.steps.append(step)
        elif namespace and self.module == "builtins" and len(self.steps) == 1 and step not in _DICT:
            self.steps = [step]  # ``__builtins__`` is the module in one place and its namespace in others
        else:
            if not last and step != "__dict__" and not _looks_like_a_class(step):
                self.doubtful(step)
            self.steps.append(step)

    def doubtful(self, step: str) -> None:
        """Note where it cannot be told what the path leads to."""
        path = ".".join((self.module, *self.steps, step))[-200:]
        self.doubt = self.doubt or f"what {path} is cannot be resolved from its name"


_DICT = frozenset(dir(dict))


def _held(module: str, step: str) -> str | None:
    """The module that is the attribute ``step`` of ``module``, None where it is another object or cannot be told."""
    known, path = standard(), f"{module}.{step}"
    if path in known.held:
        return known.held[path]
    if path in known.objects:
        return None
    package, bare = module.rpartition(".")[0], step.strip("_")
    for name in (path, f"{package}.{step}"):
        if name in known.modules:
            return name
    if not _is_standard(module) and (_looks_like_a_class(step) or path in known.objects):
        return None
    if step == module.rpartition(".")[2]:
        return module  # it holds itself, or a class of that name
    if step in (module.partition(".")[0], "bltns"):
        return "builtins" if step == "bltns" else step
    return next((name for name in (step, bare) if name in known.roots), None)


def _is_told(module: str, step: str) -> bool:
    """Whether it is sure what the attribute ``step`` of ``module`` is: of others than the standard library, classes."""
    if _is_standard(module) or _looks_like_a_class(step) or f"{module}.{step}" in standard().objects:
        return True
    return step == module.rpartition(".")[2] and step not in standard().roots


def _is_standard(module: str) -> bool:
    return module in standard().modules


def _looks_like_a_class(step: str) -> bool:
    return step.lstrip("_")[:1].isupper()


def _module(module: str) -> str:
    """The one name of a module."""
    known = standard()
    if "six.moves" in module and (module.startswith("six.moves") or ".six.moves" in module):
        module = _of_six(module.rpartition("six.moves")[2].lstrip("."))
    module = known.renamed.get(module, module)
    module = _TWINS.get(module, module)
    if module[:1] == "_" and module in known.modules and module[1:] in known.modules and module != "_thread":
        module = module[1:]
    if "cloudpickle" in module:
        if module[module.index("cloudpickle") :] in _CLOUDPICKLE:
            module = "cloudpickle"
    elif ".externals.joblib" in module:
        module = module[module.index("joblib", module.index(".externals.") + 1) :]
    return module


def _of_six(rest: str) -> str:
    """The module that ``six.moves`` gives for what stands behind it (``cPickle``, ``urllib_parse``)."""
    parted = rest.replace("_", ".", 1)
    return parted if rest[:1] != "_" and parted in standard().modules else rest or "builtins"
