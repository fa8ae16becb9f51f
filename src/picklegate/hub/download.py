"""The Hub's front door: the downloads of huggingface_hub, judged before they arrive.

``from picklegate import safe_hf_hub_download as hf_hub_download`` is the whole migration, and this module can
stand where ``huggingface_hub`` stood: it has the download functions under their own names.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import inspect
import logging
import os
import shlex
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from picklegate.audit_log import allowed, loosened, note, refused
from picklegate.containers.detect import claims
from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.hub.path_safety import checked_names, climbs
from picklegate.hub.preview import Preview, address
from picklegate.hub.siblings import code_beside, pickled_twins
from picklegate.hub.signatures import HfHubDownload, SnapshotDownload
from picklegate.hub.staging import HOME, StagedCache, StagedFolder, StandIn, staging
from picklegate.locks import file_lock
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.quarantine import keep
from picklegate.refusal import advice, sentences
from picklegate.report import FileReport, Finding, RepoReport, Verdict
from picklegate.scan import open_regular, scan_stream, with_digest
from picklegate.store import default

MOST_READ = 1 << 26
"""Bytes of a file that are read to judge it before it is fetched; where more would be needed it is fetched once."""
_NO_OBJECTION = frozenset(("", "safe", "unscanned", "queued"))
"""What the Hub's own scanners say where they have found nothing, or have not looked."""

__all__ = ["hf_hub_download", "safe_hf_hub_download", "safe_snapshot_download", "scan_repo", "snapshot_download"]

PLAIN = "_picklegate_plain"
"""The attribute of a function that stands in the client's, under ``protect``: the client's own."""


class GatedDownload:
    """A download function of the installed huggingface_hub, behind the gate.

    It takes what that function takes, and keyword-only ``policy``; it returns and raises what that function
    does, and raises BlockedError for a file that the policy blocks. Such a file never gets into the cache or
    into ``local_dir``; one that stood there before stays, unless ``on_block="quarantine"`` moves it.
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
        policy = inspect.Parameter("policy", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="PolicyOption")
        return plain.replace(parameters=[*plain.parameters.values(), policy])

    def __call__(self, *args: Any, policy: PolicyOption = None, **kwargs: Any) -> Any:
        """Download, judge, and only then let the client return what it would have returned."""
        client = self._client()
        signature = inspect.signature(client)
        # What the client takes beside its signature (deprecated names) is left for it to accept or refuse.
        known = {name: value for name, value in kwargs.items() if name in signature.parameters}
        arguments = {**kwargs, **signature.bind(*args, **known).arguments}
        if arguments.get("dry_run"):
            return client(**arguments)
        policy = chosen(policy)
        loosened(policy)
        return _download(client, arguments, policy.within(arguments["repo_id"]))

    def __repr__(self) -> str:
        """The name, as of a function."""
        return f"<gated {self._name} of huggingface_hub>"

    def _client(self) -> Callable[..., Any]:
        client: Callable[..., Any] = getattr(import_module("huggingface_hub"), self._name)
        return getattr(client, PLAIN, client)


safe_hf_hub_download: HfHubDownload = GatedDownload("hf_hub_download")
safe_snapshot_download: SnapshotDownload = GatedDownload("snapshot_download")
hf_hub_download, snapshot_download = safe_hf_hub_download, safe_snapshot_download


def scan_repo(
    repo_id: str,
    *,
    repo_type: str | None = None,
    revision: str | None = None,
    token: bool | str | None = None,
    endpoint: str | None = None,
    allow_patterns: list[str] | str | None = None,
    ignore_patterns: list[str] | str | None = None,
    policy: PolicyOption = None,
) -> RepoReport:
    """Judge the files of a repository by reading parts of them; nothing is downloaded.

    Raises what huggingface_hub raises for a repository or revision that it cannot list. A file that the server gives no
    parts of is UNSCANNABLE. What torch keeps as numbers is not looked into; a download is judged with it.
    """
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    options = {"token": token, "endpoint": endpoint}
    preview = Preview(repo_id, repo_type=repo_type, policy=chosen(policy).within(repo_id), options=options)
    commit, listed = preview.listing(revision, statuses=True)
    patterns = {"allow_patterns": allow_patterns, "ignore_patterns": ignore_patterns}
    entries = [*filter_repo_objects(listed, key=lambda entry: entry.path, **patterns)]
    reports = preview.reports(entries)
    return RepoReport(
        name=address(repo_id, repo_type, commit, ""),
        commit=commit,
        files=tuple(_noted(reports[entry] or preview.unreadable(entry), entry.status) for entry in entries),
        bytes_read=preview.bytes,
        requests=preview.requests,
        statuses=tuple((entry.path, entry.status) for entry in entries if entry.status),
        code=code_beside(entry.path for entry in listed),
    )


def _noted(report: FileReport, status: str) -> FileReport:
    """The report, with what the Hub's own scanners object to as a note."""
    if status in _NO_OBJECTION:
        return report
    message = f"the Hub's own scanners call the file {status}"
    note = Finding(code="hub.status", verdict=Verdict.CLEAN, message=message)
    return replace(report, findings=(*report.findings, note))


