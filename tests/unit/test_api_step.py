"""ApiStepHandler: what each answer means for its step, and what leaves this process with a call."""

import logging
import os
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.http_server import Answer, HttpServer, http_server, json_answer
from workflow_engine import (
    ApiCallFailed,
    ApiCallRefused,
    ApiRequest,
    ApiStepHandler,
    ApiTokenMissing,
    ConfigurationError,
    DefinitionError,
    NonRetryable,
    ResultNotStorable,
    RetryAfter,
    StepContext,
    api_step,
)
from workflow_engine.api_step import shown_url
from workflow_engine.clock import SystemClock

CONTEXT = StepContext(
    run_id="r1", workflow="w", version="1", namespace="default", step="call", attempt=1, input=7, correlation_id="c1"
)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """A server of the test's own; the client's connections to it end with the test."""
    with http_server() as made:
        yield made
        api_step._clients.close()


def call(server: HttpServer, *answers: Answer, **options: Any) -> Any:
    """Make one call and return its result."""
    server.answers = list(answers) or server.answers
    return ApiStepHandler(**{"url": f"{server.url}/orders", **options})(CONTEXT)


def traceparent_of(span: ReadableSpan) -> str:
    """Return the header that names a span."""
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@pytest.mark.parametrize(
    ("answer", "stored"),
    [
        (json_answer({"id": 7}), {"id": 7}),
        (Answer(body=b"[1]", headers={"Content-Type": "application/problem+json"}), [1]),
        (Answer(body="grün".encode(), headers={"Content-Type": "text/plain"}), "grün"),
        (Answer(body="grün".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"}), "grün"),
        (Answer(status=201, body=b""), None),
    ],
)
def test_an_answer_of_2xx_is_the_result(server: HttpServer, answer: Answer, stored: object) -> None:
    assert call(server, answer) == stored


def test_results_are_shaped_before_they_are_stored(server: HttpServer) -> None:
    class Named(ApiStepHandler):
        def process_results(self, ctx: StepContext, output: Any) -> Any:
            return {ctx.step: output["id"]}

    server.answers = [json_answer({"id": 7})]

    assert Named(url=server.url)(CONTEXT) == {"call": 7}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"{"),
        Answer(body=b"NaN"),
        Answer(body=b"\xff\xfe", headers={"Content-Type": "image/png"}),
        Answer(body=b"x", headers={"Content-Type": "text/plain; charset=klingon-8"}),
        Answer(body=b"x" * 101, headers={"Content-Type": "text/plain"}),
    ],
)
def test_a_body_that_cannot_be_stored_is_told_as_such(server: HttpServer, answer: Answer) -> None:
    with pytest.raises(ResultNotStorable, match=r"GET http://127\.0\.0\.1"):
        call(server, answer, response_limit=100)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 422])
def test_other_answers_are_final_and_quoted_in_part(server: HttpServer, status: int) -> None:
    with pytest.raises(ApiCallRefused, match=f"answered {status}") as caught:
        call(server, Answer(status=status, body=b"why " * 5_000))

    assert isinstance(caught.value, NonRetryable)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_passing_troubles_are_left_to_the_retry_policy(server: HttpServer, status: int) -> None:
    with pytest.raises(ApiCallFailed) as caught:
        call(server, Answer(status=status))

    assert not isinstance(caught.value, NonRetryable)
    assert caught.value.code == status


def test_retry_after_in_seconds_sets_the_delay(server: HttpServer) -> None:
    with pytest.raises(RetryAfter) as caught:
        call(server, json_answer({}, 429, **{"Retry-After": "17"}))

    assert caught.value.delay == timedelta(seconds=17)


def test_retry_after_as_a_date_sets_the_delay(server: HttpServer) -> None:
    moment = format_datetime(SystemClock().now() + timedelta(seconds=100), usegmt=True)

    with pytest.raises(RetryAfter) as caught:
        call(server, json_answer({}, 503, **{"Retry-After": moment}))

    assert timedelta(seconds=80) < caught.value.delay <= timedelta(seconds=100)


@pytest.mark.parametrize(("text", "days"), [("9" * 400, 1), ("Fri, 31 Dec 9999 23:59:59 GMT", 1)])
def test_retry_after_is_a_day_at_most(server: HttpServer, text: str, days: int) -> None:
    with pytest.raises(RetryAfter) as caught:
        call(server, json_answer({}, 503, **{"Retry-After": text}))

    assert caught.value.delay == timedelta(days=days)


@pytest.mark.parametrize("text", ["soon", "-5", ""])
def test_a_retry_after_that_says_nothing_is_left_out(server: HttpServer, text: str) -> None:
    with pytest.raises(ApiCallFailed):
        call(server, json_answer({}, 503, **{"Retry-After": text}))


def test_a_broken_connection_is_tried_again(server: HttpServer) -> None:
    with pytest.raises(ApiCallFailed) as caught:
        call(server, Answer(hang_up=True))

    assert isinstance(caught.value.__cause__, httpx.RequestError)


def test_unsafe_methods_carry_the_idempotency_key(server: HttpServer) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        call(server, method=method, json={"n": 1})

    keys = [asked.headers.get("idempotency-key") for asked in server.asked]
    assert keys == [None, "r1:call", "r1:call", "r1:call"]


