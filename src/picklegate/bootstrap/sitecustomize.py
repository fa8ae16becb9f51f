"""Run by each Python under ``picklegate run`` before its program: the gate, or the end.

``site`` imports this module by its name, and would go on after an error in it. What else has that name follows.
"""

from __future__ import annotations

import importlib
import os
import sys


def _gate() -> None:
    try:
        from picklegate.protection import protect_process

        protect_process()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the program must not run without the gate
        sys.stderr.write(
            f"picklegate: {sys.executable} was stopped, as the gate cannot be put under it ({error!r}): "
            "install picklegate there, or run it without `picklegate run`\n"
        )
        sys.stderr.flush()
        os._exit(2)


def _give_way() -> None:
    """Import the ``sitecustomize`` that would have been found without this one."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    own = sys.modules.pop("sitecustomize")
    try:
        importlib.import_module("sitecustomize")
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
    finally:
        sys.modules.setdefault("sitecustomize", own)


if __name__ == "sitecustomize":
    _gate()
    _give_way()
