"""Where the source of a module lies on a list of folders, found without importing anything: one listing of each folder.

Packages, namespace packages, ``.pth`` files, the mappings of editable installs, zip files and modules of native code
are found as Python finds them. The working directory, and any other folder that is excluded, is never looked into.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass

_NATIVE = (".so", ".pyd", ".dylib")
_MOST_TEXT = 4_000_000
_MAPPING = re.compile(r"^MAPPING(?:\s*:[^=]+)?\s*=\s*(\{.*?\})\s*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a module is: ``kind`` is ``source``, ``native`` or ``namespace``; ``member`` is the name in a zip file."""

    kind: str
    path: str
    package: bool = False
    member: str = ""

    def read(self) -> str:
        """The text of the source; empty where it cannot be read."""
        try:
            if self.member:
                with zipfile.ZipFile(self.path) as archive:
                    return archive.read(self.member)[:_MOST_TEXT].decode("utf-8", "replace")
            with open(self.path, "rb") as file:
                return file.read(_MOST_TEXT).decode("utf-8", "replace")
        except (OSError, KeyError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError):
            return ""

    def identity(self) -> tuple[str, int, int]:
        """What changes when the file does: its path, its size, when it was written."""
        try:
            told = os.stat(self.path)
        except OSError:
            return self.path, -1, -1
        return self.path, told.st_size, told.st_mtime_ns


class Sources:
    """The modules on a list of folders and zip files."""

    def __init__(self, paths: Iterable[str], *, excluded: Iterable[str] = ()) -> None:
        """Relative entries and ``excluded`` ones are left out; site folders bring what their ``.pth`` files name."""
        self._out = tuple(_real(path) for path in excluded)
        self._listings: dict[str, dict[str, bool]] = {}
        self._zips: dict[str, frozenset[str]] = {}
        self._found: dict[str, Source | None] = {}
        self._portions: dict[str, tuple[str, ...]] = {}
        self.mapping: dict[str, str] = {}
        kept: dict[str, None] = {}
        for path in paths:
            if self._allowed(path):
                kept[path] = None
                for more in self._added(path):
                    if self._allowed(more) and not any(_below(more, out) for out in self._out):
                        kept[more] = None
        self.paths = tuple(kept)

    def _allowed(self, path: str) -> bool:
        return os.path.isabs(path) and _real(path) not in self._out

    def _added(self, folder: str) -> list[str]:
        """What the ``.pth`` files of a site folder add; mappings of editable installs are kept aside."""
        found = []
        for name in sorted(self.listing(folder)):
            if name.endswith(".pth"):
                lines = _lines(os.path.join(folder, name))
                code = ("#", "import ", "import\t")
                found += [os.path.join(folder, line) for line in lines if line and not line.startswith(code)]
            elif name.startswith("__editable__") and name.endswith("_finder.py"):
                match = _MAPPING.search("\n".join(_lines(os.path.join(folder, name))))
                try:
                    mapping = ast.literal_eval(match[1]) if match else {}
                except (ValueError, SyntaxError, MemoryError, RecursionError):
                    continue
                if isinstance(mapping, dict):
                    for key, value in mapping.items():
                        inside = isinstance(value, str) and any(_below(value, out) for out in self._out)
                        if isinstance(key, str) and isinstance(value, str) and os.path.isabs(value) and not inside:
                            self.mapping[key] = value
        return found

    def listing(self, folder: str) -> dict[str, bool]:
        """The names in a folder, and whether each is a folder."""
        known = self._listings.get(folder)
        if known is None:
            known = {}
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        known[entry.name] = entry.is_dir()
            except OSError:
                pass
            self._listings[folder] = known
        return known

    def find(self, module: str) -> Source | None:
        """Where a module is; None if it is nowhere."""
        if module not in self._found:
            self._found[module] = self._find(module)
        return self._found[module]

    def _find(self, module: str) -> Source | None:
        parent, _, last = module.rpartition(".")
        if not last.isidentifier():
            return None
        if module in self.mapping:
            path = self.mapping[module]
            folder, name = os.path.split(path)
            return self._in_folder(folder, name.removesuffix(".py"), module)
        if parent:
            owner = self.find(parent)
            if owner is None or not (owner.package or owner.kind == "namespace"):
                return None
            places = self._portions.get(parent, ())
        else:
            if module in sys.builtin_module_names:
                return Source("native", "")
            places = self.paths
        portions = []
        for place in places:
            if ".zip" in place or place.endswith((".egg", ".whl")):
                found = self._in_zip(place, last, module)
            else:
                found = self._in_folder(place, last, module)
            if found is None:
                continue
            if found.kind != "namespace":
                return found
            portions.append(found.path)
        if portions:
            self._portions[module] = tuple(portions)
            return Source("namespace", portions[0])
        return None

    def _in_folder(self, folder: str, name: str, module: str) -> Source | None:
        listing = self.listing(folder)
        here = os.path.join(folder, name)
        if listing.get(name):
            inner = self.listing(here)
            if "__init__.py" in inner:
                self._portions[module] = (here,)
                return Source("source", os.path.join(here, "__init__.py"), package=True)
            if any(item.startswith("__init__.") and item.endswith(_NATIVE) for item in inner):
                self._portions[module] = (here,)
                return Source("native", here, package=True)
        for item in listing:
            if item.startswith(name + ".") and item.endswith(_NATIVE):
                return Source("native", os.path.join(folder, item))
        if f"{name}.py" in listing:
            return Source("source", f"{here}.py")
        return Source("namespace", here) if listing.get(name) else None

    def _in_zip(self, place: str, name: str, module: str) -> Source | None:
        cut = max((place.find(end) + len(end) for end in (".zip", ".egg", ".whl") if end in place), default=0)
        archive, inner = place[:cut], place[cut:].strip("/")
        if archive not in self._zips:
            try:
                with zipfile.ZipFile(archive) as opened:
                    self._zips[archive] = frozenset(opened.namelist())
            except (OSError, zipfile.BadZipFile, ValueError):
                self._zips[archive] = frozenset()
        names = self._zips[archive]
        stem = f"{inner}/{name}" if inner else name
        if f"{stem}/__init__.py" in names:
            self._portions[module] = (f"{archive}/{stem}",)
            return Source("source", archive, package=True, member=f"{stem}/__init__.py")
        return Source("source", archive, member=f"{stem}.py") if f"{stem}.py" in names else None


