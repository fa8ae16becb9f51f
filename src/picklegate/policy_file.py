"""The policy file: ``picklegate.toml``, or ``[tool.picklegate]`` in a ``pyproject.toml``.

The user's own file holds first; the nearest one at or above the working directory is laid over it. What either of
them makes laxer is told, because a working directory may belong to somebody else.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from picklegate import paths
from picklegate.errors import PolicyError
from picklegate.limits import DEFAULT, Limits
from picklegate.policy import Policy
from picklegate.report import Verdict

if TYPE_CHECKING:
    import datetime as dt

NAME = "picklegate.toml"
_SHARED = "pyproject.toml"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEVELS = {verdict.name.lower(): verdict for verdict in Verdict if verdict > Verdict.CLEAN}
_ACTIONS = ("raise", "quarantine", "skip")
_SWITCHES = ("prefer_safetensors", "block_unjudged", "strict")
_KEYS = ("block_from", "on_block", *_SWITCHES, "quarantine", "log", "scores", "allow", "limits")
_SCORES = {"suspicious": "suspicious_score", "malicious": "malicious_score"}
"""Keys of the table of scores -> the policy's options."""
_KEY_OF = {option: f"scores.{key}" for key, option in _SCORES.items()} | {
    "allow_digests": "allow.digests",
    "allow_effects": "allow.effects",
}
"""The policy's options -> the keys that a file has for them, where they differ."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowed:
    """An import name or a digest that is trusted, why, and until when."""

    what: str
    reason: str
    expires: dt.date | None = None
    repo: str = ""
    """The one repository of the Hub that an import is trusted in; "" for all files."""

    @property
    def expired(self) -> bool:
        """Whether its last day is over."""
        import datetime as dt

        return self.expires is not None and self.expires < dt.datetime.now(dt.timezone.utc).date()

    @property
    def why(self) -> str:
        """The reason, and the last day where there is one."""
        return f"{self.reason}, until {self.expires}" if self.expires else self.reason

    @property
    def entry(self) -> str:
        """The entry as a Policy takes it."""
        return f"{self.what}@{self.repo}" if self.repo else self.what


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the files said; ``policy`` has what has not expired. ``files`` are those that were read."""

    policy: Policy = field(default_factory=Policy)
    imports: tuple[Allowed, ...] = ()
    digests: tuple[Allowed, ...] = ()
    effects: tuple[Allowed, ...] = ()
    quarantine: Path | None = None
    files: tuple[Path, ...] = ()
    laxer: tuple[tuple[Path, str], ...] = ()
    """Files that allow what is blocked without them, and how, in words."""

    @property
    def expired(self) -> tuple[Allowed, ...]:
        """What is no longer trusted."""
        return tuple(item for item in (*self.imports, *self.digests, *self.effects) if item.expired)

    @property
    def allowances(self) -> dict[str, str]:
        """The digests that are allowed, each with its reason."""
        return {item.what: item.why for item in self.digests if not item.expired}

    def logged(self, *, searched: bool) -> Settings:
        """Itself, once it is logged what has expired and, of files that were ``searched`` for, what they allow."""
        import logging

        log = logging.getLogger(__name__)
        for path, words in self.laxer if searched else ():
            log.warning("%s makes the policy laxer: %s", path, words)
        for item in self.expired:
            log.warning("%s is no longer allowed: that ended with %s (%s)", item.what, item.expires, item.reason)
        return self


def load(path: str | os.PathLike[str] | None = None) -> Settings:
    """The settings of the file at ``path`` and no other, or of the user's and the project's.

    Raises PolicyError, which names the file and the key, and OSError for a ``path`` that cannot be read.
    """
    if path is not None:
        return _laid_over(Settings(), Path(path), _table(Path(path)))
    settings = Settings()
    for found, own in ((paths.config() / NAME, True), (project(), False)):
        if found is not None and os.path.isfile(found):
            settings = _laid_over(settings, found, _table(found), own=own)
    return settings


def project(start: Path | None = None) -> Path | None:
    """The nearest policy file at or above a directory, by default the working directory."""
    start = start or Path.cwd()
    for folder in (start, *start.parents):
        if os.path.isfile(folder / NAME):
            return folder / NAME
        shared = folder / _SHARED
        if os.path.isfile(shared) and "picklegate" in _parsed(shared, lenient=True).get("tool", {}):
            return shared
    return None


