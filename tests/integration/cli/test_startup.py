"""What a command costs before it does anything."""

import os
import subprocess
import sys
from pathlib import Path

import workflow_engine
from tests.integration.cli.running import wfe, wfe_process

HEAVY = ("celery", "kombu", "sqlalchemy", "psycopg", "alembic", "pydantic", "rich", "tornado")


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nsys.stderr.write(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def test_the_help_imports_nothing_heavy() -> None:
    code = "from workflow_engine.cli.main import main\ntry: sys = main()\nexcept SystemExit: pass"

    assert not modules_after(f"import sys; sys.argv = ['wfe', '--help']\n{code}").intersection(HEAVY)


def test_defining_a_workflow_imports_no_celery_and_no_database_driver() -> None:
    loaded = modules_after("from workflow_engine import Retry, StepContext, StepHandler, Workflow, NonRetryable")

    assert not loaded.intersection({"celery", "kombu", "sqlalchemy", "psycopg", "redis"})


def test_every_public_name_is_there_and_is_listed() -> None:
    for name in workflow_engine.__all__:
        assert getattr(workflow_engine, name).__name__ == name
    assert set(workflow_engine.__all__) <= set(dir(workflow_engine))
    assert sorted(workflow_engine.__all__) == sorted(
        name for name in {*vars(workflow_engine), *workflow_engine._HOMES} if _is_public(name)
    )


def _is_public(name: str) -> bool:
    value = getattr(workflow_engine, name)
    ours = getattr(value, "__module__", "").startswith("workflow_engine")
    return ours and not name.startswith("_")


def test_the_help_lists_every_command_and_how_to_have_the_shell_complete_them() -> None:
    ended = wfe("--help")

    assert ended.code == 0
    for name in ("demo", "dev", "worker", "coordinator", "flower", "db", "workflows", "submit", "runs"):
        assert f"\n  {name} " in ended.out
    assert "_WFE_COMPLETE=bash_source" in ended.out


def test_every_command_has_a_help_of_its_own() -> None:
    for arguments in (
        *(["demo"], ["dev"], ["coordinator"], ["flower"], ["submit"], ["runs", "list"], ["runs", "show"]),
        *(["runs", "watch"], ["runs", "cancel"], ["workflows", "list"], ["workflows", "show"]),
        *(["db", "upgrade"], ["db", "downgrade"], ["db", "check"]),
    ):
        ended = wfe(*arguments, "--help")
        assert ended.code == 0
        assert f"Usage: wfe {' '.join(arguments)}" in ended.out


def test_the_shell_completes_commands(tmp_path: Path) -> None:
    ended = wfe_process(cwd=tmp_path, _WFE_COMPLETE="bash_complete", COMP_WORDS="wfe w", COMP_CWORD="1")

    assert ended.out.split() == ["plain,workflows", "plain,worker", "plain,workers", "plain,webhooks"]


def test_the_version_is_told() -> None:
    assert wfe("--version").out.startswith("wfe, version ")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "workflow_engine.cli.main", "--help"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    os.close(write)

    assert done.stderr == ""
