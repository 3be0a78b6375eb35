"""The container set, as far as it can be checked without an engine: what compose makes of it, and what we ask of it."""

import functools
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from workflow_engine.cli.main import root
from workflow_engine.config import Settings
from workflow_engine.metrics.port import MetricsPort

DOCKER = Path(__file__).parents[3] / "docker"
VARIANTS = ["compose.yml", "compose.valkey.yml", "compose.rabbitmq.yml"]
OURS = ["migrate", "worker", "coordinator", "relay", "api", "flower"]
SECRETS = ["POSTGRES_PASSWORD", "BROKER_PASSWORD", "WFE_API_SECRET", "FLOWER_BASIC_AUTH", "GRAFANA_PASSWORD"]
UNASKABLE = {"otel-collector", "migrate"}
"""One has nothing in its image that could ask; the other ends."""


def compose() -> list[str]:
    """Return the command: Docker's own, else the same program from a wheel."""
    ours = ["docker", "compose"]
    if shutil.which("docker") and not subprocess.run([*ours, "version"], capture_output=True, check=False).returncode:
        return ours
    found = find_spec("compose")
    if found is None or not found.submodule_search_locations:
        pytest.skip("NO DOCKER COMPOSE here: the compose files are not checked")
    return [str(Path(found.submodule_search_locations[0]) / "docker-compose")]


def example() -> dict[str, str]:
    """Return the example's variables, with secrets."""
    lines = (DOCKER / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name: value or f"a-secret-of-32-characters-or-more-{name.lower()}" for name, value in given.items()}


def config(variant: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    files = dict.fromkeys(["compose.yml", variant])
    options = [part for file in files for part in ("-f", str(DOCKER / file))]
    return subprocess.run(
        [*compose(), "--env-file", os.devnull, *options, "config"],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@functools.cache
def services(variant: str) -> dict[str, Any]:
    done = config(variant, example())
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return yaml.safe_load(done.stdout)["services"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("variant", VARIANTS)
def test_compose_understands_every_variant_and_keeps_it_safe(variant: str) -> None:
    found = services(variant)

    assert set(found) == {*OURS, "postgres", "broker", "otel-collector", "prometheus", "grafana"}
    for name, service in found.items():
        assert service["restart"] == ("no" if name == "migrate" else "unless-stopped"), name
        assert service["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}, name
        assert ("healthcheck" in service or name in OURS) or name in UNASKABLE, name
        assert {port["host_ip"] for port in service.get("ports", [])} <= {"127.0.0.1"}, name
        assert re.search(r":[\w.]*\d|:local$", service["image"]), f"{name}: {service['image']}"
    for name in OURS:
        assert found[name]["read_only"], name
        assert found[name]["cap_drop"] == ["ALL"], name
        assert found[name]["security_opt"] == ["no-new-privileges:true"], name


@pytest.mark.parametrize("variant", VARIANTS)
def test_our_processes_start_after_the_migration_with_commands_and_settings_that_exist(variant: str) -> None:
    known = {f"WFE_{name.upper()}" for name in Settings.model_fields}
    scheme = "amqp://" if "rabbitmq" in variant else "redis://"
    for name in OURS:
        service = services(variant)[name]
        assert service["command"][0] in root.list_commands(None)  # type: ignore[arg-type]
        assert {each for each in service["environment"] if each.startswith("WFE_")} <= known
        assert service["environment"]["WFE_BROKER_URL"].startswith(scheme)
        waits = {other: asked["condition"] for other, asked in service["depends_on"].items()}
        expected = {"migrate": "service_completed_successfully", "broker": "service_healthy"}
        assert waits == ({"postgres": "service_healthy"} if name == "migrate" else expected)


@pytest.mark.parametrize("secret", SECRETS)
def test_without_a_secret_nothing_starts(secret: str) -> None:
    done = config("compose.yml", {name: value for name, value in example().items() if name != secret})

    assert done.returncode != 0
    assert secret in done.stderr


def test_the_example_holds_no_secret_and_every_variable() -> None:
    text = (DOCKER / ".env.example").read_text()
    asked = set(re.findall(r"\$\{(\w+)", "".join((DOCKER / each).read_text() for each in VARIANTS)))

    assert [name for name in SECRETS if not re.search(rf"^{name}=$", text, re.MULTILINE)] == []
    assert asked - set(re.findall(r"^(\w+)=", text, re.MULTILINE)) == {"WFE_IMAGE", "WFE_LOG_LEVEL"}


def test_the_image_has_two_stages_a_user_without_rights_and_settings_that_exist() -> None:
    text = (DOCKER / "Dockerfile").read_text()
    last = text.rpartition("\nFROM ")[2]

    assert len(re.findall(r"^FROM python:\S+-slim\S*", text, re.MULTILINE)) == 2
    assert "USER 10001:10001" in last
    assert 'ENTRYPOINT ["wfe"]' in last
    assert "HEALTHCHECK" in last
    assert not re.search(r"apt-get|gcc|build-essential", last)
    assert {name.lower() for name in re.findall(r"\bWFE_(\w+)=", text)} <= set(Settings.model_fields)


def test_prometheus_asks_services_that_there_are_and_the_collector_has_what_its_pipelines_name() -> None:
    asked = yaml.safe_load((DOCKER / "prometheus/prometheus.yml").read_text())
    (names,) = [each["names"] for job in asked["scrape_configs"] for each in job.get("dns_sd_configs", [])]
    collector = yaml.safe_load((DOCKER / "otel/collector.yaml").read_text())

    assert set(names) <= set(OURS)
    for parts in collector["service"]["pipelines"].values():
        for kind, used in parts.items():
            assert set(used) <= set(collector[kind])


def test_the_health_check_tells_whether_a_process_answers() -> None:
    def exit_code(url: str) -> int:
        argv = [sys.executable, str(DOCKER / "healthcheck.py")]
        return subprocess.run(argv, env={"HEALTH_URL": url}, capture_output=True, check=False).returncode

    port = MetricsPort(CollectorRegistry(), "127.0.0.1", 0)
    alive = port.url.replace("/metrics", "/health/live")
    assert (exit_code(alive), exit_code(alive + "/not")) == (0, 1)
    port.close()
    assert exit_code(alive) == 1
