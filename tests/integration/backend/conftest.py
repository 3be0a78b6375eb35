"""Each test module has a database and an app of its own."""

from collections.abc import Iterator

import pytest

from tests.integration.backend.running import Canvas, canvas


@pytest.fixture(scope="module")
def canvas_here(postgres_url: str, broker_url: str) -> Iterator[Canvas]:
    """A database and an app, for the tests of one module."""
    with canvas(postgres_url, broker_url) as here:
        yield here