def _download(client: Callable[..., Any], arguments: dict[str, Any], policy: Policy) -> Any:
    """Let the client work on a stand-in, judge what it returns, and promote that or refuse it."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    repo = repo_folder_name(repo_id=arguments["repo_id"], repo_type=arguments.get("repo_type") or "model")
    revision = arguments.get("revision") or constants.DEFAULT_REVISION
    filename = "/".join(filter(None, (arguments.get("subfolder"), arguments.get("filename")))) or None
    if climbs(filename or ""):
        raise ValueError(f"{escape(repr(filename), 200)} is no name of a file in a repository: it leads out of it")
    cache = Path(arguments.get("cache_dir") or constants.HF_HUB_CACHE).expanduser().resolve()
    folder = arguments.get("local_dir")
    target = cache if folder is None else Path(folder).expanduser().resolve()
    inside = ".locks" if folder is None else ".cache/huggingface"

    key = hashlib.sha256(f"{repo}/{filename}".encode()).hexdigest()[:16]
    with file_lock(target / inside / f"picklegate-{key}.lock"), staging(target, inside=inside) as stage:
        view: StandIn
        if folder is None:
            view = StagedCache(stage, cache, repo, str(getattr(revision, "resolved", revision)))
            staged = {"cache_dir": str(view.root)}
        else:
            view = StagedFolder(stage, target)
            staged = {"local_dir": str(view.root)}
        skipped, resolved = _foresee(view, arguments, filename, policy)
        view.show(filename)
        if resolved:
            # What was judged is what is fetched, and the client need not ask again what the revision is.
            view.refer(resolved)
            staged["revision"] = resolved
        if isinstance(view, StagedFolder) and view.shown():
            # The client copies from its cache *through* a link that stands in the way; from an empty one it cannot.
            staged["cache_dir"] = str(stage / "empty")
        try:
            with checked_names(address(arguments["repo_id"], arguments.get("repo_type"), None, filename or ""), policy):
                result = Path(client(**_without(skipped, {**arguments, **staged})))
        except Exception:
            # What arrived before the fault is worth keeping, as the client itself would keep it.
            judged = _reports(view, view.arrived(), arguments, policy)
            view.promote(path for path, report in judged.items() if not policy.blocks(report))
            _withhold(view, {path: report for path, report in judged.items() if policy.blocks(report)}, policy)
            raise
        reports = _reports(view, view.files(result), arguments, policy)
        blocked = {path: report for path, report in reports.items() if policy.blocks(report)}
        fates = _withhold(view, blocked, policy)
        # A folder that is to be returned cannot leave out what stood in it before and is not ours to remove.
        stays = any(view.destination(path) in view.standing(path) for path in blocked)
        refuse(fates, policy, skip=filename is None and policy.on_block == "skip" and not stays)
        skipped += [view.name(path) for path in blocked]
        commit = view.commit(result)
        view.promote(path for path in reports if path not in blocked)
    if result == view.root:
        return os.path.realpath(target)
    pinned = {"revision": commit or revision, "local_files_only": True, "force_download": False}
    return client(**_without(skipped, {**arguments, **pinned}))


def _foresee(
    view: StandIn, arguments: dict[str, Any], filename: str | None, policy: Policy
) -> tuple[list[str], str | None]:
    """Judge what the client would fetch before it does: raise BlockedError, or name the files to leave out.

    Also the commit of a snapshot. What stands in the way of a forecast, the client meets and tells in its own words.
    """
    from huggingface_hub import constants
    from huggingface_hub.utils import filter_repo_objects  # type: ignore[attr-defined]

    if arguments.get("local_files_only") or constants.HF_HUB_OFFLINE:
        return [], None
    commit = None
    twins: dict[str, str] = {}
    try:
        preview = Preview(arguments["repo_id"], repo_type=arguments.get("repo_type"), policy=policy, options=arguments)
        revision = arguments.get("revision") or constants.DEFAULT_REVISION
        if filename is None:
            patterns = {name: arguments.get(name) for name in ("allow_patterns", "ignore_patterns")}
            commit, listed = preview.listing(revision)
            entries = [*filter_repo_objects(listed, key=lambda entry: entry.path, **patterns)]
            twins = pickled_twins(entry.path for entry in entries) if policy.prefer_safetensors else {}
            entries = [entry for entry in entries if entry.path not in twins]
        elif view.holds(filename, str(revision)):
            return [], None
        else:
            entries = [preview.entry(filename, revision)]
    except Exception:  # noqa: BLE001 (whatever the client raises here, it raises again when it is asked to download)
        return [], None
    wanted = [entry for entry in entries if entry.leaves or not view.holds(entry.path, entry.commit, entry.tag)]
    reports = preview.reports(wanted, most=MOST_READ)
    blocked = {entry.path: report for entry, report in reports.items() if report and policy.blocks(report)}
    hint = _safetensors_hint(preview, filename, str(revision)) if blocked and filename else ""
    refuse(
        [
            (report, " ".join(filter(None, ("Nothing of it was fetched.", hint, _held(None, report, policy)[1]))))
            for report in blocked.values()
        ],
        policy,
        skip=filename is None and policy.on_block == "skip",
    )
    for path, twin in twins.items():
        logging.getLogger(__name__).warning(
            "%s is left out: %s has the same weights as safetensors", escape(path), escape(twin)
        )
    return [*blocked, *twins], commit


def _safetensors_hint(preview: Preview, filename: str, revision: str) -> str:
    """A sentence on the safetensors copy of a refused file, where its repository has one."""
    try:
        twin = pickled_twins(entry.path for entry in preview.listing(revision)[1]).get(filename)
    except Exception:  # noqa: BLE001 (a hint is not worth an error)
        return ""
    return f"The repository has the same weights without code: {escape(twin)}." if twin else ""


def _without(names: list[str], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a snapshot that leaves out these files."""
    if not names:
        return arguments
    given = arguments.get("ignore_patterns") or []
    patterns = [given] if isinstance(given, str) else list(given)
    return {**arguments, "ignore_patterns": [*patterns, *map(glob.escape, names)]}


