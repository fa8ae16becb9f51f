"""What the analysis tells of small packages: one test for each way in which code hides what it does."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from picklegate.capabilities import Callee, Callees, Environment, Index

EMPTY = Index(b"")


def callees_of(folder: Path, sources: dict[str, str]) -> Callees:
    """An environment of these files, with the standard library beside it."""
    for name, text in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    standard = str(Path(textwrap.__file__).parent)
    return Callees(index=EMPTY, environment=Environment([str(folder), standard], seconds=30))


def told(tmp_path: Path, text: str, name: str, module: str = "pack") -> Callee:
    """What is told of one name of a module with this text."""
    before = set(sys.modules)
    found = callees_of(tmp_path, {f"{module}.py": text}).find(module, name)
    assert "pack" not in set(sys.modules) - before
    return found


def decided(callee: Callee, opcode: str = "REDUCE", given: tuple[bool, ...] = (True,), **more: object) -> set[str]:
    """The kinds of effects that what is given decides, without those that are not harms."""
    found = callee.decided(opcode, given, **more)  # type: ignore[arg-type]
    return {effect.kind for effect, _ in found} - {"unfollowed", "read"}


PLAIN = {
    "argument": "import os\ndef run(cmd): os.system(cmd)",
    "second name": "from os import system as quiet\ndef run(cmd): quiet(cmd)",
    "assigned": "import os\nrun = os.system",
    "pair": "import os\nrun, other = os.system, os.popen",
    "branch": "try:\n    from os import system as s\nexcept ImportError:\n    s = None\ndef run(c): s(c)",
    "none first": "os = None\ntry:\n    import os\nexcept ImportError:\n    pass\ndef run(c): os.system(c)",
    "chain": "import os\ndef c(x): os.system(x)\ndef b(x): c(x)\ndef run(x): b(f'ls {x}')",
    "local import": "def run(c):\n    import os\n    os.system(c)",
    "local alias": "import os\ndef run(c):\n    f = os.system\n    f(c)",
    "list grows": "import os\ndef run(x):\n    words = []\n    words.extend(x)\n    os.system(' '.join(words))",
    "default": "import os\ndef run(c, f=os.system): f(c)",
    "partial": "import os, functools\ndef run(c):\n    f = functools.partial(os.system, c)\n    f()",
    "module partial": "import os, functools\nrun = functools.partial(os.system)",
    "table": "import os\nT = {'a': os.system}\ndef run(c): T['a'](c)",
    "inner": "import os\ndef run(c):\n    def inner(): os.system(c)\n    inner()",
    "handed inner": "import os\ndef run(c):\n    def inner(x): os.system(x)\n    list(map(inner, [c]))",
    "handed primitive": "import os\ndef run(c): list(map(os.system, [c]))",
    "own handing": "import os\ndef each(f, xs):\n    for x in xs: f(x)\ndef run(c): each(os.system, c)",
    "keywords": "import os\ndef sink(*, cmd): os.system(cmd)\ndef run(c): sink(cmd=c)",
    "stars": "import os\ndef sink(a, cmd): os.system(cmd)\ndef run(*args): sink(*args)",
    "comprehension": "import os\ndef run(cs): [os.system(c) for c in cs]",
    "with": "import os\ndef run(c):\n    with open('x') as f: os.system(c)",
    "getattr": "import os\ndef run(c): getattr(os, 'system')(c)",
    "object": "import os\nclass A:\n    def __init__(self, c): self.c = c\n    def go(self): os.system(self.c)\n"
    "def run(c): A(c).go()",
    "returned object": "import os\nclass A:\n    def go(self, c): os.system(c)\ndef make(): return A()\n"
    "def run(c): make().go(c)",
    "base class": "import os\nclass B:\n    def go(self, c): os.system(c)\nclass A(B): pass\ndef run(c): A().go(c)",
    "decorated": "import os, functools\ndef d(f):\n    @functools.wraps(f)\n    def w(*a): return f(*a)\n    return w\n"
    "@d\ndef run(c): os.system(c)",
    "lambda": "import os\nrun = lambda c: os.system(c)",
    "star import": "from os import *\ndef run(c): system(c)",
    "two definitions": "import os\nif os.name == 'nt':\n    def run(c): pass\nelse:\n    def run(c): os.system(c)",
}


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN)
def test_an_argument_reaches_a_command(tmp_path: Path, text: str) -> None:
    """However the call is written, what is given decides a command."""
    callee = told(tmp_path, text, "run")
    assert "command" in decided(callee)
    assert decided(callee, given=(False,)) == set()


def test_an_overload_is_no_definition(tmp_path: Path) -> None:
    """A stub for a type checker does not stand for the function."""
    text = "import os\nfrom typing import overload\n@overload\ndef run(c: int): ...\ndef run(c): os.system(c)"
    assert "command" in decided(told(tmp_path, text, "run"))


def test_only_the_argument_that_decides_counts(tmp_path: Path) -> None:
    """Other arguments, and those of comparisons and tests, decide nothing."""
    callee = told(tmp_path, "import os\ndef run(n, cmd):\n    if n > 3 or isinstance(n, int): os.system(cmd)", "run")
    assert decided(callee, given=(True, False)) == set()
    assert decided(callee, given=(False, True)) == {"command"}


def test_a_fixed_command_is_told_but_decided_by_nothing(tmp_path: Path) -> None:
    """What no argument decides is an effect without parameters."""
    callee = told(tmp_path, "import os\ndef run(n): os.system('ls')\n", "run")
    assert decided(callee) == set()
    assert [effect.kind for effect in callee.effects if not effect.parameters] == ["command"]


CLASSES = """
import os, pickle
class Made:
    def __new__(cls, c): os.system(c); return object.__new__(cls)
