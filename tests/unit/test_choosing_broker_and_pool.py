"""Where a broker and a pool are chosen for tests, what is left out is counted; a table says what came of each."""

import os
import subprocess
import sys

from tests.support.matrix import pool_of
from tests.support.processes import ROOT
from tests.support.run_matrix import WITHOUT_WORKERS, Outcome, read_counts

OUTPUT = """
...F.s
FAILED tests/acceptance/test_cancels.py::test_one - AssertionError
left out: 34 tests about pool processes, and the pool is threads
left out: 2 tests that end a handler by force, and the pool is threads
1 failed, 317 passed, 1 skipped, 4 errors in 575.51s (0:09:35)
"""


def collect(*paths: str, **variables: str) -> subprocess.CompletedProcess[str]:
    options = ["--collect-only", "-q", "-m", "not slow", "-p", "no:randomly"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *paths],
        env={**os.environ, **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_left_out_is_counted_with_its_reason() -> None:
    amqp = "amqp://guest:guest@127.0.0.1:5672//"
    paths = ("tests/acceptance/test_changes_by_hand.py", "tests/acceptance/test_finds_lost_messages.py")

    done = collect(*paths, WFE_TEST_POOL="threads", WFE_BROKER_URL=amqp)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out: 1 tests that end a handler by force, and the pool is threads" in done.stdout
    assert "left out: 1 tests with an embedded broker of their own, and the broker is RabbitMQ" in done.stdout
    assert "test_a_rerun_takes_over_results_and_runs_the_rest" in done.stdout


def test_a_pool_that_does_not_exist_is_refused_by_its_name() -> None:
    done = collect("tests/unit/test_logs.py", WFE_TEST_POOL="fibres")

    assert done.returncode != 0
    assert "WFE_TEST_POOL: 'fibres' is none of prefork, threads, gevent, solo" in done.stdout + done.stderr


def test_a_pool_that_a_test_names_goes_over_the_sessions() -> None:
    assert pool_of(["-c1", "--pool", "gevent"]) == "gevent"
    assert pool_of(["-P", "solo"]) == "solo"


def test_a_row_of_the_table_has_what_pytest_counted() -> None:
    counts, left_out = read_counts(OUTPUT)
    outcome = Outcome(broker="valkey", pool="threads", code=1, counts=counts, left_out=left_out, seconds=575.5)

    assert not outcome.is_good
    assert outcome.row().split() == ["valkey", "x", "threads", "317", "5", "36", "1", "576"]


def test_the_matrix_leaves_out_all_that_follow_a_page_of_the_documentation() -> None:
    files = (ROOT / "tests/acceptance").glob("test_*.py")
    following = {str(file.relative_to(ROOT)) for file in files if "tests.support.doc_" in file.read_text()}

    assert following <= set(WITHOUT_WORKERS)
    assert all((ROOT / path).exists() for path in WITHOUT_WORKERS)
