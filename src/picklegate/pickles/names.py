"""One name for each thing that a stream can call by several."""

from __future__ import annotations

_MODULES = {
    "__builtin__": "builtins",
    "__builtins__": "builtins",
    "copy_reg": "copyreg",
    "cPickle": "pickle",
    "_pickle": "pickle",
    "_operator": "operator",
    "_functools": "functools",
    "_codecs": "codecs",
    "_collections": "collections",
    "_io": "io",
    "_weakref": "weakref",
    "exceptions": "builtins",
    "nt": "os",
    "posix": "os",
    "_frozen_importlib": "importlib._bootstrap",
    "_socket": "socket",
    "_ctypes": "ctypes",
    "_posixsubprocess": "subprocess",
    "commands": "subprocess",
    "pathlib._local": "pathlib",
    "itertools.imap": "builtins.map",
    "dill._dill": "dill",
    "dill.dill": "dill",
    "_dill": "dill",
    "torch.serialization": "torch",
}
_CLOUDPICKLE = ("cloudpickle.cloudpickle_fast", "cloudpickle.cloudpickle", "cloudpickle")


_REACHED = frozenset(
    ("builtins", "os", "posix", "nt", "sys", "subprocess", "importlib", "shutil", "pickle",
     "cPickle", "runpy", "pty", "socket", "ctypes", "marshal", "commands", "tempfile",
     "webbrowser", "urllib", "requests")
)  # fmt: skip
"""Modules that a dotted name may pass through on its way (``torch`` + ``serialization.os.system``)."""


_STEPS = 100
"""Steps of a dotted name that are looked at, from its end."""
_LONG = 4096
"""Characters of a module's or an object's name that are kept, from its end: what is longer names nothing real."""


def canonical(module: str, name: str) -> str:
    """The dotted name under which rules, lists and the model know (module, name).

    Python 2 names, C twins of a module (``posix``, ``_pickle``), vendored copies of cloudpickle
    and joblib, and modules reached through others are folded into one.
    """
    module, name = module[-_LONG:], name[-_LONG:]
    while name.endswith(".__call__"):
        name = name[: -len(".__call__")]
    steps = name.split(".")[-_STEPS:]
    for at in range(len(steps) - 2, -1, -1):
        if steps[at] == "__self__":
            # The ``__self__`` of a builtin function is its module.
            name = ".".join(steps[at + 1 :])
            break
        step = "builtins" if steps[at] == "bltns" else steps[at].strip("_")
        if step in _REACHED:
            module, name = step, ".".join(steps[at + 1 :])
            break
    module = _MODULES.get(module, module)
    if "cloudpickle" in module:
        if module[module.index("cloudpickle") :] in _CLOUDPICKLE:
            module = "cloudpickle"
    elif ".externals.joblib" in module:
        module = module[module.index("joblib", module.index(".externals.") + 1) :]
    return f"{module}.{name}" if name else module