def _lines(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            return [line.rstrip() for line in file.read(_MOST_TEXT).decode("utf-8", "replace").splitlines()]
    except OSError:
        return []


def _real(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _below(path: str, folder: str) -> bool:
    real = _real(path)
    if os.path.dirname(folder) == folder:
        return real == folder  # everything is below the root
    return real == folder or real.startswith(folder.rstrip(os.sep) + os.sep)


def installed_paths() -> tuple[str, ...]:
    """The folders of this process's standard library and installed packages.

    Not the script's, not the working directory's.
    """
    roots = {_real(root) for root in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)}
    site = sys.modules.get("site")
    user = getattr(site, "USER_SITE", None) if site is not None and getattr(site, "ENABLE_USER_SITE", None) else None
    kept = []
    for path in sys.path:
        if not os.path.isabs(path):
            continue
        library = os.path.basename(path) in {"site-packages", "dist-packages"} and any(
            _below(path, root) for root in roots
        )
        standard = _standard(path) and any(_below(path, root) for root in roots)
        if library or standard or (user and _real(path) == _real(user)):
            kept.append(path)
    return tuple(kept)


def _standard(path: str) -> bool:
    name = os.path.basename(path)
    return bool(re.fullmatch(r"python\d(\.?\d+)?(\.zip)?|lib-dynload|lib|dlls", name, re.IGNORECASE))


def paths_below(prefix: str) -> tuple[str, ...]:
    """The same folders of another environment, given its folder or its interpreter, which is not run."""
    prefix = os.path.abspath(os.path.expanduser(prefix))
    if os.path.isfile(prefix):
        prefix = os.path.dirname(os.path.dirname(prefix))
    found: dict[str, None] = {}
    for root in (prefix, _base_of(prefix)):
        for lib in ("lib", "lib64", "Lib"):
            folder = os.path.join(root, lib) if root else ""
            if not folder or not os.path.isdir(folder):
                continue
            for name in sorted(os.listdir(folder)) if lib != "Lib" else ["."]:
                library = os.path.normpath(os.path.join(folder, name))
                if name == "." or re.fullmatch(r"python3\.\d+", name):
                    for place in (
                        library,
                        os.path.join(library, "lib-dynload"),
                        os.path.join(library, "site-packages"),
                    ):
                        if os.path.isdir(place):
                            found[place] = None
    return tuple(found)


def _base_of(prefix: str) -> str:
    """The installation that a virtual environment stands on."""
    for line in _lines(os.path.join(prefix, "pyvenv.cfg")):
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return os.path.dirname(value.strip())
    return ""