def add(path: Path, item: Allowed) -> bool:
    """Write an entry into the policy file at ``path``, which is made if missing; whether it is a new one.

    Comments stay. An entry for the same import or digest gets the new reason and date. Raises PolicyError for a file
    that is wrong, before or after, and OSError.
    """
    import tomlkit

    before = path.read_text("utf-8") if path.exists() else ""
    if before:
        _laid_over(Settings(), path, _table(path))
    document = tomlkit.parse(before)
    table: Any = document
    for name in ("tool", "picklegate") if path.name == _SHARED else ():
        table = table.setdefault(name, tomlkit.table())
    digest = _DIGEST.fullmatch(item.what) is not None
    key, name = ("digests", "sha256") if digest else ("imports", "name")
    allow = table.setdefault("allow", tomlkit.table(is_super_table=True))
    entries = allow.setdefault(key, tomlkit.aot())
    known = next((one for one in entries if one[name] == item.what and one.get("repo", "") == item.repo), None)
    entry = tomlkit.table() if isinstance(entries, tomlkit.items.AoT) else tomlkit.inline_table()
    entry = entry if known is None else known
    entry[name] = item.what
    entry["reason"] = item.reason
    entry.pop("expires", None)
    if item.expires:
        entry["expires"] = item.expires
    if item.repo:
        entry["repo"] = item.repo
    if known is None:
        if isinstance(entry, tomlkit.items.Table) and before:
            entry.trivia.indent = "\n"
        entries.append(entry)
    _replace(path, tomlkit.dumps(document))
    return known is None


def _replace(path: Path, text: str) -> None:
    """Put a checked text in the place of a file, at once, and through a link."""
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        draft.write_text(text, "utf-8")
        _laid_over(Settings(), path, _table(draft, shared=path.name == _SHARED))
        if target.exists():
            import shutil

            shutil.copymode(target, draft)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def doubts(settings: Settings) -> Iterator[str]:
    """What in the files looks as if it had no effect: names that nothing can match, and files that are not read."""
    for item in settings.imports:
        if not all(part.isidentifier() for part in item.what.split(".")):
            yield f"the import {item.what} matches nothing: write a whole name, without wildcards"
    seen: set[str] = set()
    for item in (*settings.imports, *settings.digests):
        if item.entry in seen:
            yield f"{item.entry} is allowed twice"
        seen.add(item.entry)
    for path in settings.files:
        beside = path.with_name(_SHARED)
        if path.name == NAME and beside.is_file() and "picklegate" in _parsed(beside, lenient=True).get("tool", {}):
            yield f"[tool.picklegate] in {beside} is not read, because {NAME} is in the same folder"


def _parsed(path: Path, *, lenient: bool = False) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # Somebody else's pyproject.toml on the way up is not ours to complain about.
        if lenient:
            return {}
        raise PolicyError(f"{path}: no valid TOML: {error}") from error


def _table(path: Path, *, shared: bool | None = None) -> Mapping[str, Any]:
    table = _parsed(path)
    if not (path.name == _SHARED if shared is None else shared):
        return table
    own = table.get("tool", {}).get("picklegate", {})
    if not isinstance(own, dict):
        raise PolicyError(f"{path}: tool.picklegate: must be a table")
    return own


def _laid_over(before: Settings, path: Path, table: Mapping[str, Any], *, own: bool = True) -> Settings:
    """The settings with those of one more file; one that is not the user's ``own`` may not say where to write a log."""
    file = _File(path)
    file.known(table, _KEYS, "")
    if "log" in table and not own:
        raise file.error("log", "a project's file cannot name it: use your own file, --policy or PICKLEGATE_LOG")
    log = str(file.path(table, "log", "file")) if "log" in table else before.policy.log
    level = _LEVELS[file.choice(table, "block_from", tuple(_LEVELS))] if "block_from" in table else None
    action = file.choice(table, "on_block", _ACTIONS) if "on_block" in table else before.policy.on_block
    allow = file.table(table, "allow", ("imports", "digests", "effects"))
    imports = tuple(file.allowed(allow, "imports", "name"))
    digests = tuple(file.allowed(allow, "digests", "sha256"))
    effects = tuple(file.allowed(allow, "effects", "kind"))
    limits = file.limits(table, before.policy.limits)
    scores = {_SCORES[key]: value for key, value in file.table(table, "scores", tuple(_SCORES)).items()}
    switches: dict[str, Any] = {key: file.switch(table, key, getattr(before.policy, key)) for key in _SWITCHES}
    place = file.path(table, "quarantine") if "quarantine" in table else None
    after = replace(
        before,
        imports=(*before.imports, *imports),
        digests=(*before.digests, *digests),
        effects=(*before.effects, *effects),
        quarantine=place or before.quarantine,
        files=(*before.files, path),
    )
    kinds: tuple[Any, ...] = tuple(item.entry for item in after.effects if not item.expired)
    try:
        policy = replace(
            before.policy,
            block_from=before.policy.block_from if level is None else level,
            on_block=action,
            **switches,
            log=log,
            allow_imports=tuple(item.entry for item in after.imports if not item.expired),
            allow_digests=tuple(item.entry for item in after.digests if not item.expired),
            allow_effects=kinds,
            limits=limits,
            **scores,
        )
    except PolicyError as error:
        option, _, fault = str(error).partition(": ")
        raise PolicyError(f"{path}: {_KEY_OF.get(option, option)}: {fault}") from error
    lists = ((imports, "import"), (digests, "digest"), (effects, "effect"))
    words = list(_laxer(before, policy, lists, place))
    return replace(after, policy=policy, laxer=(*before.laxer, *([(path, ", ".join(words))] if words else [])))


