"""The verdict before the download: what is refused is not fetched, and what is fetched is not taken on trust."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from picklegate.demo import faults, models
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError
from picklegate.hub import preview, remote_file
from picklegate.hub.download import safe_hf_hub_download, safe_snapshot_download
from picklegate.policy import Policy
from picklegate.report import Verdict

ORDINARY = models.repositories()[models.ORDINARY]
HOSTILE = models.repositories()[models.HOSTILE]
WEIGHTS = models.WEIGHTS
REPO = "org/model"
ROWS = "\n".join(f"row {number}" for number in range(50_000)).encode()

each_kind = pytest.mark.parametrize("hub", [(), (".bin", ".pt")], indirect=True, ids=["file", "lfs"])
each_place = pytest.mark.parametrize("place", ["cache_dir", "local_dir"])


@pytest.fixture(name="hub")
def _hub(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """A Hub with an ordinary repository and a hostile branch, of which nothing is judged yet."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setattr("picklegate.demo.repositories.LFS_SUFFIXES", getattr(request, "param", (".bin", ".pt")))
    monkeypatch.setattr(remote_file, "_backoff", lambda failures: 0.0)
    with Hub({REPO: {**ORDINARY, "table.csv": ROWS, "copy/again.bin": ORDINARY[WEIGHTS]}}) as hub:
        hub.push(REPO, HOSTILE, branch="hostile")
        yield hub


def fetch(hub: Hub, name: Any = WEIGHTS, **options: Any) -> Path:
    """A file through the gate."""
    return Path(safe_hf_hub_download(REPO, name, endpoint=hub.endpoint, token=False, **options))


def snapshot(hub: Hub, **options: Any) -> Path:
    """A snapshot through the gate."""
    return Path(safe_snapshot_download(REPO, endpoint=hub.endpoint, token=False, **options))


def bodies(hub: Hub) -> Counter[str]:
    """How often each file was fetched as a whole, by the last part of its path, since the last look."""
    found = Counter(
        request.path.rpartition("/")[2]
        for request in hub.requests
        if request.method == "GET" and request.status == 200 and "/api/" not in request.path
    )
    hub.requests.clear()
    return found


def parts(hub: Hub) -> int:
    """How many parts of files were asked for."""
    return sum(bool(request.range) for request in hub.requests)


def files(folder: Path) -> list[Path]:
    """Every file below a folder but locks."""
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


@each_kind
@each_place
def test_what_is_blocked_is_never_fetched(hub: Hub, tmp_path: Path, place: str) -> None:
    """The log has parts of the file and no whole of it, and nothing is written; the next call asks for no part."""
    for again in (False, True):
        with pytest.raises(BlockedError, match="Nothing of it was fetched") as caught:
            fetch(hub, revision="hostile", **{place: tmp_path / "place"})
        assert caught.value.report.verdict == Verdict.MALICIOUS
        assert caught.value.report.size == len(HOSTILE[WEIGHTS])
        assert bool(parts(hub)) != again
        assert bodies(hub) == Counter()
        assert files(tmp_path) == []


@each_kind
@each_place
def test_what_is_clean_is_fetched_once(hub: Hub, tmp_path: Path, place: str) -> None:
    """The whole goes over the wire once, and a second place costs no forecast."""
    for again in (False, True):
        path = fetch(hub, **{place: tmp_path / str(again)})
        assert path.read_bytes() == ORDINARY[WEIGHTS]
        assert bool(parts(hub)) != again
        assert list(bodies(hub).values()) == [1]


@each_kind
@each_place
def test_a_hostile_snapshot_is_not_begun(hub: Hub, tmp_path: Path, place: str) -> None:
    """All files are judged before the first is fetched, and the error tells of every blocked one."""
    with pytest.raises(BlockedError) as caught:
        snapshot(hub, revision="hostile", **{place: tmp_path / "place"})
    assert all(f"/{name} " in str(caught.value) for name in models.PAYLOADS)
    assert bodies(hub) == Counter()
    assert files(tmp_path) == []


