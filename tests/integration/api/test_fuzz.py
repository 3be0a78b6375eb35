"""Whatever is asked, the API answers as its OpenAPI document says, and never with a 5xx."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fixtures.database import new_database
from tests.integration.api.every_route import ROUTES, Asked
from tests.integration.api.flows import approvals, orders
from tests.integration.api.walking import Walk
from tests.support.api_server import served
from workflow_engine import Engine, Settings
from workflow_engine.api.wiring import api_of

CHECKS: Final[list[Any]] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
FUZZED = [route for route in ROUTES if not route.goes_on]


class Target:
    """A served API with something in it to be found."""

    def __init__(self, address: str, walk: Walk) -> None:
        self.address = address
        with httpx.Client(base_url=address) as client:
            document = client.get("/openapi.json").json()
            runs = [client.post("/v1/workflows/orders/runs", json={"input": {"order_id": 1}}) for _ in range(2)]
            schedule = {"name": "nightly", "workflow": "orders", "cron": "0 6 * * *", "input": {"order_id": 1}}
            client.post("/v1/schedules", json=schedule)
        for operations in document["paths"].values():
            for operation in operations.values():
                operation.pop("security", None)  # here nobody needs a token
        self.document: Any = schemathesis.openapi.from_dict(document)
        self.runs = [run.json()["id"] for run in runs]
        walk.hand_out()
        walk.fail(self.runs[0], "charge")

    def known(self, case: Case, data: st.DataObject) -> dict[str, Any]:
        """Return the names in a path, half of the time those of what is there."""
        there = {
            "run_id": st.sampled_from(self.runs),
            "step": st.just("charge"),
            "name": st.sampled_from(["orders", "nightly", "approved", "run.submitted"]),
        }
        given_names: dict[str, Any] = case.path_parameters or {}
        if data.draw(st.booleans()):
            return given_names
        return {name: data.draw(there[name]) if name in there else value for name, value in given_names.items()}


@pytest.fixture(scope="module")
def target(api_engine: Engine, postgres_url: str, template_database: str) -> Iterator[Target]:
    """An API on a database of its own, for who knows what will be stored."""
    with new_database(postgres_url, template=template_database) as url:
        values = api_engine.settings.model_dump(exclude_unset=True) | {"database_url": url}
        engine = Engine(Settings(**values), workflows=[orders, approvals], exposes_metrics=True)
        with served(api_of(engine)) as address:
            yield Target(address, Walk(engine))
        engine.close()


def fuzz(target: Target, route: Asked, mode: GenerationMode, examples: int, checks: list[Any]) -> None:
    operation = target.document[route.path][route.method]

    @how(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
    def ask(case: Case, data: st.DataObject) -> None:
        if mode is GenerationMode.POSITIVE:
            case.path_parameters = target.known(case, data)
        answer = case.call(base_url=target.address, timeout=20)
        case.validate_response(answer, checks=checks)

    ask()


@pytest.mark.parametrize("route", FUZZED, ids=str)
@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_good_requests_are_answered_as_the_document_says(target: Target, route: Asked, examples: int) -> None:
    fuzz(target, route, GenerationMode.POSITIVE, examples, CHECKS)


@pytest.mark.parametrize("route", FUZZED, ids=str)
@pytest.mark.parametrize("examples", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_bad_requests_are_refused_as_the_document_says(target: Target, route: Asked, examples: int) -> None:
    with suppress(Unsatisfiable):  # there is nothing to say wrongly
        fuzz(target, route, GenerationMode.NEGATIVE, examples, [*CHECKS, negative_data_rejection])
