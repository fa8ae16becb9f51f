"""The names that a file needs beside those that torch allows by itself."""

from __future__ import annotations

from typing import Any

from picklegate.errors import BlockedError
from picklegate.escape import escape
from picklegate.guard import module_origin
from picklegate.guard.scan_before_load import File, name_of, opened, path_of, scanned
from picklegate.policy import PolicyOption, chosen


def torch_safe_globals(path: File, *, policy: PolicyOption = None) -> list[Any]:
    """What to give torch.serialization.safe_globals, so that ``weights_only=True`` lets just this file pass.

    Imports the modules of a file that the policy lets pass, and raises BlockedError for any other, or where a
    module comes from elsewhere than it was installed. Items are callables, or pairs of one and the name that
    the file has for it.
    """
    from torch._weights_only_unpickler import _get_allowed_globals

    policy = chosen(policy)
    with opened(path) as file:
        report = scanned(file, name_of(path), policy)
    homes = module_origin.homes(path_of(path))
    known = _get_allowed_globals()
    found: dict[str, Any] = {}
    for module, name in dict.fromkeys(pair for stream in report.streams for pair in stream.imports):
        if f"{module}.{name}" in known:
            continue
        fault = escape(module_origin.fault(module, name, homes), 400)
        if fault:
            raise BlockedError(
                report,
                f"{escape(report.name)} asks for {escape(f'{module}.{name}', 200)}, {fault}.\n"
                "Code that was put there under a trusted name would run.\n"
                "If that module is yours, import it first.",
            )
        value = module_origin.resolve(*module_origin.today(module, name))
        # torch compares with the name as written, and in protocol 2 with that of today.
        for dotted in {f"{module}.{name}", ".".join(module_origin.today(module, name))} - known.keys():
            own = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', '')}"
            found[dotted] = value if own == dotted else (value, dotted)
    return list(found.values())
