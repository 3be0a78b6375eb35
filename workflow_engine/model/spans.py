"""The spans of a run and their attributes: the one list of what a tracing backend gets to see."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class SpanAttribute(StrEnum):
    """The keys of span attributes: OpenTelemetry's own where it has one, else ``wfe.…``."""

    NAMESPACE = "wfe.namespace"
    """the run's namespace"""
    WORKFLOW = "wfe.workflow.name"
    """the workflow's name"""
    VERSION = "wfe.workflow.version"
    """the workflow's version"""
    RUN_ID = "wfe.run.id"
    """the run's id"""
    CORRELATION_ID = "wfe.correlation_id"
    """the correlation id the run was submitted with, or was given"""
    RUN_STATE = "wfe.run.state"
    """how the run ended: `succeeded`, `failed`, `cancelled` or `expired`"""
    FAILED_STEP = "wfe.run.failed_step"
    """the first step that failed"""
    STEP = "wfe.step.name"
    """the step's name"""
    OUTCOME = "wfe.step.outcome"
    """what became of the attempt: `completed`, `retrying`, `failed`, `lost` or `cancelled`"""
    ATTEMPT = "wfe.step.attempt"
    """the attempt, from 1"""
    DEPENDENCIES = "wfe.step.dependencies"
    """the names of the steps this one waited for"""
    QUEUE_SECONDS = "wfe.step.queue_seconds"
    """from being handed to Celery to being claimed by a worker"""
    RETRY_SECONDS = "wfe.step.retry_seconds"
    """how long until the next attempt is due"""
    REASON = "wfe.reason"
    """why, in words: of a lost or cancelled attempt, of a cancelled run"""
    WORKER = "wfe.worker"
    """the Celery worker's node name"""
    QUEUE = "messaging.destination.name"
    """the queue the step names; absent where it is the app's default queue"""
    MESSAGE_ID = "messaging.message.id"
    """the id of the attempt's Celery task, by which Flower finds it"""
    ERROR_TYPE = "error.type"
    """the exception's class"""
    HTTP_METHOD = "http.request.method"
    """the call's method"""
    URL = "url.full"
    """the URL, without credentials and without the values of its query"""
    SERVER = "server.address"
    """the host that is called"""
    PORT = "server.port"
    """its port"""
    HTTP_STATE = "http.response.status_code"
    """what the server answered, if it did"""
    STEPS_BY_STATE = "wfe.run.steps"
    """`wfe.run.steps.<state>`: the names of the steps in that state when the span was made, at most 100 of each"""
    STEP_COUNT = "wfe.run.step_count"
    """`wfe.run.step_count.<state>`: how many they are"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanForm:
    """One kind of span."""

    kind: str
    name: str
    about: str
    made_by: str
    parent: str
    begins: str
    ends: str
    error: str
    """When its status is ERROR."""
    events: str
    attributes: Sequence[SpanAttribute]


_RUN: Final = (
    SpanAttribute.NAMESPACE,
    SpanAttribute.WORKFLOW,
    SpanAttribute.VERSION,
    SpanAttribute.RUN_ID,
    SpanAttribute.CORRELATION_ID,
)
_STEP: Final = (*_RUN, SpanAttribute.STEP, SpanAttribute.ATTEMPT, SpanAttribute.DEPENDENCIES, SpanAttribute.QUEUE)
_WHOLE_RUN: Final = (SpanAttribute.STEPS_BY_STATE, SpanAttribute.STEP_COUNT)

RUN_SPAN: Final = SpanForm(
    kind="run",
    name="run <workflow>",
    about="A run, from its submit to its end.",
    made_by="the telemetry subscriber, from `run.succeeded`, `run.failed`, `run.cancelled` or `run.expired`",
    parent="the span in which the run was submitted, if there was one; else it is its trace's root",
    begins="when the run was stored",
    ends="when it ended",
    error="it failed",
    events="`exception` of a failed run; of one that failed or was cancelled also `started`, `run.cancelling`, "
    "`step.skipped` and `step.released`, at most 100",
    attributes=(
        *_RUN,
        SpanAttribute.RUN_STATE,
        SpanAttribute.FAILED_STEP,
        SpanAttribute.REASON,
        SpanAttribute.ERROR_TYPE,
        *_WHOLE_RUN,
    ),
)
STEP_SPAN: Final = SpanForm(
    kind="step",
    name="step <workflow>.<step>",
    about="One attempt of a step; from the second on it links to the attempt before.",
    made_by="the telemetry subscriber, from `step.completed`, `step.retrying`, `step.failed`, `step.lost` or "
    "`step.cancelled`",
    parent="the run",
    begins="when the attempt was handed to Celery",
    ends="when its end was committed",
    error="the attempt failed or was lost",
    events="`claimed` when a worker took it; `exception`",
    attributes=(
        *_STEP,
        SpanAttribute.MESSAGE_ID,
        SpanAttribute.OUTCOME,
        SpanAttribute.QUEUE_SECONDS,
        SpanAttribute.RETRY_SECONDS,
        SpanAttribute.REASON,
        SpanAttribute.ERROR_TYPE,
        *_WHOLE_RUN,
    ),
)
HANDLER_SPAN: Final = SpanForm(
    kind="handler",
    name="handle <workflow>.<step>",
    about="The handler's own time; spans that the handler makes, and its outgoing calls, are below it.",
    made_by="the worker; where OpenTelemetry's instrumentation of Celery is active, its span is used",
    parent="the attempt; with that instrumentation, its span of the message below the attempt",
    begins="when the handler is called",
    ends="when it has returned and its result is JSON",
    error="the handler raised",
    events="`exception`, with traceback",
    attributes=(*_STEP, SpanAttribute.MESSAGE_ID, SpanAttribute.WORKER, SpanAttribute.ERROR_TYPE),
)
API_CALL_SPAN: Final = SpanForm(
    kind="API call",
    name="<METHOD>",
    about="The HTTP call of an `ApiStepHandler`, of kind *client*; the server is told of it by `traceparent`.",
    made_by="the worker",
    parent="the handler",
    begins="when the call is made",
    ends="when the answer was read",
    error="there was no answer, or one that is not 2xx",
    events="none",
    attributes=(
        SpanAttribute.HTTP_METHOD,
        SpanAttribute.URL,
        SpanAttribute.SERVER,
        SpanAttribute.PORT,
        SpanAttribute.HTTP_STATE,
        SpanAttribute.ERROR_TYPE,
    ),
)
SPANS: Final[Sequence[SpanForm]] = (RUN_SPAN, STEP_SPAN, HANDLER_SPAN, API_CALL_SPAN)
"""Every kind of span, from the outside in."""
