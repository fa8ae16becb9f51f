"""The Hub's front door, with the installed huggingface_hub against the Hub on loopback."""

from __future__ import annotations

import contextlib
import inspect
import os
import shlex
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

import huggingface_hub
import pytest
from click.testing import CliRunner
from huggingface_hub import errors

from picklegate import quarantine
from picklegate.cli.commands import cli
from picklegate.demo import faults, models
from picklegate.demo.hub_server import Hub
from picklegate.demo.repositories import Blob
from picklegate.errors import BlockedError
from picklegate.hub import download as front_door
from picklegate.hub.download import safe_hf_hub_download, safe_snapshot_download
from picklegate.policy import OnBlock, Policy
from picklegate.report import FileReport, Verdict
from picklegate.scan import scan_stream

ORDINARY = models.repositories()[models.ORDINARY]
HOSTILE = models.repositories()[models.HOSTILE]
WEIGHTS = models.WEIGHTS
REPO = "org/model"


each_kind = pytest.mark.parametrize("hub", [(), (".bin", ".pt")], indirect=True, ids=["file", "lfs"])


@pytest.fixture(name="hub")
def _hub(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """A Hub whose repository has an ordinary model on main and a hostile one on a branch; nothing is judged yet."""
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr("picklegate.demo.repositories.LFS_SUFFIXES", getattr(request, "param", (".bin", ".pt")))
    with Hub({REPO: {**ORDINARY, "sub/copy.bin": ORDINARY[WEIGHTS]}}) as hub:
        hub.push(REPO, HOSTILE, branch="hostile")
        yield hub


class Client:
    """The plain and the gated functions with the options that every test needs."""

    def __init__(self, hub: Hub, **options: Any) -> None:
        """``options`` are the same in every call."""
        self.hub = hub
        self.options = {"endpoint": hub.endpoint, "token": False, **options}

    def plain(self, *args: Any, **options: Any) -> Any:
        """huggingface_hub's own download."""
        return huggingface_hub.hf_hub_download(options.pop("repo_id", REPO), *args, **{**self.options, **options})

    def gated(self, *args: Any, **options: Any) -> Any:
        """The download under test."""
        return safe_hf_hub_download(REPO, *args, **{**self.options, **options})

    def plain_snapshot(self, **options: Any) -> Any:
        """huggingface_hub's own snapshot."""
        return huggingface_hub.snapshot_download(REPO, **{**self.options, **options})

    def gated_snapshot(self, **options: Any) -> Any:
        """The snapshot under test."""
        return safe_snapshot_download(REPO, **{**self.options, **options})


def layout(folder: Path) -> dict[str, str]:
    """Every file and link below a folder but locks, with what it holds; times differ, so notes keep two lines."""
    found = {}
    for path in folder.rglob("*"):
        if path.suffix == ".metadata":
            found[path.relative_to(folder).as_posix()] = "\n".join(path.read_text().splitlines()[:2])
        elif path.is_symlink():
            found[path.relative_to(folder).as_posix()] = f"-> {os.readlink(path)}"
        elif path.is_file() and path.suffix != ".lock":
            found[path.relative_to(folder).as_posix()] = path.read_bytes().hex()
    return found


def holds(folder: Path, content: bytes) -> bool:
    """Whether any file below a folder has this content."""
    return any(path.is_file() and path.read_bytes() == content for path in folder.rglob("*"))


def asked(hub: Hub) -> Counter[tuple[str, str, bool]]:
    """The requests since the last look: how, what, and whether for a part only."""
    requests = Counter((request.method, request.path, bool(request.range)) for request in hub.requests)
    hub.requests.clear()
    return requests


def forecast(gated: Counter[tuple[str, str, bool]], plain: Counter[tuple[str, str, bool]]) -> Counter[str]:
    """What the gate asked beyond the client, which is all there: heads, parts of files, and listings."""
    assert not plain - gated
    kinds = {("HEAD", False): "head", ("GET", True): "part", ("GET", False): "list"}
    extra = [(kinds[method, ranged], path) for method, path, ranged in (gated - plain).elements()]
    assert all("/api/" in path for kind, path in extra if kind == "list")
    return Counter(kind for kind, _ in extra)


@pytest.mark.parametrize("name", ["hf_hub_download", "snapshot_download"])
def test_the_signature_is_the_installed_one(name: str) -> None:
    """The gated function has the parameters of the plain one, and policy."""
    plain, gated = (inspect.signature(getattr(module, name)) for module in (huggingface_hub, front_door))
    *parameters, policy = gated.parameters.values()
    assert parameters == list(plain.parameters.values())
    assert (policy.name, policy.kind, policy.default) == ("policy", inspect.Parameter.KEYWORD_ONLY, None)


def test_importing_the_front_door_imports_no_client() -> None:
    """huggingface_hub is imported with the first call."""
    code = "import sys, picklegate.hub; sys.exit('huggingface_hub' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@each_kind
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"revision": "commit"},
        {"subfolder": "sub", "filename": "copy.bin"},
        {"force_download": True},
        {"revision": "refs/pr/1"},
    ],
    ids=["branch", "commit", "subfolder", "forced", "slash-in-branch"],
)
@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
def test_a_download_leaves_what_the_client_leaves(
    hub: Hub, tmp_path: Path, place: str, options: dict[str, Any]
) -> None:
    """Path, layout, contents and requests are the client's, cold and warm."""
    commit = hub.push(REPO, ORDINARY | {"sub/copy.bin": ORDINARY[WEIGHTS]}, branch="refs/pr/1")
    options = {"filename": WEIGHTS, **options}
    if options.get("revision") == "commit":
        options["revision"] = commit
    client = Client(hub, cache_dir=tmp_path / "unused")
    heads = int("revision" not in options or "/" in options["revision"])
    for parts in (1, 0):
        plain = client.plain(**options, **{place: tmp_path / "plain"})
        plain_requests = asked(hub)
        gated = client.gated(**options, **{place: tmp_path / "gated"})
        assert Path(gated).relative_to(tmp_path / "gated") == Path(plain).relative_to(tmp_path / "plain")
        assert type(gated) is type(plain)
        assert forecast(asked(hub), plain_requests) == +Counter(head=heads or parts, part=parts)
        assert layout(tmp_path / "gated") == layout(tmp_path / "plain")
    assert {path.name for path in tmp_path.iterdir()} <= {"plain", "gated", "unused"}


