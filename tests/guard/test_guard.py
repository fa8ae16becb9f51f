"""The guard on torch.load: what it loads, what it refuses, and that refusing comes before running."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pathlib
import pickle
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from picklegate.errors import BlockedError
from picklegate.guard import guarded, safe_torch_load, scan_before_load
from picklegate.policy import Policy
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_stream

torch = pytest.importorskip("torch")


class Payload:
    """An object whose pickle touches a file; nothing worse is needed to see that it ran."""

    def __init__(self, canary: Path) -> None:
        """``canary`` is the file."""
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        """What an attacker writes, with a command that does no harm."""
        return os.system, (f"true > {self.canary}",)


class Quiet(Payload):
    """A payload by way of a class that files of honest origin use."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Touches the file without a shell."""
        return pathlib.Path.touch, (self.canary,)


@pytest.fixture(name="canary")
def _canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def save(value: object, *, legacy: bool = False) -> bytes:
    """The bytes that torch.save writes."""
    file = io.BytesIO()
    torch.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def state_dict() -> OrderedDict[str, Any]:
    """A few tensors of two types, two of them views of one storage."""
    weight = torch.arange(12.0).reshape(3, 4)
    return OrderedDict(weight=weight, row=weight[1], count=torch.tensor(7))


def optimizer_state() -> dict[str, Any]:
    """The state of Adam after a step."""
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state: dict[str, Any] = optimizer.state_dict()
    return state


def equal(left: Any, right: Any) -> bool:
    """Whether two values of containers and tensors are the same."""
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return bool(torch.equal(left, right)) if isinstance(left, torch.Tensor) else bool(left == right)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("value", [state_dict(), optimizer_state()], ids=["state-dict", "optimizer"])
@pytest.mark.parametrize("way", [str, Path, open, io.BytesIO], ids=["str", "path", "file", "memory"])
def test_ordinary_files_load(value: Any, way: Callable[[Any], Any], tmp_path: Path, *, legacy: bool) -> None:
    """What torch.load would give comes back, in each way of saving and of naming the file."""
    data = save(value, legacy=legacy)
    path = tmp_path / "model.pt"
    path.write_bytes(data)
    source = io.BytesIO(data) if way is io.BytesIO else path.open("rb") if way is open else way(path)
    assert equal(safe_torch_load(source, map_location="cpu"), value)
    assert equal(safe_torch_load(path, weights_only=True), value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_whole_modules_load(*, legacy: bool) -> None:
    """A pickled torch.nn module needs no leave: its own classes are what the scan saw."""
    module = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())
    loaded = safe_torch_load(io.BytesIO(save(module, legacy=legacy)))
    assert torch.equal(loaded(torch.ones(1, 2)), module(torch.ones(1, 2)))