def _laxer(
    before: Settings, policy: Policy, lists: tuple[tuple[tuple[Allowed, ...], str], ...], place: Path | None
) -> Iterator[str]:
    if policy.block_from > before.policy.block_from:
        yield f"it blocks only {policy.block_from}" + (" and above" if policy.block_from < Verdict.MALICIOUS else "")
    for items, noun in lists:
        names = [item.what for item in items if not item.expired]
        if names:
            shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            yield f"it allows {len(names)} {noun}{'' if len(names) == 1 else 's'} ({shown})"
    for word, option in _SCORES.items():
        score = getattr(policy, option)
        if score is not None and score > (getattr(before.policy, option) or 0.0):
            yield f"it calls {word} only what scores {score:g} or more"
    if policy.on_block == "skip" != before.policy.on_block:
        yield "it leaves blocked files out instead of failing"
    if place is not None:
        yield f"it keeps blocked files in {place}"


class _File:
    """Reads keys; every error names the file and the key."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def error(self, key: str, message: str) -> PolicyError:
        return PolicyError(f"{self._path}: {key}: {message}")

    def known(self, table: Mapping[str, Any], keys: tuple[str, ...], prefix: str) -> None:
        for key in table:
            if key not in keys:
                import difflib

                near = difflib.get_close_matches(key, keys, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(keys)}"
                raise self.error(prefix + key, f"no such key: {hint}")

    def choice(self, table: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> Any:
        value = table[key]
        if value not in choices:
            raise self.error(key, f"must be one of {', '.join(choices)}, and is {value!r}")
        return value

    def table(self, table: Mapping[str, Any], key: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.error(key, "must be a table")
        self.known(value, keys, f"{key}.")
        return value

    def path(self, table: Mapping[str, Any], key: str, noun: str = "directory") -> Path:
        value = table[key]
        if not isinstance(value, str) or not value:
            raise self.error(key, f"must be the path of a {noun}")
        return self._path.parent.absolute() / Path(value).expanduser()

    def switch(self, table: Mapping[str, Any], key: str, before: bool) -> bool:  # noqa: FBT001 (a value, not a mode)
        value = table.get(key, before)
        if not isinstance(value, bool):
            raise self.error(key, "must be true or false")
        return value

    def allowed(self, table: Mapping[str, Any], key: str, name: str) -> Iterator[Allowed]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.error(f"allow.{key}", f"must be an array of tables, each with {name} and reason")
        for place, item in enumerate(value):
            where = f"allow.{key}[{place}]"
            keys = (name, "reason", "expires", "repo") if name == "name" else (name, "reason", "expires")
            self.known(item, keys, f"{where}.")
            for needed in (name, "reason"):
                if not isinstance(item.get(needed), str) or not item[needed].strip():
                    raise self.error(f"{where}.{needed}", "is missing, or no text")
            if name == "name" and ("." not in item[name] or not all(item[name].split("."))):
                raise self.error(f"{where}.{name}", f"{item[name]!r} must be a module and a name in it, as in os.path")
            import datetime as dt

            expires = item.get("expires")
            if expires is not None and type(expires) is not dt.date:
                raise self.error(f"{where}.expires", "must be a date, as in 2027-01-31, without quotes")
            repo = item.get("repo", "")
            if not isinstance(repo, str) or ("repo" in item and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", repo)):
                raise self.error(f"{where}.repo", "must be a repository of the Hub, as in org/name")
            yield Allowed(what=item[name], reason=item["reason"], expires=expires, repo=repo)

    def limits(self, table: Mapping[str, Any], before: Limits) -> Limits:
        names = tuple(one.name for one in fields(Limits))
        given = self.table(table, "limits", names)
        for key, value in given.items():
            wanted = type(getattr(DEFAULT, key))
            if isinstance(value, bool) or not isinstance(value, (int, wanted)) or value <= 0:
                raise self.error(f"limits.{key}", "must be a number above 0")
        return replace(before, **given)
