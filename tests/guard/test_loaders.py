"""The guard on each loader: what it gives is what the plain loader gives, of the bytes that were scanned."""

from __future__ import annotations

import argparse
import copyreg
import dataclasses
import enum
import importlib
import io
import os
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picklegate import (
    BlockedError,
    Policy,
    safe_joblib_load,
    safe_numpy_load,
    safe_pickle_load,
    safe_pickle_loads,
    safe_torch_load,
    scan_file,
    torch_safe_globals,
)
from picklegate.guard import scan_before_load
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_stream

torch = pytest.importorskip("torch")
np = pytest.importorskip("numpy")
joblib = pytest.importorskip("joblib")


class Strategy(enum.Enum):
    """As in the arguments of trainers."""

    STEPS = "steps"


@dataclasses.dataclass
class Arguments:
    """Like TrainingArguments: many plain fields, an enumeration, a path, a device."""

    output: Path = Path("out")
    strategy: Strategy = Strategy.STEPS
    rate: float = 5e-5
    device: Any = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    extra: dict[str, Any] = dataclasses.field(default_factory=lambda: {"betas": (0.9, 0.999)})


class Member:
    """A member of an enumeration, as Python 3.11.2 pickles it in protocol 2."""

    def __reduce__(self) -> tuple[Any, ...]:
        """With a name of Python 2, which protocol 2 has for getattr."""
        return getattr, (Strategy, "STEPS")


class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
    """A module of a user's own."""

    def __init__(self) -> None:
        """Two layers."""
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))


def lightning() -> dict[str, Any]:
    """What a trainer writes beside the weights."""
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters())
    net.body(torch.ones(2, 2)).sum().backward()
    optimizer.step()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    return {
        "epoch": 3,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": net.state_dict(),
        "optimizer_states": [optimizer.state_dict()],
        "lr_schedulers": [scheduler.state_dict()],
        "hyper_parameters": argparse.Namespace(layers=2, arguments=Arguments()),
        "callbacks": {"ModelCheckpoint": {"best_model_path": Path("a/b.ckpt"), "best_model_score": torch.tensor(0.5)}},
    }


def flat(value: Any) -> Any:
    """A value as plain text, tensors and arrays with their numbers."""
    if isinstance(value, torch.nn.Module):
        return [type(value).__name__, flat(value.state_dict())]
    if hasattr(value, "predict_proba"):
        return [repr(value), value.predict_proba(np.arange(6.0).reshape(3, 2)).tolist()]
    if isinstance(value, dict):
        return [type(value).__name__, [(str(key), flat(item)) for key, item in value.items()]]
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, [flat(item) for item in value]]
    if isinstance(value, torch.Tensor) and value.is_sparse:
        return ["sparse", flat(value.to_dense())]
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return [type(value).__name__, str(value.dtype), value.tolist()]
    return repr(value)


def forest() -> Any:
    """A fitted pipeline of scikit-learn."""
    pipeline = pytest.importorskip("sklearn.pipeline")
    trees = pytest.importorskip("sklearn.ensemble").RandomForestClassifier(n_estimators=3, random_state=0)
    scale = pytest.importorskip("sklearn.preprocessing").StandardScaler()
    data = np.arange(40.0).reshape(20, 2)
    return pipeline.make_pipeline(scale, trees).fit(data, np.arange(20) % 2)


TORCH: dict[str, Callable[[], Any]] = {
    "state-dict": lambda: Net().state_dict(),
    "module": Net,
    "lightning": lightning,
    "arguments": Arguments,
    "scheduler": lambda: torch.optim.lr_scheduler.StepLR(torch.optim.SGD(Net().parameters(), 0.1), 2).state_dict(),
    "sparse": lambda: {"sparse": torch.eye(3).to_sparse().coalesce()},
    "parameter": lambda: torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)),
    "dtypes": lambda: {"dtype": torch.float16, "size": torch.Size([1, 2]), "rng": torch.get_rng_state()},
}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("make", TORCH.values(), ids=TORCH)
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_what_training_saves_loads_as_with_torch(make: Callable[[], Any], tmp_path: Path, *, legacy: bool) -> None:
    """No leave is needed for what training programs write, classes of their own included."""
    path = tmp_path / "a.ckpt"
    torch.save(make(), path, _use_new_zipfile_serialization=not legacy)
    assert flat(safe_torch_load(path)) == flat(torch.load(path, weights_only=False))