@each_kind
@pytest.mark.parametrize("options", [{}, {"allow_patterns": ["*.json", "sub/*"]}], ids=["all", "patterns"])
@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
def test_a_snapshot_leaves_what_the_client_leaves(
    hub: Hub, tmp_path: Path, place: str, options: dict[str, Any]
) -> None:
    """So for every file of a repository, cold, warm, and without the network."""
    # One worker, as two of the files are the same and the first to come is the one that is fetched.
    client = Client(hub, cache_dir=tmp_path / "unused", max_workers=1)
    for number, extra in enumerate(({}, {}, {"local_files_only": True})):
        plain = client.plain_snapshot(**options, **extra, **{place: tmp_path / "plain"})
        plain_requests = asked(hub)
        gated = client.gated_snapshot(**options, **extra, **{place: tmp_path / "gated"})
        assert Path(gated).relative_to(tmp_path / "gated") == Path(plain).relative_to(tmp_path / "plain")
        found = forecast(asked(hub), plain_requests)
        assert (found["head"], bool(found["list"]), bool(found["part"])) == (0, not extra, not number)
        assert layout(tmp_path / "gated") == layout(tmp_path / "plain")


@each_kind
@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
@pytest.mark.parametrize("name", models.PAYLOADS)
def test_a_hostile_file_is_refused_and_not_kept(hub: Hub, tmp_path: Path, place: str, name: str) -> None:
    """BlockedError says what would run, where, and what to do; nothing of the file remains anywhere."""
    client = Client(hub, cache_dir=tmp_path / "unused")
    with pytest.raises(BlockedError) as caught:
        client.gated(name, revision="hostile", **{place: tmp_path / "place"})
    assert caught.value.report.verdict > Verdict.CLEAN
    assert len(str(caught.value).splitlines()) in (3, 4) or "picklegate allow" in str(caught.value)
    assert f"hf://{REPO}@" in str(caught.value)
    assert not holds(tmp_path, HOSTILE[name])
    assert client.gated(WEIGHTS, **{place: tmp_path / "place"})


