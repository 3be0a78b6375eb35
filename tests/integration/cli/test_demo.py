"""`wfe demo` as a process, without a terminal: as a build server runs it."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.running import CONTROL, Command, environment, wfe_process
from tests.integration.embedded.running import processes_using

ROOT = Path(__file__).parents[3]


def test_the_demo_runs_real_workflows_and_leaves_only_its_reports(tmp_path: Path) -> None:
    private = tmp_path / "tmp"
    private.mkdir()
    unrelated = {"WFE_DATABASE_URL": "postgresql://127.0.0.1:1/untouched", "WFE_QUEUE": "theirs", "WFE_NAMESPACE": "x"}
    ended = wfe_process("demo", "--no-browser", cwd=tmp_path, TMPDIR=str(private), **unrelated)
    facts = dict(line.split(maxsplit=1) for line in ended.out.splitlines() if len(line.split()) > 1)

    assert ended.code == 0, ended.err + ended.out
    assert not CONTROL.search(ended.out)
    assert ended.err == ""
    for title, end in (("good", "5/5  succeeded"), ("flaky", "5/5  succeeded"), ("declined", "5/5  failed")):
        assert any(f"{title} card" in line and end in line for line in ended.out.splitlines()), ended.out
    assert "charge_card took 3 attempts" in ended.out
    assert "as it should: charge_card: NonRetryable: card declined" in ended.out
    assert Path(facts["Report"]).is_absolute()
    assert Path(facts["Report"]).read_text().lower().startswith("<!doctype html>")
    assert json.loads(Path(ended.out.partition("As JSON")[2].split()[0]).read_text())
    assert list(private.iterdir()) == [], "its servers' data is gone"
    assert processes_using(tmp_path) == []


@pytest.mark.slow
def test_a_demo_that_is_kept_stays_until_ctrl_c(start: Callable[..., Command]) -> None:
    with tempfile.TemporaryDirectory(prefix="wfe-cli-") as place:
        folder = Path(place) / "kept"
        demo = start("demo", "--keep", "--no-browser", "--folder", str(folder), cwd=Path(place))
        demo.wait_for("Ctrl-C stops everything", within=60)

        assert demo.stop(signal.SIGINT) == 0
        assert processes_using(folder) == []
        assert (folder / "reports" / "census.html").exists()
        assert (folder / "logs" / "worker.log").exists()


@pytest.mark.slow
def test_a_demo_that_is_interrupted_leaves_nothing(tmp_path: Path, start: Callable[..., Command]) -> None:
    private = tmp_path / "tmp"
    private.mkdir()
    demo = start("demo", "--no-browser", cwd=tmp_path, TMPDIR=str(private))
    demo.wait_for("are up")

    assert demo.stop(signal.SIGTERM) == 130
    assert list(private.iterdir()) == []
    assert processes_using(tmp_path) == []
    assert "error" not in demo.output


def test_without_the_examples_the_demo_says_where_they_are(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "workflow_engine", tmp_path / "workflow_engine", ignore=shutil.ignore_patterns("__pycache__")
    )
    done = subprocess.run(
        [sys.executable, "-m", "workflow_engine.cli.main", "demo"],
        cwd=tmp_path,
        env=environment({"PYTHONPATH": str(tmp_path)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the examples are not here: ")
    assert done.stderr.count("\n") == 1
