"""Names are resolved: a dotted name leads where Python's own getattr leads, or is doubtful."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import types
from typing import Any

import pytest

from picklegate.pickles import trace
from picklegate.pickles.names import canonical, resolve
from picklegate.pickles.standard import standard
from picklegate.report import Verdict
from picklegate.scan import scan_bytes
from picklegate.training.tree import Call
from support.builders import call, written

MODULES = (
    "asyncio.events", "concurrent.futures.process", "copy", "ctypes", "enum", "glob", "heapq", "importlib.abc",
    "json.decoder", "logging", "multiprocessing.pool", "os", "pathlib", "pickle", "pprint", "random", "re",
    "shutil", "subprocess", "tarfile", "tempfile", "threading", "typing", "unittest.case", "weakref",
    "xml.etree.ElementTree", "zipfile",
)  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_path_through_modules_leads_where_python_goes(name: str) -> None:
    """Whatever module an attribute of a standard module is, the name of what it holds is that module's."""
    module = importlib.import_module(name)
    for step, held in vars(module).items():
        if isinstance(held, types.ModuleType) and not step.startswith("__"):
            found = resolve(name, f"{step}.anything")
            assert found.known == canonical(held.__name__, "anything"), step
            assert not found.doubt


_SPECIAL = ("__self__", "__func__", "__wrapped__", "__call__", "__globals__", "__dict__", "__class__", "__init__")


def _walk(rng: random.Random, module: types.ModuleType) -> tuple[list[str], Any]:
    """A path of attributes that Python can follow, and what it leads to."""
    path, item = list[str](), module
    for _ in range(rng.randrange(2, 5)):
        names = [
            name for name in (vars(item) if isinstance(item, (types.ModuleType, type)) else ()) if name[:2] != "__"
        ]
        held = [name for name in names if isinstance(getattr(item, name, None), types.ModuleType)]
        step = rng.choice(rng.choice((held or names, names, _SPECIAL)) or _SPECIAL)
        if not hasattr(item, step):
            break
        path.append(step)
        item = getattr(item, step)
    return path, item


@pytest.mark.parametrize("name", [*MODULES, "numpy", "joblib", "joblib.parallel"])
def test_a_path_leads_where_python_goes_or_is_doubtful(name: str) -> None:
    """Random paths of attributes: where no doubt is left, the name is that of what Python reaches."""
    module = pytest.importorskip(name)
    rng = random.Random(name)
    for _ in range(400):
        path, reached = _walk(rng, module)
        if len(path) < 2 or not isinstance(reached, (types.FunctionType, types.BuiltinFunctionType, type)):
            continue
        defined = getattr(reached, "__module__", None)
        found = resolve(name, ".".join(path))
        if found.doubt or not isinstance(defined, str) or "<" in reached.__qualname__:
            continue
        holder, rest, item = module, list[str](), module
        for step in path:
            item = getattr(item, step)
            holder, rest = (item, []) if isinstance(item, types.ModuleType) else (holder, [*rest, step])
        assert found.known in (canonical(defined, reached.__qualname__), canonical(holder.__name__, ".".join(rest))), (
            path
        )


@pytest.mark.parametrize(
    ("module", "name", "known"),
    [
        ("posix", "system", "os.system"),
        ("os", "getcwd.__self__.system", "os.system"),
        ("os", "getcwd.__call__.__self__.system", "os.system"),
        ("random", "_os.system", "os.system"),
        ("enum", "bltns.eval", "builtins.eval"),
        ("os", "__builtins__.eval", "builtins.eval"),
        ("six.moves.builtins", "eval", "builtins.eval"),
        ("sklearn.externals.six.moves", "builtins.eval", "builtins.eval"),
        ("__builtin__", "unicode.strip", "builtins.str.strip"),
        ("itertools", "imap", "builtins.map"),
        ("dumbdbm", "open", "dbm.dumb.open"),
        ("_sqlite3", "Connection", "sqlite3.Connection"),
        ("_pyio", "open", "io.open"),
        ("datetime", "datetime.now", "datetime.datetime.now"),
        ("numpy", "ndarray.mean", "numpy.ndarray.mean"),
        ("pkg.models", "Net.Inner.make", "pkg.models.Net.Inner.make"),
    ],
)
def test_what_a_name_says_is_followed(module: str, name: str, known: str) -> None:
    """Twins, Python 2 names, held modules and the attributes of functions mean what they mean."""
    assert resolve(module, name) == (known, "")


@pytest.mark.parametrize(
    ("module", "name", "known"),
    [
        ("torch", "os.getcwd.__self__.system", "os.system"),
        ("torch.nn.functional", "torch.utils.collect_env.run", "torch.utils.collect_env.run"),
        ("pandas.core.frame", "np.memmap", None),
        ("random", "_urandom.__self__.system", None),
        ("logging", "Logger.info.__globals__.get", None),
        ("os", "__loader__.load_module", None),
        ("builtins", "object.__subclasses__", None),
        ("pkg", "Net.forward.other.thing", None),
        ("os", ".".join(["a"] * 300), None),
    ],
)
def test_what_a_name_does_not_say_is_doubtful(module: str, name: str, known: str | None) -> None:
    """Steps of which nothing is known leave a doubt, however the last one is called; the stream is not CLEAN."""
    found = resolve(module, name)
    assert found.doubt
    assert known in (None, found.known)
    data = written(call(module, name, 1))
    assert any(note.code == "import.unresolved" for note in trace(data).notes)
    assert scan_bytes(data).verdict is not Verdict.CLEAN


def test_the_last_step_tells_whoever_holds_it() -> None:
    """``Popen``, ``system`` and ``exec`` are execution, also of a package of one name and of what a call returned."""
    for module in ("psutil", "whatever", "some.pkg"):
        assert scan_bytes(written(call(module, "Popen", "x"))).verdict == Verdict.MALICIOUS
    got = call("builtins", "getattr", call("pkg", "lookup", "os"), "system")
    assert scan_bytes(written(Call(got, ("x",)))).verdict == Verdict.MALICIOUS


def test_every_standard_module_of_this_python_is_known() -> None:
    """The frozen table covers the interpreter that runs the tests."""
    left_out = {name for name in sys.stdlib_module_names if name.startswith(("_test", "_xxtest"))}
    assert set(sys.stdlib_module_names) - left_out - {"__main__"} <= standard().roots


def test_the_table_does_not_depend_on_the_interpreter() -> None:
    """Nothing of names is taken from the running Python's list of modules."""
    code = (
        "import sys; sys.stdlib_module_names = frozenset(); "
        "from picklegate.pickles.names import canonical; print(canonical('_pyio', 'open'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "io.open"
