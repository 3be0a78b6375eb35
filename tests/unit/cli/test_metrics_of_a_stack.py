"""The processes of `wfe dev` each have a metrics port of their own."""

from pathlib import Path

import pytest

from workflow_engine.cli.stack import Specification, _services

MEASURED = ("worker", "coordinator", "relay")
"""The API tells its metrics at its own address."""


def ports(metrics_port: int | None) -> dict[str, str | None]:
    wanted = Specification(folder=Path("data"), workflows=(), metrics_port=metrics_port)
    services = _services(wanted, Path("ready"), "http://127.0.0.1:5555", "http://127.0.0.1:8000")
    return {service.name: service.env.get("WFE_METRICS_PORT") for service in services}


def test_processes_have_the_port_and_those_after_it() -> None:
    found = ports(9464)

    assert found["flower"] is None
    measured = [port for port in found.values() if port is not None]
    assert sorted(measured) == [str(9464 + number) for number in range(len(measured))]
    assert all(found[name] for name in MEASURED)


@pytest.mark.parametrize(("metrics_port", "expected"), [(0, "0"), (None, None)])
def test_any_port_is_any_port_for_each_and_none_is_none(metrics_port: int | None, expected: str | None) -> None:
    found = ports(metrics_port)

    assert [found[name] for name in MEASURED] == [expected] * len(MEASURED)
