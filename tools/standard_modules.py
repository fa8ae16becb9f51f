"""Makes src/picklegate/pickles/data/standard.tsv: the modules of Python's standard library and what they hold.

``PYTHONS`` must be installed under pyenv; names of 3.14 and of other systems stand in ``OTHERS``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PYTHONS = ("2.7.18", "3.6.15", "3.7.16", "3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0")
OTHERS = (
    "_android_support", "_apple_support", "_ast_unparse", "_hmac", "_interpchannels", "_interpqueues", "_interpreters",
    "_msi", "_overlapped", "_py_warnings", "_remote_debugging", "_scproxy", "_types", "_winapi", "_winreg", "_wmi",
    "_zstd", "annotationlib", "compression", "compression.bz2", "compression.gzip", "compression.lzma",
    "compression.zlib", "compression.zstd", "concurrent.interpreters", "dl", "gdbm", "imputil", "macpath", "msilib",
    "msvcrt", "nt",
    "pathlib.types", "string.templatelib", "sunaudiodev", "winreg", "winsound", "Carbon", "EasyDialogs", "MacOS",
    "aepack", "aetools", "autoGIL",
)  # fmt: skip
LEFT_OUT = (
    "__main__", "test", "idlelib.", "lib2to3.", "user", "new", "turtledemo.", "bsddb.test", "ctypes.test", "json.tests",
    "unittest.test", "sqlite3.test", "email.test", "importlib.test", "distutils.tests", "tkinter.test",
)  # fmt: skip
"""What nobody reaches by a path, and names of Python 2 that projects give their own modules."""
SMALL = {
    "numpy": "ndarray dtype generic ufunc number integer floating flatiter nditer matrix memmap recarray record "
    "vectorize bool_ str_ bytes_ void datetime64 timedelta64 float16 float32 float64 int8 int16 int32 int64 uint8 "
    "uint16 uint32 uint64 complex64 complex128",
    "torch": "dtype device",
}
"""Classes of other packages in small letters, so that their looks do not tell them from modules."""

PROBE = r"""
import json, os, sys, types
lib = os.path.dirname(os.__file__)
names = set(sys.builtin_module_names) | set(getattr(sys, "stdlib_module_names", ()))
def walk(folder, prefix):
    for entry in sorted(os.listdir(folder)):
        path, stem = os.path.join(folder, entry), entry.split(".")[0]
        plain = stem.replace("_", "a").isalnum()
        if os.path.isdir(path):
            if entry in ("lib-dynload", "lib-tk"):
                walk(path, prefix)
            elif plain and os.path.exists(os.path.join(path, "__init__.py")):
                names.add(prefix + stem)
                walk(path, prefix + stem + ".")
        elif entry.endswith((".py", ".so")) and plain and stem != "__init__":
            names.add(prefix + stem)
walk(lib, "")
left_out = tuple(json.loads(sys.argv[1]))
names = set(name for name in names if not name.startswith(left_out)) | {"test"}
tops = set(name.split(".")[0] for name in names)
acting = ("idlelib", "lib2to3", "turtledemo", "antigravity", "this", "__main__", "site", "_test", "xx", "_xx",
          "rlcompleter", "_pyrepl", "pty", "__phello__", "__hello__", "test")
held, objects, native = {}, set(), set()
for name in sorted(names):
    if name.startswith(acting) or "__main__" in name:
        continue
    try:
        __import__(name)
    except BaseException:
        continue
    module = sys.modules[name]
    if not getattr(module, "__file__", None) or str(module.__file__).endswith(".so"):
        native.add(name)
    for key, value in list(vars(module).items()):
        full = name + "." + key
        if key.startswith("__") or full in names:
            continue
        if isinstance(value, types.ModuleType):
            held[full] = value.__name__
        elif key in tops or key.strip("_") in tops:
            objects.add(full)
sys.stderr.write("PROBED" + json.dumps([sorted(names), held, sorted(objects), sorted(native)]))
"""
HEADER = """# The standard library of Python 2.7 to 3.14, made by tools/standard_modules.py.
# module NAME | native NAME: a module without Python source | held MODULE.NAME TARGET: a module under another name
# object MODULE.NAME: no module, though its name looks like one | renamed OLD NEW: Python 2 names (_compat_pickle)
"""


def probe(version: str) -> tuple[list[str], dict[str, str], list[str], list[str]]:
    """The modules of one Python, which hold which, what is no module, what has no source."""
    python = Path.home() / ".pyenv" / "versions" / version / "bin" / "python"
    command = [str(python), "-c", PROBE, json.dumps(LEFT_OUT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: tuple[list[str], dict[str, str], list[str], list[str]] = json.loads(done.stderr.rpartition("PROBED")[2])
    return found


def derived(path: str, target: str, modules: set[str]) -> bool:
    """Whether names.py finds the module that ``path`` leads to without being told."""
    owner, _, step = path.rpartition(".")
    sibling = f"{owner.rpartition('.')[0]}.{step}"
    return target == sibling if sibling in modules else target in (step, step.strip("_"))


def main() -> None:
    """Write the file."""
    modules, held, objects, native = set(OTHERS), dict[str, str](), set[str](), set[str]()
    for version in PYTHONS:
        found = probe(version)
        modules.update(found[0])
        held.update(found[1])
        objects.update(found[2])
        native.update(found[3])
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

    objects.update(f"{module}.{name}" for module, names in SMALL.items() for name in names.split())
    renamed = {old: new for old, new in IMPORT_MAPPING.items() if old != "dbm"}
    renamed.update({".".join(old): ".".join(new) for old, new in NAME_MAPPING.items() if old[0] != "exceptions"})
    rows = [f"module\t{name}" for name in sorted(modules - native)]
    rows += [f"native\t{name}" for name in sorted(native)]
    rows += [f"held\t{path}\t{target}" for path, target in sorted(held.items()) if not derived(path, target, modules)]
    rows += [f"object\t{path}" for path in sorted(objects - held.keys())]
    rows += [f"renamed\t{old}\t{new}" for old, new in sorted(renamed.items())]
    path = Path(__file__).parent.parent / "src" / "picklegate" / "pickles" / "data" / "standard.tsv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEADER + "\n".join(rows) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(rows):,} rows\n")


if __name__ == "__main__":
    main()