OBJECTS: dict[str, Callable[[], Any]] = {
    "numbers": lambda: {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(3)},
    "objects": lambda: np.array([1, "two", None, OrderedDict(a=1)], dtype=object),
    "records": lambda: np.zeros(2, dtype=[("x", "f4"), ("y", "i8")]),
    "forest": forest,
    "arguments": lambda: [Arguments(), np.float64(0.5)],
}


@pytest.mark.parametrize("compress", [0, 3, ("xz", 1)], ids=["plain", "zlib", "xz"])
@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_joblib_files_load_as_with_joblib(make: Callable[[], Any], tmp_path: Path, compress: Any) -> None:
    """Arrays between the opcodes, nested pickles of object arrays and compression are joblib's as ever."""
    path = tmp_path / "a.joblib"
    joblib.dump(make(), path, compress=compress)
    plain = joblib.load(path)
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        assert flat(safe_joblib_load(source)) == flat(plain)
    with path.open("rb") as file:
        assert flat(safe_joblib_load(file)) == flat(plain)


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_pickles_load_as_with_pickle(make: Callable[[], Any], protocol: int, tmp_path: Path) -> None:
    """From a path, a file and bytes."""
    data = pickle.dumps(make(), protocol)
    path = tmp_path / "a.pkl"
    path.write_bytes(data)
    plain = flat(pickle.loads(data))
    with path.open("rb") as file:
        for found in (safe_pickle_load(path), safe_pickle_load(file), safe_pickle_loads(data)):
            assert flat(found) == plain


def test_out_of_band_buffers_and_other_options_pass() -> None:
    """What pickle.loads takes beside the data reaches it."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(np.arange(4), 5, buffer_callback=buffers.append)
    assert safe_pickle_loads(data, buffers=buffers).tolist() == [0, 1, 2, 3]
    assert safe_pickle_loads(b"S'\\xe9'\n.", encoding="latin-1") == "é"


def test_arrays_load_as_with_numpy(tmp_path: Path) -> None:
    """Arrays of numbers and of objects, alone and in an archive whose members are loaded when asked for."""
    objects = np.array([1, None, OrderedDict(a=1)], dtype=object)
    np.save(tmp_path / "objects.npy", objects)
    np.save(tmp_path / "numbers.npy", np.arange(5))
    np.savez(tmp_path / "both.npz", objects=objects, numbers=np.arange(5))
    assert safe_numpy_load(tmp_path / "objects.npy").tolist() == objects.tolist()
    assert safe_numpy_load(tmp_path / "numbers.npy").tolist() == [0, 1, 2, 3, 4]
    assert type(safe_numpy_load(tmp_path / "numbers.npy", mmap_mode="r")) is np.memmap
    with pytest.raises(ValueError, match="allow_pickle"):
        safe_numpy_load(tmp_path / "objects.npy", allow_pickle=False)
    with safe_numpy_load(tmp_path / "both.npz") as archive:
        assert isinstance(archive, np.lib.npyio.NpzFile)
        assert archive["objects"].tolist() == objects.tolist()
        assert archive["numbers"].tolist() == [0, 1, 2, 3, 4]


def test_mapped_joblib_arrays_are_those_of_the_path(tmp_path: Path) -> None:
    """With mmap_mode an array stays on disk, under the name that it was loaded by."""
    path = tmp_path / "a.joblib"
    joblib.dump(np.arange(5.0), path)
    found = safe_joblib_load(path, mmap_mode="r")
    assert found.tolist() == [0, 1, 2, 3, 4]
    assert Path(found.filename) == path


HOSTILE = b"cos\nsystem\n(S'true > canary'\ntR."
LOADERS: dict[str, Callable[[Path], Any]] = {
    "torch": safe_torch_load,
    "joblib": safe_joblib_load,
    "pickle": safe_pickle_load,
    "numpy": safe_numpy_load,
}


def written(kind: str, path: Path) -> str:
    """A file of that kind, and what it loads as."""
    value = [None, OrderedDict(a=1), "x" * 100]
    if kind == "torch":
        torch.save(value, path)
    elif kind == "joblib":
        joblib.dump(value, path)
    elif kind == "pickle":
        path.write_bytes(pickle.dumps(value))
    else:
        with path.open("wb") as file:
            np.save(file, np.array(value, dtype=object))
        return repr(np.array(value, dtype=object))
    return repr(value)


@pytest.mark.parametrize("swap", ["rename", "link", "write"])
@pytest.mark.parametrize("kind", LOADERS)
def test_a_file_swapped_after_the_scan_is_not_loaded(
    kind: str, swap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is loaded was scanned, whatever the path names by then and whatever was written into the file."""
    monkeypatch.chdir(tmp_path)
    path, hostile = tmp_path / "model.bin", tmp_path / "hostile"
    expected = written(kind, path)
    hostile.write_bytes(HOSTILE)
    place = path.read_bytes().index(b"\x80\x02" if kind == "torch" else b"\x80")

    def scan_then_swap(*args: Any, **options: Any) -> FileReport:
        report = scan_stream(*args, **options)
        if swap == "rename":
            hostile.replace(path)
        elif swap == "link":
            path.unlink()
            path.symlink_to(hostile)
        else:
            with path.open("r+b") as file:
                file.seek(place)
                file.write(HOSTILE)
        return report

    monkeypatch.setattr(scan_before_load, "scan_stream", scan_then_swap)
    assert repr(LOADERS[kind](path)) == expected
    assert not (tmp_path / "canary").exists()


