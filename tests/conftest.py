"""What every test gets: real servers, and none of our settings from outside."""

import os

import pytest

pytest_plugins = [
    "tests.fixtures.matrix",
    "tests.fixtures.servers",
    "tests.fixtures.database",
    "tests.fixtures.cloned_database",
    "tests.fixtures.stages",
]


@pytest.fixture(autouse=True, scope="session")
def only_the_tests_settings() -> None:
    """Forget WFE_* variables; tests.fixtures.servers has read at import which servers to use."""
    for name in [name for name in os.environ if name.startswith("WFE_")]:
        del os.environ[name]
