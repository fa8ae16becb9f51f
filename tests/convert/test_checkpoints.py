"""Each kind of checkpoint that torch writes: the tensors are those that torch loads, bit by bit."""

from __future__ import annotations

import contextlib
import io
import json
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from picklegate.convert import ConversionError, convert_file
from picklegate.demo import models

torch = pytest.importorskip("torch")
load_file: Callable[[str], dict[str, Any]] = pytest.importorskip("safetensors.torch").load_file

BASE = torch.arange(24, dtype=torch.float32).reshape(4, 6)
DTYPES = (
    *("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"),
    *("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "complex64"),
)


def model() -> Any:
    """A small module with parameters, buffers and a part that is shared."""
    made = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3))
    made[2].weight = torch.nn.Parameter(made[0].weight.t())
    return made


def trained() -> tuple[Any, Any]:
    """A module and its optimizer after one step."""
    made = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(made.parameters())
    made(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return made, optimizer


def typed(name: str) -> Any:
    """A tensor of this type."""
    return {"x": torch.arange(5).to(getattr(torch, name))}


OBJECTS: dict[str, Callable[[], Any]] = {
    **{f"dtype-{name}": partial(typed, name) for name in DTYPES},
    "state-dict": lambda: dict(model().state_dict()),
    "ddp": lambda: OrderedDict((f"module.{name}", value) for name, value in model().state_dict().items()),
    "nested": lambda: {"state_dict": model().state_dict(), "epoch": 3, "lists": [torch.ones(2), (torch.zeros(1),)]},
    "optimizer": lambda: {"optimizer": trained()[1].state_dict()},
    "whole": lambda: {"model": trained()[0].state_dict(), "optimizer": trained()[1].state_dict(), "epoch": 1},
    "transposed": lambda: {"x": BASE.t()},
    "sliced": lambda: {"x": BASE[1:3, 2:5]},
    "stepped": lambda: {"x": BASE[::2, ::3]},
    "expanded": lambda: {"x": torch.ones(3, 1).expand(3, 4)},
    "permuted": lambda: {"x": torch.arange(60).reshape(3, 4, 5).permute(2, 0, 1)},
    "channels-last": lambda: {"x": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)},
    "shared": lambda: {"a": BASE, "b": BASE, "c": BASE[0]},
    "offset": lambda: {"x": BASE.flatten()[7:]},
    "scalar": lambda: {"x": torch.tensor(3.5)},
    "empty": lambda: {"x": torch.zeros(0, 3)},
    "parameter": lambda: {"x": torch.nn.Parameter(BASE.clone())},
    "tensor": lambda: {"only": BASE},
    "integer-keys": lambda: {0: BASE, 1: torch.ones(1)},
    "big": lambda: {f"layer.{number}.weight": torch.full((2, 2), number) for number in range(500)},
    "half-transposed": lambda: {"x": BASE.to(torch.bfloat16).t()},
    "double-complex": lambda: {"x": torch.ones(2), "y": torch.ones(2, dtype=torch.complex128)},
    "complex-transposed": lambda: {"x": torch.arange(6).reshape(2, 3).to(torch.complex64).t()},
}
FORMS: dict[str, dict[str, Any]] = {"zip": {}, "legacy": {"_use_new_zipfile_serialization": False}}


