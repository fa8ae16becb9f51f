"""The guard over a process: what gets through, what does not, and that it leaves no trace."""

from __future__ import annotations

import functools
import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from pickle import loads as bound_before
from typing import Any

import pytest

from picklegate import BlockedError, Policy, guarded, install_guard
from picklegate.guard import load_context, scan_before_load
from picklegate.report import FileReport

HERE = Path(__file__).parent
TESTS = HERE.parent
REFUSED = (("npz-as-torch", "safe_torch_load", "RuntimeError"),)
"""Numpy's archive in torch's layout, which torch does not load."""
ENTRIES = ("pickle.loads", "safe_torch_load", "safe_joblib_load")
FEW = ("pickle.loads",)
"""Through which samples go as they are; the others differ in what is enforced, which all of them are tested for."""


class Payload:
    """An object whose pickle touches a file; nothing worse is needed to see that it ran."""

    def __init__(self, canary: Path) -> None:
        """``canary`` is the file."""
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        """What an attacker writes, with a command that does no harm."""
        return os.system, (f"true > {self.canary}",)


class DerivedBefore(pickle.Unpickler):
    """A program's own unpickler, which maps a name as many do."""

    def __init__(self, source: Any) -> None:
        """Calls the base by its name, as old code does."""
        pickle.Unpickler.__init__(self, source)

    def find_class(self, module: str, name: str, /) -> Any:
        """Plain dicts in the place of ordered ones."""
        return dict if name == "OrderedDict" else super().find_class(module, name)


class SuperBefore(pickle.Unpickler):
    """The same, calling the base by ``super``."""

    def __init__(self, source: Any) -> None:
        """Takes the file under another name."""
        super().__init__(source)


class Plain:
    """A file with what pickle asks for, and no more."""

    def __init__(self, data: bytes) -> None:
        """Over bytes."""
        self.read = io.BytesIO(data).read
        self.readline = self.read.__self__.readline  # type: ignore[attr-defined]


class Slotted(pickle.Unpickler):
    """One without a dict."""

    __slots__ = ()


@pytest.fixture(name="hostile")
def _hostile(tmp_path: Path) -> Iterator[bytes]:
    canary = tmp_path / "canary"
    yield pickle.dumps(Payload(canary))
    assert not canary.exists(), "the payload ran"