class Begun:
    def __init__(self, c): os.system(c)
class Later:
    def __init__(self, c): self.c = c
    def close(self): os.system(self.c)
class Ends:
    def __init__(self, c): self.c = c
    def __del__(self): os.system(self.c)
class Restored:
    def __setstate__(self, state):
        self.__dict__.update(state)
        self._attach()
    def _attach(self): exec(self.template)
class Loaded:
    def __setstate__(self, state): self.x = pickle.loads(state['blob'])
class Filled:
    def __setitem__(self, key, value): open(key, 'wb').write(value)
class Grown:
    def append(self, item): os.system(item)
class Keyed:
    def __hash__(self): return os.system(self.c)
class Base:
    def __init__(self, c): self.run(c)
    def run(self, c): pass
class Derived(Base):
    def run(self, c): os.system(c)
class Explicit(Base):
    def __init__(self, a, c): Derived.__init__(self, c)
class Meta(type):
    def __call__(cls, c): os.system(c)
class WithMeta(metaclass=Meta): pass
class Prop:
    @property
    def cmd(self): return 1
    @cmd.setter
    def cmd(self, value): os.system(value)
from dataclasses import dataclass
@dataclass
class Data:
    n: int
    cmd: str
    def __post_init__(self): os.system(self.cmd)
class Unbound:
    def run(self, c): os.system(c)
    @classmethod
    def make(cls, c): os.system(c)
    @staticmethod
    def plain(c): os.system(c)