@each_kind
@each_place
def test_a_snapshot_can_skip_what_is_blocked(
    hub: Hub, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The policy's choice leaves out just those files, whatever their names, and says so."""
    hub.push(REPO, {**ORDINARY, "odd [1]*.bin": HOSTILE[WEIGHTS], "odd 1.bin": ORDINARY[WEIGHTS]}, branch="mixed")
    with caplog.at_level(logging.WARNING):
        folder = snapshot(hub, revision="mixed", policy=Policy(on_block="skip"), **{place: tmp_path / "place"})
    assert "odd [1]*.bin" in caplog.text
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name in names if not name.startswith(".cache/")} == {*ORDINARY, "odd 1.bin"}
    with pytest.raises(BlockedError):
        fetch(hub, "odd [1]*.bin", revision="mixed", policy=Policy(on_block="skip"), cache_dir=tmp_path / "single")


@each_place
def test_a_snapshot_skips_what_turns_out_blocked(hub: Hub, tmp_path: Path, place: str) -> None:
    """So where the forecast could not be made."""
    hub.faults.append(faults.on(".", faults.refuse(416), ranged=True))
    hub.push(REPO, {**ORDINARY, "bad.bin": HOSTILE[WEIGHTS]}, branch="mixed")
    folder = snapshot(hub, revision="mixed", policy=Policy(on_block="skip"), **{place: tmp_path / "place"})
    assert (folder / WEIGHTS).read_bytes() == ORDINARY[WEIGHTS]
    assert not any(path.read_bytes() == HOSTILE[WEIGHTS] for path in files(tmp_path))


@pytest.mark.parametrize(
    "fault",
    [
        faults.unranged,
        faults.compressed,
        faults.shifted,
        faults.refuse(416),
        faults.refuse(403),
        faults.refuse(503),
        faults.cut(10),
    ],
    ids=["unranged", "compressed", "shifted", "416", "403", "503", "cut"],
)
@each_kind
def test_where_no_parts_are_to_be_had_the_whole_is_judged(hub: Hub, tmp_path: Path, fault: faults.Fault) -> None:
    """The fallback is staging, never trust."""
    hub.faults.append(faults.on(".", fault, ranged=True))
    with pytest.raises(BlockedError, match="Nothing of it was kept"):
        fetch(hub, revision="hostile", cache_dir=tmp_path / "place")
    assert not any(path.read_bytes() == HOSTILE[WEIGHTS] for path in files(tmp_path))
    assert fetch(hub, cache_dir=tmp_path / "place").read_bytes() == ORDINARY[WEIGHTS]


@each_kind
@each_place
def test_what_arrives_is_judged_whatever_the_parts_showed(hub: Hub, tmp_path: Path, place: str) -> None:
    """A server with two contents under one name gets neither through, and cannot spoil the store with the other."""
    hub.faults.append(faults.on(".", faults.content(ORDINARY[WEIGHTS]), method="GET", ranged=True))
    data = HOSTILE[WEIGHTS].ljust(len(ORDINARY[WEIGHTS]), b"\0")[: len(ORDINARY[WEIGHTS])]
    hub.push(REPO, {WEIGHTS: data}, branch="two-faced")
    for _ in range(2):
        with pytest.raises(BlockedError, match="Nothing of it was kept"):
            fetch(hub, revision="two-faced", **{place: tmp_path / "place"})
        assert not any(path.read_bytes() == data for path in files(tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ETag", '"../../../../evil"'),
        ("ETag", '".."'),
        ("ETag", '"a\\b"'),
        ("X-Repo-Commit", "../../evil"),
    ],
    ids=["path-in-etag", "parent-as-etag", "backslash-in-etag", "path-in-commit"],
)
@pytest.mark.parametrize("hub", [()], indirect=True, ids=["file"])
def test_a_name_that_leaves_the_cache_is_refused(hub: Hub, tmp_path: Path, name: str, value: str) -> None:
    """The client would write where the server says: it is not asked to."""
    hub.faults.append(faults.on("resolve", faults.header(name, value)))
    with pytest.raises(BlockedError, match=r"hub\.hostile-name"):
        fetch(hub, cache_dir=tmp_path / "a" / "b" / "cache")
    assert files(tmp_path) == []
    assert bodies(hub) == Counter()


