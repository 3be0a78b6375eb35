"""Events are made in one module, written by a handful of statements, and named as the catalogue names them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow_engine.model.events import CATALOGUE

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path for folder in ("workflow_engine", "workers", "examples") for path in (ROOT / folder).rglob("*.py")
)
STATEMENTS = sorted((ROOT / "workflow_engine" / "store" / "sql").glob("*.sql"))
MIGRATIONS = sorted((ROOT / "alembic" / "versions").glob("*.py"))

MAKERS = {"workflow_engine/engine/publisher/making.py", "workflow_engine/engine/publisher/steps.py"}
WRITERS = {
    *("append_events.sql", "append_notices.sql", "claim_step.sql", "complete_step.sql", "submit_run.sql"),
    "submit_runs.sql",
    "0003_partitioned_events.py",
}
"""The statements that append, and the trigger that appends what a submit in a caller's transaction left behind."""

HOME = "workflow_engine.model.events"
APPENDS = re.compile(r"\bINSERT\s+INTO\s+(?:\w+\.)?events\b", re.IGNORECASE)
CHANGES = re.compile(r"\b(?:UPDATE|DELETE\s+FROM|TRUNCATE)\s+(?:ONLY\s+)?(?:\w+\.)?events\b(?!_)", re.IGNORECASE)
NAME_IN_SQL = re.compile(r"'((?:run|step|timer|schedule|signal|subscriber)\.[a-z_]+)'")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def names_for_event(tree: ast.AST) -> set[str]:
    """Return the expressions, as source, by which a module can call the class ``Event``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == HOME:
            found |= {each.asname or each.name for each in node.names if each.name == "Event"}
        elif isinstance(node, ast.ImportFrom) and node.module == "workflow_engine.model":
            found |= {f"{each.asname or each.name}.Event" for each in node.names if each.name == "events"}
        elif isinstance(node, ast.Import):
            found |= {f"{each.asname or each.name}.Event" for each in node.names if each.name == HOME}
    return found


def makes_events(tree: ast.AST) -> bool:
    names = names_for_event(tree)
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return not names.isdisjoint(called)


def strings(tree: ast.AST) -> Iterator[str]:
    return (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))


@pytest.mark.parametrize(
    "source",
    [
        "from workflow_engine.model.events import Event\nEvent(name='x', data='{}')",
        "from workflow_engine.model.events import Event as Fact\nFact(name='x', data='{}')",
        "from workflow_engine.model import events\nevents.Event(name='x', data='{}')",
        "import workflow_engine.model.events as e\ne.Event(name='x', data='{}')",
        "import workflow_engine.model.events\nworkflow_engine.model.events.Event(name='x', data='{}')",
    ],
)
def test_a_maker_is_found_however_it_imports(source: str) -> None:
    assert makes_events(ast.parse(source))
    assert not makes_events(ast.parse("from threading import Event\nEvent()"))


def test_only_the_publisher_makes_events() -> None:
    assert {name_of(path) for path in MODULES if makes_events(ast.parse(path.read_text()))} == MAKERS


def test_only_known_statements_append_to_the_log() -> None:
    found = {path.name for path in (*STATEMENTS, *MIGRATIONS) if APPENDS.search(path.read_text())}
    found |= {path.name for path in MODULES if any(map(APPENDS.search, strings(ast.parse(path.read_text()))))}

    assert found == WRITERS


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.name)
def test_no_statement_changes_the_log(path: Path) -> None:
    assert not CHANGES.search(re.sub(r"--.*", "", path.read_text()))


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.name)
def test_a_statement_names_events_as_the_catalogue_does(path: Path) -> None:
    assert set(NAME_IN_SQL.findall(path.read_text())) <= CATALOGUE.keys()


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_names_events_as_the_catalogue_does(path: Path) -> None:
    known = {name.partition(".")[0] for name in CATALOGUE}
    name = re.compile(rf"({'|'.join(known)})\.[a-z_]+")

    assert {text for text in strings(ast.parse(path.read_text())) if name.fullmatch(text)} <= CATALOGUE.keys()