def test_a_request_is_built_from_the_context(server: HttpServer) -> None:
    class Pay(ApiStepHandler):
        def request(self, ctx: StepContext) -> ApiRequest:
            return ApiRequest(method="post", url=f"{server.url}/pay/{ctx.input}", json={"n": 1}, headers={"X-A": "b"})

    Pay()(CONTEXT)

    (asked,) = server.asked
    assert (asked.method, asked.path, asked.body, asked.headers["x-a"]) == ("POST", "/pay/7", b'{"n":1}', "b")


def test_the_token_is_sent_and_nowhere_else(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    caplog.set_level(logging.DEBUG)

    with pytest.raises(ApiCallRefused) as caught:
        call(server, Answer(status=401, body=b"no: s3cret"), auth="SHOP_TOKEN", url=f"{server.url}/a?key=s3cret")

    assert server.asked[0].headers["authorization"] == "Bearer s3cret"
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize("token", ["", "two\nlines"])
def test_a_token_that_cannot_be_sent_fails_the_step_by_its_name(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", token)

    with pytest.raises(ApiTokenMissing, match=r"^SHOP_TOKEN: ") as caught:
        call(server, auth="SHOP_TOKEN")

    assert isinstance(caught.value, ConfigurationError)
    assert isinstance(caught.value, NonRetryable)
    assert "lines" not in str(caught.value)


def test_redirects_are_followed_only_when_asked(server: HttpServer) -> None:
    moved = Answer(status=302, headers={"Location": "/there"})

    with pytest.raises(ApiCallRefused, match="follow_redirects is off"):
        call(server, moved)
    assert call(server, moved, json_answer("there"), follow_redirects=True) == "there"


def test_cookies_of_one_call_do_not_go_out_with_another(server: HttpServer) -> None:
    call(server, json_answer({}, **{"Set-Cookie": "session=theirs; Path=/"}))
    call(server)

    assert "cookie" not in server.asked[1].headers


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Every span that ends in this process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)
    return exporter


@pytest.fixture
def instrumented(spans: InMemorySpanExporter) -> Iterator[None]:
    """The instrumentation of httpx, as an application turns it on."""
    HTTPXClientInstrumentor().instrument()
    try:
        yield
    finally:
        HTTPXClientInstrumentor().uninstrument()


def test_a_call_is_a_client_span_below_the_handlers(server: HttpServer, spans: InMemorySpanExporter) -> None:
    with trace.get_tracer("test").start_as_current_span("handle") as above, pytest.raises(ApiCallRefused):
        call(server, Answer(status=404), url=f"{server.url}/a?key=s3cret")

    span = next(each for each in spans.get_finished_spans() if each.name == "GET")
    assert span.parent is not None
    assert span.parent.span_id == above.get_span_context().span_id
    assert span.kind is trace.SpanKind.CLIENT
    assert span.attributes is not None
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "url.full": f"{server.url}/a?key=REDACTED",
        "server.address": "127.0.0.1",
        "server.port": server.server.server_address[1],
        "http.response.status_code": 404,
        "error.type": "404",
    }
    assert server.asked[0].headers["traceparent"] == traceparent_of(span)


@pytest.mark.usefixtures("instrumented")
def test_an_instrumented_httpx_adds_no_second_span_to_a_call(server: HttpServer, spans: InMemorySpanExporter) -> None:
    with pytest.raises(ApiCallFailed):
        call(server, Answer(status=503))
    httpx.get(server.url)

    ours, theirs = spans.get_finished_spans()
    assert [span.kind for span in (ours, theirs)] == [trace.SpanKind.CLIENT] * 2
    assert ours.instrumentation_scope is not None
    assert ours.instrumentation_scope.name == "workflow_engine.api_step"
    assert [asked.headers["traceparent"] for asked in server.asked] == [traceparent_of(ours), traceparent_of(theirs)]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pw@shop.test:8443/a?key=1&b", "https://REDACTED:REDACTED@shop.test:8443/a?key=REDACTED&REDACTED"),
        ("http://shop.test/a#secret", "http://shop.test/a"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"method": "FETCH"}, "method must be one of"),
        ({"url": "ftp://x/"}, "http:// or https://"),
        ({"url": "/orders"}, "http:// or https://"),
        ({"url": 7}, "http:// or https://"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": float("nan")}, "timeout must be"),
        ({"timeout": True}, "timeout must be"),
        ({"response_limit": 0}, "response_limit must be"),
        ({"headers": {"a": 1}}, "headers= must be"),
        ({"auth": "Bearer abc"}, "auth= is the name"),
        ({"metod": "GET"}, "no option 'metod'"),
    ],
)
def test_an_option_that_cannot_work_is_refused_when_it_is_written(options: dict[str, Any], told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        ApiStepHandler(**{"url": "http://shop.test/", **options})
    if "metod" not in options:
        with pytest.raises(DefinitionError, match=told):
            type("Theirs", (ApiStepHandler,), options)


def test_a_handler_needs_a_url_or_a_request() -> None:
    with pytest.raises(DefinitionError, match="needs a url"):
        ApiStepHandler()


def test_a_forked_child_has_a_client_of_its_own(server: HttpServer) -> None:
    call(server)
    ours = api_step._clients.get()
    pid = os.fork()
    if pid == 0:
        os._exit(0 if api_step._clients.get() is not ours and call(server) == {} else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert api_step._clients.get() is ours
