"""The demonstration: the tour ends well, and its Hub answers as the real one does."""

from __future__ import annotations

import hashlib
import io
import mmap
import pickletools
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from picklegate.demo import faults, models, tour
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError


@pytest.fixture(name="hub")
def _hub() -> Iterator[Hub]:
    files = {"config.json": b"{}", "weights.bin": bytes(range(100)), "more/notes.txt": b"a", "more/deep/b.txt": b"b"}
    with Hub({"org/model": files, "datasets/org/data": {"a.csv": b"1"}}, page_size=2) as hub:
        yield hub


@pytest.fixture(name="web")
def _web() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


def test_the_tour_ends_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both payloads are refused with their reasons, the rest arrives, and nothing is left behind."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lines: list[str] = []
    assert tour.run(lines.append) == 0
    text = "\n".join(lines)
    assert text.count("arrived") == 5
    assert text.count("refused") == 3
    assert "data.pkl" in text
    assert list(tmp_path.iterdir()) == []


def test_a_gate_that_lets_all_pass_fails_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tour notices when the hostile model arrives."""
    from huggingface_hub import hf_hub_download

    monkeypatch.setattr(tour, "safe_hf_hub_download", hf_hub_download)
    assert tour.run(lambda line: None) == 1


def test_a_gate_that_lets_nothing_pass_fails_the_tour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tour notices when the ordinary model is refused."""
    from picklegate.report import FileReport

    def refuse(*args: object, **options: object) -> str:
        raise BlockedError(FileReport(name="", container="", size=0), "no")

    monkeypatch.setattr(tour, "safe_hf_hub_download", refuse)
    assert tour.run(lambda line: None) == 1


@pytest.mark.parametrize("name", [models.ORDINARY, models.HOSTILE])
def test_the_pickles_are_well_formed(name: str) -> None:
    """Each data.pkl is one whole pickle, as pickletools reads it."""
    for path, data in models.repositories()[name].items():
        if path.endswith((".bin", ".pt")):
            pickle = zipfile.ZipFile(io.BytesIO(data)).read("archive/data.pkl")
            assert [end for _, _, end in pickletools.genops(pickle)][-1] == len(pickle) - 1


def test_torch_loads_the_ordinary_model() -> None:
    """The weights that were written without torch are those that torch reads."""
    torch = pytest.importorskip("torch")
    weights = torch.load(io.BytesIO(models.repositories()[models.ORDINARY][models.WEIGHTS]), weights_only=True)
    assert weights["encoder.weight"].shape == (8, 8)
    assert weights["encoder.bias"][1].item() == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("asked", "status", "content", "body"),
    [
        ("bytes=0-3", 206, "bytes 0-3/100", bytes(range(4))),
        ("bytes=96-", 206, "bytes 96-99/100", bytes(range(96, 100))),
        ("bytes=-2", 206, "bytes 98-99/100", bytes((98, 99))),
        ("bytes=-500", 206, "bytes 0-99/100", bytes(range(100))),
        ("bytes=90-500", 206, "bytes 90-99/100", bytes(range(90, 100))),
        ("bytes=100-", 416, "bytes */100", b""),
        ("bytes=-0", 416, "bytes */100", b""),
        ("lines=0-3", 200, None, bytes(range(100))),
    ],
    ids=["closed", "open", "suffix", "suffix-too-long", "end-too-far", "past-the-end", "empty-suffix", "other-unit"],
)
def test_ranges(hub: Hub, web: requests.Session, asked: str, status: int, content: str | None, body: bytes) -> None:
    """Ranges are answered across the redirect to the other origin, as RFC 9110 has it."""
    answer = web.get(f"{hub.endpoint}/org/model/resolve/main/weights.bin", headers={"Range": asked})
    assert (answer.status_code, answer.headers.get("Content-Range"), answer.content) == (status, content, body)
    assert [(request.origin, request.range) for request in hub.requests] == [("hub", asked), ("cdn", asked)]


def test_metadata(hub: Hub, web: requests.Session) -> None:
    """HEAD tells the commit and the ETag; for an LFS file both come with the redirect."""
    plain = web.head(f"{hub.endpoint}/org/model/resolve/main/config.json")
    assert plain.headers["ETag"] == '"9e26dfeeb6e641a33dae4961196235bdb965b21b"'
    assert plain.headers["Content-Length"] == "2"
    linked = web.head(f"{hub.endpoint}/org/model/resolve/main/weights.bin")
    assert linked.status_code == 302
    assert linked.headers["X-Linked-Size"] == "100"
    assert linked.headers["X-Repo-Commit"] == plain.headers["X-Repo-Commit"]
    assert not linked.headers["Location"].startswith(hub.endpoint)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("org/model/resolve/main/missing", "EntryNotFound"),
        ("org/model/resolve/other/config.json", "RevisionNotFound"),
        ("org/other/resolve/main/config.json", "RepoNotFound"),
        ("api/models/org/other", "RepoNotFound"),
        ("api/models/org/model/tree/other", "RevisionNotFound"),
    ],
)
def test_what_is_missing(hub: Hub, web: requests.Session, path: str, code: str) -> None:
    """Each 404 says which part of the address is wrong."""
    answer = web.get(f"{hub.endpoint}/{path}")
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (404, code)
    assert ("X-Repo-Commit" in answer.headers) == (code == "EntryNotFound")


