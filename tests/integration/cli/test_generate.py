"""`wfe generate`: what it writes passes its tests, pleases the linter and can be registered as it says."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.integration.cli.running import Ended, wfe
from workflow_engine.definitions.registry import Registry
from workflow_engine.model.events import CATALOGUE
from workflow_engine.relay.registry import Subscribers

PROJECT = Path(__file__).parents[3]
EVERY_EVENT = ",".join(CATALOGUE)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with nothing in it but a project file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'ours'\n")
    yield tmp_path
    for name in ("slack_subscriber", "orders_workflow"):
        sys.modules.pop(name, None)


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a process of its own, as a user would."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "PYTHONPATH"))}
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1", **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(ended: Ended) -> list[Path]:
    assert ended.code == 0, ended.err
    return [Path(line.removeprefix("wrote ")) for line in ended.out.splitlines() if line.startswith("wrote ")]


def registration(ended: Ended) -> str:
    return next(line for line in ended.out.splitlines() if line.startswith("register it:")).split(maxsplit=2)[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["subscriber", "slack", "--events", "run.failed, step.failed,run.failed", "--inline"],
        ["subscriber", "everything", "--events", "step.failed,*,subscriber.*"],
        ["subscriber", "a" * 30, "--events", EVERY_EVENT],
        ["workflow", "w" * 30],
    ],
    ids=" ".join,
)
def test_what_is_written_passes_its_test(arguments: list[str]) -> None:
    _, test = written(wfe("generate", *arguments))

    passes(test)


@pytest.mark.parametrize("kind", ["subscriber", "workflow"])
@pytest.mark.parametrize("folder", [pytest.param("plain", marks=pytest.mark.slow), "package", "src/deep/package"])
def test_what_is_written_into_a_folder_passes_its_test(here: Path, kind: str, folder: str) -> None:
    (here / folder).mkdir(parents=True)
    if folder.endswith("package"):
        (here / folder / "__init__.py").touch()

    _, test = written(wfe("generate", kind, "slack", "--folder", folder))

    passes(test)


def passes(test: Path) -> None:
    tested = run("pytest", "-q", "-p", "no:cacheprovider", "-W", "error", test)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert " passed" in tested.stdout


@pytest.mark.parametrize("width", ["88", "120"])
@pytest.mark.parametrize("folder", [".", "plain"])
def test_what_is_written_pleases_the_linter(here: Path, width: str, folder: str) -> None:
    (here / folder).mkdir(exist_ok=True)
    for arguments in (
        ["subscriber", "slack", "--inline"],
        ["subscriber", "l" * 30, "--events", EVERY_EVENT],
        ["subscriber", "everything", "--events", "*,subscriber.*"],
        ["workflow", "w" * 30],
    ):
        written(wfe("generate", *arguments, "--folder", folder))
    (here / "ruff.toml").write_text(
        f'extend = "{PROJECT / "pyproject.toml"}"\nline-length = {width}\n'
        '[lint.per-file-ignores]\n"test_*" = ["S101"]  # asserts are what tests are made of\n'
    )

    checked = run("ruff", "check", "--no-cache", ".")
    formatted = run("ruff", "format", "--no-cache", "--diff", ".")

    assert checked.returncode == 0, checked.stdout
    assert formatted.returncode == 0, formatted.stdout


def test_a_subscriber_can_be_registered_as_is_printed(here: Path) -> None:
    ended = wfe("generate", "subscriber", "slack", "--events", "run.failed,step.*", "--inline")
    (here / "subs.yml").write_text(ended.out.partition("names:\n")[2])

    (by_path,) = Subscribers(paths=[registration(ended).removeprefix("WFE_SUBSCRIBERS=")])
    (by_file,) = Subscribers(file=here / "subs.yml")

    assert yaml.safe_load((here / "subs.yml").read_text()) == {
        "subscribers": {
            "slack": {"class": "slack_subscriber:SlackSubscriber", "subscribe_to": ["run.failed", "step.*"]}
        }
    }
    assert type(by_path.subscriber) is type(by_file.subscriber)
    assert by_path.names == by_file.names == {"run.failed", *(name for name in CATALOGUE if name.startswith("step."))}
    assert by_path.subscriber.delivery == "inline"


def test_a_workflow_can_be_registered_as_is_printed() -> None:
    registry = Registry()
    registry.load([registration(wfe("generate", "workflow", "orders")).removeprefix("WFE_WORKFLOWS=")])

    assert [each.name for each in registry] == ["orders"]


@pytest.mark.parametrize(
    ("folder", "is_package", "said"),
    [
        (".", False, "WFE_SUBSCRIBERS=slack_subscriber"),
        ("listening", False, "WFE_SUBSCRIBERS=listening.slack_subscriber"),
        ("listening", True, "WFE_SUBSCRIBERS=listening.slack_subscriber"),
        ("not-a-name", False, "PYTHONPATH={here}/not-a-name WFE_SUBSCRIBERS=slack_subscriber"),
        ("src/ours", True, "PYTHONPATH={here}/src WFE_SUBSCRIBERS=ours.slack_subscriber"),
        ("../beside", False, "PYTHONPATH={beside} WFE_SUBSCRIBERS=slack_subscriber"),
    ],
)
def test_the_registration_works_from_here(here: Path, folder: str, is_package: bool, said: str) -> None:
    place = here / folder
    place.mkdir(parents=True, exist_ok=True)
    if is_package:
        (place / "__init__.py").touch()

    told = registration(wfe("generate", "subscriber", "slack", "--folder", folder))

    assert told == said.format(here=here, beside=here.parent / "beside")
    (here / "look.py").write_text(
        "import os\n"
        "from workflow_engine.relay.registry import Subscribers\n"
        "print([each.name for each in Subscribers(paths=[os.environ['WFE_SUBSCRIBERS']])])\n"
    )
    variables = dict(each.split("=") for each in told.split())
    assert run("look", **variables).stdout == "['slack']\n"


@pytest.mark.parametrize("kind", ["subscriber", "workflow"])
@pytest.mark.parametrize("taken", ["slack_{kind}.py", "test_slack_{kind}.py"])
def test_nothing_is_overwritten(here: Path, kind: str, taken: str) -> None:
    file = here / taken.format(kind=kind)
    file.write_text("ours\n")

    ended = wfe("generate", kind, "slack")

    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: {file.name} is there already: choose another name or another --folder\n"
    assert file.read_text() == "ours\n"
    assert sorted(each.name for each in here.iterdir()) == sorted([file.name, "pyproject.toml"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["subscriber", "Slack-Alerts"], "'Slack-Alerts' cannot name a subscriber here"),
        (["subscriber", "SlackAlerts"], "did you mean 'slack_alerts'?"),
        (["subscriber", "slack/../x"], "did you mean 'slack_x'?"),
        (["subscriber", "7"], "a letter a-z, then letters a-z, digits and underscores, 30 at most"),
        (["subscriber", ""], "'' cannot name a subscriber"),
        (["subscriber", "a" * 31], "30 at most; did you mean"),
        (["workflow", "../orders"], "'../orders' cannot name a workflow here"),
        (["workflow"], "Missing argument 'NAME'"),
        (["workflo"], "No such command 'workflo'"),
        (["subscriber", "slack", "--events", "run.faild"], "--events: unknown event 'run.faild': did you mean"),
        (
            ["subscriber", "slack", "--events", "run.failed,stepp.*"],
            "no event matches 'stepp.*': did you mean 'step.*'?",
        ),
        (["subscriber", "slack", "--events", " , "], "--events names no event"),
        (["subscriber", "slack", "--folder", "nowhere"], "Directory 'nowhere' does not exist"),
        (["subscriber", "slack", "--folder", "pyproject.toml"], "'pyproject.toml' is a file"),
    ],
)
def test_a_wrong_command_line_writes_nothing(here: Path, arguments: list[str], said: str) -> None:
    ended = wfe("generate", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert [each.name for each in here.iterdir()] == ["pyproject.toml"]
