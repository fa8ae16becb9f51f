"""The Hub's front door: the downloads of huggingface_hub, judged before they arrive.

``from picklegate import safe_hf_hub_download as hf_hub_download`` is the whole migration, and this module can
stand where ``huggingface_hub`` stood: it has the download functions under their own names.
"""

from __future__ import annotations

import hashlib
import inspect
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from picklegate.errors import BlockedError
from picklegate.policy import Policy
from picklegate.quarantine import explain, keep
from picklegate.render.escape import escape
from picklegate.report import FileReport
from picklegate.scan import scan_stream
from picklegate.staging import StagedCache, StagedFolder, StandIn, staging, turn

__all__ = ["hf_hub_download", "safe_hf_hub_download", "safe_snapshot_download", "snapshot_download"]

PLAIN = "_picklegate_plain"
"""The attribute of a function that stands in the client's, under ``protect``: the client's own."""


class GatedDownload:
    """A download function of the installed huggingface_hub, behind the gate.

    It takes what that function takes, and keyword-only ``policy``; it returns and raises what that function
    does, and raises BlockedError for a file that the policy blocks. Such a file never stands in the cache or
    in ``local_dir``; one that stood there before is removed.
    """

    def __init__(self, name: str) -> None:
        """``name`` is the function's in huggingface_hub, which is imported when it is first needed."""
        self.__name__ = f"safe_{name}"
        self.__qualname__ = self.__name__
        self.__module__ = __name__
        self._name = name

    @property
    def __signature__(self) -> inspect.Signature:
        """The installed function's, with ``policy`` added."""
        plain = inspect.signature(self._client())
        policy = inspect.Parameter("policy", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Policy | None")
        return plain.replace(parameters=[*plain.parameters.values(), policy])

    def __call__(self, *args: Any, policy: Policy | None = None, **kwargs: Any) -> Any:
        """Download, judge, and only then let the client return what it would have returned."""
        client = self._client()
        signature = inspect.signature(client)
        # What the client takes beside its signature (deprecated names) is left for it to accept or refuse.
        known = {name: value for name, value in kwargs.items() if name in signature.parameters}
        arguments = {**kwargs, **signature.bind(*args, **known).arguments}
        if arguments.get("dry_run"):
            return client(**arguments)
        return _download(client, arguments, policy or Policy())

    def __repr__(self) -> str:
        """The name, as of a function."""
        return f"<gated {self._name} of huggingface_hub>"

    def _client(self) -> Callable[..., Any]:
        client: Callable[..., Any] = getattr(import_module("huggingface_hub"), self._name)
        return getattr(client, PLAIN, client)


safe_hf_hub_download = hf_hub_download = GatedDownload("hf_hub_download")
safe_snapshot_download = snapshot_download = GatedDownload("snapshot_download")


def _download(client: Callable[..., Any], arguments: dict[str, Any], policy: Policy) -> Any:
    """Let the client work on a stand-in, judge what it returns, and promote that or refuse it."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    repo = repo_folder_name(repo_id=arguments["repo_id"], repo_type=arguments.get("repo_type") or "model")
    revision = arguments.get("revision") or constants.DEFAULT_REVISION
    filename = "/".join(filter(None, (arguments.get("subfolder"), arguments.get("filename")))) or None
    cache = Path(arguments.get("cache_dir") or constants.HF_HUB_CACHE).expanduser().resolve()
    folder = arguments.get("local_dir")
    target = cache if folder is None else Path(folder).expanduser().resolve()
    inside = ".locks" if folder is None else ".cache/huggingface"

    key = hashlib.sha256(f"{repo}/{filename}".encode()).hexdigest()[:16]
    with turn(target / inside / f"picklegate-{key}.lock"), staging(target, inside=inside) as stage:
        view: StandIn
        if folder is None:
            view = StagedCache(stage, cache, repo, str(getattr(revision, "resolved", revision)))
            staged = {"cache_dir": str(view.root)}
        else:
            view = StagedFolder(stage, target)
            staged = {"local_dir": str(view.root)}
        view.show(filename)
        if isinstance(view, StagedFolder) and view.shown():
            # The client copies from its cache *through* a link that stands in the way; from an empty one it cannot.
            staged["cache_dir"] = str(stage / "empty")
        try:
            result = Path(client(**{**arguments, **staged}))
        except Exception:
            # What arrived before the fault is worth keeping, as the client itself would keep it.
            judged = {path: _judge(path, _address(arguments, view, path), policy) for path in view.arrived()}
            view.promote(path for path, report in judged.items() if not policy.blocks(report))
            for path, report in judged.items():
                if policy.blocks(report):
                    _withhold(view, path, report, policy)
            raise
        found = view.found(result)
        _admit(view, {path: _judge(path, _address(arguments, view, path), policy) for path in found}, policy)
        commit = view.commit(result)
        view.promote(found)
    if result == view.root:
        return os.path.realpath(target)
    pinned = {"revision": commit or revision, "local_files_only": True, "force_download": False}
    return client(**{**arguments, **pinned})


def _judge(path: Path, name: str, policy: Policy) -> FileReport:
    """The verdict on a staged file, from its bytes."""
    # Hashing takes longer than judging: it is done where the policy asks for the digest, and for the report of a block.
    with path.open("rb") as file:
        report = scan_stream(file, name=name, policy=policy, digest=bool(policy.allow_digests))
        return scan_stream(file, name=name, policy=policy, digest=True) if policy.blocks(report) else report


def _admit(view: StandIn, reports: dict[Path, FileReport], policy: Policy) -> None:
    """Raise BlockedError if the policy blocks a file, after taking it from where it stood before."""
    blocked = {path: report for path, report in reports.items() if policy.blocks(report)}
    if not blocked:
        return
    fates = {path: _withhold(view, path, report, policy) for path, report in blocked.items()}
    lines = []
    for path, report in blocked.items():
        what, where = explain(report)
        lines += [f"{escape(report.name)} is refused ({report.verdict}): {what}", f"{where} {fates[path]}"]
    advice = (
        "Ask the publisher for safetensors weights, or, if you know what the file runs, pass a Policy "
        "with its imports (allow_imports) or its digest (allow_digests)."
    )
    worst = max(blocked.values(), key=lambda report: report.verdict)
    raise BlockedError(worst, "\n".join([*lines, advice]))


def _withhold(view: StandIn, path: Path, report: FileReport, policy: Policy) -> str:
    """Take a blocked file out of reach, into quarantine where the policy asks for that; what became of it."""
    held = ""
    if policy.on_block == "quarantine":
        try:
            held = f"`picklegate quarantine show {keep(path, report).id[:12]}` tells more."
        except OSError as error:
            held = f"It could not be kept in quarantine: {escape(str(error))}."
    if view.evict(path):
        return f"It was already in place, and has been removed. {held}".strip()
    return held or "Nothing of it was kept."


def _address(arguments: dict[str, Any], view: StandIn, path: Path) -> str:
    commit = view.commit(path)
    return f"hf://{arguments['repo_id']}{f'@{commit[:12]}' if commit else ''}/{view.name(path)}"