def test_a_digest_that_is_trusted_is_fetched_and_checked(hub: Hub, tmp_path: Path) -> None:
    """The Hub's word for the digest opens the way for the download, and the bytes must have it."""
    with pytest.raises(BlockedError) as caught:
        fetch(hub, revision="hostile", cache_dir=tmp_path)
    policy = Policy(allow_digests=(caught.value.report.sha256,))
    assert fetch(hub, revision="hostile", cache_dir=tmp_path, policy=policy).read_bytes() == HOSTILE[WEIGHTS]
    lied = f'"{caught.value.report.sha256}"'
    hub.faults.append(faults.on("resolve", faults.header("X-Linked-Etag", lied)))
    with pytest.raises(BlockedError):
        fetch(hub, models.OPTIMIZER, revision="hostile", cache_dir=tmp_path / "other", policy=policy)


def test_one_content_is_judged_once(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads ask for snapshots and files of the same contents, and each content is read once."""
    read: list[str] = []
    plain = preview.Preview._read

    def counted(self: preview.Preview, entry: preview.Entry, most: int | None) -> Any:
        read.append(entry.tag)
        return plain(self, entry, most)

    monkeypatch.setattr(preview.Preview, "_read", counted)
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(snapshot, hub, cache_dir=tmp_path / str(number)) for number in range(4)]
        jobs += [pool.submit(fetch, hub, cache_dir=tmp_path / str(number)) for number in range(4)]
        assert all(job.result().exists() for job in jobs)
    assert len(read) == len(set(read)) > 3


def test_processes_share_what_they_learn(hub: Hub, tmp_path: Path) -> None:
    """Two processes at once ask for no part twice."""
    code = f"""
        import sys
        from picklegate import safe_snapshot_download
        safe_snapshot_download({REPO!r}, cache_dir=sys.argv[1], endpoint={hub.endpoint!r}, token=False)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    processes = [subprocess.Popen([*command, str(tmp_path / name)]) for name in ("one", "two")]
    assert [process.wait(60) for process in processes] == [0, 0]
    asked = Counter((request.path, request.range) for request in hub.requests if request.status == 206)
    assert set(asked.values()) == {1}


def test_a_text_costs_little(hub: Hub, tmp_path: Path) -> None:
    """Of a file that is no pickle a beginning and an end are read."""
    fetch(hub, "table.csv", cache_dir=tmp_path)
    ranges = [request.range.removeprefix("bytes=").split("-") for request in hub.requests if request.range]
    assert len(ranges) <= 3
    assert sum(int(last) - int(first) + 1 for first, last in ranges) <= 3 << 16


def test_a_broken_store_changes_no_verdict(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a place for the store and the locks everything is read each time."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "file"))
    for _ in range(2):
        with pytest.raises(BlockedError):
            fetch(hub, revision="hostile", cache_dir=tmp_path / "cache")
        assert parts(hub)
        assert bodies(hub) == Counter()
    assert fetch(hub, cache_dir=tmp_path / "cache").read_bytes() == ORDINARY[WEIGHTS]


def test_a_commit_that_is_there_costs_no_request(hub: Hub, tmp_path: Path) -> None:
    """As with the client, a full commit hash is answered from the cache."""
    fetch(hub, cache_dir=tmp_path)
    commit = next((tmp_path / "models--org--model" / "snapshots").iterdir()).name
    hub.requests.clear()
    assert fetch(hub, cache_dir=tmp_path, revision=commit).read_bytes() == ORDINARY[WEIGHTS]
    assert hub.requests == []


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, ""), (403, "GatedRepo"), (404, "RepoNotFound"), (404, "EntryNotFound")],
    ids=["401", "gated", "no-repository", "no-file"],
)
@pytest.mark.parametrize("names", [(WEIGHTS,), ()], ids=["file", "snapshot"])
def test_what_the_hub_refuses_the_client_tells(
    hub: Hub, tmp_path: Path, status: int, code: str, names: tuple[str, ...]
) -> None:
    """A forecast that fails is silent, and the error is the client's own."""
    hub.faults.append(faults.on(".", faults.refuse(status, code)))
    options: Any = {"endpoint": hub.endpoint, "token": False}
    plain: Any = huggingface_hub.hf_hub_download if names else huggingface_hub.snapshot_download
    gated: Any = safe_hf_hub_download if names else safe_snapshot_download
    with pytest.raises(OSError, match=r".") as told:
        plain(REPO, *names, cache_dir=tmp_path / "plain", **options)
    with pytest.raises(type(told.value)) as caught:
        gated(REPO, *names, cache_dir=tmp_path / "gated", **options)
    assert type(caught.value) is type(told.value)
