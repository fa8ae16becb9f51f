"""Habits of honest programs, and next to each what looks the same and does harm."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys

import pytest

from picklegate.report import Verdict
from picklegate.scan import scan_bytes

_HABITS = {
    "re.compile in __setstate__": """
import re
class Own:
    def __setstate__(self, state):
        self.__dict__.update(state)
        self.words = re.compile(r"\\w+")
made = Own(); made.x = 1
""",
    "eval of a model in __setstate__": """
class Own:
    def __setstate__(self, state):
        self.__dict__.update(state)
        self.model.eval()
made = Own(); made.model = Own()
""",
    "a parametrised generic": """
import typing
T = typing.TypeVar("T")
class Own(typing.Generic[T]):
    pass
made = Own[int]
""",
    "a function of the program in __reduce__": """
class Own:
    def __init__(self, **kept): self.__dict__.update(kept)
    def __eq__(self, other): return isinstance(other, Own)
    def __hash__(self): return hash(tuple(sorted(self.__dict__)))
    def __reduce__(self): return (rebuild, (self.__dict__,))
def rebuild(kept):
    return Own(**kept)
made = {Own(a=1): 1}
""",
}
_HABITS["a constructor that loading does not run"] = """
class Own:
    def __init__(self, path):
        import os
        self.there = os.path.exists(path)
    def save(self):
        open(self.path, "w").write("x")
made = Own("x")
"""
_BODY = "import os; os.system('echo inert')"
_HARMS = {
    "a method that __setstate__ calls": f"""
class Own:
    def help(self): {_BODY}
    def __setstate__(self, state): self.help()
made = Own(); made.x = 1
""",
    "a property that __setstate__ reads": f"""
class Own:
    @property
    def help(self): {_BODY}
    def __setstate__(self, state): self.help
made = Own(); made.x = 1
""",
    "an operator": f"""
class Own:
    def __add__(self, other): {_BODY}
    def __setstate__(self, state): self + 1
made = Own(); made.x = 1
""",
    "a constructor that __setstate__ calls": f"""
class Own:
    def __init__(self): {_BODY}
    def __setstate__(self, state): type(self)()
made = object.__new__(Own); made.x = 1
""",
    "a constructor that a function calls": f"""
class Other:
    def __init__(self): {_BODY}
def rebuild(): return Other()
class Own:
    def __reduce__(self): return rebuild, ()
made = Own()
""",
    "a class that writes": """
class Own:
    def __setstate__(self, state):
        import zipfile
        zipfile.ZipFile(state["x"], "w")
made = Own(); made.x = "inert"
""",
    "a path that is written": """
class Own:
    def __setstate__(self, state): state["x"].write_text("inert")
made = Own(); made.x = 1
""",
    "the first call": f"""
class Own:
    def __call__(self): {_BODY}
made = Own()
""",
    "eval of a text in __setstate__": """
class Own:
    def __setstate__(self, state):
        eval(state["x"])
made = Own(); made.x = "print()"
""",
    "eval among models": """
class Own:
    def __setstate__(self, state):
        self.model.eval()
        eval(state["x"])
made = Own(); made.x = "print()"
""",
    "eval after many names": "class Own:\n    def __setstate__(self, state):\n"
    + "".join(f"        self.a{at}.b{at}\n" for at in range(300))
    + "        eval(state['x'])\nmade = Own(); made.x = 'print()'\n",
    "a class that is asked for items": """
class Own:
    def __class_getitem__(cls, item):
        import os
        os.system("echo inert")
class Ask:
    def __reduce__(self):
        import operator
        return (operator.getitem, (Own, int))