"""


@pytest.mark.parametrize(
    ("name", "opcode", "runs"),
    [
        ("Made", "REDUCE", True), ("Made", "NEWOBJ", True), ("Made", "BUILD", False),
        ("Begun", "REDUCE", True), ("Begun", "NEWOBJ", False), ("Begun", "OBJ", True),
        ("Later", "REDUCE", False), ("Ends", "REDUCE", False), ("Ends", "LATER", True),
        ("Restored", "BUILD", True), ("Restored", "REDUCE", False), ("Loaded", "BUILD", True),
        ("Filled", "SETITEMS", True), ("Filled", "REDUCE", False), ("Grown", "APPENDS", True), ("Keyed", "KEY", False),
        ("Derived", "REDUCE", True), ("Base", "REDUCE", False), ("WithMeta", "REDUCE", True), ("Prop", "BUILD", True),
        ("Prop", "REDUCE", False),
    ],
)  # fmt: skip
def test_a_class_does_what_its_methods_do_that_unpickling_runs(
    tmp_path: Path, name: str, opcode: str, *, runs: bool
) -> None:
    """Each way of calling a class runs methods of its own, for the very class."""
    callee = told(tmp_path, CLASSES, name)
    assert callee.kind == "class"
    assert bool(decided(callee, opcode, (True, True))) is runs


def test_an_attribute_counts_only_if_the_state_holds_it(tmp_path: Path) -> None:
    """What a method makes of an attribute is decided by the key of the state."""
    callee = told(tmp_path, CLASSES, "Restored")
    assert decided(callee, "BUILD", keys={"template"}) == {"execute"}
    assert decided(callee, "BUILD", keys={"name"}) == set()
    assert decided(told(tmp_path, CLASSES, "Loaded"), "BUILD", keys={"other"}) == set()
    assert decided(told(tmp_path, CLASSES, "Prop"), "BUILD", keys={"other"}) == set()


def test_fields_of_a_dataclass_are_its_parameters(tmp_path: Path) -> None:
    """``__post_init__`` reads what the generated constructor was given."""
    callee = told(tmp_path, CLASSES, "Data")
    assert decided(callee, given=(True, False)) == set()
    assert decided(callee, given=(False, True)) == {"command"}


def test_a_base_that_is_called_by_name_counts(tmp_path: Path) -> None:
    """``Base.__init__(self, c)`` passes its arguments on without the object."""
    callee = told(tmp_path, CLASSES, "Explicit")
    assert decided(callee, given=(False, True)) == {"command"}
    assert decided(callee, given=(True, False)) == set()


def test_a_method_reached_through_its_class_is_unbound(tmp_path: Path) -> None:
    """The object comes first; class and static methods take none."""
    unbound = told(tmp_path, CLASSES, "Unbound.run")
    assert (unbound.kind, unbound.binding) == ("function", "unbound")
    assert decided(unbound, given=(False, True)) == {"command"}
    assert decided(told(tmp_path, CLASSES, "Unbound.make"), given=(True,)) == {"command"}
    assert decided(told(tmp_path, CLASSES, "Unbound.plain"), given=(True,)) == {"command"}


GUARDS = {
    "weights only": "import torch\ndef run(f): torch.load(f, weights_only=True)",
    "safe loader": "import yaml\ndef run(f): yaml.load(f, Loader=yaml.SafeLoader)",
    "no pickles": "import numpy\ndef run(f): numpy.load(f, allow_pickle=False)",
    "fixed prefix": "import importlib\ndef run(n): importlib.import_module(f'pack.parts.{n}')",
    "enum": "import enum\nclass run(enum.Enum):\n    A = 1",
    "reads": "def run(f): return open(f).read()",
    "returned closure": "import os\ndef run(c):\n    def inner(): os.system(c)\n    return inner",
    "generator": "import os\ndef run(c):\n    os.system(c)\n    yield c",
    "environment": "import os\ndef run(c): return os.environ.get(c)",
    "local list": "def run(c):\n    x = []\n    x.append(c)\n    return x",
}


@pytest.mark.parametrize("text", GUARDS.values(), ids=GUARDS)
def test_what_is_guarded_is_no_harm(tmp_path: Path, text: str) -> None:
    """Guards, reads, and what does not run yet."""
    assert decided(told(tmp_path, text, "run")) == set()


KINDS = {
    "execute": "def run(c): exec(c)",
    "native": "import ctypes\ndef run(c): ctypes.CDLL(c)",
    "unpickle": "import pickle as p\ndef run(c): p.load(open(c, 'rb'))",
    "import": "import importlib\ndef run(c): importlib.import_module(c)",
    "network": "from urllib.request import urlopen\ndef run(c): urlopen(c)",
    "write": "def run(c): open(c, mode='w')",
    "delete": "import shutil\ndef run(c): shutil.rmtree(c)",
    "change": "import os\ndef run(c): os.environ['PATH'] = c",
    "call": "def run(c): return c(1)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_effect(tmp_path: Path, kind: str) -> None:
    """One primitive of each kind, decided by an argument."""
    assert kind in decided(told(tmp_path, KINDS[kind], "run"))


MORE = {
    "execute": "import importlib.util as u\ndef run(c):\n    spec = u.spec_from_file_location('m', c)\n"
    "    module = u.module_from_spec(spec)\n    spec.loader.exec_module(module)",
    "unpickle": "import pickle\ndef run(f, pickle_module=pickle): return pickle_module.load(f)",
    "write": "from pathlib import Path\ndef run(c): (Path(c) / 'x').write_text('y')",
    "delete": "import os\ndef run(c):\n    for name in os.listdir(c):\n        os.remove(name)",
    "native": "import ctypes\nclass Held:\n    def __init__(self, path): self.path = path\n"
    "    def open(self): return ctypes.cdll.LoadLibrary(self.path)\ndef run(c): return Held(c).open()",
    "call": "def run(hook, *args):\n    for one in [hook]:\n        one(*args)",
    "network": "import socket\ndef run(host):\n    s = socket.socket()\n    s.connect((host, 80))",
    "import": "def run(name): return __import__('.'.join(['x', name]))",
}


@pytest.mark.parametrize("kind", MORE)
def test_each_kind_of_effect_in_another_form(tmp_path: Path, kind: str) -> None:
    """Objects from calls, defaults, paths that are joined, loops."""
    assert kind in decided(told(tmp_path, MORE[kind], "run"))


def test_a_command_of_click_is_an_object_that_is_called(tmp_path: Path) -> None:
    """Its words are parsed: any of them may decide what its function does."""
    text = "import click, os\n@click.command()\n@click.argument('c')\ndef run(c, n=1): os.system(c)"
    callee = told(tmp_path, text, "run")
    assert callee.kind == "instance"
    assert "command" in decided(callee)


def test_the_c_type_takes_the_place_of_its_twin(tmp_path: Path) -> None:
    """What a module overrides with native code is that."""
    text = (
        "import os\nclass Thing:\n    def __init__(self, c): os.system(c)\ntry:\n    from _collections import Thing\n"
    )
    assert decided(told(tmp_path, text + "except ImportError:\n    pass\n", "Thing")) == set()


def test_what_is_made_of_an_argument_is_not_the_argument(tmp_path: Path) -> None:
    """Calling the result of a call is not calling the argument; it is marked as not followed."""
    callee = told(tmp_path, "import nowhere\ndef run(x):\n    made = nowhere.wrap(x)\n    return made()", "run")
    assert callee.calls("REDUCE", (True,)) == ()
    assert callee.unfollowed


CHANGES = {
    "hook": "import sys\ndef run(c): sys.excepthook = c",
    "path": "import sys\ndef run(c): sys.path.insert(0, c)",
    "modules": "import sys\ndef run(c): sys.modules['json'] = c",
    "other module": "import json\ndef run(c): json.loads = c",
    "attribute by name": "def run(o, n, v): setattr(o, n, v)",
    "path hooks": "import sys\ndef run(c): sys.meta_path.append(c)",
}


@pytest.mark.parametrize("text", CHANGES.values(), ids=CHANGES)
def test_changes_of_the_process(tmp_path: Path, text: str) -> None:
    """What is set on what others use."""
    assert "change" in decided(told(tmp_path, text, "run"), given=(True, True, True))


def test_a_table_of_the_package_is_weak(tmp_path: Path) -> None:
    """A registry of the package's own is told as such, not as a change of the process."""
    callee = told(tmp_path, "_known = {}\ndef run(n, f): _known[n] = f", "run")
    assert {effect.sink for effect in callee.effects if effect.kind == "change"} == {"registry"}


