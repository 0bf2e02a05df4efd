"""The house rule: imports point down."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A package may import what stands after it in its row, and itself.
LAYERS = [("evaluators", "baselines", "nerm")]
MODEL = [p.stem for p in (ROOT / "nerm").glob("*.py") if p.stem not in ("__init__", "errors", "cli", "atomic", "registry")]


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", [*files("nerm"), *files("baselines")], ids=lambda p: str(p.relative_to(ROOT)))
def test_packages_import_only_what_is_below_them(path):
    above = {"nerm": ("baselines", "evaluators"), "baselines": ("evaluators",)}[path.relative_to(ROOT).parts[0]]
    assert not [name for name in imported(path) if name.split(".")[0] in above]


@pytest.mark.parametrize("path", files("nerm/motion"), ids=lambda p: p.name)
def test_motion_knows_no_corpus_and_no_model(path):
    assert not [
        name
        for name in imported(path)
        if name.startswith("nerm.data")
        or (name.split(".")[1:2] and name.split(".")[1] in MODEL and name.startswith("nerm.") and name.split(".")[1] != "render")
    ]


@pytest.mark.parametrize("path", files("nerm/data"), ids=lambda p: p.name)
def test_data_knows_no_model(path):
    assert not [
        name for name in imported(path) if name.startswith("nerm.") and name.split(".")[1] in MODEL and name.split(".")[1] != "prepare"
    ]