def start(*command: str, folder: Path) -> subprocess.Popen[bytes]:
    """A test program, at work in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        [sys.executable, *command], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def printed(process: subprocess.Popen[bytes]) -> Any:
    """The JSON that a program prints."""
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error.decode()
    return json.loads(out)


@pytest.fixture(name="gauntlets", scope="module")
def _gauntlets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, dict[str, str]]]:
    """The outcomes of both gauntlets, which run side by side."""
    pytest.importorskip("torch")
    folder, program = tmp_path_factory.mktemp("gauntlet"), str(HERE / "gauntlet.py")
    modes: dict[str, tuple[str, ...]] = {"blind": (), "scan": ENTRIES, "approving": FEW}
    running = {mode: start(program, mode, *names, folder=folder) for mode, names in modes.items()}
    return {mode: printed(process) for mode, process in running.items()}


@pytest.mark.parametrize("mode", ["scan", "blind", "approving"])
def test_nothing_hostile_runs_by_any_way(mode: str, gauntlets: dict[str, dict[str, dict[str, str]]]) -> None:
    """No sample runs a thing by any entry point, even where the scan saw nothing, or found nothing wrong with it."""
    rows = [(sample, *row) for sample, found in gauntlets[mode].items() for row in found.items()]
    assert [row for row in rows if row[2].startswith(("RAN", "not in"))] == []
    assert len(rows) > 200 * {"blind": 15, "scan": len(ENTRIES), "approving": 1}[mode]


def test_samples_are_blocked_and_not_merely_broken(gauntlets: dict[str, dict[str, dict[str, str]]]) -> None:
    """With the scan at work each sample is blocked; without it nearly all are, and the rest imports nothing."""
    rows = [(sample, name, found[name]) for sample, found in gauntlets["scan"].items() for name in ENTRIES]
    assert [row for row in rows if row[2] != "blocked" and row not in REFUSED] == []
    blind = [found["pickle.loads"] for found in gauntlets["blind"].values()]
    assert blind.count("blocked") > 0.8 * len(blind)


def test_a_training_program_runs_unchanged(tmp_path: Path) -> None:
    """DataLoader workers, pools, queues, joblib, threads and checkpoints work under the guard as without it."""
    pytest.importorskip("torch")
    found = printed(start(str(HERE / "guarded_program.py"), folder=tmp_path))
    assert found["fork"] == found["plain"]
    assert found["spawn"] == pytest.approx(found["plain"], rel=0.1)
    assert found["threads"] == 20
    assert set(map(tuple, found["channels"].values())) == {("0", "1/3", "2/3")}
    assert found["restored"]


WAYS = {
    "loads": lambda data: pickle.loads(data),
    "load": lambda data: pickle.load(io.BytesIO(data)),
    "python": lambda data: pickle._loads(data),  # type: ignore[attr-defined]
    "unpickler": lambda data: pickle.Unpickler(io.BytesIO(data)).load(),
    "python-unpickler": lambda data: pickle._Unpickler(io.BytesIO(data)).load(),
    "bound-before": lambda data: bound_before(data),
    "derived-before": lambda data: DerivedBefore(io.BytesIO(data)).load(),
    "super-before": lambda data: SuperBefore(io.BytesIO(data)).load(),
    "few-methods": lambda data: pickle.Unpickler(Plain(data)).load(),
    "memoryview": lambda data: pickle.loads(memoryview(data)),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_each_way_loads_and_refuses(way: Any, hostile: bytes) -> None:
    """Honest data loads as without the guard, and hostile data is blocked with the reason in three lines."""
    honest = pickle.dumps({"a": OrderedDict(b=[1, 2])})
    with guarded():
        assert way(honest) == {"a": {"b": [1, 2]}}
        with pytest.raises(BlockedError) as caught:
            way(hostile)
    assert "system" in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 6
    assert way(honest) == {"a": {"b": [1, 2]}}


def test_what_the_guard_does_not_know_is_refused(hostile: bytes) -> None:
    """A loader kept where the guard does not look is stopped by the audit hook, at its first import."""
    kept = functools.partial(pickle.loads)
    with guarded(policy=Policy(allow_imports=("collections.OrderedDict",))):
        with pytest.raises(BlockedError, match="not scanned before") as caught:
            kept(hostile)
        assert kept(pickle.dumps(OrderedDict(a=1))) == {"a": 1}
        assert kept(pickle.dumps([1])) == [1]
    assert len(str(caught.value).splitlines()) <= 6


def test_it_is_restored_exactly() -> None:
    """Names, classes and methods are those of before, however guards were nested and left."""
    before = {**vars(pickle)}, {**vars(DerivedBefore)}, {**vars(pickle._Unpickler)}, bound_before
    place = list(sys.meta_path)
    first = install_guard()
    second = install_guard()
    assert bound_before is not before[3]
    first()
    with guarded():
        assert pickle.loads is not before[0]["loads"]
        second()
        second()
        assert pickle.loads is not before[0]["loads"]
    assert ({**vars(pickle)}, {**vars(DerivedBefore)}, {**vars(pickle._Unpickler)}, bound_before) == before
    assert sys.meta_path == place
    assert not load_context.backstops


def test_the_policy_is_that_of_the_innermost_guard(tmp_path: Path) -> None:
    """A digest that one guard trusts is trusted as long as that guard is the last one."""
    data = pickle.dumps(Payload(tmp_path / "canary"))
    with guarded():
        with pytest.raises(BlockedError) as caught:
            pickle.loads(data)
        with guarded(policy=Policy(allow_digests=(caught.value.report.sha256,), allow_effects=("process",))):
            assert pickle.loads(data) == 0
        with pytest.raises(BlockedError):
            pickle.loads(data)


@pytest.mark.parametrize("kind", ["memory", "file", "pipe"])
def test_pickles_in_a_row_are_read_one_by_one(kind: str, tmp_path: Path, hostile: bytes) -> None:
    """Each load takes one pickle and leaves the file behind it; a hostile one is met in its turn, and then the end."""
    values: list[Any] = [{"a": 1}, OrderedDict(b=2), "x" * 100_000, [None] * 70_000]
    data = b"".join(map(pickle.dumps, values))
    path = tmp_path / "log.pkl"
    path.write_bytes(data + hostile)
    if kind == "pipe":
        process = subprocess.Popen([sys.executable, "-c", CAT, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        file: Any = process.stdout
    else:
        file = path.open("rb") if kind == "file" else io.BytesIO(path.read_bytes())
    with guarded(), file:
        assert [pickle.load(file) for _ in values] == values
        with pytest.raises(BlockedError):
            pickle.load(file)
        with pytest.raises(EOFError):
            pickle.load(file)
    if kind == "pipe":
        process.wait()


def test_one_unpickler_loads_several(hostile: bytes) -> None:
    """An unpickler that is asked again goes on where it stood."""
    with guarded():
        unpickler = pickle.Unpickler(io.BytesIO(pickle.dumps(OrderedDict(a=1)) + pickle.dumps([2]) + hostile))
        assert [unpickler.load(), unpickler.load()] == [{"a": 1}, [2]]
        with pytest.raises(BlockedError):
            unpickler.load()


CAT = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read())"


def test_modules_imported_later_are_guarded_too(tmp_path: Path) -> None:
    """Both torch and joblib, imported under the guard, load through the gate, and are themselves again after it."""
    pytest.importorskip("torch")
    program = """