def test_a_file_too_long_to_be_held_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file is loaded from disk, an import or a result after a write to it is refused."""
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps([OrderedDict(a=1)]))
    monkeypatch.setattr(scan_before_load, "HELD", 0)
    assert safe_pickle_load(path) == [{"a": 1}]

    def scan_then_write(*args: Any, **options: Any) -> FileReport:
        report = scan_stream(*args, **options)
        os.utime(path, ns=(0, 0))
        path.write_bytes(pickle.dumps([OrderedDict(b=1)]))
        return report

    monkeypatch.setattr(scan_before_load, "scan_stream", scan_then_write)
    with pytest.raises(BlockedError, match="written to between the scan") as caught:
        safe_pickle_load(path)
    assert caught.value.report.reasons[0].code == "guard.changed"


@pytest.mark.parametrize("name", ["mapped", "joblib"])
def test_another_file_under_a_path_that_is_mapped_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loaders that map a path open it themselves; if it leads elsewhere by then, nothing comes of it."""
    path = tmp_path / "a.bin"
    (torch.save if name == "mapped" else joblib.dump)([np.arange(3.0)] if name == "joblib" else {"a": 1}, path)

    def scan_then_write(*args: Any, **options: Any) -> FileReport:
        report = scan_stream(*args, **options)
        content = path.read_bytes()
        os.utime(path, ns=(0, 0))
        if name == "joblib":
            path.unlink()
        path.write_bytes(content)
        return report

    monkeypatch.setattr(scan_before_load, "scan_stream", scan_then_write)
    with pytest.raises(BlockedError, match="written to between the scan"):
        safe_torch_load(path, mmap=True) if name == "mapped" else safe_joblib_load(path, mmap_mode="r")


def blind(file: Any, *, name: str, **_: Any) -> FileReport:
    """A scan that is wrong about everything."""
    return FileReport(name=name, container="raw", size=0)


def test_an_extension_code_asks_for_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A code whose object is in the interpreter's cache, which asks nobody, is refused like any other import."""
    monkeypatch.setattr(scan_before_load, "scan_stream", blind)
    copyreg.add_extension("pathlib", "PurePath", 0xF0)
    try:
        assert pickle.loads(b"\x80\x02\x82\xf0.") is not None
        with pytest.raises(BlockedError, match=r"pathlib\.PurePath"):
            safe_pickle_loads(b"\x80\x02\x82\xf0.")
    finally:
        copyreg.remove_extension("pathlib", "PurePath", 0xF0)


