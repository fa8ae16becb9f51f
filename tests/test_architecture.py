"""The walls of the house: the order of the layers, what is banned from src/, and the size of a module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tools.architecture_tree import BLOCK, PAGE, named, real

SRC = Path(__file__).parent.parent / "src"
MODULES = sorted(SRC.rglob("*.py"))
LAYERS = """
    report limits errors escape paths files locks policy policy_file findings
    -> refusal
    -> capabilities
    -> pickles
    -> containers
    -> judging
    -> provenance
    -> scan
    -> training
    -> store audit_log
    -> batch
    -> cache_files
    -> quarantine
    -> hub guard explain convert
    -> transfers
    -> protection
    -> bootstrap
    -> render
    -> serve demo
    -> cli
    -> __main__
"""
RANKS = {f"picklegate.{unit}": rank for rank, layer in enumerate(LAYERS.split("->")) for unit in layer.split()}
LOADING = {f"picklegate.guard.{name}" for name in ("arrays", "pickle_patches", "pickles", "process", "torch")}
LOADERS = {"pickle", "_pickle", "marshal", "dill", "cloudpickle", "joblib", "shelve"}


LAZY = {("picklegate.policy", "picklegate.policy_file")}
"""The one import against the order of files: ``Policy.from_file`` imports its reader when it is called."""


def name_of(path: Path) -> str:
    """The dotted name of the module at ``path``."""
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


def unit_of(module: str) -> str:
    """The unit that a module, or a name in one, belongs to; the package itself where there is none."""
    return max((unit for unit in RANKS if f"{module}.".startswith(f"{unit}.")), key=len, default="picklegate")


def imports(path: Path) -> Iterator[str]:
    """What the module imports, anywhere in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_its_left(path: Path) -> None:
    """Layers go one way, front doors do not know one another, and nothing needs what trained the model."""
    unit = unit_of(name_of(path))
    if unit == "picklegate":
        return
    for target in {unit_of(name) for name in imports(path) if name.startswith("picklegate.")} - {unit, "picklegate"}:
        assert RANKS[target] < RANKS[unit] or RANKS[target] == RANKS[unit] == 0, f"{unit} imports {target}"
        assert target != "picklegate.training", f"{unit} imports {target}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_its_place(path: Path) -> None:
    """Each module stands in the order of the layers, but for the package's own namespace."""
    assert unit_of(name_of(path)) in RANKS or name_of(path) == "picklegate"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_loads_or_evaluates(path: Path) -> None:
    """Only the guard, which loads after the scan, may import a loader; nothing evaluates text."""
    if name_of(path) not in LOADING:
        assert not LOADERS & {name.partition(".")[0] for name in imports(path)}
    calls = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    assert not {"eval", "exec", "compile", "__import__"} & {func.id for func in calls if isinstance(func, ast.Name)}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_stays_short(path: Path) -> None:
    """No module has more than 400 lines."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_files_import_one_another_in_a_circle() -> None:
    """Imports that only type checkers see do not count."""
    names = {name_of(path): path for path in MODULES}
    graph = {name: set(_homes(path, names)) - {name, "picklegate"} for name, path in names.items()}
    for importer, imported in LAZY:
        graph[importer].discard(imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {error.args[1]}")


def _homes(path: Path, names: dict[str, Path]) -> Iterator[str]:
    """The modules of the package that a module imports, at run time."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for branch in [node for node in ast.walk(tree) if isinstance(node, ast.If)]:
        if "TYPE_CHECKING" in ast.unparse(branch.test):
            branch.body = [ast.Pass()]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield from (name for name in (whole if whole in names else str(node.module),) if name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)


def test_the_order_in_the_documentation_is_this_one() -> None:
    """The page lists the layers as they stand above."""
    page = PAGE.read_text(encoding="utf-8")
    shown = page[page.index("(report limits") : page.index("Units in brackets")].replace("```", "")
    assert shown.replace("(", "").replace(")", "").split() == LAYERS.split()


def test_the_tree_in_the_documentation_is_the_real_one() -> None:
    """Run ``python -m tools.architecture_tree`` after adding, moving or deleting a module."""
    (block,) = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    assert named(block) == real()
