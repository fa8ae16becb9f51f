"""The index: what is written is read, damage is noticed, and the one that ships says what it holds."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

from picklegate.capabilities import KINDS, Callees, Effect, Environment, Index, Parameter
from picklegate.capabilities import index as reading
from picklegate.capabilities.effects import WAYS, Summary
from picklegate.capabilities.index import MAGIC
from picklegate.capabilities.shorthand import Names, expand, shorten
from picklegate.errors import ModelDataError
from picklegate.training import distributions, index

DATA = Path(index.__file__).parents[1] / "capabilities" / "data"

SOURCES = {
    "pkg/__init__.py": "from .deep import Thing, run as start\n"
    "from .all import *\nimport os as _o\nfrom . import deep\n",
    "pkg/deep.py": """
        import os, pickle
        def run(a, cmd): os.system(cmd)
        def plain(a): return a + 1
        def odd(a): return a.go()
        def calls(f, x): return f(x)
        class Thing:
            def __setstate__(self, state): self.x = pickle.loads(state['blob'])
            def go(self, c): os.system(c)
            def quiet(self): return 1
        class lower: pass
        loads = pickle.loads
        """,
    "pkg/all.py": "from .deep import run as everything\n",
    "pkg/_fast.cpython-311-x86_64-linux-gnu.so": "",
    "pkg/_fast.pyi": "class Quick: ...\ndef go(x: int) -> int: ...\n",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of one small wheel."""
    folder = tmp_path_factory.mktemp("index")
    with zipfile.ZipFile(folder / "pkg-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in SOURCES.items():
            wheel.writestr(name, textwrap.dedent(text))
    card = index.build([distributions.read_wheel(folder / "pkg-1.0-py3-none-any.whl")], folder, today="2026-01-01")
    assert card["distributions"] == {"pkg": "1.0"}
    return folder


def opened(folder: Path) -> Index:
    """The index in a folder."""
    card = json.loads((folder / "index.json").read_text())
    return Index((folder / "index.bin").read_bytes(), card["sha256"])


def test_what_is_written_is_read(built: Path) -> None:
    """Functions, classes, natives and other names, each with what it can do."""
    callees = Callees(index=opened(built))
    run = callees.find("pkg.deep", "run")
    assert (run.kind, run.known, run.alias) == ("function", "index", False)
    assert {(effect.kind, parameter.position) for effect, parameter in run.decided("REDUCE", (True, True))} >= {
        ("command", 1)
    }
    assert not [effect for effect, _ in run.decided("REDUCE", (True, False)) if effect.kind == "command"]
    assert "pkg/deep.py, line 3" in run.describe(*run.decided("REDUCE", (False, True))[0])
    thing = callees.find("pkg.deep", "Thing")
    assert {effect.kind for effect, _ in thing.decided("BUILD", (True,), keys={"blob"})} >= {"unpickle"}
    assert not [effect for effect, _ in thing.decided("BUILD", (True,), keys={"other"}) if effect.kind == "unpickle"]
    assert callees.find("pkg.deep", "plain").effects == ()
    assert callees.find("pkg.deep", "odd").unfollowed
    assert [item.position for item in callees.find("pkg.deep", "calls").calls("REDUCE", (True, True))] == [0]
    assert callees.find("pkg.deep", "lower").kind == "class"
    assert callees.find("pkg.deep", "Absent").kind == "class"
    assert (callees.find("pkg.deep", "absent").kind, callees.find("pkg.deep", "absent").known) == ("unknown", "index")
    assert callees.find("pkg._fast", "go").kind == "native"
    assert callees.find("pkg._fast", "Quick").kind == "class"
    assert callees.find("elsewhere", "run").known == "no"


@pytest.mark.parametrize(
    ("module", "name", "canonical"),
    [
        ("pkg", "start", "pkg.deep.run"), ("pkg", "everything", "pkg.deep.run"), ("pkg", "deep.run", "pkg.deep.run"),
        ("pkg", "_o.system", "os.system"), ("pkg.deep", "loads", "pickle.loads"),
        ("pkg.all", "pkg.deep.run", "pkg.deep.run"),
        ("pkg.deep", "os.system", "os.system"), ("pkg.deep", "run.__call__", "pkg.deep.run"),
        ("pkg", "Thing.go", "pkg.deep.Thing.go"), ("pkg.deep", "Thing.__call__", "pkg.deep.Thing.__call__"),
        ("posix", "system", "os.system"), ("os", "getcwd.__self__.system", "os.system"),
    ],
)  # fmt: skip
def test_names_lead_to_their_definition(built: Path, module: str, name: str, canonical: str) -> None:
    """Through other names, star imports, and modules that are held by modules."""
    assert Callees(index=opened(built)).find(module, name).canonical == canonical


@pytest.mark.parametrize(
    "steps", [["os"], ["os", "sys", "json"], ["__self__"], ["_os", "os", "__self__"], ["pkg", "deep"]]
)
def test_a_name_that_goes_in_circles_is_answered_at_once(steps: list[str]) -> None:
    """Modules that hold one another are each asked once for the rest of a name."""
    index = Index.shipped()
    asked: list[str] = []

    class Counted(Index):
        def module(self, name: str) -> Any:
            asked.append(name)
            return index.module(name)

        def lists(self, module: str) -> bool:
            return index.lists(module)

    name = ".".join((steps * 40)[:40])
    Callees(index=Counted(b"")).find("os", name)
    Callees(index=Counted(b"")).find("matplotlib.pylab", name)
    assert len(asked) < 50_000


def test_methods_reached_through_their_class(built: Path) -> None:
    """A method takes the object first; one that decides nothing is told as not followed."""
    callees = Callees(index=opened(built))
    go = callees.find("pkg.deep", "Thing.go")
    assert (go.kind, go.binding) == ("function", "unbound")
    assert {effect.kind for effect, _ in go.decided("REDUCE", (False, True))} >= {"command"}
    quiet = callees.find("pkg.deep", "Thing.quiet")
    assert (quiet.kind, quiet.binding, bool(quiet.unfollowed)) == ("function", "member", True)


def test_another_version_is_read_where_it_is_installed(built: Path, tmp_path: Path) -> None:
    """What either version can do counts; the same version is not read again."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("")
    (tmp_path / "pkg" / "deep.py").write_text("import shutil\ndef run(a, cmd): shutil.rmtree(cmd)\n")
    (tmp_path / "pkg-2.0.dist-info").mkdir()

    def kinds() -> set[str]:
        callees = Callees(index=opened(built), environment=Environment([str(tmp_path)], seconds=30))
        return {effect.kind for effect, _ in callees.find("pkg.deep", "run").decided("REDUCE", (True, True))}

    assert {"command", "delete"} <= kinds()
    (tmp_path / "pkg-2.0.dist-info").rename(tmp_path / "pkg-1.0.dist-info")
    assert "delete" not in kinds()


def test_damage_is_noticed(built: Path) -> None:
    """A byte altered anywhere, a part, nothing at all: nothing of it is believed."""
    data = (built / "index.bin").read_bytes()
    digest = json.loads((built / "index.json").read_text())["sha256"]
    for wrong in (data[:30] + b"?" + data[31:], data[:-1] + b"?", b"", data[:10], MAGIC + bytes(4)):
        index = Index(wrong, digest)
        assert index.damaged
        assert index.module("pkg.deep") is None


def test_a_damaged_index_ends_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and nothing is judged without it."""
    monkeypatch.setattr(reading, "_one", [])
    monkeypatch.setattr(reading, "_opened", lambda _: Index(b""))
    with pytest.raises(ModelDataError, match="install picklegate again"):
        Index.shipped()


def test_every_effect_survives_the_shorthand() -> None:
    """Each kind, way and form of a parameter is written and read back."""
    parameters = (
        Parameter(position=0, name="a"), Parameter(position=2, rest=True, name="more"),
        Parameter(position=-1, name="word"),
        Parameter(position=-1, name="**"), Parameter(position=0, name="state", key="blob"),
    )  # fmt: skip
    for binding in ("", "unbound", "class", "static"):
        for kind in KINDS:
            for way in WAYS:
                effect = Effect(
                    kind=kind, way=way, parameters=parameters, sink="os.system", chain=3, location="a/b.py:12"
                )
                summary = Summary(
                    kind="function", binding=binding, opened=True, effects=(effect, Effect(kind=kind, way=way))
                )
                sinks = Names()
                assert expand(shorten(summary, sinks), sinks, "a/b.py") == summary


@pytest.mark.parametrize(
    "text", ["", "?", "F;x", "F;x@1", "F;x@a.b.c", "F;q@0.0.0", "Fz", "F;x0@99.1.1", "F;xbad@0.1.1"]
)
def test_a_damaged_summary_is_a_value_error(text: str) -> None:
    """Whatever the text, nothing but ValueError comes out of it."""
    try:
        expand(text, Names(["os.system"]), "a.py")
    except ValueError:
        return


@pytest.mark.skipif(not (DATA / "index.bin").exists(), reason="the index has not been made")
def test_the_index_that_ships() -> None:
    """Its card says what it holds; it is small; torch, numpy, pandas and the standard library are in it."""
    shipped = Index.shipped()
    assert not shipped.damaged
    assert (DATA / "index.bin").stat().st_size <= index.LARGEST
    assert len(shipped.card["distributions"]) >= 400
    callees = Callees()
    for module, name, kind in (
        ("pandas", "read_pickle", "unpickle"), ("subprocess", "Popen", "command"),
        ("torch.utils.collect_env", "run", "command"),
        ("torch.nn.functional", "torch.utils.collect_env.run", "command"), ("torch.hub", "load", "execute"),
        ("toolz.functoolz", "apply", "call"), ("torch.utils._pytree", "tree_map", "call"),
        ("psutil", "Popen", "command"),
    ):  # fmt: skip
        callee = callees.find(module, name)
        assert kind in {effect.kind for effect, _ in callee.decided("REDUCE", (True, True, True))}, callee
    for module, name in (("torch._utils", "_rebuild_tensor_v2"), ("collections", "OrderedDict"), ("numpy", "ndarray")):
        harms = [e for e, _ in callees.find(module, name).decided("REDUCE", (True,) * 6) if e.kind in KINDS[:9]]
        assert not harms, (module, name, harms)


def test_importing_the_package_opens_no_index() -> None:
    """The index is read when the first name is asked for."""
    script = (
        "import sys, picklegate.capabilities as c; from picklegate.capabilities import index;"
        "assert 'picklegate.capabilities.environment' not in sys.modules; "
        "assert not index._one; c.Callees(); assert not index._one; print('ok')"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert shown.stdout == "ok\n", shown.stderr