import io, json, os, pickle, picklegate
class Payload:
    def __reduce__(self): return os.system, ("true > canary",)
uninstall = picklegate.install_guard()
import joblib, torch
found = {}
file = io.BytesIO(); torch.save(Payload(), file); file.seek(0)
plain = io.BytesIO(); joblib.dump(Payload(), plain); plain.seek(0)
for name, load in {"torch": lambda: torch.load(file), "joblib": lambda: joblib.load(plain)}.items():
    try: load()
    except picklegate.BlockedError as error: found[name] = error.report.container
uninstall()
found["left"] = [m.load.__module__ for m in (torch, joblib)] + [hasattr(torch.load, "__wrapped__")]
print(json.dumps(found))
"""
    found = printed(start("-c", program, folder=tmp_path))
    left = ["torch.serialization", "joblib.numpy_pickle", False]
    assert found == {"torch": "torch_zip", "joblib": "raw", "left": left}
    assert not (tmp_path / "canary").exists()


def test_errors_of_the_loader_stay_its_own() -> None:
    """What is not a pickle at all keeps the error that the loader gives it."""
    with guarded():
        with pytest.raises(pickle.UnpicklingError):
            pickle.loads(b"not a pickle")
        with pytest.raises(TypeError):
            pickle.loads("text")  # type: ignore[arg-type]
        with pytest.raises(EOFError):
            pickle.loads(b"")
        with pytest.raises(EOFError):
            pickle.load(io.BytesIO())


def test_a_refusal_that_is_caught_on_the_way_still_ends_the_load(
    monkeypatch: pytest.MonkeyPatch, hostile: bytes
) -> None:
    """A loader that swallows the error of an import does not get to hand out what it made without it."""
    monkeypatch.setattr(
        scan_before_load, "scan_stream", lambda file, *, name, **_: FileReport(name=name, container="raw", size=0)
    )

    class Forgiving(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            try:
                return super().find_class(module, name)
            except Exception:  # noqa: BLE001  what careless code does
                return lambda *args: args

    with guarded(), pytest.raises(BlockedError, match="which the scan did not see"):
        Forgiving(io.BytesIO(hostile)).load()


def test_a_zip_of_arrays_gives_its_members_in_the_guard(tmp_path: Path) -> None:
    """numpy.load goes through the gate as a file; its members are loaded when asked for."""
    np = pytest.importorskip("numpy")
    path = tmp_path / "a.npz"
    np.savez(path, numbers=np.arange(3), objects=np.array([None, OrderedDict(a=1)], dtype=object))
    with guarded():
        with np.load(path, allow_pickle=True) as archive:
            assert archive["objects"][1] == {"a": 1}
            assert archive["numbers"].tolist() == [0, 1, 2]
        with np.load(path) as archive, pytest.raises(ValueError, match="allow_pickle"):
            _ = archive["objects"]
    assert zipfile.is_zipfile(path)


def test_an_unpickler_with_slots_is_left_to_the_audit_hook(hostile: bytes) -> None:
    """A class that keeps no attributes works for data without imports, and imports nothing."""
    with guarded():
        assert Slotted(io.BytesIO(pickle.dumps([1]))).load() == [1]
        with pytest.raises(BlockedError, match="not scanned before"):
            Slotted(io.BytesIO(hostile)).load()
