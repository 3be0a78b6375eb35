"""Settings: environment over file over defaults; what is wrong is refused by its name."""

from pathlib import Path

import pytest

from workflow_engine import ConfigurationError, Settings
from workflow_engine.config import DeploymentMode


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with no settings in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_environment_goes_over_the_file_and_arguments_over_both(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "workflow_engine.toml").write_text('queue = "file"\nloss_limit = 7\nworkflows = ["a", "b:c"]')
    monkeypatch.setenv("WFE_QUEUE", "environment")

    settings = Settings(poll_seconds=2)

    assert (settings.queue, settings.loss_limit, settings.poll_seconds) == ("environment", 7, 2)
    assert settings.workflows == ("a", "b:c")
    assert Settings(queue="argument").queue == "argument"


def test_workflows_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WFE_WORKFLOWS", " a, b:c ,,")

    assert Settings().workflows == ("a", "b:c")


def test_another_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other.toml").write_text('queue = "other"')
    monkeypatch.setenv("WFE_CONFIG", "other.toml")
    assert Settings().queue == "other"

    monkeypatch.setenv("WFE_CONFIG", "none.toml")
    with pytest.raises(ConfigurationError, match=r"WFE_CONFIG: there is no file 'none\.toml'"):
        Settings()


@pytest.mark.parametrize("content", [b"queue = ", b'queue = "\xff"', b"[", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(folder: Path, content: bytes) -> None:
    (folder / "workflow_engine.toml").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"workflow_engine\.toml cannot be read as TOML: "):
        Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", ""),
        ("database_url", "mysql://host/database"),
        ("broker_url", "localhost:6379"),
        ("flower_url", "flower:5555"),
        ("namespace", ""),
        ("namespace", "a b"),
        ("namespace", "a\n"),
        ("namespace", "x" * 101),
        ("queue", ""),
        ("queue", "x" * 101),
        ("result_limit_bytes", "1023"),
        ("input_limit_bytes", str(268_435_457)),
        ("lease_seconds", "nan"),
        ("lease_seconds", "inf"),
        ("lease_seconds", "0.9"),
        ("heartbeat_seconds", "0.1"),
        ("heartbeat_seconds", "soon"),
        ("poll_seconds", "0"),
        ("stranded_seconds", "-1"),
        ("loss_limit", "-1"),
        ("loss_limit", "2.5"),
        ("database_connections", "0"),
        ("circuit_failures", "0"),
        ("circuit_failures", "1001"),
        ("circuit_open_seconds", "0"),
        ("circuit_open_seconds", "nan"),
        ("circuit_longest_seconds", "-1"),
        ("log_level", "LOUD"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"WFE_{name.upper()}", value)

    with pytest.raises(ConfigurationError, match=f"^WFE_{name.upper()}: "):
        Settings()


def test_a_setting_of_no_meaning_in_the_file_is_refused(folder: Path) -> None:
    (folder / "workflow_engine.toml").write_text("leese_seconds = 3")

    with pytest.raises(ConfigurationError, match="WFE_LEESE_SECONDS: Extra inputs are not permitted"):
        Settings()


@pytest.mark.parametrize("value", ["-1", "0.5", "86401", "nan"])
def test_an_age_that_raises_priority_is_off_or_a_second_at_least(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("WFE_ORCHESTRATION__PRIORITY_AGING_SECONDS", value)

    with pytest.raises(ConfigurationError, match=r"^WFE_ORCHESTRATION__PRIORITY_AGING_SECONDS: "):
        Settings()


def test_a_heartbeat_must_fit_twice_into_the_lease() -> None:
    assert Settings(lease_seconds=2, heartbeat_seconds=1).heartbeat_seconds == 1
    with pytest.raises(ConfigurationError, match="WFE_HEARTBEAT_SECONDS must be at most half of WFE_LEASE_SECONDS"):
        Settings(lease_seconds=2, heartbeat_seconds=1.1)


def test_a_circuit_cannot_be_open_for_longer_than_the_longest_time() -> None:
    assert Settings(circuit_open_seconds=2, circuit_longest_seconds=2).circuit_open_seconds == 2
    with pytest.raises(ConfigurationError, match="WFE_CIRCUIT_OPEN_SECONDS must be at most WFE_CIRCUIT_LONGEST_SEC"):
        Settings(circuit_open_seconds=11)


@pytest.mark.parametrize("name", ["database_url", "broker_url"])
def test_a_url_that_is_needed_and_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"WFE_{name.upper()} is not set"):
        getattr(Settings(), f"require_{name}")()


def test_a_refused_url_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WFE_DATABASE_URL", "mysql://ada:geh/eim@host/database")

    with pytest.raises(ConfigurationError) as raised:
        Settings()

    assert "geh" not in str(raised.value)
    assert "host/database" in str(raised.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().queue = "other"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("deployment = {mode = 'hybrid'}", "WFE_ORCHESTRATION__DEPLOYMENT__MODE: .*'Hybrid'.*got 'hybrid'"),
        ("deployment = {enabled = true}", "WFE_ORCHESTRATION__DEPLOYMENT__ENABLED: Extra inputs are not permitted"),
        (
            "fallback_poller = {fallback_polling_interval_seconds = -1}",
            "WFE_ORCHESTRATION__FALLBACK_POLLER__FALLBACK_POLLING_INTERVAL_SECONDS: .*greater than or equal to 0.1",
        ),
        ("fallback_poller = {age_threshold_seconds = -0.1}", "FALLBACK_POLLER__AGE_THRESHOLD_SECONDS: "),
        ("fallback_poller = {age_threshold_seconds = nan}", "FALLBACK_POLLER__AGE_THRESHOLD_SECONDS: "),
        ("fallback_poller = {batch_size = 0}", "FALLBACK_POLLER__BATCH_SIZE: "),
        ("fallback_poller = {batch_size = 1.5}", "FALLBACK_POLLER__BATCH_SIZE: "),
        ("listener = {namespaces = []}", "WFE_ORCHESTRATION__LISTENER__NAMESPACES: .*at least 1"),
        ("classification = [{action = 'poll'}]", "WFE_ORCHESTRATION__CLASSIFICATION__0__ACTION: "),
        ("classification = [{namespace = 'a'}]", "WFE_ORCHESTRATION__CLASSIFICATION__0__ACTION: Field required"),
        ("classification = [{action = 'ignore', color = 'red'}]", "CLASSIFICATION__0__COLOR: Extra inputs"),
    ],
)
def test_what_cannot_be_in_the_tables_is_refused_by_its_name(folder: Path, toml: str, message: str) -> None:
    (folder / "workflow_engine.toml").write_text(f"[orchestration]\n{toml}\n")

    with pytest.raises(ConfigurationError, match=message):
        Settings()


def test_the_tables_of_the_file_are_read(folder: Path) -> None:
    (folder / "workflow_engine.toml").write_text(
        "[orchestration.deployment]\nmode = 'EventDrivenOnly'\n"
        "[orchestration.listener]\nnamespaces = ['team-*']\n"
        "[[orchestration.classification]]\nnamespace = 'batch-*'\naction = 'ignore'\n"
    )

    orchestration = Settings().orchestration

    assert orchestration.deployment.mode is DeploymentMode.EVENT_DRIVEN_ONLY
    assert orchestration.listener.namespaces == ("team-*",)
    assert [(rule.namespace, rule.action) for rule in orchestration.classification] == [("batch-*", "ignore")]
    assert orchestration.fallback_poller.fallback_polling_interval_seconds == 30