@pytest.mark.parametrize("loads", ["pickle.loads", "torch.storage._load_from_bytes", "numpy.load", "joblib.load"])
def test_a_loader_that_a_stream_calls_is_held_to_the_same_list(
    loads: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Bytes that a stream hands to a loader may import what the scan saw in them, and nothing else."""
    monkeypatch.chdir(tmp_path)
    module, _, name = loads.rpartition(".")
    inner = b"C" + bytes([len(HOSTILE)]) + HOSTILE
    argument = inner if name in ("loads", "_load_from_bytes") else b"cio\nBytesIO\n" + inner + b"\x85R"
    options = b"N\x88" if loads == "numpy.load" else b""
    data = f"c{module}\n{name}\n".encode() + b"(" + argument + options + b"tR."
    seen = ((module, name), ("io", "BytesIO"))

    def half_blind(file: Any, *, name: str, policy: Policy, **_: Any) -> FileReport:
        report = scan_stream(file, name=name, policy=policy)
        streams = (dataclasses.replace(report.streams[0], imports=seen, findings=(), verdict=Verdict.CLEAN),)
        return FileReport(name=name, container="raw", size=0, streams=streams)

    monkeypatch.setattr(scan_before_load, "scan_stream", half_blind)
    with pytest.raises(BlockedError, match=r"os\.system, which the scan did not see"):
        safe_pickle_loads(data)
    assert not (tmp_path / "canary").exists()


def test_persistent_ids_reach_nothing(tmp_path: Path) -> None:
    """A persistent id is torch's for a storage of the file, and an error to every other loader."""
    path = tmp_path / "a.pkl"
    path.write_bytes(b"\x80\x02(X\x01\x00\x00\x00aX\x01\x00\x00\x00btQ.")
    for load in (safe_pickle_load, safe_joblib_load):
        with pytest.raises((BlockedError, pickle.UnpicklingError)):
            load(path)


def beside(folder: Path, name: str, source: str = "class Thing: pass\n") -> Path:
    """A model in a folder, with a module beside it that the model asks for."""
    (folder / f"{name}.py").write_text(f"open('canary', 'w').close()\n{source}")
    path = folder / "model.pkl"
    path.write_bytes(f"\x80\x02c{name}\nThing\n)\x81.".encode("latin-1"))
    return path


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A downloaded folder in which somebody works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_module_beside_the_model_is_not_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless the program imported it before: a policy that names what is asked for is no leave for where it lies."""
    path = beside(folder, "picklegate_test_helper")
    with pytest.raises(BlockedError, match="lies beside the model") as caught:
        safe_pickle_load(path)
    assert caught.value.report.reasons[0].code == "guard.foreign-module"
    assert len(str(caught.value).splitlines()) <= 6
    assert not (folder / "canary").exists()
    with pytest.raises(BlockedError, match="lies beside the model"):
        safe_pickle_load(path, policy=Policy(allow_imports=("picklegate_test_helper.Thing",)))
    assert not (folder / "canary").exists()
    importlib.import_module("picklegate_test_helper")
    assert type(safe_pickle_load(path)).__name__ == "Thing"
    monkeypatch.delitem(sys.modules, "picklegate_test_helper")


def test_a_module_of_the_project_is_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint in a folder of its own may name a module beside the script that runs, not imported yet."""
    (folder / "checkpoints").mkdir()
    path = beside(folder, "picklegate_test_project").rename(folder / "checkpoints" / "model.pkl")
    with pytest.raises(BlockedError, match="lies beside the model"):
        safe_pickle_load(path)
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(folder / "train.py"), raising=False)
    assert type(safe_pickle_load(path)).__name__ == "Thing"


def test_a_module_in_the_place_of_an_installed_one_is_not_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file in the working directory that hides an installed package is refused, wherever the model lies."""
    for name in ("far", "site-packages"):
        (folder / name).mkdir()
    (folder / "site-packages" / "picklegate_test_installed.py").write_text("class Thing: pass\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(folder / "site-packages")])
    path = beside(folder, "picklegate_test_installed").rename(folder / "far" / "model.pkl")
    with pytest.raises(BlockedError, match="hides the installed package"):
        safe_pickle_load(path)
    assert not (folder / "canary").exists()
    (folder / "picklegate_test_installed.py").unlink()
    assert type(safe_pickle_load(path)).__name__ == "Thing"


def test_a_module_in_the_place_of_the_standard_library_is_not_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither one that would be found first, nor one that was put among the loaded ones."""
    monkeypatch.delitem(sys.modules, "sched", raising=False)
    path = beside(folder, "sched")
    with pytest.raises(BlockedError, match="is not the standard library's"):
        safe_pickle_load(path)
    assert not (folder / "canary").exists()
    fake = types.ModuleType("sched")
    fake.Thing = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sched", fake)
    with pytest.raises(BlockedError, match="is not the standard library's"):
        safe_pickle_load(path)


