"""The client's other ways of bringing files, while protect() holds: what they give out, and that none is forgotten."""

from __future__ import annotations

import ast
import inspect
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi, HfFileSystem, file_download

from picklegate.demo import faults, models
from picklegate.demo.hub_server import Hub
from picklegate.errors import BlockedError
from picklegate.policy import Policy
from picklegate.protection import protect
from picklegate.report import Verdict

HONEST = models.repositories()[models.ORDINARY][models.WEIGHTS]
HOSTILE = models.repositories()[models.HOSTILE][models.WEIGHTS]
FILES = {"honest.bin": HONEST, "hostile.bin": HOSTILE, "table.csv": b"a,b\n" * 100_000, "deep/hostile.pkl": HOSTILE}
REPO = "org/model"


@pytest.fixture(name="hub")
def _hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("PICKLEGATE_HOME", str(tmp_path_factory.mktemp("home")))
    with Hub({REPO: FILES}) as hub:
        yield hub


@pytest.fixture(name="fs")
def _fs(hub: Hub) -> Any:
    return HfFileSystem(endpoint=hub.endpoint, token=False, skip_instance_cache=True)


def url(hub: Hub, name: str) -> str:
    """Where the Hub has a file."""
    return f"{hub.endpoint}/{REPO}/resolve/main/{name}"