made = Ask()
""",
}


def _written(source: str, module: str) -> bytes:
    """What a program of its own writes ``made`` as, by value."""
    program = f"import sys, {module}\n{source}\nsys.stdout.buffer.write({module}.dumps(made))"
    return subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, check=True).stdout


@pytest.mark.parametrize("module", ["cloudpickle", "dill"])
@pytest.mark.parametrize("habit", _HABITS)
def test_habits_are_clean(habit: str, module: str) -> None:
    """Ordinary classes by value."""
    pytest.importorskip(module)
    report = scan_bytes(_written(_HABITS[habit], module))
    assert report.verdict == Verdict.CLEAN, report.streams


@pytest.mark.parametrize("module", ["cloudpickle", "dill"])
@pytest.mark.parametrize("harm", _HARMS)
def test_the_same_that_does_harm_is_not(harm: str, module: str) -> None:
    """The same words, where they are Python's own functions."""
    pytest.importorskip(module)
    if module == "dill" and "def rebuild" in _HARMS[harm]:
        pytest.skip("dill leaves the classes that a function names to the program that loads it")
    assert scan_bytes(_written(_HARMS[harm], module)).verdict > Verdict.CLEAN


@pytest.mark.parametrize(
    "text", ["x**2", "sqrt(x_1 + y)", "Integral(x**2, x)", "Max(x, y)**0.5", "Derivative(f(x), x)"]
)
def test_expressions_are_clean(text: str) -> None:
    """Sympy evaluates what is no expression; words call nothing."""
    sympy = pytest.importorskip("sympy")
    made = sympy.sympify(text, locals={"f": sympy.Function("f")})
    assert scan_bytes(pickle.dumps(made)).verdict == Verdict.CLEAN


@pytest.mark.parametrize("text", ["f(1)", "a.b", "[a for a in b]", "import a", "a[1]", "a=1"])
def test_source_for_an_expression_is_not(text: str) -> None:
    """What is no word may call something."""
    pytest.importorskip("sympy")
    data = b"csympy.core.power\nPow\n(csympy.core.containers\nTuple\n(V%s\ntR" % text.encode() + b"K\x02tR."
    assert scan_bytes(data).verdict > Verdict.CLEAN


def test_columns_of_every_type_are_clean() -> None:
    """Types of columns hold indexes and time zones, which helpers make."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({
        "category": pandas.Categorical(["x", "y"]),
        "zone": pandas.date_range("2020", periods=2, tz="Europe/Berlin"),
        "utc": pandas.date_range("2020", periods=2, tz="UTC"),
        "whole": pandas.array([1, None], "Int64"),
        "period": pandas.period_range("2020", periods=2, freq="M"),
        "span": pandas.interval_range(0, 2),
        "text": pandas.array(["a", None], "string"),
    })  # fmt: skip
    for protocol in range(6):
        assert scan_bytes(pickle.dumps(frame, protocol)).verdict == Verdict.CLEAN


@pytest.mark.parametrize("method", [str.isdigit, str.isalpha])
def test_methods_of_text_that_tell_are_clean(method: object) -> None:
    """They only look at their text."""
    made = itertools.takewhile(method, ["1", "a"])  # type: ignore[arg-type]
    assert scan_bytes(pickle.dumps(made)).verdict == Verdict.CLEAN


@pytest.mark.parametrize(
    "data",
    [
        b"ctempfile\n_TemporaryFileCloser\n)\x81}(Vname\nV/inert\nVdelete\nI01\nub.",
        b"cfickling.hook\nremove_hook\n)R.",
        b"cpicklegate.guard\nuninstall\n)R.",
        b"ctorch.nn\nLinear\n)\x81}Vforward\ncshutil\nrmtree\nsb.",
        b"ctorch.nn.modules.module\nregister_module_forward_hook\n(cshutil\nrmtree\ntR.",
        b"cinvoke\nrun\n(ccollections\nUserString\n(Vtouch x y\ntRtR.",
        b"csubprocess\nPopen.__new__\n(csubprocess\nPopen\nVtouch x\ntR.",
    ],
)
def test_quiet_ways_are_blocked(data: bytes) -> None:
    """What runs when an object ends, at first use, for the whole process, or takes a guard off."""
    assert scan_bytes(data).verdict > Verdict.CLEAN
