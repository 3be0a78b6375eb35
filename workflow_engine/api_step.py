"""ApiStepHandler: a step that is one HTTP call.

What the answer means for the step: 2xx is its result; 408, 425, 429, 5xx and a broken connection are tried again as
the step's policy says; every other answer fails it for good.
"""

import atexit
import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from threading import Lock
from time import monotonic
from typing import Any, Final, NoReturn

import httpx
from opentelemetry import context, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from workflow_engine.clock import SystemClock
from workflow_engine.definitions.context import StepContext
from workflow_engine.definitions.handlers import StepHandler
from workflow_engine.errors import (
    ApiCallFailed,
    ApiCallRefused,
    ApiTokenMissing,
    DefinitionError,
    NonRetryable,
    ResultNotStorable,
    RetryAfter,
)

EXCERPT_LIMIT: Final = 500
"""Characters of a refusal's body that are kept with the step's error."""

_METHODS: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_PASSING: Final = frozenset({408, 425, 429})
_LONGEST_TIMEOUT: Final = 7 * 86_400
_LONGEST_RETRY_AFTER: Final = 86_400.0
_REDACTED: Final = "REDACTED"
_FIELDS: Final = ("method", "url", "json", "headers", "timeout", "auth", "follow_redirects", "response_limit")
_propagator: Final = TraceContextTextMapPropagator()
_calling: Final[ContextVar[bool]] = ContextVar("wfe_api_call", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """What to send.

    Raises:
        DefinitionError: an unknown method, or a URL that is not http or https.
    """

    method: str = "GET"
    url: str
    json: Any = None
    """Sent as the body, unless it is None."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check method and URL."""
        object.__setattr__(self, "method", _checked_method(self.method))
        _check_url(self.url)


class ApiStepHandler(StepHandler):
    """A step that makes one HTTP call and stores the answer: JSON as it is, anything else as text.

    Its options are class attributes of a subclass or arguments; override ``request`` to build the call from the
    step's context, and ``process_results`` to shape what is stored.

    Raises:
        DefinitionError: an option that cannot work.
    """

    method: str = "GET"
    url: str = ""
    json: Any = None
    headers: Mapping[str, str] = {}
    timeout: float = 10.0
    """Seconds for each of connecting, sending, and waiting for more; the answer as a whole gets as long."""
    auth: str | None = None
    """The environment variable whose value is sent as ``Authorization: Bearer …``."""
    follow_redirects: bool = False
    response_limit: int = 1_000_000
    """Bytes an answer may have."""

    def __init__(self, **options: Any) -> None:
        """Set options over those of the class."""
        for name, value in options.items():
            if name not in _FIELDS:
                raise DefinitionError(f"{type(self).__name__} has no option {name!r}: it has {', '.join(_FIELDS)}")
            setattr(self, name, value)
        _check_options(type(self).__name__, {name: getattr(self, name) for name in _FIELDS})
        if not self.url and type(self).request is ApiStepHandler.request:
            raise DefinitionError(f"{type(self).__name__} needs a url, or its own request(ctx)")

    def __init_subclass__(cls, **options: Any) -> None:
        """Check the options that a class sets."""
        super().__init_subclass__(**options)
        _check_options(cls.__name__, {name: value for name, value in vars(cls).items() if name in _FIELDS})

    def request(self, ctx: StepContext) -> ApiRequest:
        """Return what to send; by default what the options say."""
        del ctx
        return ApiRequest(method=self.method, url=self.url, json=self.json, headers=self.headers)

    def process(self, ctx: StepContext) -> Any:
        """Make the call and return the answer's body.

        Raises:
            ApiTokenMissing: the variable that ``auth`` names is not set.
            ApiCallRefused: the answer is final, and not 2xx.
            ApiCallFailed / RetryAfter: to be tried again.
            ResultNotStorable: the body is too large, or neither JSON nor text.
        """
        token = self._token()
        try:
            request = self.request(ctx)
        except DefinitionError as error:
            raise NonRetryable(str(error)) from None
        with _api_call_span(request) as span:
            headers = _headers(request, ctx, token)
            return self._call(request, headers, token, span)

    def _token(self) -> str | None:
        if self.auth is None:
            return None
        token = os.environ.get(self.auth, "").strip()
        if not token:
            raise ApiTokenMissing(f"{self.auth}: this worker's environment has no token under that name")
        if not (token.isascii() and token.isprintable()):
            raise ApiTokenMissing(f"{self.auth}: the token has characters that no HTTP header may have")
        return token

    def _call(self, request: ApiRequest, headers: httpx.Headers, token: str | None, span: Span) -> Any:
        where = f"{request.method} {shown_url(request.url)}"
        calling = _calling.set(True)
        try:
            with _client().stream(
                request.method,
                request.url,
                json=request.json,
                headers=headers,
                timeout=self.timeout,
                follow_redirects=self.follow_redirects,
            ) as response:
                span.set_attribute("http.response.status_code", response.status_code)
                return self._answer(response, where, token)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.TooManyRedirects) as error:
            # From none, without its text: it quotes the header it does not like.
            raise NonRetryable(f"{where} cannot be sent: {type(error).__name__}") from None
        except httpx.RequestError as error:
            raise ApiCallFailed(None, f"{where}: {type(error).__name__}: {error}") from error
        finally:
            _calling.reset(calling)

    def _answer(self, response: httpx.Response, where: str, token: str | None) -> Any:
        if not response.is_success:
            _raise_refusal(response, where, _excerpt(response, token, self.timeout))
        body, is_whole = _read(response, self.response_limit, self.timeout)
        if not is_whole:
            raise ResultNotStorable("response", f"{where} answered more than {self.response_limit} bytes")
        return _parsed(body, response, where)