UNFOLLOWED = {
    "method of an argument": "def run(x): return x.close()",
    "native code": "import _json\ndef run(x): return _json.scan(x)",
    "unknown module": "import nowhere\ndef run(x): return nowhere.go(x)",
}


@pytest.mark.parametrize("text", UNFOLLOWED.values(), ids=UNFOLLOWED)
def test_what_cannot_be_followed_is_marked(tmp_path: Path, text: str) -> None:
    """Nothing is guessed harmless."""
    assert told(tmp_path, text, "run").unfollowed


def test_names_lead_to_their_definition(tmp_path: Path) -> None:
    """Re-exports, star imports, lazy tables, modules held by modules."""
    callees = callees_of(
        tmp_path,
        {
            "pkg/__init__.py": "from .deep import run as start\nfrom .all import *\nimport os as _o\n"
            "_import_structure = {'lazy': ['slow']}\nfrom . import deep",
            "pkg/deep.py": "import os\ndef run(c): os.system(c)",
            "pkg/all.py": "from .deep import run as everything",
            "pkg/lazy.py": "import os\ndef slow(c): os.system(c)",
            "other/__init__.py": "import pkg.deep\n",
        },
    )
    for module, name in (
        ("pkg", "start"), ("pkg", "everything"), ("pkg", "deep.run"), ("other", "pkg.deep.run"),
    ):  # fmt: skip
        callee = callees.find(module, name)
        assert (callee.canonical, callee.alias) == ("pkg.deep.run", True), (module, name)
        assert "command" in decided(callee)
    assert callees.find("pkg", "slow").canonical == "pkg.lazy.slow"
    assert callees.find("pkg", "_o.system").canonical == "os.system"
    assert callees.find("pkg.deep", "run").alias is False


def test_what_is_told_can_be_read(tmp_path: Path) -> None:
    """The sentence names the argument, the primitive, and where."""
    callee = told(tmp_path, "import os\n\ndef run(a, cmd):\n    os.system(cmd)\n", "run")
    (pair,) = [item for item in callee.decided("REDUCE", (True, True)) if item[0].kind == "command"]
    assert callee.describe(*pair) == "pack.run hands its argument 1 (cmd) to os.system (pack.py, line 4)"
    assert callee.known == "environment"
    state = told(tmp_path, CLASSES, "Restored")
    (pair,) = [item for item in state.decided("BUILD", (True,)) if item[0].kind == "execute"]
    assert "hands what its state holds as 'template' to builtins.exec" in state.describe(*pair)


def test_python_2_names_and_c_twins(tmp_path: Path) -> None:
    """One primitive has many names."""
    callees = callees_of(tmp_path, {})
    for module, name in (("posix", "system"), ("nt", "system"), ("__builtin__", "eval"), ("cPickle", "loads")):
        assert callees.find(module, name).primitive, module