def flat(value: Any, name: str = "") -> dict[str, Any]:
    """The tensors of a loaded object, by names joined with dots."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    else:
        return {}
    found: dict[str, Any] = {}
    for key, item in items:
        found.update(flat(item, f"{name}.{key}" if name else str(key)))
    return found


def raw(tensor: Any) -> bytes:
    """The bytes of a tensor, whatever its type."""
    flat_bytes = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return bytes(flat_bytes.numpy())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", OBJECTS)
def test_the_tensors_are_those_that_torch_loads(kind: str, form: str, tmp_path: Path) -> None:
    """Names, types, shapes and bytes."""
    source, target = tmp_path / "model_best_checkpoint.pt", tmp_path / "out.safetensors"
    torch.save(OBJECTS[kind](), source, **FORMS[form])
    try:
        expected = flat(torch.load(source, weights_only=True))
    except AttributeError:
        pytest.skip("torch does not load this type from its legacy form")
    report = convert_file(source, target)
    left = {one.name for one in report.left_out}
    written = load_file(str(target))
    assert {name for name in expected if name not in left} == set(written)
    assert left <= {name for name, value in expected.items() if value.dtype == torch.complex128}
    for name, tensor in written.items():
        assert tensor.dtype == expected[name].dtype
        assert tensor.shape == expected[name].shape
        assert raw(tensor) == raw(expected[name])


def test_shared_storages_are_told(tmp_path: Path) -> None:
    """Each is a copy, and the report says of what."""
    torch.save({"a": BASE, "b": BASE}, tmp_path / "a.pt")
    report = convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    assert [(one.name, one.shared_with) for one in report.tensors] == [("a", ""), ("b", "a")]


def test_a_part_is_taken_by_its_key(tmp_path: Path) -> None:
    """The names begin below it; plain values and objects beside it are not told."""
    torch.save({"state_dict": {"w": BASE}, "epoch": 3}, tmp_path / "a.pt")
    report = convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors", key="state_dict")
    assert [one.name for one in report.tensors] == ["w"]
    with pytest.raises(ConversionError, match="has no 'missing'"):
        convert_file(tmp_path / "a.pt", tmp_path / "b.safetensors", key="missing")


def test_plain_values_are_kept_apart(tmp_path: Path) -> None:
    """Numbers and texts are data; what safetensors cannot hold is listed with its reason."""
    sparse = torch.eye(2).to_sparse()
    torch.save({"w": BASE, "epoch": 3, "name": "x", "sparse": sparse}, tmp_path / "a.pt")
    report = convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    assert report.data == {"epoch": 3, "name": "x"}
    assert [(one.name, "sparse" in one.reason) for one in report.left_out] == [("sparse", True)]


def test_a_whole_module_gives_the_names_of_its_state_dict(tmp_path: Path) -> None:
    """Its classes are left out."""
    made = model()
    torch.save(made, tmp_path / "a.pt")
    convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    written = load_file(str(tmp_path / "out.safetensors"))
    assert {name: raw(tensor) for name, tensor in written.items()} == {
        name: raw(tensor) for name, tensor in made.state_dict().items()
    }


def test_torchscript_parameters(tmp_path: Path) -> None:
    """The attributes of a scripted module are found."""
    made = torch.nn.Linear(3, 2)
    torch.jit.script(made).save(str(tmp_path / "a.pt"))
    convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    written = load_file(str(tmp_path / "out.safetensors"))
    assert raw(written["weight"]) == raw(made.weight)


def test_a_hostile_file_converts_and_nothing_runs(tmp_path: Path) -> None:
    """Its call is listed as left out."""
    (tmp_path / "a.pt").write_bytes(models.repositories()[models.HOSTILE][models.WEIGHTS])
    report = convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    assert "os.system(...)" in {one.what for one in report.left_out}
    assert len(load_file(str(tmp_path / "out.safetensors"))) == len(report.tensors) > 0


def test_metadata_names_the_source(tmp_path: Path) -> None:
    """The format, the digest and the version."""
    torch.save({"w": BASE}, tmp_path / "a.pt")
    report = convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    with (tmp_path / "out.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    assert header["__metadata__"]["format"] == "pt"
    assert header["__metadata__"]["source_sha256"] == report.sha256


def edited(tmp_path: Path, change: Callable[[bytes], bytes]) -> Path:
    """A checkpoint whose pickle is changed."""
    buffer = io.BytesIO()
    torch.save({"w": BASE}, buffer)
    path = tmp_path / "edited.pt"
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, change(data) if name.endswith("data.pkl") else data)
    return path


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x04K\x06\x86", b"K\x04K\x07\x86"),
        (b"K\x06K\x01\x86", b"K\x07K\x01\x86"),
        (b"K\x06K\x01\x86", b"J\xff\xff\xff\xffK\x01\x86"),
        (b"K\x04K\x06\x86", b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"),
        (b"K\x06K\x01\x86", b"K\x01K\x01\x86"),
        (b"K\x18tq\x07Q", b"M\xff\xfftq\x07Q"),
        (b"X\x01\x00\x00\x000", b"X\x01\x00\x00\x007"),
    ],
    ids=["shape", "stride", "negative", "huge", "overlap", "count", "key"],
)
def test_a_malformed_tensor_is_an_error_and_nothing_is_written(tmp_path: Path, old: bytes, new: bytes) -> None:
    """No tensor reads outside its storage."""

    def change(data: bytes) -> bytes:
        assert old in data
        changed = data.replace(old, new)
        return changed if old != b"K\x18tq\x07Q" else changed.replace(b"K\x04K\x06\x86", b"K\x04K\x08\x86")

    with pytest.raises(ConversionError):
        convert_file(edited(tmp_path, change), tmp_path / "out.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edited.pt"]


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x04N.", b"\x93NUMPY\x01\x00"])
def test_what_is_no_checkpoint_is_an_error(tmp_path: Path, content: bytes) -> None:
    """One sentence says so."""
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(ConversionError):
        convert_file(tmp_path / "a.pt", tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


def test_numpy_files(tmp_path: Path) -> None:
    """Arrays of npy, npz and plain pickles, in both orders and byte orders."""
    numpy = pytest.importorskip("numpy")
    import pickle

    arrays = {
        "c": numpy.arange(6.0).reshape(2, 3),
        "f": numpy.asfortranarray(numpy.arange(6, dtype="i2").reshape(2, 3)),
        "swapped": numpy.arange(3, dtype=">f4"),
        "flags": numpy.array([True, False]),
    }
    numpy.savez(tmp_path / "a.npz", **arrays)
    numpy.savez_compressed(tmp_path / "b.npz", **arrays)
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(arrays))
    load = pytest.importorskip("safetensors.numpy").load_file
    for name in ("a.npz", "b.npz", "c.pkl"):
        convert_file(tmp_path / name, tmp_path / "out.safetensors")
        written = load(str(tmp_path / "out.safetensors"))
        assert {key: value.tolist() for key, value in written.items()} == {k: v.tolist() for k, v in arrays.items()}
    numpy.save(tmp_path / "d.npy", arrays["f"])
    convert_file(tmp_path / "d.npy", tmp_path / "out.safetensors")
    assert load(str(tmp_path / "out.safetensors"))["array"].tolist() == arrays["f"].tolist()


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 3)], ids=str)
def test_arrays_between_the_opcodes_of_joblib(tmp_path: Path, compress: Any) -> None:
    """Numbers in either order, beside an array of objects."""
    joblib, numpy = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    arrays = {
        "c": numpy.arange(6.0).reshape(2, 3),
        "objects": numpy.array([{1: 2}, None], dtype=object),
        "nested": [numpy.asfortranarray(numpy.arange(6, dtype="i2").reshape(2, 3)), "text"],
        "swapped": numpy.arange(3, dtype=">f4"),
    }
    joblib.dump(arrays, tmp_path / "a.joblib", compress=compress)
    report = convert_file(tmp_path / "a.joblib", tmp_path / "out.safetensors")
    written = pytest.importorskip("safetensors.numpy").load_file(str(tmp_path / "out.safetensors"))
    expected = {"c": arrays["c"], "nested.0": arrays["nested"][0], "swapped": arrays["swapped"]}
    assert {key: value.tolist() for key, value in written.items()} == {k: v.tolist() for k, v in expected.items()}
    assert report.data == {"nested.1": "text"}


def tar_file(path: Path, tensors: dict[str, Any]) -> None:
    """A checkpoint as torch wrote it before 2017: a dict of float tensors, the second a view of the first's storage."""
    import pickle
    import tarfile

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return str(value.number) if isinstance(value, Number) else None

    class Number:
        def __init__(self, number: int) -> None:
            self.number = number

    storages, views = io.BytesIO(), io.BytesIO()
    pickle.dump(len(tensors), storages, protocol=2)
    pickle.dump(len(tensors), views, protocol=2)
    for number, tensor in enumerate(tensors.values()):
        pickle.dump((100 + number, "cpu", torch.FloatStorage), storages, protocol=2)
        flat_tensor = tensor.contiguous().flatten()
        storages.write(struct.pack("<q", flat_tensor.numel()) + raw(flat_tensor))
        pickle.dump((number, 100 + number, torch.FloatTensor), views, protocol=2)
        sides = tensor.dim()
        views.write(struct.pack(f"<ii{sides}q{sides}qq", sides, 0, *tensor.shape, *tensor.contiguous().stride(), 0))
    pickle.dump([], storages, protocol=2)
    members = {"storages": storages.getvalue(), "tensors": views.getvalue()}
    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({name: Number(number) for number, name in enumerate(tensors)})
    members["pickle"] = buffer.getvalue()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_tar_files_of_old(tmp_path: Path) -> None:
    """What torch itself still loads of them is what comes out."""
    tensors = {"weight": BASE, "bias": torch.arange(3.0)}
    tar_file(tmp_path / "old.pt", tensors)
    loaded = torch.load(tmp_path / "old.pt", weights_only=False)
    convert_file(tmp_path / "old.pt", tmp_path / "out.safetensors")
    written = load_file(str(tmp_path / "out.safetensors"))
    assert {name: raw(value) for name, value in written.items()} == {name: raw(loaded[name]) for name in tensors}
    assert written["weight"].shape == BASE.shape