def test_the_tree_has_pages(hub: Hub) -> None:
    """The real client collects every page, and sees folders, LFS files and what expand adds."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(endpoint=hub.endpoint, token=False)
    paths = [entry.path for entry in api.list_repo_tree("org/model", recursive=True, expand=True)]
    assert paths == ["config.json", "more", "more/deep", "more/deep/b.txt", "more/notes.txt", "weights.bin"]
    assert [entry.path for entry in api.list_repo_tree("org/model", "more")] == ["more/deep", "more/notes.txt"]
    (weights,) = api.get_paths_info("org/model", ["weights.bin", "missing"], expand=True)
    assert isinstance(weights, RepoFile)
    assert weights.lfs is not None
    assert weights.lfs.size == 100
    assert weights.security is not None


def test_information(hub: Hub) -> None:
    """The real client reads the commit and the files of models and data sets."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=hub.endpoint, token=False)
    info = api.model_info("org/model")
    assert info.sha == api.model_info("org/model", revision=info.sha).sha
    assert {file.rfilename for file in info.siblings or ()} == {
        "config.json",
        "weights.bin",
        "more/notes.txt",
        "more/deep/b.txt",
    }
    assert [file.rfilename for file in api.dataset_info("org/data").siblings or ()] == ["a.csv"]


def test_branches(hub: Hub, web: requests.Session) -> None:
    """A branch moves, its earlier commits stay, and a name with a slash is quoted."""
    first = web.head(f"{hub.endpoint}/org/model/resolve/main/config.json").headers["X-Repo-Commit"]
    second = hub.push("org/model", {"config.json": b"[]"})
    other = hub.push("org/model", {"config.json": b"()"}, branch="refs/pr/1")
    assert len({first, second, other}) == 3
    for revision, body in {first: b"{}", "main": b"[]", second: b"[]", "refs%2Fpr%2F1": b"()"}.items():
        assert web.get(f"{hub.endpoint}/org/model/resolve/{revision}/config.json").content == body


@pytest.mark.parametrize(
    ("fault", "asked", "status", "headers", "body"),
    [
        (faults.refuse(403, "GatedRepo"), "", 403, {"X-Error-Code": "GatedRepo"}, b"GatedRepo"),
        (faults.busy(429, retry_after_s=7), "", 429, {"Retry-After": "7"}, b""),
        (faults.header("ETag", '"../x"'), "", 200, {"ETag": '"../x"'}, bytes(range(100))),
        (faults.content(b"abcdef"), "", 200, {"Content-Length": "6"}, b"abcdef"),
        (faults.content(b"abcdef"), "bytes=1-2", 206, {"Content-Range": "bytes 1-2/6"}, b"bc"),
        (faults.shifted, "bytes=1-2", 206, {"Content-Range": "bytes 2-3/100"}, b"\1\2"),
        (faults.unranged, "bytes=1-2", 200, {"Content-Length": "100"}, bytes(range(100))),
        (faults.unranged, "bytes=100-", 200, {"Content-Length": "100"}, bytes(range(100))),
        (faults.compressed, "bytes=1-2", 206, {"Content-Encoding": "gzip"}, b"\1\2"),
    ],
    ids=["gated", "busy", "etag", "other", "other-range", "shifted", "unranged", "unranged-416", "compressed"],
)
def test_faults(
    hub: Hub, web: requests.Session, fault: faults.Fault, asked: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    """Each does its harm to what it is for, and to nothing else."""
    hub.faults.append(faults.on(r"^/lfs/", fault, method="GET", skip=1, times=1))
    address = f"{hub.endpoint}/org/model/resolve/main/weights.bin"
    well, ill, again = (web.get(address, headers={"Range": asked} if asked else {}) for _ in range(3))
    assert (well.status_code, well.content) == (again.status_code, again.content)
    assert (ill.status_code, ill.content) == (status, body)
    assert headers.items() <= ill.headers.items()


def test_a_cut_and_a_stalled_answer(hub: Hub, web: requests.Session) -> None:
    """The client sees a connection that ends too early, or an answer that does not come."""
    address = f"{hub.endpoint}/org/model/resolve/main/weights.bin"
    hub.faults[:] = [faults.on("/lfs/", faults.cut(10))]
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        web.get(address)
    hub.faults[:] = [faults.on("/lfs/", faults.stall(0.5))]
    with pytest.raises(requests.ConnectionError):
        web.get(address, timeout=0.1)


def test_a_mapped_file_is_served_like_bytes(hub: Hub, web: requests.Session, tmp_path: Path) -> None:
    """Its digests and ranges are those of its content."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(3_000_000)
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        hub.push("org/model", {"sparse.bin": mapped, "sparse.txt": mapped})
        plain = web.get(f"{hub.endpoint}/org/model/resolve/main/sparse.txt")
        assert plain.content == bytes(3_000_000)
        assert plain.headers["ETag"] == f'"{hashlib.sha1(b"blob 3000000" + bytes(3_000_001)).hexdigest()}"'
        linked = web.get(f"{hub.endpoint}/org/model/resolve/main/sparse.bin", headers={"Range": "bytes=-9"})
        assert linked.content == bytes(9)
        assert linked.headers["ETag"] == f'"{hashlib.sha256(bytes(3_000_000)).hexdigest()}"'
