"""The gate under libraries that download by themselves: every name of the client's functions is led through it.

The functions live in two modules of huggingface_hub. There, and in each loaded module that has imported them, the
name is bound to a gated function of the same signature for as long as anybody is protected; modules that are
imported meanwhile find that one.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from types import MethodType, ModuleType
from typing import Any

from picklegate import transfers
from picklegate.guard import install_guard
from picklegate.guard.import_hook import Waiting
from picklegate.hub.download import PLAIN, safe_hf_hub_download, safe_snapshot_download
from picklegate.limits import Limits
from picklegate.policy import Policy, PolicyOption, chosen
from picklegate.report import Verdict

Function = Callable[..., Any]

_CLIENT = "huggingface_hub"
_DOWNLOADS = "huggingface_hub.file_download"
_SNAPSHOTS = "huggingface_hub._snapshot_download"
_API = "huggingface_hub.hf_api"
_FILE_SYSTEM = "huggingface_hub.hf_file_system"
_OWN_CALLS = {(_SNAPSHOTS, "hf_hub_download"), (_DOWNLOADS, "try_to_load_from_cache")}
"""Where the client calls one of the functions inside another one, which is behind the gate already."""

_POLICY = "PICKLEGATE_POLICY"
"""The variable that hands a policy down to the processes of a program."""

_turn = threading.RLock()
_policies: list[list[Policy]] = []
"""Of those who are protected; each in a list of its own, so that equal policies stay apart."""
_gated: dict[Function, Function] = {}
"""The client's functions -> those that stand in their place; empty while nobody is protected."""
_methods: list[tuple[type, str, Function]] = []
"""Methods of the client that have others in their place: their classes, names, and what they were."""
_added: set[str] = set()
"""Names that huggingface_hub itself makes up when asked, and that stand in it only meanwhile."""


@contextlib.contextmanager
def protect(*, policy: PolicyOption = None) -> Iterator[None]:
    """Gate every download that goes through huggingface_hub, in this process, until the block ends.

    ``hf_hub_download``, ``snapshot_download`` and what is built on them (``HfApi``, ``from_pretrained`` of any
    library) judge what they fetch, and ``try_to_load_from_cache`` what it finds. Blocks may overlap, in one thread
    or in several: the policy is that of the one entered last, and the last to end restores the names.
    """
    own = _enter(chosen(policy))
    try:
        yield
    finally:
        with _turn:
            # By identity: an equal one may be somebody else's.
            del _policies[next(place for place, held in enumerate(_policies) if held is own)]
            if not _policies:
                _restore()


def protect_process() -> None:
    """Gate this process to its end: its loads at once, its downloads as soon as it imports huggingface_hub.

    The policy is the one handed down in the environment, if there is one; raises what a broken one raises.
    """
    policy = _inherited()
    install_guard(policy=policy)

    def arrived(_: ModuleType) -> None:
        sys.meta_path.remove(waiting)
        _enter(policy)

    waiting = Waiting([_CLIENT], arrived)
    sys.meta_path.insert(0, waiting)
    if _CLIENT in sys.modules:
        arrived(sys.modules[_CLIENT])


def handed_down(policy: Policy) -> dict[str, str]:
    """What the environment of a program tells ``protect_process`` in it of its policy."""
    return {_POLICY: json.dumps(asdict(policy))}


def _inherited() -> Policy:
    text = os.environ.get(_POLICY)
    if text is None:
        return Policy()
    told = json.loads(text)
    lists = {name: tuple(told[name]) for name in ("allow_imports", "allow_digests", "allow_effects")}
    limits, block_from = Limits(**told["limits"]), Verdict(told["block_from"])
    return Policy(**{**told, **lists, "limits": limits, "block_from": block_from})


def _enter(policy: Policy) -> list[Policy]:
    own = [policy]
    with _turn:
        _policies.append(own)
        if len(_policies) == 1:
            _install()
    return own


def _install() -> None:
    for name in (_DOWNLOADS, _SNAPSHOTS):
        importlib.import_module(name)
    for name in dict.fromkeys(module_name for module_name, *_ in _GATES):
        if name in sys.modules:
            _gate(sys.modules[name])
    # The file system is seldom asked for, and takes long to import.
    sys.meta_path.insert(0, _file_system)
    client = vars(importlib.import_module(_CLIENT))
    for plain, gated in _gated.items():
        if plain.__name__ not in client:
            _added.add(plain.__name__)
            client[plain.__name__] = gated
    _rebind(_gated)


