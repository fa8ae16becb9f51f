"""Each container around each way to write one call: the call's import is seen, and benign content is clean."""

from __future__ import annotations

import base64
import struct

import pytest

from picklegate.report import Verdict
from samples.containers import (
    CALL,
    CONTAINERS,
    HONEST,
    HOSTILE,
    PAYLOAD,
    STATE,
    STORAGES,
    Member,
    imports,
    joblib_file,
    mar,
    npy,
    scan,
    skops,
    torch_legacy,
    torch_tar,
    zipped,
)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("trick", HOSTILE)
def test_a_call_is_seen_in_every_container(container: str, trick: str) -> None:
    """The import of a call shows whatever container it travels in, broken after the call or not."""
    assert ("os", "system") in imports(scan(CONTAINERS[container](HOSTILE[trick])))


@pytest.mark.parametrize("container", CONTAINERS)
def test_benign_content_is_clean(container: str) -> None:
    """The same containers around a plain dict are read to the end, without a finding that blocks."""
    contents = scan(CONTAINERS[container](HONEST))
    assert contents.streams
    assert all(stream.trace.stopped for stream in contents.streams)
    assert [finding for finding in contents.findings if finding.verdict > Verdict.CLEAN] == []


@pytest.mark.parametrize(
    ("data", "container"),
    [
        (HONEST, "raw"),
        (CONTAINERS["torch_zip"](HONEST), "torch_zip"),
        (CONTAINERS["torchscript_zip"](HONEST), "torchscript_zip"),
        (torch_legacy(), "torch_legacy"),
        (torch_tar(), "torch_tar"),
        (joblib_file(), "joblib"),
        (CONTAINERS["gzip"](joblib_file()), "joblib_gzip"),
        (CONTAINERS["npz"](HONEST), "zip"),
        (npy(HONEST), "npy"),
        (CONTAINERS["stable_baselines"](HONEST), "stable_baselines_zip"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_containers_have_names(data: bytes, container: str) -> None:
    """The container's name says which loader's reading it was."""
    assert scan(data).container == container


def test_a_skops_file_of_numbers_has_no_stream() -> None:
    """The schema names classes, but nothing in an ordinary skops file is a pickle."""
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }\n"
    array = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + struct.pack("<2d", 0.5, -0.25)
    contents = scan(skops(array), "model.skops")
    assert (contents.container, contents.streams, contents.findings) == ("zip", (), ())


@pytest.mark.parametrize("model", ["model.pt", "weights.bin", "weights"])
def test_the_model_of_a_mar_is_opened_by_what_it_is(model: str) -> None:
    """The manifest may call the model what it likes."""
    contents = scan(mar(PAYLOAD, model), "m.mar")
    assert [stream.name for stream in contents.streams] == [f"{model}/archive/data.pkl"]
    assert ("os", "system") in imports(contents)


@pytest.mark.parametrize("part", ["magic", "protocol", "sys_info", "object", "keys"])
def test_each_of_the_five_pickles_is_a_stream(part: str) -> None:
    """A payload in any pickle of an old torch file is seen, also one that stands for the magic number."""
    contents = scan(torch_legacy(**{part: PAYLOAD}))
    assert ("os", "system") in imports(contents)


def test_old_torch_files_have_five_streams_and_skip_their_storages() -> None:
    """The raw storages behind the five pickles are no stream, and a second file behind them is read."""
    names = [stream.name for stream in scan(torch_legacy()).streams]
    assert names == ["magic number", "protocol", "sys_info", "object", "storage keys"]
    twice = scan(torch_legacy() + torch_legacy(object=PAYLOAD))
    assert len(twice.streams) == 10
    assert ("os", "system") in imports(twice)


def test_a_short_storage_before_a_second_file_is_skipped() -> None:
    """Whatever the length of the last storage, the second file's magic number is where it ends."""
    first = torch_legacy().removesuffix(STORAGES) + struct.pack("<q", 0)
    assert [stream.trace.stopped for stream in scan(first + torch_legacy()).streams] == [True] * 10


def test_storages_whose_length_cannot_be_told_end_at_the_next_file() -> None:
    """A storage class that is not known hides no second file."""
    unknown = torch_legacy(object=STATE.replace(b"FloatStorage", b"OtherStorage"))
    contents = scan(unknown + torch_legacy(object=PAYLOAD))
    assert ("os", "system") in imports(contents)
    assert len(contents.streams) == 10


def test_streams_where_storages_should_be_are_read() -> None:
    """A program that calls ``pickle.load`` again and again comes to the payload behind a stream that does nothing."""
    contents = scan(torch_legacy().removesuffix(STORAGES) + HONEST + b"N." + PAYLOAD)
    assert ("os", "system") in imports(contents)


def test_storages_that_look_like_a_pickle_are_none() -> None:
    """A storage whose count begins like a protocol header is skipped by its length."""
    count = 0x0280
    contents = scan(torch_legacy().removesuffix(STORAGES) + count.to_bytes(8, "little") + bytes(4 * count))
    assert len(contents.streams) == 5
    assert contents.findings == ()


@pytest.mark.parametrize("member", ["storages", "tensors"])
def test_the_oldest_torch_files_are_read_between_their_numbers(member: str) -> None:
    """Pickles that stand between raw storages and sizes are found; one behind a storage too."""
    contents = scan(torch_tar(key=CALL))
    assert ("os", "system") in imports(contents)
    assert all(stream.trace.stopped for stream in contents.streams)
    assert sum(stream.name.startswith(member) for stream in contents.streams) == (3 if member == "storages" else 2)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_every_header_version_of_npy_is_read(version: int) -> None:
    """The pickle behind the header is found in format 1, 2 and 3."""
    assert ("os", "system") in imports(scan(npy(PAYLOAD, version)))


def test_several_arrays_in_one_npy_file_are_read() -> None:
    """Arrays saved one after another into a file are all opened."""
    assert ("os", "system") in imports(scan(npy(HONEST) + npy(HONEST) + npy(PAYLOAD)))


def test_npy_with_an_unreadable_header_is_unscannable() -> None:
    """A header that numpy might read and we do not never ends as clean."""
    data = npy(PAYLOAD).replace(b"'|O'", b"0,,0")
    contents = scan(data)
    assert "npy.unknown-header" in {finding.code for finding in contents.findings}


@pytest.mark.parametrize(
    "tail",
    [
        '{"a": {":serialized:": "%s"}, "pad": "%s"}',
        '{"pad": "%.0s%s", "a": {":serialized:": "Li4="}}',
        '{"a": {"\\u003aserialized:": "%s", ":serialized:": "Li4="}, "pad": "%s"}',
        '{"a": {":serialized:": "%s"}, "a": {}, "pad": "%s"}',
    ],
    ids=["long", "no-payload", "escaped-key-given-twice", "value-given-twice"],
)
def test_serialized_values_are_found_anywhere_in_the_json(tail: str) -> None:
    """Neither length nor escapes nor repeated keys hide a serialized value."""
    member = tail % (base64.b64encode(PAYLOAD).decode(), "x" * 200_000)
    contents = scan(zipped(Member(b"data", member.encode(), 8)))
    assert (("os", "system") in imports(contents)) == ("%.0s" not in tail)