def fetch_http(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """By the client's single transfer, into a file that is open for writing alone."""
    with target.open("wb") as file:
        file_download.http_get(url(hub, name), file)
    return target.read_bytes()


def fetch_file(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """By the file system, into a file."""
    fs.get_file(f"{REPO}/{name}", str(target))
    return target.read_bytes()


def fetch_folder(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """By the file system's generic download."""
    fs.get([f"{REPO}/{name}"], [str(target)])
    return target.read_bytes()


def fetch_outfile(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """By the file system, into a file object."""
    file = io.BytesIO()
    fs.get_file(f"{REPO}/{name}", outfile=file)
    return file.getvalue()


def fetch_read(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """By reading a file of the file system at once."""
    with fs.open(f"{REPO}/{name}") as file:
        return bytes(file.read())


def fetch_pieces(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """By reading it in pieces, with a seek."""
    with fs.open(f"{REPO}/{name}") as file:
        file.seek(10)
        rest = b"".join(iter(lambda: file.read(1_000), b""))
        file.seek(0)
        return bytes(file.read(10)) + rest


def fetch_stream(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """As a stream, which is how data sets are read."""
    with fs.open(f"{REPO}/{name}", block_size=0) as file:
        return bytes(file.read())


def fetch_bytes(hub: Hub, fs: Any, name: str, target: Path) -> bytes:
    """By the file system's shortest way."""
    return bytes(fs.cat_file(f"{REPO}/{name}"))


WAYS = (
    fetch_http,
    fetch_file,
    fetch_folder,
    fetch_outfile,
    fetch_read,
    fetch_pieces,
    fetch_stream,
    fetch_bytes,
)
each_way = pytest.mark.parametrize("fetch", WAYS, ids=lambda way: way.__name__)


@each_way
@pytest.mark.parametrize("name", ["honest.bin", "table.csv"])
def test_what_is_honest_arrives_byte_for_byte(
    hub: Hub, fs: Any, tmp_path: Path, fetch: Callable[..., bytes], name: str
) -> None:
    """And nothing is left beside it."""
    with protect():
        assert fetch(hub, fs, name, tmp_path / "target") == FILES[name]
    assert {path.name for path in tmp_path.iterdir()} <= {"target"}


@each_way
@pytest.mark.parametrize("name", ["hostile.bin", "deep/hostile.pkl"])
def test_what_is_hostile_is_refused(hub: Hub, fs: Any, tmp_path: Path, fetch: Callable[..., bytes], name: str) -> None:
    """No byte of it is given out, and the error names the file."""
    with protect(), pytest.raises(BlockedError, match=name):
        fetch(hub, fs, name, tmp_path / "target")
    assert not any(path.is_file() and path.read_bytes() for path in tmp_path.rglob("*"))


@each_way
def test_a_digest_that_is_allowed_passes(hub: Hub, fs: Any, tmp_path: Path, fetch: Callable[..., bytes]) -> None:
    """By the policy of the block."""
    with protect(), pytest.raises(BlockedError) as caught:
        fetch(hub, fs, "hostile.bin", tmp_path / "target")
    with protect(policy=Policy(allow_digests=(caught.value.report.sha256,))):
        assert fetch(hub, fs, "hostile.bin", tmp_path / "target") == HOSTILE


@each_way
def test_without_ranges_the_whole_is_judged(hub: Hub, fs: Any, tmp_path: Path, fetch: Callable[..., bytes]) -> None:
    """A server without range requests changes nothing."""
    hub.faults.append(faults.on("resolve|lfs", faults.unranged))
    with protect():
        with pytest.raises(BlockedError):
            fetch(hub, fs, "hostile.bin", tmp_path / "target")
        assert fetch(hub, fs, "honest.bin", tmp_path / "target") == HONEST


def test_a_refusal_leaves_what_was_there(hub: Hub, fs: Any, tmp_path: Path) -> None:
    """The target of get_file is not emptied for a file that is refused."""
    (tmp_path / "target").write_bytes(b"precious")
    with protect(), pytest.raises(BlockedError):
        fs.get_file(f"{REPO}/hostile.bin", str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == b"precious"


def test_what_was_judged_is_what_is_read(hub: Hub, fs: Any) -> None:
    """A server that has other bytes for a later request does not get them in."""
    with protect(), fs.open(f"{REPO}/honest.bin") as file:
        hub.faults.append(faults.on("resolve|lfs", faults.content(HOSTILE.ljust(len(HONEST), b"\0")[: len(HONEST)])))
        assert file.read() == HONEST


def test_a_resumed_transfer_is_judged_as_a_whole(hub: Hub, tmp_path: Path) -> None:
    """The part that is there already may be anything."""
    target = tmp_path / "target"
    with protect():
        for name, expected in (("honest.bin", HONEST), ("hostile.bin", b"")):
            target.write_bytes(b"old" + FILES[name][:10])
            with target.open("r+b") as file:
                file.seek(0, io.SEEK_END)
                if expected:
                    file_download.http_get(url(hub, name), file, resume_size=10)
                else:
                    with pytest.raises(BlockedError):
                        file_download.http_get(url(hub, name), file, resume_size=10)
            assert target.read_bytes() == b"old" + (expected or FILES[name][:10])


def test_a_part_cannot_be_judged(hub: Hub, tmp_path: Path) -> None:
    """A transfer of one range alone is refused as not looked at."""
    with protect(), (tmp_path / "target").open("wb") as file, pytest.raises(BlockedError) as caught:
        file_download.http_get(url(hub, "honest.bin"), file, headers={"range": "bytes=10-20"})
    assert caught.value.report.verdict == Verdict.UNSCANNABLE


needs_buckets = pytest.mark.skipif(not hasattr(HfApi, "download_bucket_files"), reason="this client has no buckets")


@needs_buckets
@pytest.mark.parametrize("way", ["method", "name"])
def test_buckets_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """All files or none arrive, at each place that was asked for; the transfer itself is the client's."""
    content = {"a/honest.bin": HONEST, "config.json": b"{}", "hostile.bin": HOSTILE}

    def transfer(self: Any, bucket_id: str, files: list[tuple[str, Path]], *, token: Any = None) -> None:
        for remote, local in files:
            Path(local).write_bytes(content[remote])

    monkeypatch.setattr(HfApi, "download_bucket_files", transfer)
    api = HfApi()
    monkeypatch.setattr(huggingface_hub, "download_bucket_files", api.download_bucket_files)
    with protect():
        download = api.download_bucket_files if way == "method" else huggingface_hub.download_bucket_files
        download("org/bucket", [("a/honest.bin", tmp_path / "deep" / "x"), ("config.json", str(tmp_path / "c.json"))])
        assert (tmp_path / "deep" / "x").read_bytes() == HONEST
        assert (tmp_path / "c.json").read_bytes() == b"{}"
        with pytest.raises(BlockedError, match=r"hf://buckets/org/bucket/hostile\.bin"):
            download("org/bucket", [("hostile.bin", tmp_path / "h"), ("config.json", tmp_path / "d.json")])
        assert {path.name for path in tmp_path.iterdir()} == {"deep", "c.json"}
    assert HfApi.download_bucket_files is transfer
    assert huggingface_hub.download_bucket_files.__func__ is transfer  # type: ignore[attr-defined]


def test_methods_are_restored() -> None:
    """A class of the client has its own methods again."""
    names = [(HfFileSystem, "_open"), (HfFileSystem, "get_file")]
    before = [vars(owner)[name] for owner, name in names]
    with protect():
        assert all(vars(owner)[name] is not plain for (owner, name), plain in zip(names, before, strict=True))
    assert [vars(owner)[name] for owner, name in names] == before


BRINGS = re.compile(r"http_get|xet_get|stream|iter_\w+|\w*download\w*|url(?:open|retrieve)|start_download\w*")
"""Names of functions that bring bytes, or that begin a transfer."""
DECIDED = {
    # Gated: itself, or whatever it calls.
    "gated": """
        file_download:http_get file_download:xet_get file_download:_download_to_tmp_and_move
        file_download:_hf_hub_download_to_cache_dir file_download:_hf_hub_download_to_local_dir
        file_download:hf_hub_download _snapshot_download:snapshot_download
        _snapshot_download:snapshot_download._inner_hf_hub_download
        hf_api:HfApi.hf_hub_download hf_api:HfApi.snapshot_download hf_api:HfApi.download_bucket_files
        hf_api:HfApi._copy_to_bucket._download_and_collect hf_api:HfApi.get_safetensors_metadata
        hf_api:HfApi._copy_to_bucket hf_api:HfApi.copy_files
        _buckets:_execute_plan hf_file_system:HfFileSystem.get_file
        hf_file_system:HfFileSystemStreamFile._open_connection
        keras_mixin:KerasModelHubMixin._from_pretrained keras_mixin:from_pretrained_keras
        fastai_utils:from_pretrained_fastai hub_mixin:ModelHubMixin.from_pretrained
        hub_mixin:PyTorchModelHubMixin._from_pretrained repocard:RepoCard.load
        """,
    # Events, logs and answers of services; a sandbox's own files, which are the user's.
    "no files of the Hub": """
        _local_folder:read_download_metadata _local_folder:get_local_download_paths
        _local_folder:write_download_metadata
        _bucket_live_follow:_follow_events _hot_reload.client:ReloadClient.get_reload
        _sandbox:SandboxFiles.download _sandbox:SandboxFiles._read_range _sandbox:_iter_events
        _sandbox:_SandboxServer.stream _sandbox:Sandbox._stream
        hf_api:HfApi._stream_sse_events hf_api:HfApi.fetch_job_logs hf_api:HfApi.fetch_job_metrics
        hf_api:HfApi.fetch_space_logs hf_api:HfApi._fetch_running_job_sse
        utils._http:_http_backoff_base utils._http:http_backoff utils._http:http_stream_backoff
        """,
}
SKIPPED = ("cli.", "commands.", "inference.", "templates.", "_webhooks_server")
"""The command line calls the functions below; the inference client gets answers of models."""


def bringing() -> set[str]:
    """Functions of the installed client that bring bytes, as module:name, by what their own code calls."""
    root = Path(huggingface_hub.__file__).parent
    found = set()

    def visit(node: ast.AST, module: str, names: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            inner = (*names, child.name) if isinstance(child, (ast.ClassDef, ast.FunctionDef)) else names
            if isinstance(child, ast.Call) and inner:
                called = str(getattr(child.func, "attr", None) or getattr(child.func, "id", ""))
                if BRINGS.fullmatch(called):
                    found.add(f"{module}:{'.'.join(inner)}")
            visit(child, module, inner)

    for path in root.rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if not module.startswith(SKIPPED):
            visit(ast.parse(path.read_text(encoding="utf-8")), module, ())
    return found


def test_each_function_that_brings_bytes_was_decided_on() -> None:
    """A new one of the client fails here until somebody says whether it is gated, and why not."""
    decided = {name for names in DECIDED.values() for name in names.split()}
    assert sorted(bringing() - decided) == []


PUBLIC = re.compile(r"download|sync|fetch|load|get_file|read|open|pull|copy|cat|stream|mount|clone")
KNOWN = {
    "gated": "hf_hub_download snapshot_download try_to_load_from_cache download_bucket_files sync_bucket "
    "_open open get_file cat cat_file cat_ranges cp cp_file copy download read_block read_bytes read_text copy_files",
    "reads a file that is there, without pickle": "load_state_dict_from_file load_torch_model metadata_load "
    "read_dduf_file",
    "brings no file": "create_inference_endpoint_from_catalog list_inference_catalog duplicate_repo fetch_job_logs "
    "fetch_job_metrics fetch_space_logs preupload_lfs_files read_paper sync_job_volume upload upload_attachment "
    "duplicate_space upload_large_folder "
    "upload_file upload_folder create_pull_request merge_pull_request mirror_sync_methods async_impl "
    "set_async_client_factory get_async_session",
}


def test_each_public_function_was_decided_on() -> None:
    """So does a new public name that sounds like bringing files."""
    names = {name for name in dir(huggingface_hub) if inspect.isroutine(getattr(huggingface_hub, name, None))}
    names |= {name for name in (*dir(HfApi), *dir(HfFileSystem)) if name == "_open" or not name.startswith("_")}
    known = {name for names in KNOWN.values() for name in names.split()}
    assert sorted(name for name in names if PUBLIC.search(name) and name not in known) == []