@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
def test_a_hostile_snapshot_is_refused_as_a_whole(hub: Hub, tmp_path: Path, place: str) -> None:
    """Every blocked file is named, and an earlier snapshot stays as it was."""
    client = Client(hub, cache_dir=tmp_path / "unused")
    before = Path(client.gated_snapshot(**{place: tmp_path / "place"}))
    kept = layout(before)
    with pytest.raises(BlockedError) as caught:
        client.gated_snapshot(revision="hostile", **{place: tmp_path / "place"})
    assert all(f"/{name} " in str(caught.value) for name in models.PAYLOADS)
    assert not any(holds(tmp_path, HOSTILE[name]) for name in models.PAYLOADS)
    assert layout(before) == kept
    assert client.gated_snapshot(**{place: tmp_path / "place"}) == str(before)


@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
@pytest.mark.parametrize(
    "options", [{}, {"local_files_only": True}, {"force_download": True}], ids=["online", "offline", "forced"]
)
def test_a_hostile_file_that_was_there_is_refused_and_stays(
    hub: Hub, tmp_path: Path, place: str, options: dict[str, Any]
) -> None:
    """What the plain client fetched before is the user's: it stays as it is, and the message says how to move it."""
    client = Client(hub, **{"cache_dir": tmp_path / "unused", place: tmp_path / "a place"})
    path = Path(client.plain(WEIGHTS, revision="hostile"))
    before = layout(tmp_path / "a place")
    for _ in range(2):
        with pytest.raises(BlockedError, match="is still there: `picklegate quarantine add '/") as caught:
            client.gated(WEIGHTS, revision="hostile", **options)
        assert path.read_bytes() == HOSTILE[WEIGHTS]
        assert layout(tmp_path / "a place") == before
    command = shlex.split(str(caught.value).split("`")[1])
    assert CliRunner().invoke(cli, command[1:], standalone_mode=False).return_value == 0
    (entry,) = quarantine.entries()
    assert entry.id == caught.value.report.sha256
    assert not holds(tmp_path / "a place", HOSTILE[WEIGHTS])
    if place == "cache_dir":
        client.plain("config.json", revision="hostile")
        assert not huggingface_hub.scan_cache_dir(tmp_path / "a place").warnings


@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
def test_a_snapshot_cannot_leave_out_what_stands_in_it(hub: Hub, tmp_path: Path, place: str) -> None:
    """The folder would give access to it: the call raises, whatever the policy does with what is new."""
    client = Client(hub, **{"cache_dir": tmp_path / "unused", place: tmp_path / "place"})
    path = Path(client.plain(WEIGHTS, revision="hostile"))
    for options in ({}, {"local_files_only": True}):
        with pytest.raises(BlockedError, match="is still there"):
            client.gated_snapshot(revision="hostile", policy=Policy(on_block="skip"), **options)
        assert path.read_bytes() == HOSTILE[WEIGHTS]


@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
def test_a_snapshot_with_one_content_twice_is_moved_as_a_whole(hub: Hub, tmp_path: Path, place: str) -> None:
    """Both names are out of reach, and the one content is in quarantine."""
    hub.push(REPO, {"a.bin": HOSTILE[WEIGHTS], "b.bin": HOSTILE[WEIGHTS]}, branch="twice")
    client = Client(hub, **{"cache_dir": tmp_path / "unused", place: tmp_path / "place", "revision": "twice"})
    for name in ("a.bin", "b.bin"):
        client.plain(name)
    with pytest.raises(BlockedError) as caught:
        client.gated_snapshot(policy=Policy(on_block="quarantine"))
    assert str(caught.value).count("has been moved. `picklegate quarantine show") == 2
    assert not holds(tmp_path / "place", HOSTILE[WEIGHTS])
    assert len(quarantine.entries()) == 1


@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
@pytest.mark.parametrize("fetched", [(), (WEIGHTS,)], ids=["new", "there-before"])
def test_a_policy_keeps_what_it_blocks_in_quarantine(
    hub: Hub, tmp_path: Path, place: str, fetched: tuple[str, ...]
) -> None:
    """The file is out of reach and in quarantine, and the message says how to find it there."""
    hub.faults.append(faults.on(".", faults.refuse(416), ranged=True))
    client = Client(hub, **{"cache_dir": tmp_path / "unused", place: tmp_path / "place", "revision": "hostile"})
    for name in fetched:
        client.plain(name)
    with pytest.raises(BlockedError, match="picklegate quarantine show") as caught:
        client.gated(WEIGHTS, policy=Policy(on_block="quarantine"))
    assert ("has been moved" in str(caught.value)) == bool(fetched)
    (entry,) = quarantine.entries()
    assert entry.content is not None
    assert entry.content.read_bytes() == HOSTILE[WEIGHTS]
    assert entry.id == caught.value.report.sha256
    assert entry.names == (caught.value.report.name,)
    assert not holds(tmp_path / "place", HOSTILE[WEIGHTS])


