"""The sources that the index is made of: wheels, installed packages and standard libraries, each read once."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from picklegate import __version__
from picklegate.capabilities.modules import read_module
from picklegate.capabilities.records import Module, decode, encode

_SKIPPED = {
    "tests",
    "test",
    "_tests",
    "conftest",
    "benchmarks",
    "examples",
    "node_modules",
    "lib2to3_tests",
    "turtledemo",
    "site-packages",
}
STANDARD = "python"
"""The name of the standard library among the distributions."""
_MOST = 3_000_000
Job = tuple[str, str, str, str, tuple[str, ...], str]
"""Kind, path, name, version, top-level packages, folder of the cache."""
_WHERE = r"""
import json, os, sys, sysconfig
root = sysconfig.get_paths()["stdlib"]
dynamic = os.path.join(root, "lib-dynload")
names = [name.split(".")[0] for name in os.listdir(dynamic)] if os.path.isdir(dynamic) else []
print(json.dumps([root, sys.version.split()[0], list(sys.builtin_module_names), names]))
"""
_MEMBERS = r"""
import importlib, json, sys
found = {}
for name in json.loads(sys.argv[1]):
    try:
        module = importlib.import_module(name)
    except BaseException:
        continue
    found[name] = [[key, isinstance(value, type)] for key, value in vars(module).items() if callable(value)]