def _gate(module: ModuleType) -> None:
    """Put the gates into a module of the client."""
    for module_name, name, gate in _GATES:
        owner_name, _, attribute = name.rpartition(".")
        owner = getattr(module, owner_name, None) if owner_name else module
        plain = vars(owner).get(attribute) if module.__name__ == module_name and owner else None
        if plain is None:
            continue  # of another module, or an older client has no such function
        gated = _behind(gate if gate in _FRONT_DOORS else functools.partial(gate, plain), plain)
        if isinstance(owner, type):
            setattr(owner, attribute, gated)
            _methods.append((owner, attribute, plain))
            _bind_methods(plain, gated)
        else:
            _gated[plain] = gated


def _restore() -> None:
    sys.meta_path.remove(_file_system)
    client = vars(importlib.import_module(_CLIENT))
    while _added:
        client.pop(_added.pop(), None)
    _rebind({gated: plain for plain, gated in _gated.items()})
    _gated.clear()
    while _methods:
        setattr(*_methods.pop())


def _behind(gate: Function, plain: Function) -> Function:
    """A function that looks like the client's and calls the gate's."""

    @functools.wraps(plain)
    def gated(*args: Any, **kwargs: Any) -> Any:
        with _turn:
            policy = _policies[-1][0] if _policies else Policy()
        return gate(*args, policy=policy, **kwargs)

    setattr(gated, PLAIN, plain)
    return gated


def _bind_methods(plain: Function, gated: Function) -> None:
    """Have the names of loaded modules that are bound methods bound anew, as ``_rebind`` does with functions."""
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", None)
        for value in list(names.values()) if isinstance(names, dict) else ():
            if type(value) is MethodType and value.__func__ is plain:
                _gated[value] = MethodType(gated, value.__self__)


def _look_up(plain: Function, *args: Any, policy: Policy, **kwargs: Any) -> Any:
    """``try_to_load_from_cache``, which tells paths that other libraries open: what it finds is judged."""
    path = plain(*args, **kwargs)
    if isinstance(path, str):
        names = ("repo_id", "filename", "cache_dir", "revision", "repo_type")
        asked = {**dict(zip(names, args, strict=False)), **kwargs}
        return safe_hf_hub_download(**asked, local_files_only=True, policy=policy)
    return path


def _rebind(replaced: dict[Function, Function]) -> None:
    """Bind names of loaded modules anew, and what ``functools.partial`` made of the functions."""
    by_identity = {id(old): (old, new) for old, new in replaced.items()}
    for module_name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        if not isinstance(names, dict):
            continue
        for name, value in list(names.items()):
            if (module_name, name) in _OWN_CALLS:
                continue
            if id(value) in by_identity:
                names[name] = by_identity[id(value)][1]
            elif type(value) is functools.partial and id(value.func) in by_identity:
                # In place, as others may hold the same object.
                made: Any = value
                made.__setstate__((by_identity[id(made.func)][1], made.args, made.keywords, vars(made)))


_FRONT_DOORS: tuple[Function, ...] = (safe_hf_hub_download, safe_snapshot_download)
"""The gates that find the client's own function by themselves."""
_GATES: tuple[tuple[str, str, Function], ...] = (
    (_DOWNLOADS, "hf_hub_download", safe_hf_hub_download),
    (_SNAPSHOTS, "snapshot_download", safe_snapshot_download),
    (_DOWNLOADS, "try_to_load_from_cache", _look_up),
    (_DOWNLOADS, "http_get", transfers.http_get),
    (_DOWNLOADS, "xet_get", transfers.xet_get),
    (_API, "HfApi.download_bucket_files", transfers.download_bucket_files),
    (_FILE_SYSTEM, "HfFileSystem._open", transfers.open_file),
    (_FILE_SYSTEM, "HfFileSystem.get_file", transfers.get_file),
)
"""What brings files: its module, its name there, and what stands in its place."""
_file_system = Waiting([_FILE_SYSTEM], _gate)
