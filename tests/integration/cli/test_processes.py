"""`wfe worker`, `wfe coordinator` and `wfe flower` as processes, on the servers of a running `wfe dev`."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Dev
from tests.integration.cli.running import Command, environment, wfe, wfe_process
from tests.support.processes import wait_until

pytestmark = pytest.mark.xdist_group("cli-dev")

ROOT = Path(__file__).parents[3]
Start = Callable[..., Command]


@pytest.fixture
def busy_usual_port() -> Iterator[int]:
    """Flower's usual port, which is taken: by us, or by somebody else already."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", 5555))
            listener.listen()
        except OSError:
            pass
        yield 5555


def urls(dev: Dev) -> dict[str, str]:
    return {"WFE_DATABASE_URL": dev.attached.database_url, "WFE_BROKER_URL": dev.attached.broker_url}


@pytest.mark.parametrize("pool", ["gevent", "threads"])
def test_a_worker_passes_celerys_options_on_and_runs_steps_in_any_pool(dev: Dev, start: Start, pool: str) -> None:
    options = ["--pool", pool, "-c", "3", "-Q", "special", "--hostname", f"{pool}@test", "--without-mingle"]
    worker = start("worker", *options, cwd=dev.folder)
    worker.wait_for(f"{pool}@test ready")

    ended = wfe("submit", "elsewhere", "--input", '"from here"', "--wait", "--timeout", "20", "--json")
    assert ended.json["result"] == {"answer": "from here"}
    run = wfe("runs", "show", ended.json["id"], "--json").json
    assert run["steps"][0]["worker"] == f"{pool}@test"
    assert f"concurrency: 3 ({'thread' if pool == 'threads' else pool})" in worker.output
    (listed,) = [each for each in wfe("workers", "list", "--json").json if each["name"] == f"{pool}@test"]
    assert (listed["queues"], listed["pool"], listed["concurrency"], listed["alive"]) == (["special"], pool, 3, True)
    assert worker.stop() == 0


def test_the_workers_are_listed_with_what_they_serve_and_hold(dev: Dev) -> None:
    ended = wfe("workers", "list")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()

    assert lines[0].split() == ["WORKER", "POOL", "SIZE", "LAST", "HEARD", "OF", "STEPS", "QUEUES"]
    assert any(line.split()[1:3] == ["prefork", "2"] and line.endswith(" celery") for line in lines[1:]), lines


def test_a_worker_has_a_name_of_its_own_and_the_log_level_of_the_settings(dev: Dev, start: Start) -> None:
    worker = start("worker", "--pool", "solo", "-Q", "nobody", cwd=dev.folder, WFE_LOG_LEVEL="ERROR")
    worker.wait_for(f"wfe-{worker.pid}@")

    assert worker.stop() == 0
    assert "INFO/MainProcess" not in worker.output


def test_a_worker_whose_workflows_cannot_be_loaded_says_so_in_one_line(dev: Dev) -> None:
    ended = wfe_process("worker", cwd=dev.folder, WFE_WORKFLOWS="no_such_module")

    assert ended.code == 2
    assert ended.err == ("error: WFE_WORKFLOWS: cannot import 'no_such_module': No module named 'no_such_module'\n")


def test_a_worker_warns_of_a_workflow_that_the_subscribers_file_misspells(
    dev: Dev, tmp_path: Path, start: Start
) -> None:
    file = tmp_path / "subs.yml"
    file.write_text("subscribers: {audit: {workflows: {elsewere: {enabled: false}}}}")

    worker = start("worker", "--pool", "solo", "-Q", "nobody", cwd=dev.folder, WFE_SUBSCRIBERS_FILE=str(file))
    worker.wait_for("no workflow 'elsewere' is known here, did you mean 'elsewhere'?")
    worker.wait_for(" ready.")

    assert worker.stop() == 0


def test_the_help_of_a_worker_has_celerys_options(tmp_path: Path) -> None:
    ended = wfe_process("worker", "--help", cwd=tmp_path)

    assert ended.code == 0
    assert "Usage: wfe worker" in ended.out
    assert "--prefetch-multiplier" in ended.out


def test_the_deployable_worker_is_an_app_for_celery(dev: Dev, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "celery", "--app", "workers.worker", "report"],
        env=environment(urls(dev)) | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "task_acks_late: True" in done.stdout


def test_a_coordinator_runs_until_ctrl_c(dev: Dev, tmp_path: Path, start: Start) -> None:
    ready = tmp_path / "ready"
    coordinator = start("coordinator", "--ready-file", str(ready), cwd=dev.folder)
    wait_until(ready.exists, why="it is ready")

    assert ready.read_text() == f"{coordinator.pid}\n"
    assert coordinator.stop(signal.SIGINT, within=10) == 0
    assert not ready.exists()
    assert "stopping (SIGINT)" in coordinator.output


def test_the_deployable_coordinator_runs_until_sigterm(dev: Dev, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.coordinator"],
            env=environment(urls(dev)) | {"PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            stderr=file,
        )
    try:
        wait_until(lambda: "running: " in log.read_text(), why="it runs")
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_flower_takes_the_next_port_if_the_usual_one_is_busy(
    dev: Dev, tmp_path: Path, start: Start, busy_usual_port: int
) -> None:
    flower = start("flower", "--basic-auth=ada:secret", cwd=dev.folder)
    printed = flower.wait_for("Visit me at http://127.0.0.1:")
    address = printed.partition("Visit me at ")[2].split()[0]

    assert not address.endswith(f":{busy_usual_port}")
    with urllib.request.urlopen(f"{address}/healthcheck", timeout=5) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{address}/workers", timeout=5)
    assert flower.stop() == 0


def test_two_that_look_for_a_port_at_once_take_different_ones() -> None:
    look = "from workflow_engine.cli.flower import choose_port; print(choose_port('127.0.0.1', None), flush=True)"
    argv = [sys.executable, "-c", f"{look}; input()"]
    looking = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    chosen = {each.stdout.readline() for each in looking if each.stdout is not None}
    for each in looking:
        each.communicate("\n")

    assert len(chosen) == len(looking)


def test_a_port_that_was_asked_for_and_is_busy_is_wrong_usage(dev: Dev, busy_usual_port: int) -> None:
    ended = wfe("flower", "--port", str(busy_usual_port))

    assert ended.code == 2
    assert ended.err == f"error: port {busy_usual_port} of 127.0.0.1 is in use; choose another or none\n"


def test_without_flower_the_command_says_how_to_get_it(dev: Dev, tmp_path: Path) -> None:
    hide = "import sys; sys.modules['flower'] = None; sys.argv[1:] = ['flower']"
    done = subprocess.run(
        [sys.executable, "-c", f"{hide}\nfrom workflow_engine.cli.main import main\nmain()"],
        cwd=dev.folder,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "error: Flower is not installed: pip install 'celery-workflow-engine[flower]'\n"