@pytest.mark.parametrize("kind", ["function", "class"])
def test_a_replaced_callable_of_the_standard_library_is_refused(
    kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A well-known name that somebody else's code was put under does not load under that name."""
    (folder / "evil.py").write_text("class OrderedDict: pass\ndef function(*args): raise SystemExit\n")
    evil = __import__("evil")
    data = pickle.dumps(OrderedDict(a=1))
    monkeypatch.setattr("collections.OrderedDict", getattr(evil, "function" if kind == "function" else "OrderedDict"))
    with pytest.raises(BlockedError, match="no longer collections's own"):
        safe_pickle_loads(data)
    monkeypatch.undo()
    assert safe_pickle_loads(data) == {"a": 1}


def test_python_2_names_are_those_of_today() -> None:
    """Old names that the unpickler translates come from where the new ones do."""
    assert safe_pickle_loads(b"c__builtin__\nset\n((lp0\ntR.") == set()
    assert safe_pickle_loads(b"\x80\x02ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nNtR.")


def test_safe_globals_are_what_weights_only_needs(tmp_path: Path) -> None:
    """With them, torch's own loader takes the file in its restricted mode; without, it refuses."""
    path = tmp_path / "arguments.pt"
    torch.save({"arguments": Arguments(), "namespace": argparse.Namespace(a=1)}, path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    allowed = torch_safe_globals(path)
    assert Arguments in allowed
    with torch.serialization.safe_globals(allowed):
        assert flat(torch.load(path, weights_only=True)) == flat(torch.load(path, weights_only=False))
    torch.save(Member(), path)
    with torch.serialization.safe_globals(torch_safe_globals(path)):
        assert torch.load(path, weights_only=True) is Strategy.STEPS
    torch.save(Net().state_dict(), path)
    assert torch_safe_globals(path) == []
    path.write_bytes(HOSTILE)
    with pytest.raises(BlockedError):
        torch_safe_globals(path)


def test_it_is_torchs_own_record_that_was_scanned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch finds as the object of an archive is scanned by itself where the scan did not read those bytes."""
    path = tmp_path / "model.pt"
    torch.save({"a": OrderedDict(b=torch.ones(2))}, path)
    names: list[str] = []

    def careless(file: Any, *, name: str, policy: Policy, **options: Any) -> FileReport:
        report = scan_stream(io.BytesIO(path.read_bytes()) if not names else file, name=name, policy=policy, **options)
        names.append(report.container)
        return report

    monkeypatch.setattr(scan_before_load, "scan_stream", careless)
    assert flat(safe_torch_load(path)) == flat(torch.load(path))
    assert names == ["torch_zip", "raw"]
    assert scan_file(path).container == "torch_zip"


class Slice(io.RawIOBase):
    """A part of a file, with the ``seek`` of torch's distributed checkpoints: it returns a place in the whole file."""

    def __init__(self, file: Any, offset: int, length: int) -> None:
        """Begins at ``offset``."""
        self.file, self.offset, self.length = file, offset, length
        self.seek(0)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As it is there."""
        if whence == 2:
            offset, whence = self.length - offset, 0
        return int(self.file.seek(offset + (self.offset if whence == 0 else 0), whence))

    def tell(self) -> int:
        """The place in the slice."""
        return int(self.file.tell()) - self.offset

    def readinto(self, buffer: Any, /) -> int:
        """Up to the end of the slice."""
        return int(self.file.readinto(memoryview(buffer)[: max(self.length - self.tell(), 0)]))


def test_slices_of_a_file_load_in_any_order(tmp_path: Path) -> None:
    """Several checkpoints in one file are loaded each from its slice, as distributed checkpoints are."""
    path = tmp_path / "shards"
    with path.open("wb") as file:
        places = []
        for number in range(3):
            start = file.tell()
            torch.save(torch.full((2,), float(number)), file)
            places.append((start, file.tell() - start))
    with path.open("rb") as file:
        for number in (2, 0, 1):
            part: Any = Slice(file, *places[number])
            assert safe_torch_load(part).tolist() == [number, number]
