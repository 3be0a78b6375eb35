"""The tests keep to rules of their own."""

import ast
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))


def name_of(path: Path) -> str:
    return str(path.relative_to(TESTS))


def test_no_two_test_files_have_one_name() -> None:
    """Without ``__init__.py`` pytest takes a file's name for its module's."""
    names = Counter(path.stem for path in FILES if path.stem.startswith("test_"))

    assert [name for name, times in names.items() if times > 1] == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_sleeps_to_wait(path: Path) -> None:
    found = {ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}

    assert "time.sleep" not in found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_tests_name_is_a_fact(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = [
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]

    assert [name for name in names if name.count("_") < 2] == []