def _reports(view: StandIn, paths: Iterable[Path], arguments: dict[str, Any], policy: Policy) -> dict[Path, FileReport]:
    """The report on each staged file, each content judged once."""
    known: dict[tuple[str, bool], FileReport] = {}
    reports = {}
    for path in paths:
        name = _address(arguments, view, path)
        key = os.path.realpath(path), claims(name)
        if key not in known:
            known[key] = _judge(path, name, policy)
        reports[path] = replace(known[key], name=name)
        allowed(reports[path], policy)
    return reports


def _judge(path: Path, name: str, policy: Policy) -> FileReport:
    """The verdict on a staged file, from its bytes, or from an earlier look at the same unchanged file."""
    real, started_ns = os.path.realpath(path), time.time_ns()
    with open_regular(real) as file:
        before = os.fstat(file.fileno())
        known = default().get_by_file([(real, before, name)], policy=policy).get(real)
        if known is not None and known.verdict < policy.block_from:
            return known
        report = scan_stream(file, name=name, policy=policy, digest=False)
        if policy.blocks(report):
            # Hashing takes longer than judging: it is done for what may be blocked.
            return with_digest(report, file)
    # What was there already is remembered, if it has pickles, which take longest to judge.
    if report.streams and HOME not in real:
        with contextlib.suppress(OSError):
            default().put_by_file(real, report, policy=policy, before=before, started_ns=started_ns)
    return report


def refuse(blocked: list[tuple[FileReport, str]], policy: Policy, *, skip: bool) -> None:
    """Raise BlockedError that tells of every blocked file what it would do and what became of it; or only warn."""
    if not blocked:
        return
    lines = []
    for report, fate in blocked:
        what, where = sentences(report)
        lines += [f"{escape(report.name)} is refused ({report.verdict}): {what}", f"{where} {fate}"]
    worst = max((report for report, _ in blocked), key=lambda report: report.verdict)
    if skip:
        for report, _ in blocked[1:]:
            note("leave-out", report, policy=policy, message=f"{escape(report.name)} is left out of the snapshot")
        message = "left out of the snapshot:\n" + "\n".join(lines)
        note("leave-out", blocked[0][0], policy=policy, message=message)
        return
    raise refused(BlockedError(worst, "\n".join([*lines, advice(worst)])), policy)


def _withhold(view: StandIn, blocked: dict[Path, FileReport], policy: Policy) -> list[tuple[FileReport, str]]:
    """Move blocked files into quarantine, where the policy asks for that; their reports, and what became of each.

    What stood in place before is the user's: without that order, or where it cannot be kept, it stays.
    """
    standing = {path: view.standing(path) for path in blocked}
    held = {path: _held(path, report, policy) for path, report in blocked.items()}
    for path, (kept, _) in held.items():
        if kept:
            with contextlib.suppress(OSError):
                view.evict(path)
    return [(report, _fate(standing[path], held[path][1])) for path, report in blocked.items()]


def _fate(standing: tuple[Path, ...], held: str) -> str:
    """What became of a blocked file that stood in these places, and what to do where it still does."""
    if not standing:
        return held or "Nothing of it was kept."
    left = [path for path in standing if os.path.lexists(path)]
    if not left:
        return f"It was already in place, and has been moved. {held}"
    move = f"`picklegate quarantine add {escape(shlex.quote(str(left[0])))}` moves it out of reach."
    return f"{held} It was already in place, and is still there: {move}".strip()


def _held(path: Path | None, report: FileReport, policy: Policy) -> tuple[bool, str]:
    """Keep a blocked file, or its report alone, in quarantine where the policy asks for that; how to find it there."""
    if policy.on_block != "quarantine":
        return False, ""
    try:
        kept = keep(path, report).short
        note("quarantine", report, policy=policy, message=f"{escape(report.name)} is in quarantine as {kept}")
        return True, f"`picklegate quarantine show {kept}` tells more."
    except OSError as error:
        return False, f"It could not be kept in quarantine: {escape(str(error))}."


def _address(arguments: dict[str, Any], view: StandIn, path: Path) -> str:
    return address(arguments["repo_id"], arguments.get("repo_type"), view.commit(path), view.name(path))
