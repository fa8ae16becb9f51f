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
from types import ModuleType
from typing import Any

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
_OWN_CALLS = {(_SNAPSHOTS, "hf_hub_download"), (_DOWNLOADS, "try_to_load_from_cache")}
"""Where the client calls one of the functions inside another one, which is behind the gate already."""

_POLICY = "PICKLEGATE_POLICY"
"""The variable that hands a policy down to the processes of a program."""

_turn = threading.RLock()
_policies: list[list[Policy]] = []
"""Of those who are protected; each in a list of its own, so that equal policies stay apart."""
_gated: dict[Function, Function] = {}
"""The client's functions -> those that stand in their place; empty while nobody is protected."""
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
    lists = {name: tuple(told[name]) for name in ("allow_imports", "allow_digests")}
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
    downloads, snapshots = (importlib.import_module(name) for name in (_DOWNLOADS, _SNAPSHOTS))
    for module, name, gate in (
        (downloads, "hf_hub_download", safe_hf_hub_download),
        (snapshots, "snapshot_download", safe_snapshot_download),
        (downloads, "try_to_load_from_cache", _look_up),
    ):
        plain = getattr(module, name)
        _gated[plain] = _behind(gate, plain)
    client = vars(importlib.import_module(_CLIENT))
    for plain, gated in _gated.items():
        if plain.__name__ not in client:
            _added.add(plain.__name__)
            client[plain.__name__] = gated
    _rebind(_gated)


def _restore() -> None:
    client = vars(importlib.import_module(_CLIENT))
    while _added:
        client.pop(_added.pop(), None)
    _rebind({gated: plain for plain, gated in _gated.items()})
    _gated.clear()


def _behind(gate: Function, plain: Function) -> Function:
    """A function that looks like the client's and calls the gate's."""

    @functools.wraps(plain)
    def gated(*args: Any, **kwargs: Any) -> Any:
        with _turn:
            policy = _policies[-1][0] if _policies else Policy()
        return gate(*args, policy=policy, **kwargs)

    setattr(gated, PLAIN, plain)
    return gated


def _look_up(*args: Any, policy: Policy, **kwargs: Any) -> Any:
    """``try_to_load_from_cache``, which tells paths that other libraries open: what it finds is judged."""
    from huggingface_hub import file_download

    plain = file_download.try_to_load_from_cache
    found = plain(*args, **kwargs)
    if isinstance(found, str):
        names = ("repo_id", "filename", "cache_dir", "revision", "repo_type")
        asked = {**dict(zip(names, args, strict=False)), **kwargs}
        return safe_hf_hub_download(**asked, local_files_only=True, policy=policy)
    return found


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