def test_malformed_bytes_are_one_error(tmp_path: Path) -> None:
    """Whatever is changed in a file of any form, it converts, or one error says that it does not."""
    import random

    joblib, numpy = pytest.importorskip("joblib"), pytest.importorskip("numpy")
    torch.save({"w": BASE}, tmp_path / "zip")
    torch.save({"w": BASE}, tmp_path / "legacy", _use_new_zipfile_serialization=False)
    tar_file(tmp_path / "tar", {"w": BASE})
    joblib.dump({"a": numpy.arange(6.0)}, tmp_path / "joblib")
    joblib.dump({"a": numpy.arange(6.0)}, tmp_path / "packed", compress=3)
    numpy.savez(tmp_path / "npz.npz", a=numpy.arange(6.0))
    draw = random.Random(5)
    for path in sorted(tmp_path.iterdir()):
        whole = path.read_bytes()
        for _ in range(60):
            data = bytearray(whole[: draw.choice([len(whole), draw.randrange(len(whole))])])
            for place in (draw.randrange(len(data)) for _ in range(3) if data):
                data[place] = draw.randrange(256)
            (tmp_path / "changed").write_bytes(data)
            with contextlib.suppress(ConversionError):
                convert_file(tmp_path / "changed", tmp_path / "out.safetensors")
        (tmp_path / "changed").unlink()
