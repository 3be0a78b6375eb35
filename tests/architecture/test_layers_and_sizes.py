"""What no linter knows: layers, sizes, names, and the rule that a change of state tests the state."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import _queries

import workflow_engine
from workflow_engine.store.hot_steps import completion_statement
from workflow_engine.store.statements import statement

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow_engine"
MODULES = sorted(path for folder in ("workflow_engine", "workers") for path in (ROOT / folder).rglob("*.py"))
STATEMENTS = sorted((PACKAGE / "store" / "sql").glob("*.sql"))
LONGEST_MODULE = 400
LONGEST_FUNCTION = 45
# New names are added here on purpose; a name that leaves breaks somebody.
# fmt: off
PUBLIC = [
    "ApiCallFailed", "ApiCallRefused", "ApiRequest", "ApiStepHandler", "ApiTokenMissing", "AsyncClient",
    "BrokerUnavailable", "Client", "ConfigurationError", "CyclicWorkflow", "DatabaseNotMigrated",
    "DatabaseUnavailable", "DeadLetterNotFound", "DefinitionChanged", "DefinitionError", "Engine", "EventRecord",
    "EventRefused", "FailurePolicy", "HeartbeatTimeout", "IdempotencyConflict", "IllegalTransition", "InvalidInput",
    "NonRetryable", "NotDead", "Plan", "Priority", "ResultNotStorable", "Retry", "RetryAfter", "RunEnded",
    "RunHandle",
    "RunNotFound", "RunTimeout", "ScheduleNotFound", "ScheduleRecord", "Settings", "SignalTimeout", "Step",
    "StepCancelled", "StepContext", "StepDeadLetter", "StepHandler", "StepNotFound", "StepTimeout",
    "Subscriber", "SubscriberError", "SubscriberNotFound", "Workflow", "WorkflowEngineError", "WorkflowNotFound",
    "WrongState",
    "compile_plan", "install",
]
# fmt: on


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its signature and docstring."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def test_imports_only_go_downwards() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    too_long = {each.name: length(each) for each in functions(ast.parse(text)) if length(each) > LONGEST_FUNCTION}

    assert text.count("\n") <= LONGEST_MODULE
    assert not too_long


OF_HTTP = {"api_step.py", "problems.py"}
"""Where "status" is HTTP's own word."""


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_our_words_are_those_of_the_glossary(path: Path) -> None:
    ours = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    ours |= {function.name for function in functions(ast.parse(path.read_text()))}

    theirs = {"status"} if path.name in OF_HTTP else set()
    assert not {name for name in ours - theirs if re.search(r"(^|_)(status|job|utils|helper)s?($|_)", name)}
    assert path.stem not in {"utils", "common", "helpers", "base", "types", "constants"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_sleeps_to_wait(path: Path) -> None:
    assert "time.sleep" not in path.read_text()


def test_the_public_names_are_these() -> None:
    assert sorted(workflow_engine.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(workflow_engine, name).__doc__


@pytest.mark.parametrize("path", STATEMENTS, ids=name_of)
def test_a_statement_says_what_it_is_for_and_has_one_caller(path: Path) -> None:
    call = re.compile(rf'statement\("{path.stem}"[,)]')
    calls = [module for module in (PACKAGE / "store").rglob("*.py") if call.search(module.read_text())]

    assert path.read_text().startswith(f"-- {path.name}: ")
    assert len(calls) == 1


@pytest.mark.parametrize("path", [path for path in STATEMENTS if path.stem != "complete_step"], ids=name_of)
def test_a_statement_is_so_short_that_psycopg_remembers_how_it_read_it(path: Path) -> None:
    assert len(statement(path.stem)) <= _queries.MAX_CACHED_STATEMENT_LENGTH


@pytest.mark.parametrize("children", [0, 1, 2])
@pytest.mark.parametrize("follows_child", [None, False, True])
def test_so_is_each_form_of_a_completion(children: int, follows_child: bool | None) -> None:
    longest = completion_statement(children, follows_child, hold=True, idle=True)

    assert len(longest) <= _queries.MAX_CACHED_STATEMENT_LENGTH


@pytest.mark.parametrize("path", STATEMENTS, ids=name_of)
def test_a_statement_has_no_text_that_looks_like_a_comment_or_is_laid_out(path: Path) -> None:
    """Else it would be lost with the comments and the indentation."""
    for line in path.read_text().splitlines():
        said, _, _ = line.partition("--")
        assert said.count("'") % 2 == 0, line
        assert not any("  " in text for text in said.split("'")[1::2]), line


@pytest.mark.parametrize("path", STATEMENTS, ids=name_of)
def test_a_change_of_state_tests_the_state(path: Path) -> None:
    text = re.sub(r"--.*", "", path.read_text())
    for table in ("steps", "runs"):
        for update in re.findall(rf"UPDATE {table}\b(.*?)(?:RETURNING|\Z)", text, re.DOTALL):
            assigned, _, condition = update.partition("WHERE")
            if re.search(r"\bstate\s*=", assigned):
                assert re.search(r"\bstate\s*(=|IN|<>)", condition), path.name


def test_importing_every_module_opens_no_connection() -> None:
    """In a process of its own, in which sockets cannot be made."""
    names = [
        found.name
        for found in pkgutil.walk_packages([str(PACKAGE)], "workflow_engine.")
        if not found.name.startswith("workflow_engine.cli.worker_app")
        and not found.name.startswith("workflow_engine.cli.flower_app")
    ]
    program = (
        "import importlib, socket\n"
        "def refuse(*args, **kwargs): raise AssertionError('a socket at import')\n"
        "socket.socket.connect = refuse\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )

    found = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stderr


def test_every_package_says_what_it_is() -> None:
    for found in pkgutil.iter_modules([str(PACKAGE)], "workflow_engine."):
        assert importlib.import_module(found.name).__doc__, found.name