print(json.dumps(found))
"""


@dataclass(slots=True)
class Distribution:
    """What one wheel, package or standard library holds."""

    name: str
    version: str
    modules: list[str] = field(default_factory=list)
    """The modules of Python source, as records."""
    natives: dict[str, dict[str, str]] = field(default_factory=dict)
    """Modules of native code: their members, as far as stubs or the interpreter tell, each ``class`` or ``native``."""


def _parts(path: str) -> tuple[str, ...] | None:
    parts = path.rpartition(".")[0].split("/")
    if parts and parts[0].endswith(".data") and len(parts) > 2:
        parts = parts[2:]
    if parts[-1] == "__init__":
        parts.pop()
    if not parts or _SKIPPED & set(parts) or parts[-1].startswith("test_"):
        return None
    return tuple(parts) if all(part.isidentifier() for part in parts) else None


def _read(name: str, version: str, files: Iterator[tuple[str, bytes]]) -> Distribution:
    found = Distribution(name, version)
    stubs: dict[str, dict[str, str]] = {}
    for path, data in files:
        if path.endswith((".so", ".pyd")):
            stem = path.rpartition("/")
            parts = _parts(f"{stem[0]}{stem[1]}{stem[2].partition('.')[0]}.so")
            if parts:
                found.natives.setdefault(".".join(parts), {})
            continue
        parts = _parts(path)
        if parts is None or len(data) > _MOST:
            continue
        record = read_module(
            data.decode("utf-8", "replace"),
            name=".".join(parts),
            location=path,
            package=path.rpartition("/")[2].startswith("__init__."),
        )
        if record is None:
            continue
        if path.endswith(".pyi"):
            members = dict.fromkeys((key for key in record.classes if "." not in key), "class")
            stubs[record.name] = members | dict.fromkeys((key for key in record.functions if "." not in key), "native")
        else:
            found.modules.append(encode(record))
    for module in found.natives:
        found.natives[module] = stubs.get(module, {})
    return found


def _wheel_files(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as wheel:
        for info in sorted(wheel.infolist(), key=lambda item: item.filename):
            if info.filename.endswith((".py", ".pyi")):
                yield info.filename, wheel.read(info)
            elif info.filename.endswith((".so", ".pyd")):
                yield info.filename, b""


def _folder_files(root: Path, tops: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for top in tops:
        here = root / top
        for path in sorted(here.rglob("*")) if here.is_dir() else [here]:
            if path.suffix in {".py", ".pyi"} and path.is_file():
                yield path.relative_to(root).as_posix(), path.read_bytes()
            elif path.suffix in {".so", ".pyd"}:
                yield path.relative_to(root).as_posix(), b""


def read_wheel(path: Path) -> Distribution:
    """The modules of a wheel."""
    name, version = path.name.split("-")[:2]
    return _read(name.lower().replace("_", "-"), version, _wheel_files(path))


def read_installed(root: Path, name: str, version: str, tops: tuple[str, ...]) -> Distribution:
    """The modules of some top-level packages in a site-packages folder."""
    return _read(name, version, _folder_files(root, tops))


def read_standard(python: str) -> Distribution:
    """The standard library of an interpreter, and the members of its modules of native code."""
    told = subprocess.run([python, "-I", "-c", _WHERE], capture_output=True, text=True, check=True)  # noqa: S603 - the builder's own interpreters
    root, version, builtin, dynamic = json.loads(told.stdout)
    folder = Path(root)
    tops = tuple(
        path.name
        for path in sorted(folder.iterdir())
        if (path.suffix == ".py" or path.is_dir())
        and path.name not in {"test", "site-packages", "lib-dynload", "__pycache__", "turtledemo"}
    )
    found = _read(STANDARD, version, _folder_files(folder, tops))
    support = _folder_files(folder, ("test/support",))
    for path, data in support:
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        record = read_module(
            data.decode("utf-8", "replace"), name=name, location=path, package=path.endswith("__init__.py")
        )
        if record is not None:
            found.modules.append(encode(record))
    natives = sorted({*builtin, *dynamic} - {"_tkinter", "antigravity", "this"})
    shown = subprocess.run(  # noqa: S603 - the same
        [python, "-I", "-c", _MEMBERS, json.dumps(natives)], capture_output=True, text=True, check=False
    )
    members = json.loads(shown.stdout.splitlines()[-1]) if shown.returncode == 0 else {}
    found.natives |= {
        name: {key: "class" if is_class else "native" for key, is_class in members.get(name, ())} for name in natives
    }
    return found


def _kept(job: Job) -> str:
    """Read one distribution, or take it from the cache; returns the path of its records."""
    kind, path, name, version, tops, cache = job
    target = Path(cache) / f"{name}-{version}.json"
    if not target.exists():
        if kind == "wheel":
            found = read_wheel(Path(path))
        elif kind == "standard":
            found = read_standard(path)
        else:
            found = read_installed(Path(path), name, version, tops)
        partial = target.with_suffix(".partial")
        partial.write_text(json.dumps([found.name, found.version, found.modules, found.natives]), encoding="utf-8")
        partial.replace(target)
    return str(target)


def jobs(wheels: Path, pythons: tuple[str, ...], installed: Path | None, cache: Path) -> list[Job]:
    """Everything that is to be read: wheels, interpreters, and torch where it is installed."""
    found: list[Job] = []
    for python in pythons:
        version = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]  # noqa: S603
        found.append(("standard", python, STANDARD, version, (), str(cache)))
    if installed is not None:
        for info in sorted(installed.glob("torch-*.dist-info")):
            version = info.name.split("-")[1].removesuffix(".dist")
            found.append(
                ("installed", str(installed), "torch", version, ("torch", "functorch", "torchgen"), str(cache))
            )
    own = Path(__file__).parents[2]
    found.append(("installed", str(own), "picklegate", __version__, ("picklegate",), str(cache)))
    for wheel in sorted(wheels.glob("*.whl")):
        name, version = wheel.name.split("-")[:2]
        found.append(("wheel", str(wheel), name.lower().replace("_", "-"), version, (), str(cache)))
    return found


def read_all(work: list[Job]) -> Iterator[Distribution]:
    """Read the distributions on two cores, and yield them in order."""
    with ProcessPoolExecutor(2) as pool:
        for path in pool.map(_kept, work):
            name, version, modules, natives = json.loads(Path(path).read_text(encoding="utf-8"))
            yield Distribution(name, version, modules, natives)


def decoded(found: Distribution) -> Iterator[Module]:
    """The modules of a distribution."""
    return map(decode, found.modules)


if __name__ == "__main__":
    work = jobs(
        Path(sys.argv[1]), tuple(sys.argv[3:]), Path(sys.prefix) / "lib/python3.11/site-packages", Path(sys.argv[2])
    )
    print(sum(len(item.modules) for item in read_all(work)))
