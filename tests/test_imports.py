"""The house rule: imports point down, and nowhere in a circle."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("nerm", "baselines", "evaluators")  # each may import those before it
SHARED = (
    "__init__",
    "atomic",
    "cli",
    "commands",
    "devices",
    "errors",
    "help",
    "lock",
    "registry",
)  # modules of nerm that know neither motion nor models
MODEL = [path.stem for path in (ROOT / "nerm").glob("*.py") if path.stem not in SHARED]


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """nerm/data/corpus.py -> nerm.data.corpus; a package is its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for package in PACKAGES for path in files(package)}


def statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import below a node, inside functions too, but not what is there for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from statements(other)
        elif isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        else:
            yield from statements(child)


def targets(statement: ast.Import | ast.ImportFrom) -> set[str]:
    """The modules that a statement names: of `from a import b` the module a.b if there is one, else a."""
    if isinstance(statement, ast.Import):
        return {alias.name for alias in statement.names}
    assert statement.level == 0 and statement.module, "imports are absolute here"
    inside = {f"{statement.module}.{alias.name}" for alias in statement.names}
    return {name if name in MODULES else statement.module for name in inside}


@cache
def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {name for statement in statements(tree) for name in targets(statement)}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach each other: the strongly connected components of more than one module (Tarjan, 1972)."""
    place: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    groups = []

    def visit(name: str) -> None:
        place[name] = lowest[name] = len(place)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in place:
                visit(other)
            if other in stack:
                lowest[name] = min(lowest[name], lowest[other])
        if lowest[name] == place[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1 or name in graph[name]:
                groups.append(sorted(group))

    for name in sorted(graph):
        if name not in place:
            visit(name)
    return groups


def test_no_imports_go_in_a_circle():
    graph = {name: imported(path) & MODULES.keys() for name, path in MODULES.items()}
    assert circles(graph) == []


def test_circles_are_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"e"}}) == [["a", "b", "c"], ["e"]]


@pytest.mark.parametrize("path", [*files("nerm"), *files("baselines")], ids=lambda path: str(path.relative_to(ROOT)))
def test_packages_import_only_what_is_below_them(path):
    above = PACKAGES[PACKAGES.index(path.relative_to(ROOT).parts[0]) + 1 :]
    assert not [name for name in imported(path) if name.split(".")[0] in above]


def of_model(path: Path) -> list[str]:
    """The modules of fields, denoisers and commands that a file imports."""
    return [name for name in imported(path) if name.startswith("nerm.") and name.split(".")[1] in MODEL]


@pytest.mark.parametrize("path", files("nerm/motion"), ids=lambda path: path.name)
def test_motion_knows_no_dataset_and_no_model(path):
    assert not [name for name in imported(path) if name.startswith("nerm.data")]
    assert set(of_model(path)) <= {"nerm.render"}


@pytest.mark.parametrize("path", files("nerm/data"), ids=lambda path: str(path.relative_to(ROOT / "nerm/data")))
def test_data_knows_no_model(path):
    assert not of_model(path)


@pytest.mark.parametrize("path", [path for path in MODULES.values() if "multirate" not in path.parts], ids=name_of)
def test_no_module_knows_a_dataset_but_its_own_folder(path):
    assert not [name for name in imported(path) if name.startswith("nerm.data.multirate")]
