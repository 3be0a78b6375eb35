"""Bad input, whichever route gets it: a 4xx that names what is wrong, never a 5xx, and nothing is stored."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import httpx
import psycopg
import pytest

from tests.integration.api.every_route import NO_ID, ROUTES, WITH_BODY, Asked

SQL: Final = "x'; DROP TABLE runs; --"
LONG: Final = "x" * 10_000
LOOK_ALIKES: Final[Mapping[str, tuple[Any, ...]]] = {
    "number": (True, "5"),
    "integer": (True, "5"),
    "boolean": (1, "true"),
    "date-time": (0, True, 1767225600, 10**400, "1767225600", "-1.5"),
}
"""By the kind of a field, values of other kinds that a lenient reader would take for one."""
UNREADABLE: Final = ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00")
"""Moments that PostgreSQL could keep, and Python not read again."""
READS: Final = [route for route in ROUTES if route.method == "GET" and not route.goes_on]
IN_PATHS: Final = [route for route in ROUTES if "{" in route.path]


@pytest.fixture(scope="module")
def run_id(http: httpx.Client) -> str:
    """A run to be asked about."""
    found: str = http.post("/v1/workflows/orders/runs", json={"input": {"order_id": 1}}).json()["id"]
    return found


@pytest.fixture(scope="module")
def count(api_database: str) -> Iterator[Callable[[], tuple[int, ...]]]:
    """Count what is stored."""
    with psycopg.connect(api_database, autocommit=True) as connection:
        tables = ("runs", "schedules", "events", "plans")

        def counted() -> tuple[int, ...]:
            rows = connection.execute(" UNION ALL ".join(f"SELECT count(*) FROM {each}" for each in tables).encode())
            return tuple(row[0] for row in rows)

        yield counted


@pytest.fixture(autouse=True)
def nothing_is_stored(run_id: str, count: Callable[[], tuple[int, ...]]) -> Iterator[None]:
    """Whatever a test here asks for, nothing comes of it."""
    del run_id  # it is there before
    before = count()
    yield
    assert count() == before


def fields_of(answer: httpx.Response) -> list[str]:
    return [each["field"] for each in answer.json().get("errors", [])]


def formats(schema: Mapping[str, Any]) -> set[str]:
    """Return the formats of text that a field may have, else its JSON types."""
    return {each.get("format", each.get("type")) for each in schema.get("anyOf", [schema])}


def kinds(schema: Mapping[str, Any]) -> set[str]:
    """Return the JSON types that a field may have; nothing if it may be anything."""
    return {each["type"] for each in schema.get("anyOf", [schema]) if "type" in each}


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_body_that_is_no_json_is_said_to_be_none(http: httpx.Client, run_id: str, route: Asked) -> None:
    for body in (b"{", b"\xff\xfe", b"nul", b'{"a": 1,}', b"[" * 50_000, b"{'a': 1}"):
        url = route.url.replace(NO_ID, run_id)
        answer = http.request(route.method, url, content=body, headers={"Content-Type": "application/json"})

        assert answer.status_code == 400, body
        assert answer.json()["title"] in {"Malformed JSON", "Bad request"}


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_body_that_is_no_object_is_refused(http: httpx.Client, run_id: str, route: Asked) -> None:
    for body in (7, "text", [], [{}], True):
        answer = http.request(route.method, route.url.replace(NO_ID, run_id), json=body)

        assert answer.status_code == 422
        assert fields_of(answer)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_body_of_10_mb_is_too_large(http: httpx.Client, route: Asked) -> None:
    answer = http.request(route.method, route.url, content=b'{"title": "%s"}' % (b"x" * 10_000_000))

    assert (answer.status_code, answer.json()["title"]) == (413, "Too large")


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_field_that_is_not_known_is_named(http: httpx.Client, run_id: str, route: Asked) -> None:
    body = (route.good_body or {}) | {"colour": "red"}
    answer = http.request(route.method, route.url.replace(NO_ID, run_id), json=body)

    assert answer.status_code == 422
    assert "colour" in fields_of(answer)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_field_of_another_type_is_named(http: httpx.Client, run_id: str, route: Asked) -> None:
    for name, schema in route.body_fields.items():
        if not kinds(schema):
            continue  # it may be anything
        wrong: Any = "no such thing" if "string" not in kinds(schema) else {"a": [1]}
        body = (route.good_body or {}) | {name: wrong}
        answer = http.request(route.method, route.url.replace(NO_ID, run_id), json=body)

        assert answer.status_code == 422, name
        assert any(field.startswith(name) for field in fields_of(answer)), name


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
def test_a_value_that_only_looks_like_one_of_the_right_type_is_named(
    http: httpx.Client, run_id: str, route: Asked
) -> None:
    for name, schema in route.body_fields.items():
        for wrong in {value for kind in formats(schema) & LOOK_ALIKES.keys() for value in LOOK_ALIKES[kind]}:
            body = (route.good_body or {}) | {name: wrong}
            answer = http.request(route.method, route.url.replace(NO_ID, run_id), json=body)

            assert (answer.status_code, name in fields_of(answer)) == (422, True), (name, wrong, answer.text)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("moment", UNREADABLE)
def test_a_moment_that_could_not_be_read_again_is_named(
    http: httpx.Client, run_id: str, route: Asked, moment: str
) -> None:
    for name, schema in route.body_fields.items():
        if "date-time" in formats(schema):
            body = (route.good_body or {}) | {name: moment}
            answer = http.request(route.method, route.url.replace(NO_ID, run_id), json=body)

            assert (answer.status_code, name in fields_of(answer)) == (422, True), (name, answer.text)


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("text", [LONG, "a\x00b", "\ud800"], ids=["10,000 characters", "NUL", "half a letter"])
def test_a_text_that_cannot_be_is_named(http: httpx.Client, run_id: str, route: Asked, text: str) -> None:
    for name, schema in route.body_fields.items():
        if "string" not in kinds(schema):
            continue
        body = json.dumps((route.good_body or {}) | {name: text}).encode()
        answer = http.request(
            route.method,
            route.url.replace(NO_ID, run_id),
            content=body,
            headers={"Content-Type": "application/json"},
        )

        assert answer.status_code in {404, 422}, name
        assert answer.status_code == 404 or name in fields_of(answer), name


@pytest.mark.parametrize("route", READS, ids=str)
@pytest.mark.parametrize("text", [LONG, "a\x00b", SQL, "-1", "9" * 400, "é💩"], ids=lambda text: text[:12])
def test_a_query_parameter_that_cannot_be_is_named_or_finds_nothing(
    http: httpx.Client, run_id: str, route: Asked, text: str
) -> None:
    for name in route.parameters:
        answer = http.get(route.url.replace(NO_ID, run_id), params={name: text})

        assert answer.status_code in {200, 404, 422}, (name, answer.text)
        if answer.status_code == 422:
            assert any(field.startswith(name) for field in fields_of(answer)), (name, answer.text)
        if name in {"cursor", "limit"}:
            assert answer.status_code == 422, name


@pytest.mark.parametrize("name", ["created_after", "created_before", "finished_after", "finished_before", "due_before"])
@pytest.mark.parametrize("path", ["/v1/runs", "/v1/runs/statistics"])
def test_a_time_to_look_for_is_not_told_as_a_number(http: httpx.Client, path: str, name: str) -> None:
    for number in ("0", "-60914", "1767225600", "1.5e9"):
        answer = http.get(path, params={name: number})

        assert (answer.status_code, fields_of(answer)) == (422, [name]), number


@pytest.mark.parametrize("route", READS, ids=str)
def test_a_query_parameter_that_is_not_known_is_named(http: httpx.Client, run_id: str, route: Asked) -> None:
    if route.path == "/metrics" or route.path.startswith("/health"):
        return
    answer = http.get(route.url.replace(NO_ID, run_id), params={"colour": "red"})

    assert (answer.status_code, fields_of(answer)) == (422, ["colour"])


@pytest.mark.parametrize("route", IN_PATHS, ids=str)
@pytest.mark.parametrize("text", [LONG, "%00", "x'%3B DROP TABLE runs%3B --", "%ED%A0%80", "..%2f..", "%F0%9F%92%A9"])
def test_a_name_in_a_path_that_cannot_be_is_not_there(http: httpx.Client, route: Asked, text: str) -> None:
    for url in {route.url.replace(NO_ID, text), route.url.replace("orders", text)} - {route.url}:
        answer = http.request(route.method, url, json=route.good_body)

        assert answer.status_code in {404, 405, 422}, answer.text
        assert len(answer.content) < 3_000


@pytest.mark.parametrize("route", IN_PATHS, ids=str)
def test_an_id_that_is_none_is_not_there(http: httpx.Client, route: Asked) -> None:
    if NO_ID not in route.url:
        return
    for wrong in (NO_ID, NO_ID.upper(), "1", "not-an-id", "-", "null"):
        answer = http.request(route.method, route.url.replace(NO_ID, wrong), json=route.good_body)

        assert answer.status_code in {404, 422}, (wrong, answer.text)


def test_an_rrule_with_a_day_that_no_month_has_is_named(http: httpx.Client) -> None:
    body = {"name": "never", "workflow": "orders", "rrule": "FREQ=MONTHLY;BYDAY=99MO"}
    answer = http.post("/v1/schedules", json=body)

    assert (answer.status_code, fields_of(answer)) == (422, ["rrule"])


def test_a_batch_that_is_wrong_everywhere_is_not_told_at_length(http: httpx.Client) -> None:
    answer = http.post("/v1/runs/batch", json={"runs": [{"workflow": 7, "colour": "red"}] * 1_000})

    assert answer.status_code == 422
    assert fields_of(answer)[:2] == ["runs[0].workflow", "runs[0].colour"]
    assert len(answer.content) < 20_000


@pytest.mark.parametrize("name", ["idempotency-key", "x-correlation-id", "traceparent"])
@pytest.mark.parametrize("value", ["", LONG, "é".encode(), b"\xff"], ids=["empty", "long", "é", "a byte"])
def test_a_header_that_cannot_be_is_named(http: httpx.Client, name: str, value: str | bytes) -> None:
    headers = {name: value, "x": "y"}
    answer = http.post("/v1/workflows/orders/runs", json={"input": {}}, headers=headers)  # type: ignore[arg-type]

    assert answer.status_code in {400, 422}