def shown_url(url: str) -> str:
    """Return a URL as others may read it: without credentials, without the values of its query."""
    parts = httpx.URL(url)
    user = f"{_REDACTED}:{_REDACTED}@" if parts.userinfo else ""
    query = "&".join(
        re.sub("=.*", f"={_REDACTED}", part) if "=" in part else _REDACTED for part in parts.query.decode().split("&")
    )
    return f"{parts.scheme}://{user}{parts.netloc.decode()}{parts.path}{'?' + query if parts.query else ''}"


def _headers(request: ApiRequest, ctx: StepContext, token: str | None) -> httpx.Headers:
    headers = httpx.Headers(dict(request.headers))
    if request.method not in _SAFE_METHODS:
        headers.setdefault("Idempotency-Key", ctx.idempotency_key)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    headers.update(carrier)
    return headers


@contextmanager
def _api_call_span(request: ApiRequest) -> Iterator[Span]:
    url = httpx.URL(request.url)
    attributes: dict[str, str | int] = {
        "http.request.method": request.method,
        "url.full": shown_url(request.url),
        "server.address": url.host,
        "server.port": url.port or (443 if url.scheme == "https" else 80),
    }
    with trace.get_tracer(__name__).start_as_current_span(
        request.method,
        kind=SpanKind.CLIENT,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        # opentelemetry-instrumentation-httpx, where it is installed, would make a second one of the same call.
        token = context.attach(context.set_value(context._SUPPRESS_HTTP_INSTRUMENTATION_KEY, True))  # noqa: SLF001
        try:
            yield span
        except BaseException as error:
            span.set_attribute("error.type", _error_type(error))
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            context.detach(token)


def _error_type(error: BaseException) -> str:
    """A refusal is named by its status, as the semantic conventions want it; all else by its class."""
    status = getattr(error, "code", None)
    if isinstance(error, ApiCallRefused | ApiCallFailed | RetryAfter) and isinstance(status, int):
        return str(status)
    shown = error.__cause__ if isinstance(error, ApiCallFailed) and error.__cause__ is not None else error
    return type(shown).__name__


def _raise_refusal(response: httpx.Response, where: str, excerpt: str) -> NoReturn:
    status = response.status_code
    message = f"{where} answered {status} {response.reason_phrase}".rstrip() + (f": {excerpt}" if excerpt else "")
    if status not in _PASSING and status < httpx.codes.INTERNAL_SERVER_ERROR:
        hint = " (follow_redirects is off)" if response.has_redirect_location else ""
        raise ApiCallRefused(status, message + hint)
    delay = _retry_after(response.headers.get("Retry-After", ""))
    if delay is None:
        raise ApiCallFailed(status, message)
    error = RetryAfter(delay, message)
    error.code = status  # type: ignore[attr-defined]  # for the span
    raise error


def _retry_after(text: str) -> float | None:
    """Return the seconds that a Retry-After header names, at most a day's; None if it names none."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text), _LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return min(max((moment - SystemClock().now()).total_seconds(), 0.0), _LONGEST_RETRY_AFTER)


def _read(response: httpx.Response, limit: int, seconds: float) -> tuple[bytes, bool]:
    """Return the body, or its beginning and False; a server that sends byte by byte is not waited for."""
    deadline = monotonic() + seconds
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), False
        if monotonic() > deadline:
            raise httpx.ReadTimeout(f"the answer was not complete after {seconds:g} s", request=response.request)
    return bytes(body), True


def _excerpt(response: httpx.Response, token: str | None, seconds: float) -> str:
    try:
        body, _ = _read(response, EXCERPT_LIMIT * 8, seconds)
    except httpx.RequestError:  # the status has said it
        return ""
    text = body.decode("utf-8", "replace")
    if token:  # some servers quote what they refuse
        text = text.replace(token, _REDACTED)
    return text.strip()[:EXCERPT_LIMIT]


def _parsed(body: bytes, response: httpx.Response, where: str) -> Any:
    if not body:
        return None
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    try:
        if media_type == "application/json" or media_type.endswith("+json"):
            return json.loads(body, parse_constant=_refuse_constant)
        return body.decode(response.charset_encoding or "utf-8")
    except (ValueError, LookupError, RecursionError) as error:
        reason = f"{where} answered {media_type or 'a body'} that cannot be read: {type(error).__name__}: {error}"
        raise ResultNotStorable("response", reason[: EXCERPT_LIMIT * 2]) from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_options(owner: str, options: Mapping[str, Any]) -> None:
    if "method" in options:
        _checked_method(options["method"])
    if options.get("url", ""):
        _check_url(options["url"])
    if "timeout" in options:
        _check_number(owner, "timeout", options["timeout"], most=_LONGEST_TIMEOUT)
    if "response_limit" in options:
        _check_number(owner, "response_limit", options["response_limit"], most=1 << 30)
    auth = options.get("auth")
    if auth is not None and not (isinstance(auth, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", auth)):
        raise DefinitionError(f"{owner}: auth= is the name of an environment variable, not a token")  # may be one
    _check_headers(owner, options.get("headers", {}))


def _check_headers(owner: str, headers: object) -> None:
    if not isinstance(headers, Mapping) or not all(
        isinstance(name, str) and isinstance(value, str) for name, value in headers.items()
    ):
        raise DefinitionError(f"{owner}: headers= must be a mapping of names to text")


def _check_number(owner: str, option: str, value: object, *, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise DefinitionError(f"{owner}: {option} must be more than 0 and at most {most}, not {value!r}")


def _checked_method(method: object) -> str:
    if not isinstance(method, str) or method.upper() not in _METHODS:
        raise DefinitionError(f"method must be one of {', '.join(_METHODS)}, not {method!r}")
    return method.upper()


def _check_url(url: object) -> None:
    try:
        parts = httpx.URL(url) if isinstance(url, str) else None
    except httpx.InvalidURL as error:
        raise DefinitionError(f"url cannot be read: {error}") from None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.host:
        shown = f"scheme {parts.scheme!r}, host {parts.host!r}" if parts is not None else repr(url)
        raise DefinitionError(f"url must begin with http:// or https:// and a host, not {shown}")


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _calling.get()


class _Clients:
    """The process's client: made at the first call, left alone by forked children, closed at exit."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._lock = Lock()
        self._client: httpx.Client | None = None

    def get(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    # Calls of different workflows share it: no cookie of one may go out with another.
                    cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                )
                # httpx logs whole URLs, whatever secrets are in them; the span says what it would.
                logging.getLogger("httpx").addFilter(_is_not_ours)
            return self._client

    def close(self) -> None:
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


_clients: Final = _Clients()
_client: Final = _clients.get
atexit.register(_clients.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_clients.forget)
