"""Wrong usage: one line on stderr, exit code 2, no traceback, nothing needed to find out."""

import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.cli.running import environment, wfe

pytestmark = pytest.mark.usefixtures("nowhere")

UNREACHABLE = {
    "WFE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    "WFE_BROKER_URL": "redis://127.0.0.1:1/0",
}
NO_RUN = "01a1fcce-62e8-7dc7-b332-9160bd77770e"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "No such command 'nope'"),
        (["--nope"], "No such option"),
        (["submit"], "Missing argument 'NAME'"),
        (["runs", "list", "--state", "odd"], "Invalid value for '--state'"),
        (["runs", "list", "--limit", "0"], "Invalid value for '--limit'"),
        (["runs", "list", "--limit", "1001"], "Invalid value for '--limit'"),
        (["submit", "orders", "--priority", "odd"], "Invalid value for '--priority'"),
        (["submit", "orders", "--timeout", "3"], "--timeout goes with --wait"),
        (["submit", "orders", "--input", "{"], "--input is not JSON"),
        (["submit", "orders", "--input", "{}", "--input-file", "x"], "--input and --input-file exclude each other"),
        (["submit", "orders", "--input-file", "missing.json"], "--input-file missing.json: No such file"),
        (["flower", "--port", "many"], "Invalid value for '--port'"),
        (["dev", "--concurrency", "0"], "Invalid value for '--concurrency'"),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line(arguments: list[str], said: str) -> None:
    ended = wfe(*arguments)

    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert ended.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "list"],
        ["runs", "show", NO_RUN],
        ["submit", "orders"],
        ["workflows", "list"],
        ["workflows", "show", "orders"],
        ["db", "check"],
        ["worker"],
        ["coordinator"],
        ["flower"],
    ],
)
def test_without_servers_every_command_says_what_to_do(arguments: list[str]) -> None:
    ended = wfe(*arguments)

    assert ended.code == 2
    assert ended.err == (
        "error: no servers: start `wfe dev` in this folder or a parent of it, "
        "or set WFE_DATABASE_URL and WFE_BROKER_URL\n"
    )


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"WFE_DATABASE_URL": "mysql://x"}, "WFE_DATABASE_URL: Value error, must be a postgresql:// URL"),
        ({"WFE_BROKER_URL": "redis://127.0.0.1"}, "WFE_DATABASE_URL is not set"),
        ({"WFE_DATABASE_URL": "postgresql://127.0.0.1/x"}, "WFE_BROKER_URL is not set"),
        ({"WFE_LEASE_SECONDS": "0"}, "WFE_LEASE_SECONDS"),
        ({"WFE_CONFIG": "missing.toml"}, "WFE_CONFIG: there is no file 'missing.toml'"),
    ],
)
def test_a_wrong_setting_is_named(variables: dict[str, str], said: str) -> None:
    ended = wfe("runs", "list", **variables)

    assert ended.code == 2
    assert ended.err.startswith("error: ")
    assert said in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("workflows", "said"),
    [
        ("no_such_module", "cannot import 'no_such_module'"),
        ("json", "'json' holds no workflow"),
    ],
)
def test_workflows_that_cannot_be_loaded_are_named(workflows: str, said: str) -> None:
    ended = wfe("dev", WFE_WORKFLOWS=workflows)

    assert ended.code == 2
    assert said in ended.err


def test_an_unreachable_database_is_a_failure_told_in_one_line() -> None:
    ended = wfe("runs", "list", **UNREACHABLE)

    assert ended.code == 1
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert "127.0.0.1" in ended.err


def test_debug_shows_the_traceback() -> None:
    for arguments, variables in ((["--debug"], {}), ([], {"WFE_DEBUG": "1"})):
        ended = wfe(*arguments, "workflows", "show", "orders", **variables)
        assert ended.code == 1
        assert ended.err == ""  # the exception went through to Python, which prints its traceback


def test_errors_are_red_on_a_terminal_that_does_not_refuse_colours() -> None:
    assert b"\x1b[" in on_a_terminal("nope", TERM="xterm")
    assert b"\x1b[" not in on_a_terminal("nope", TERM="xterm", NO_COLOR="1")


def test_a_drawing_on_a_terminal_without_colours_has_no_control_characters(nowhere: Path) -> None:
    shown = on_a_terminal("workflows", "show", "orders", TERM="xterm", NO_COLOR="1", WFE_WORKFLOWS="shop")

    assert "validate ─┬─ charge ──┬─ ship".encode() in shown
    assert b"\x1b[" not in shown


def on_a_terminal(*arguments: str, **variables: str) -> bytes:
    """Run a command on a terminal of its own; return all it wrote."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "workflow_engine.cli.main", *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment(variables),
    )
    os.close(its)
    written = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while some := os.read(ours, 4096):
            written += some
    os.close(ours)
    process.wait()
    return written


def test_a_workflow_module_that_raises_is_told_without_its_traceback(nowhere: Path) -> None:
    (nowhere / "broken_shop.py").write_text("raise ZeroDivisionError('in the module')\n")
    ended = wfe("workflows", "list", WFE_WORKFLOWS="broken_shop")

    assert ended.code != 0
    assert "in the module" in ended.err
    assert ended.err.count("\n") == 1
