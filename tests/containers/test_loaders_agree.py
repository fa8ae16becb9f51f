"""The real loaders as referees: what they write is read to its end, stream by stream as they read it."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pytest

from picklegate.containers import Contents, read
from picklegate.report import Verdict
from samples.containers import imports, scan


class Call:
    """An object whose pickle calls ``os.system`` when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        """The inert call."""
        return os.system, ("true",)


def assert_clean(contents: Contents) -> None:
    """All streams end in STOP, and no finding blocks."""
    assert contents.streams
    assert [stream.trace.fault for stream in contents.streams if not stream.trace.stopped] == []
    assert [finding for finding in contents.findings if finding.verdict > Verdict.CLEAN] == []


def arrays() -> dict[str, Any]:
    """Arrays of every kind that numpy has a layout for."""
    numpy = pytest.importorskip("numpy")
    record = [("a", "f8"), ("b", "S5"), ("m", "f4", (3, 2))]
    return {
        "floats": numpy.arange(10.0),
        "fortran": numpy.asfortranarray(numpy.ones((3, 4))),
        "objects": numpy.array([{"a": 1}, None, [1, 2]], dtype=object),
        "records": numpy.zeros(3, dtype=record),
        "records-of-objects": numpy.array([(1, "x"), (2, "y")], dtype=[("a", "i4"), ("b", object)]),
        "text": numpy.array(["ab", "cde"]),
        "no-text": numpy.array(["", ""]),
        "bytes": numpy.array([b"abc"]),
        "dates": numpy.array(["2020-01-01"], dtype="M8[D]"),
        "none": numpy.zeros((0, 3)),
        "scalar": numpy.array(3.5),
        "other-order": numpy.ones(5, dtype=">i2"),
        "flags": numpy.zeros(2, dtype=bool),
        "complex": numpy.ones(3, dtype=complex),
        "half": numpy.ones(3, dtype=numpy.float16),
        "matrix": numpy.matrix([[1, 2], [3, 4]]),
    }


KINDS = ("floats", "fortran", "objects", "records", "records-of-objects", "text", "no-text", "bytes", "dates", "none",
         "scalar", "other-order", "flags", "complex", "half", "matrix")  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_joblib_arrays_of_every_kind(kind: str) -> None:
    """What stands behind an array is read, whatever the array's type, order and alignment."""
    joblib = pytest.importorskip("joblib")
    out = io.BytesIO()
    joblib.dump([arrays()[kind], {"x": arrays()[kind]}], out)
    contents = scan(out.getvalue())
    assert contents.container == "joblib"
    assert_clean(contents)
    assert contents.streams[0].trace.end == len(out.getvalue())
    joblib.dump([arrays()[kind], Call()], out := io.BytesIO())
    assert ("posix", "system") in imports(scan(out.getvalue())) or ("nt", "system") in imports(scan(out.getvalue()))


@pytest.mark.parametrize("codec", ["zlib", "gzip", "bz2", "lzma", "xz", "lz4"])
def test_joblib_compression(codec: str, tmp_path: Path) -> None:
    """Every compression that joblib knows is undone, and all arrays inside are read."""
    joblib = pytest.importorskip("joblib")
    if codec == "lz4":
        pytest.importorskip("lz4")
    joblib.dump([arrays()["floats"], arrays()["objects"], Call()], tmp_path / "m", compress=(codec, 3))
    contents = scan((tmp_path / "m").read_bytes())
    assert contents.container == f"joblib_{codec}"
    assert_clean(contents)
    assert {name for _, name in imports(contents)} >= {"system", "NumpyArrayWrapper"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_numpy_files(compressed: bool) -> None:  # noqa: FBT001  a parameter of the test
    """Only arrays of objects hold a stream, alone or in an archive."""
    numpy = pytest.importorskip("numpy")
    known = arrays()
    for kind, array in known.items():
        out = io.BytesIO()
        numpy.save(out, array)
        contents = scan(out.getvalue(), "a.npy")
        assert contents.container == "npy"
        assert len(contents.streams) == ("objects" in kind)
        assert contents.findings == ()
    out = io.BytesIO()
    (numpy.savez_compressed if compressed else numpy.savez)(out, **{**known, "zeros": numpy.zeros(1 << 18)})
    contents = scan(out.getvalue(), "a.npz")
    assert sorted(stream.name for stream in contents.streams) == ["objects.npy", "records-of-objects.npy"]
    assert_clean(contents)


@pytest.mark.filterwarnings("ignore")
def test_torch_archives() -> None:
    """The stream of a torch archive is what torch's own reader takes for the object."""
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    torch.save({"w": torch.ones(3, 4), "b": torch.ones(2, dtype=torch.bfloat16), "n": torch.nn.Linear(2, 2)}, out)
    contents = scan(out.getvalue())
    assert contents.container == "torch_zip"
    assert [stream.name for stream in contents.streams] == ["archive/data.pkl"]
    assert_clean(contents)
    record = torch._C.PyTorchFileReader(io.BytesIO(out.getvalue())).get_record("data.pkl")
    assert contents.streams[0].trace.end == len(record)
    assert imports(scan(record)) == imports(contents)


@pytest.mark.filterwarnings("ignore")
def test_old_torch_files() -> None:
    """The five pickles are told from the storages, for every type of storage and two files in one."""
    torch = pytest.importorskip("torch")
    state = {"f": torch.ones(640), "i": torch.ones(5, dtype=torch.int64), "b": torch.ones(2, dtype=torch.bool)}
    out = io.BytesIO()
    for _ in range(2):
        torch.save(state, out, _use_new_zipfile_serialization=False)
    contents = scan(out.getvalue())
    assert contents.container == "torch_legacy"
    assert len(contents.streams) == 10
    assert_clean(contents)
    file = io.BytesIO(out.getvalue())
    ends = []
    for _ in range(3):
        for _ in pickletools.genops(file):
            pass
        ends.append(file.tell())
    assert ends == [stream.trace.end for stream in contents.streams[:3]]


@pytest.mark.filterwarnings("ignore")
def test_torchscript_archives() -> None:
    """A compiled module has a name of its own and is read to its end."""
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), out)
    contents = scan(out.getvalue())
    assert contents.container == "torchscript_zip"
    assert_clean(contents)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_streams_in_a_row(protocol: int, tmp_path: Path) -> None:
    """Pickles written one after another to a file are separate streams, in a file that is mapped."""
    with (tmp_path / "m.pkl").open("wb") as file:
        for number in range(5):
            pickle.dump({"epoch": number, "loss": 0.5}, file, protocol)
    with (tmp_path / "m.pkl").open("rb") as file:
        contents = read(file, name="m.pkl")
    assert [stream.name for stream in contents.streams] == [f"stream {number}" for number in range(1, 6)]
    assert_clean(contents)