def test_of_what_is_refused_unfetched_the_report_is_kept(hub: Hub, tmp_path: Path) -> None:
    """There are no bytes to keep, and the entry says so."""
    with pytest.raises(BlockedError, match=r"fetched\. .*`picklegate quarantine show"):
        Client(hub, cache_dir=tmp_path, revision="hostile").gated(WEIGHTS, policy=Policy(on_block="quarantine"))
    (entry,) = quarantine.entries()
    assert entry.content is None
    assert entry.report is not None
    assert entry.report.verdict > Verdict.CLEAN


def test_a_failing_quarantine_lets_nothing_through(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be kept is refused and stays where it was, and the message says so."""
    (tmp_path / "home").touch()
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path / "home"))
    client = Client(hub, cache_dir=tmp_path / "place", revision="hostile")
    client.plain(WEIGHTS)
    with pytest.raises(BlockedError, match=r"could not be kept.* is still there"):
        client.gated(WEIGHTS, policy=Policy(on_block="quarantine"))
    assert holds(tmp_path / "place", HOSTILE[WEIGHTS])


@pytest.mark.parametrize("on_block", ["raise", "quarantine"])
def test_a_hostile_blob_is_moved_under_every_name(hub: Hub, tmp_path: Path, on_block: OnBlock) -> None:
    """Another name of the same blob leads nowhere either; unless nothing is to be moved."""
    hub.push(REPO, {"a.bin": HOSTILE[WEIGHTS], "b.bin": HOSTILE[WEIGHTS]}, branch="twice")
    client = Client(hub, cache_dir=tmp_path, revision="twice")
    paths = [Path(client.plain(name)) for name in ("a.bin", "b.bin")]
    with pytest.raises(BlockedError):
        client.gated("a.bin", policy=Policy(on_block=on_block))
    assert {os.path.lexists(path) for path in paths} == {on_block == "raise"}


@pytest.mark.parametrize("on_block", ["raise", "quarantine"])
def test_a_hostile_blob_without_a_pointer_is_moved(hub: Hub, tmp_path: Path, on_block: OnBlock) -> None:
    """The plain client, killed between the two, leaves a content that its next call would take as it is."""
    hub.faults.append(faults.on(".", faults.unranged))
    client = Client(hub, cache_dir=tmp_path, revision="hostile")
    Path(client.plain(WEIGHTS)).unlink()
    assert holds(tmp_path, HOSTILE[WEIGHTS])
    with pytest.raises(BlockedError, match=r"blobs/\w+` moves it" if on_block == "raise" else "has been moved"):
        client.gated(WEIGHTS, policy=Policy(on_block=on_block))
    assert holds(tmp_path, HOSTILE[WEIGHTS]) == (on_block == "raise")


def test_a_hostile_blob_shared_between_repositories_is_moved(hub: Hub, tmp_path: Path) -> None:
    """Where the client keeps one content for several repositories, neither reaches it afterwards."""
    hub.push("org/other", HOSTILE)
    client = Client(hub, cache_dir=tmp_path)
    other = Path(client.plain(WEIGHTS, repo_id="org/other"))
    mine = Path(client.plain(WEIGHTS, revision="hostile"))
    shared = tmp_path / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    for pointer in (other, mine):
        blob = pointer.resolve()
        blob.replace(shared)
        blob.symlink_to(os.path.relpath(shared, blob.parent))
    with pytest.raises(BlockedError, match="has been moved"):
        client.gated(WEIGHTS, revision="hostile", policy=Policy(on_block="quarantine"))
    assert not any(os.path.lexists(path) for path in (other, mine, shared))
    assert not holds(tmp_path, HOSTILE[WEIGHTS])


def test_an_older_local_file_survives_a_hostile_update(hub: Hub, tmp_path: Path) -> None:
    """The client would copy the newer file from its cache over the older one; the gate lets nothing through."""
    client = Client(hub, cache_dir=tmp_path / "cache")
    local = Path(client.gated(WEIGHTS, local_dir=tmp_path / "local"))
    client.plain(WEIGHTS, revision="hostile")
    with pytest.raises(BlockedError):
        client.gated(WEIGHTS, revision="hostile", local_dir=tmp_path / "local")
    assert local.read_bytes() == ORDINARY[WEIGHTS]


def test_the_clients_own_folder_is_no_hiding_place(hub: Hub, tmp_path: Path) -> None:
    """A repository may have files where the client keeps its notes in local_dir: they are judged like others."""
    for name in ("x.bin", ".gitignore", "download/x.metadata", "download/x.lock", "x.incomplete"):
        hub.push(REPO, {f".cache/huggingface/{name}": HOSTILE[WEIGHTS]}, branch="hidden")
        with contextlib.suppress(BlockedError):
            Client(hub, cache_dir=tmp_path / "cache").gated_snapshot(revision="hidden", local_dir=tmp_path / "local")
        assert not holds(tmp_path, HOSTILE[WEIGHTS])


def test_files_are_known_by_content(hub: Hub, tmp_path: Path) -> None:
    """A pickle is refused under a harmless name, and text passes under a pickle's."""
    hub.push(REPO, {"config.json": HOSTILE[WEIGHTS], WEIGHTS: b'{"hidden_size": 8}\n'}, branch="renamed")
    client = Client(hub, cache_dir=tmp_path, revision="renamed")
    with pytest.raises(BlockedError):
        client.gated("config.json")
    assert Path(client.gated(WEIGHTS)).read_bytes() == b'{"hidden_size": 8}\n'


def test_a_policy_lets_a_digest_pass(hub: Hub, tmp_path: Path) -> None:
    """Trust is given to a content."""
    client = Client(hub, cache_dir=tmp_path, revision="hostile")
    with pytest.raises(BlockedError) as caught:
        client.gated(WEIGHTS)
    policy = Policy(allow_digests=(caught.value.report.sha256,))
    assert Path(client.gated(WEIGHTS, policy=policy)).read_bytes() == HOSTILE[WEIGHTS]
    with pytest.raises(BlockedError):
        client.gated(models.OPTIMIZER, policy=policy)


def test_a_branch_that_moves_meanwhile_changes_nothing(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content that was judged is the content that arrives, and the next call judges the new one."""
    client = Client(hub, cache_dir=tmp_path)

    def scan_then_push(file: BinaryIO, **options: Any) -> FileReport:
        report = scan_stream(file, **options)
        hub.push(REPO, HOSTILE)
        return report

    monkeypatch.setattr(front_door, "scan_stream", scan_then_push)
    assert Path(client.gated(WEIGHTS)).read_bytes() == ORDINARY[WEIGHTS]
    monkeypatch.undo()
    with pytest.raises(BlockedError):
        client.gated(WEIGHTS)
    assert not holds(tmp_path, HOSTILE[WEIGHTS])
    assert Path(client.gated(WEIGHTS, local_files_only=True)).read_bytes() == ORDINARY[WEIGHTS]


@pytest.mark.parametrize("place", ["cache_dir", "local_dir"])
def test_a_killed_download_leaves_nothing(hub: Hub, tmp_path: Path, place: str) -> None:
    """Killed with the hostile file on disk and no verdict yet: it is out of reach, and gone after the next call."""
    code = f"""
        import sys, time
        from picklegate.hub import download as hub
        def wait(file, **options):
            print("scanning", flush=True)
            time.sleep(60)
        hub.scan_stream = wait
        hub.safe_hf_hub_download({REPO!r}, {WEIGHTS!r}, revision="hostile", {place}={str(tmp_path / "place")!r},
                                 endpoint={hub.endpoint!r}, token=False)
    """
    hub.faults.append(faults.on(".", faults.refuse(416), ranged=True))
    environment = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HOME": str(tmp_path / "home")}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"scanning\n"
        assert holds(tmp_path, HOSTILE[WEIGHTS])
        assert not holds(tmp_path / "place", HOSTILE[WEIGHTS])
        process.send_signal(signal.SIGKILL)
    assert not holds(tmp_path / "place", HOSTILE[WEIGHTS])
    client = Client(hub, cache_dir=tmp_path / "unused")
    assert Path(client.gated(WEIGHTS, **{place: tmp_path / "place"})).read_bytes() == ORDINARY[WEIGHTS]
    assert not holds(tmp_path, HOSTILE[WEIGHTS])


def test_threads_share_one_download(hub: Hub, tmp_path: Path) -> None:
    """Eight calls for one file fetch it once and agree on where it is."""
    client = Client(hub, cache_dir=tmp_path)
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(client.gated, [WEIGHTS] * 8))
    assert len(paths) == 1
    assert [request.method for request in hub.requests if request.status == 200].count("GET") == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"filename": "missing.bin"}, errors.EntryNotFoundError),
        ({"revision": "missing"}, errors.RevisionNotFoundError),
        ({"repo_id": "org/missing"}, errors.RepositoryNotFoundError),
        ({"repo_id": "a/b/c"}, errors.HFValidationError),
        ({"repo_type": "book"}, ValueError),
        ({"local_files_only": True}, errors.LocalEntryNotFoundError),
        ({"force_download": True, "local_files_only": True}, ValueError),
        ({"unknown": 1}, TypeError),
        ({"endpoint": None, "local_files_only": True}, errors.LocalEntryNotFoundError),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else value.__name__,
)
def test_errors_are_the_clients(hub: Hub, tmp_path: Path, options: dict[str, Any], error: type[Exception]) -> None:
    """What goes wrong is told as the client tells it, and leaves the same notes in the cache."""
    call = {"repo_id": REPO, "filename": WEIGHTS, "endpoint": hub.endpoint, "token": False, **options}
    with pytest.raises(error) as plain:
        huggingface_hub.hf_hub_download(**call, cache_dir=tmp_path / "plain")
    with pytest.raises(error) as gated:
        safe_hf_hub_download(**call, cache_dir=tmp_path / "gated")
    assert type(gated.value) is type(plain.value)
    assert layout(tmp_path / "gated") == layout(tmp_path / "plain")


@pytest.mark.parametrize("missing", [{}, {"filename": WEIGHTS}, {"repo_id": REPO}], ids=["both", "repo_id", "filename"])
def test_missing_arguments_are_a_type_error(missing: dict[str, Any]) -> None:
    """As of any function."""
    with pytest.raises(TypeError, match="missing"):
        safe_hf_hub_download(**missing)


def test_without_the_hub_the_cache_serves(hub: Hub, tmp_path: Path) -> None:
    """When the Hub cannot be reached, what was fetched before is judged and returned."""
    client = Client(hub, cache_dir=tmp_path)
    path = client.gated(WEIGHTS)
    client.options["endpoint"] = "http://127.0.0.1:9"
    assert client.gated(WEIGHTS) == path
    assert client.gated(WEIGHTS, local_files_only=True) == path


def test_a_dry_run_stays_one(hub: Hub, tmp_path: Path) -> None:
    """Where the client knows dry runs, nothing is fetched and its answer comes back."""
    if "dry_run" not in inspect.signature(huggingface_hub.hf_hub_download).parameters:
        pytest.skip("this huggingface_hub knows no dry run")
    client = Client(hub, cache_dir=tmp_path, dry_run=True)
    assert client.gated(WEIGHTS) == client.plain(WEIGHTS)
    assert not [request for request in hub.requests if request.method == "GET"]


def test_a_relative_cache_gives_the_clients_path(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the client answers with a relative or an absolute path, so does the gate."""
    monkeypatch.chdir(tmp_path)
    client = Client(hub, cache_dir="cache")
    assert client.gated(WEIGHTS) == client.plain(WEIGHTS)


def test_what_arrived_before_a_fault_is_kept(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot that breaks off keeps the files that came and were judged, and none that is blocked."""
    hub.push(REPO, {"a.bin": ORDINARY[WEIGHTS], "b.bin": HOSTILE[WEIGHTS], "c.bin": b"lost"}, branch="cut")
    content = Hub.content

    def lose(self: Hub, sha256: str) -> Blob | None:
        blob = content(self, sha256)
        return None if blob is None or blob.data == b"lost" else blob

    monkeypatch.setattr(Hub, "content", lose)
    hub.faults.append(faults.on(".", faults.refuse(416), ranged=True))
    client = Client(hub, cache_dir=tmp_path, revision="cut", max_workers=1)
    with pytest.raises(errors.HfHubHTTPError):
        client.gated_snapshot()
    assert holds(tmp_path, ORDINARY[WEIGHTS])
    assert not holds(tmp_path, HOSTILE[WEIGHTS])