def test_the_users_own_unpickler_is_enforced_too(canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle_module with its own find_class keeps it, behind the check."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str, /) -> Any:
            return dict if name == "OrderedDict" else super().find_class(module, name)

    own = SimpleNamespace(__name__="own", Unpickler=Unpickler)
    assert type(safe_torch_load(io.BytesIO(save(state_dict())), pickle_module=own)) is dict
    monkeypatch.setattr(scan_before_load, "scan_stream", blind)
    with pytest.raises(BlockedError):
        safe_torch_load(io.BytesIO(save(Payload(canary))), pickle_module=own)
    assert not canary.exists()


def test_several_models_in_one_file_load_in_turn() -> None:
    """As with torch.load, a file object is read from where it stands, and left behind the model."""
    file = io.BytesIO(save(torch.ones(2), legacy=True) + save(torch.zeros(3), legacy=True))
    assert safe_torch_load(file).tolist() == [1, 1]
    assert safe_torch_load(file).tolist() == [0, 0, 0]


def test_a_mapped_file_loads(tmp_path: Path) -> None:
    """mmap=True maps the file that was scanned, and says so where there is none."""
    path = tmp_path / "model.pt"
    path.write_bytes(save(state_dict()))
    assert equal(safe_torch_load(path, mmap=True), state_dict())
    with pytest.raises(ValueError, match="mmap"):
        safe_torch_load(io.BytesIO(path.read_bytes()), mmap=True)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("options", [{}, {"weights_only": True}, {"weights_only": False}], ids=str)
def test_a_payload_is_refused_before_it_runs(canary: Path, options: dict[str, Any], *, legacy: bool) -> None:
    """The error says what would have run, where, and what to do; the payload has not run."""
    data = save({"weight": torch.ones(2), "extra": Payload(canary)}, legacy=legacy)
    with pytest.raises(BlockedError) as caught:
        safe_torch_load(io.BytesIO(data), **options)
    assert not canary.exists()
    assert caught.value.report.verdict == Verdict.MALICIOUS
    assert len(str(caught.value).splitlines()) <= 6
    assert "system" in str(caught.value)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("payload", [Payload, Quiet], ids=["os.system", "pathlib"])
def test_enforced_loading_alone_refuses(
    canary: Path, monkeypatch: pytest.MonkeyPatch, payload: type[Payload], *, legacy: bool
) -> None:
    """Where the scan calls everything clean and lists nothing, no import is granted."""
    monkeypatch.setattr(scan_before_load, "scan_stream", blind)
    with pytest.raises(BlockedError, match="which the scan did not see") as caught:
        safe_torch_load(io.BytesIO(save({"extra": payload(canary)}, legacy=legacy)))
    assert not canary.exists()
    assert len(str(caught.value).splitlines()) <= 6


def blind(file: object, *, name: str, policy: Policy, digest: bool) -> FileReport:
    """A scan that is wrong about everything."""
    return FileReport(name=name, container="torch_zip", size=0)


@pytest.mark.parametrize("swap", ["rename", "link"])
def test_a_file_swapped_after_the_scan_is_not_loaded(
    tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch, swap: str
) -> None:
    """What is loaded is the file that was scanned, whatever its path has come to name."""
    path, hostile = tmp_path / "model.pt", tmp_path / "hostile.pt"
    path.write_bytes(save(state_dict()))
    hostile.write_bytes(save(Payload(canary)))

    def scan_then_swap(*args: Any, **options: Any) -> FileReport:
        report = scan_stream(*args, **options)
        if swap == "link":
            path.unlink()
            path.symlink_to(hostile)
        else:
            hostile.replace(path)
        return report

    monkeypatch.setattr(scan_before_load, "scan_stream", scan_then_swap)
    assert equal(safe_torch_load(path), state_dict())
    assert not canary.exists()


def test_a_policy_lets_a_digest_pass(canary: Path) -> None:
    """Trust is in the content: the same payload under another digest stays refused, and effects are allowed by kind."""
    data = save(Payload(canary))
    with pytest.raises(BlockedError) as caught:
        safe_torch_load(io.BytesIO(data))
    digest = caught.value.report.sha256
    with pytest.raises(BlockedError, match="start or steer a process"):
        safe_torch_load(io.BytesIO(data), policy=Policy(allow_digests=(digest,)))
    assert not canary.exists()
    policy = Policy(allow_digests=(digest,), allow_effects=("process",))
    assert safe_torch_load(io.BytesIO(data), policy=policy) == 0
    assert canary.exists()


class Doubles(torch.nn.Module):  # type: ignore[misc,name-defined]
    """A module that TorchScript can compile."""

    def forward(self, given: torch.Tensor) -> torch.Tensor:  # type: ignore[name-defined]
        """Twice as much."""
        return given * 2


@pytest.mark.filterwarnings("ignore")
def test_torchscript_loads_as_with_torch(tmp_path: Path) -> None:
    """A TorchScript archive becomes the module that it is, by torch.load's name and by that of its own loader."""
    path = tmp_path / "script.pt"
    torch.jit.save(torch.jit.script(Doubles()), path)
    assert safe_torch_load(path, map_location="cpu")(torch.ones(2)).tolist() == [2, 2]
    with guarded():
        assert torch.load(path, weights_only=False)(torch.ones(2)).tolist() == [2, 2]
        assert torch.jit.load(path)(torch.ones(2)).tolist() == [2, 2]
        assert torch.jit.load(io.BytesIO(path.read_bytes()))(torch.ones(2)).tolist() == [2, 2]


def test_a_hostile_torchscript_archive_is_refused(tmp_path: Path, canary: Path) -> None:
    """The pickles of one are scanned, whichever loader it is given to."""
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        payload = pickle.dumps(Payload(canary), 2)
        for name, data in {"data.pkl": payload, "constants.pkl": b"\x80\x02).", "code/__torch__.py": b""}.items():
            archive.writestr(f"script/{name}", data)
    with pytest.raises(BlockedError):
        safe_torch_load(path)
    with guarded(), pytest.raises(BlockedError):
        torch.jit.load(path)
    assert not canary.exists()


def test_errors_of_the_file_pass_through(tmp_path: Path) -> None:
    """A missing file is an OSError, as with torch.load."""
    with pytest.raises(FileNotFoundError):
        safe_torch_load(tmp_path / "missing.pt")


@pytest.mark.parametrize("options", [{}, {"weights_only": True}, {"weights_only": False}], ids=str)
def test_a_replaced_class_is_refused_in_torchs_restricted_mode_too(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``weights_only`` takes OrderedDict from wherever it is; the guard looks where that is first."""

    class Replaced(OrderedDict[str, Any]):
        pass

    data = save(state_dict())
    monkeypatch.setattr("collections.OrderedDict", Replaced)
    monkeypatch.setattr(Replaced, "__module__", "__main__")
    with pytest.raises(BlockedError, match="no longer collections's own"):
        safe_torch_load(io.BytesIO(data), **options)


def test_the_oldest_format_loads(tmp_path: Path) -> None:
    """A tar, which torch's restricted mode refuses whatever is in it, is loaded the other way."""
    path = tmp_path / "old.pt"
    path.write_bytes(tar_of_old())
    assert safe_torch_load(path) == torch.load(path, weights_only=False) == {"a": OrderedDict(b=1)}


def tar_of_old() -> bytes:
    """What torch.save wrote before 0.2, without a tensor."""
    out = io.BytesIO()
    none = pickle.dumps(0, 2)
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in {
            "sys_info": pickle.dumps({}, 2),
            "pickle": pickle.dumps({"a": OrderedDict(b=1)}, 2),
            "tensors": none,
            "storages": none + pickle.dumps([], 2),
        }.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_hashing_keeps_nothing_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest of a large file is taken without keeping it, and taken of what the scan has read."""
    kept: list[int] = []
    monkeypatch.setattr(scan_before_load.View, "_keep", lambda view, begin, data: kept.append(len(data)))
    path = tmp_path / "large.pt"
    torch.save({"a": torch.zeros(1 << 20), "b": Payload(tmp_path / "canary")}, path)
    with pytest.raises(BlockedError) as caught:
        safe_torch_load(path)
    assert caught.value.report.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert 0 < sum(kept) < path.stat().st_size / 4


def test_a_pickle_that_is_named_safetensors_is_scanned(tmp_path: Path, canary: Path) -> None:
    """The name does not spare the scan, as versions of torch that do not go by it unpickle the file."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Payload(canary)))
    with pytest.raises(BlockedError):
        safe_torch_load(path, weights_only=False)
    assert not canary.exists()


def _saved(path: str) -> None:
    torch.save([1], path)


class Saves:
    """An object whose pickle has torch write a file, which it does from native code."""

    def __init__(self, path: Path) -> None:
        """``path`` is the file."""
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """By way of a function of the program."""
        return _saved, (str(self.path),)


def test_torch_saves_nothing_while_it_loads(canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No audit event tells of the file that torch's own writer makes."""
    monkeypatch.setattr(scan_before_load, "scan_stream", approving)
    with pytest.raises(BlockedError, match="write to a file"):
        safe_torch_load(io.BytesIO(save(Saves(canary))))
    assert not canary.exists()


def approving(file: Any, *, name: str, policy: Policy, digest: bool) -> FileReport:
    """A scan that lists what it sees, and finds nothing wrong with it."""
    report = scan_stream(file, name=name, policy=policy, digest=digest)
    streams = (dataclasses.replace(stream, verdict=Verdict.CLEAN, findings=()) for stream in report.streams)
    return dataclasses.replace(report, findings=(), streams=tuple(streams))
