"""Files read over HTTP ranges: the same verdict as on disk, at little cost, and no trust in the server."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import BinaryIO, cast

import pytest

from picklegate.demo import faults
from picklegate.demo.hub_server import Answer, Hub
from picklegate.hub import remote_file
from picklegate.hub.remote_file import RemoteError, RemoteFile
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_stream
from samples.containers import CALL, HONEST, PAYLOAD, joblib_file, npy, scan, tarred, torch_legacy, torch_zip

MEGABYTE = 1 << 20
NAME = "weights.bin"
NOISE = random.Random(0).randbytes(MEGABYTE)


def torch_archive(pickle: bytes, *, storage: int = MEGABYTE) -> bytes:
    """An archive as torch.save orders it: the pickle first, then numbers."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle)
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/data/0", bytes(storage))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/.data/serialization_id", "0" * 40)
    return file.getvalue()


def padded(pickle: bytes, size: int = 3 * MEGABYTE) -> bytes:
    """The pickle behind one long string."""
    return b"\x80\x02B" + size.to_bytes(4, "little") + bytes(size) + b"0" + pickle.removeprefix(b"\x80\x02")


FILES = {
    "torch": torch_archive(HONEST),
    "torch-hostile": torch_archive(CALL + b"."),
    "torch-long-pickle": torch_archive(padded(PAYLOAD)),
    "torch-sample": torch_zip(PAYLOAD),
    "legacy": torch_legacy(object=PAYLOAD) + NOISE,
    "raw": padded(PAYLOAD),
    "raw-small": PAYLOAD,
    "joblib": joblib_file(b"N", "<f8", bytes(2 * MEGABYTE), MEGABYTE // 4),
    "joblib-hostile": joblib_file(b"N0" + CALL, "<f8", NOISE * 2, MEGABYTE // 4),
    "joblib-many": b"\x80\x02("
    + b"".join(joblib_file(b"N", "<f8", NOISE[: 8 * n], n)[2:-1] for n in (3, 9_000, 131_072, 5, 131_072))
    + CALL
    + b"l.",
    "npy": npy(PAYLOAD) + NOISE,
    "gzip": gzip.compress(padded(PAYLOAD), 1),
    "tar": tarred(**{"a.txt": b"text", "b.bin": NOISE, "c.pkl": PAYLOAD}),
    "raw-long-line": b"V" + b"word " * 100_000 + b"\n0" + PAYLOAD,
    "raw-endless-line": b"V" + bytes(1 << 20),
    "noise": b"\0" + NOISE,
    "text": b"word\n" * MEGABYTE,
    "empty": b"",
}


@pytest.fixture(name="hub", scope="module")
def _hub() -> Iterator[Hub]:
    """A Hub with every file, as an LFS file on another origin and as a plain one."""
    files = {f"{kind}{suffix}": data for kind, data in FILES.items() for suffix in (".bin", ".plain")}
    with Hub({"org/model": files}) as hub:
        yield hub


@pytest.fixture(autouse=True)
def _quickly(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is waited for, and no test sees another one's requests or faults."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(remote_file, "_backoff", lambda failures: 0.0)
    hub.requests.clear()
    yield
    hub.faults.clear()


def opened(hub: Hub, name: str, *, most: int | None = None) -> RemoteFile:
    """A file of the Hub, with a token."""
    data = FILES[name.partition(".")[0]]
    url = f"{hub.endpoint}/org/model/resolve/main/{name}"
    return RemoteFile(url, size=len(data), headers={"Authorization": "Bearer hf_test"}, most=most)


def judged(file: RemoteFile, *, briefly: bool = False) -> FileReport:
    """The report on a file as it is read."""
    return scan_stream(cast("BinaryIO", file), name="x", digest=False, briefly=briefly)


@pytest.mark.parametrize("suffix", [".bin", ".plain"], ids=["lfs", "plain"])
@pytest.mark.parametrize("kind", FILES)
def test_the_verdict_is_the_local_one(hub: Hub, kind: str, suffix: str) -> None:
    """Streams, findings and container are those of the same bytes on disk."""
    local = scan_stream(io.BytesIO(FILES[kind]), name="x", digest=False)
    assert judged(opened(hub, kind + suffix)).to_dict() == local.to_dict()


@pytest.mark.parametrize(
    ("kind", "requests", "kilobytes"),
    [
        ("torch", 3, 129),
        ("torch-long-pickle", 4, 129 + 3 * 1024),
        ("raw-small", 2, 1),
        ("joblib", 6, 400),
        ("joblib-hostile", 6, 400),
        ("noise", 4, 200),
        ("text", 4, 200),
        ("empty", 0, 0),
    ],
)
def test_what_it_costs(hub: Hub, kind: str, requests: int, kilobytes: int) -> None:
    """Redirect, end, beginning and exact pickle: arrays and storages are not fetched."""
    file = opened(hub, f"{kind}.bin")
    judged(file)
    assert file.requests == len(hub.requests)
    assert file.requests <= requests
    assert file.bytes <= kilobytes * 1024


def test_a_hostile_pickle_is_not_read_to_its_end(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where MALICIOUS is certain from the first look, no more is fetched, and no fault is made of that."""
    monkeypatch.setitem(FILES, "raw", CALL + b"0" + padded(b"N."))
    hub.push("org/model", {"raw.bin": FILES["raw"]}, branch="early")
    url = f"{hub.endpoint}/org/model/resolve/early/raw.bin"
    file = RemoteFile(url, size=len(FILES["raw"]))
    report = judged(file, briefly=True)
    assert report.verdict == Verdict.MALICIOUS
    assert {finding.verdict for finding in report.reasons} <= {Verdict.MALICIOUS, Verdict.SUSPICIOUS}
    assert file.bytes < MEGABYTE


def test_the_token_goes_to_the_endpoint_only(hub: Hub) -> None:
    """The other origin, and the endpoint when asked again, get what is meant for them."""
    file = opened(hub, "torch.bin")
    judged(file)
    assert {(request.origin, request.authorized) for request in hub.requests} == {("hub", True), ("cdn", False)}
    assert [request.origin for request in hub.requests].count("hub") == 1


def test_an_expired_redirect_is_asked_for_again(hub: Hub) -> None:
    """A signed address that is refused half-way is renewed at the endpoint."""
    hub.faults.append(faults.on("/lfs/", faults.refuse(403), origin="cdn", skip=1, times=1))
    judged(opened(hub, "torch.bin"))
    assert [request.status for request in hub.requests if request.origin == "hub"] == [302, 302]


@pytest.mark.parametrize(
    "fault",
    [faults.busy(429, retry_after_s=0), faults.refuse(503), faults.cut(1000), faults.cut(0)],
    ids=["429", "503", "cut-body", "no-body"],
)
@pytest.mark.parametrize("skip", [0, 1, 2])
def test_a_passing_fault_is_ridden_out(hub: Hub, fault: faults.Fault, skip: int) -> None:
    """Two bad answers in a row change nothing about the verdict."""
    hub.faults.append(faults.on("torch-long-pickle", fault, method="GET", skip=skip, times=2))
    hub.faults.append(faults.on("/lfs/", fault, method="GET", skip=skip, times=2))
    assert judged(opened(hub, "torch-long-pickle.plain")).verdict == Verdict.MALICIOUS
    assert judged(opened(hub, "torch-long-pickle.bin")).verdict == Verdict.MALICIOUS


def longer(answer: Answer) -> Answer:
    """Tells of a file that is one byte longer."""
    span = answer.headers.get("Content-Range", "").rpartition("/")[0]
    return faults.header("Content-Range", f"{span}/{len(answer.body) + 1}")(answer)


@pytest.mark.parametrize(
    ("fault", "skip", "words"),
    [
        (faults.unranged, 0, "no ranges"),
        (faults.unranged, 1, "no ranges"),
        (faults.compressed, 0, "compressed"),
        (faults.shifted, 0, "another range"),
        (faults.shifted, 1, "another range"),
        (longer, 0, "another range"),
        (faults.header("ETag", '"other"'), 1, "changed"),
        (faults.refuse(416), 0, "no ranges"),
        (faults.refuse(403), 0, "no ranges"),
        (faults.refuse(500), 0, "status 500"),
        (faults.cut(0), 0, "IncompleteRead"),
        (faults.busy(429, retry_after_s=3600), 0, "3600 seconds"),
    ],
    ids=[
        "no-ranges",
        "no-later",
        "compressed",
        "shifted",
        "shifted-later",
        "longer",
        "changed",
        "416",
        "403",
        "500",
        "cut",
        "busy-for-an-hour",
    ],
)
def test_a_server_that_cannot_be_relied_on_is_left(hub: Hub, fault: faults.Fault, skip: int, words: str) -> None:
    """What is not the range asked for, of the one file, is an OSError and no verdict."""
    hub.faults.append(faults.on("torch-long-pickle", fault, skip=skip))
    with pytest.raises(RemoteError, match=words):
        judged(opened(hub, "torch-long-pickle.plain"))


def test_a_body_that_goes_on_is_cut(hub: Hub) -> None:
    """Only what was asked for is taken, however much is sent."""
    data = FILES["torch-long-pickle"]

    def goes_on(answer: Answer) -> Answer:
        return replace(answer, body=data + NOISE, stop=(answer.stop or 0) + len(NOISE)) if answer.stop else answer

    hub.faults.append(faults.on("torch-long-pickle", goes_on))
    file = opened(hub, "torch-long-pickle.plain")
    assert judged(file).verdict == Verdict.MALICIOUS
    assert file.bytes < len(data) + MEGABYTE


def test_a_stalled_server_is_left(hub: Hub) -> None:
    """Nobody waits for ever."""
    hub.faults.append(faults.on("torch", faults.stall(2.0)))
    file = opened(hub, "torch.plain")
    file._timeout_s = 0.05
    with pytest.raises(RemoteError, match="timed out"):
        judged(file)


def test_a_redirect_that_goes_round_ends(hub: Hub) -> None:
    """So does one that leads nowhere."""
    again = Answer(status=302, headers={"Location": "/org/model/resolve/main/torch.plain"})
    hub.faults.append(faults.on("torch", lambda _: again))
    with pytest.raises(RemoteError, match="no ranges"):
        judged(opened(hub, "torch.plain"))
    assert len(hub.requests) < 10


def test_more_than_the_budget_is_not_read(hub: Hub) -> None:
    """A pickle so long that it is cheaper to fetch it once is left to that."""
    with pytest.raises(RemoteError, match="more than 1,000,000 bytes"):
        judged(opened(hub, "raw.bin", most=1_000_000))


def test_any_way_of_reading_gives_the_bytes(hub: Hub) -> None:
    """Random seeks and reads are those of a file."""
    draw = random.Random(1)
    data = FILES["noise"]
    file = opened(hub, "noise.bin")
    for _ in range(60):
        start, size = draw.randrange(len(data)), draw.choice((1, 10, 5_000, 70_000))
        file.seek(start)
        assert file.read(size) == data[start : start + size]
    assert (file.tell(), file.seek(-3, io.SEEK_END), file.read(), file.read(1)) == (
        min(start + size, len(data)),
        len(data) - 3,
        data[-3:],
        b"",
    )


def test_the_samples_are_what_they_say() -> None:
    """The kinds of container are all there."""
    kinds = {scan(data).container for data in FILES.values()}
    assert kinds >= {"torch_zip", "torch_legacy", "raw", "joblib", "npy", "raw_gzip", "tar", "text", "empty"}
    assert tarfile.is_tarfile(io.BytesIO(FILES["tar"]))
