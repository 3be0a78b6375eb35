"""The exception tree: one class for each thing a caller can act on.

::

    WorkflowEngineError
    ├── DefinitionError            a workflow, step or policy that cannot work
    │   ├── SubscriberError        a subscriber that cannot work: an unknown event, a name taken
    │   ├── CyclicWorkflow
    │   └── DefinitionChanged      another definition under a registered version
    ├── ConfigurationError         a setting that is missing or wrong
    │   └── ApiTokenMissing        the token of an API step; also NonRetryable
    ├── InvalidInput               input, result or option refused at the door
    │   └── ResultNotStorable      a step's result is not JSON, breaks its model or is too large
    ├── EventRefused               an event that is not in the catalogue, breaks its schema or is too large
    ├── SubscriberNotFound / DeadLetterNotFound
    ├── WorkflowNotFound / RunNotFound / ScheduleNotFound
    ├── IdempotencyConflict        the same key with another input
    ├── StepNotFound               the run has no step of that name
    ├── RunEnded                   a run that has ended cannot be changed, and takes no signal
    ├── WrongState                 not where a run or step stands: a rerun of what goes on, a result for what waits
    ├── IllegalTransition          a state change the state machine does not have
    ├── DatabaseUnavailable / DatabaseNotMigrated / BrokerUnavailable
    ├── RunTimeout                 ``run.wait(timeout=…)`` ran out
    ├── NonRetryable / RetryAfter  raised by step handlers
    │   └── ApiCallRefused         an API answered that asking again would not help
    ├── ApiCallFailed              an API did not answer, or may answer better next time
    ├── SignalTimeout              why a step failed that waited for a signal
    ├── StepCancelled              raised inside a handler by ``ctx.heartbeat()``
    └── HandlerExited / WorkerLost why an attempt failed, where the handler did not say
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

_LONGEST_DELAY: Final = timedelta(days=366)


class WorkflowEngineError(Exception):
    """Base of every exception of this library."""


class DefinitionError(WorkflowEngineError):
    """A workflow, step or policy that cannot work as written."""


class SubscriberError(DefinitionError):
    """A subscriber that cannot work as written: an unknown event, a missing method, a name that is taken."""


class CyclicWorkflow(DefinitionError):
    """Some steps of a workflow wait for each other."""

    def __init__(self, workflow: str, cycle: Sequence[str]) -> None:
        super().__init__(f"workflow {workflow!r} waits for itself: {' -> '.join(cycle)}")
        self.workflow = workflow
        self.cycle = tuple(cycle)


class DefinitionChanged(DefinitionError):
    """A version is registered already, with other steps or options."""

    def __init__(self, workflow: str, version: str, difference: str) -> None:
        super().__init__(
            f"workflow {workflow!r} version {version!r} is already registered with another definition; "
            f"give the changed one a new version\n{difference}"
        )
        self.workflow = workflow
        self.version = version
        self.difference = difference


class ConfigurationError(WorkflowEngineError):
    """A setting is missing or out of range; the message names it."""


class InvalidInput(WorkflowEngineError):
    """Something was refused at the door; nothing was stored. ``field`` names what to change."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class ResultNotStorable(InvalidInput):
    """A step's result is not JSON, breaks its model or is too large."""


class EventRefused(WorkflowEngineError):
    """An event that cannot be published or read: not in the catalogue, against its schema, or too large."""

    def __init__(self, event: str, reason: str) -> None:
        super().__init__(f"event {event!r} {reason}")
        self.event = event
        self.reason = reason


class SubscriberNotFound(WorkflowEngineError):
    """No durable subscriber of that name has a cursor."""


class DeadLetterNotFound(WorkflowEngineError):
    """No dead letter has that id."""


class WorkflowNotFound(WorkflowEngineError):
    """No workflow of that name (and version) is known here."""


class RunNotFound(WorkflowEngineError):
    """No run has that id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"no run has the id {run_id!r}")
        self.run_id = run_id


class ScheduleNotFound(WorkflowEngineError):
    """No schedule of that name is in the namespace."""


class IdempotencyConflict(WorkflowEngineError):
    """The idempotency key belongs to a run with another input."""

    def __init__(self, key: str, run_id: str) -> None:
        super().__init__(f"idempotency key {key!r} already belongs to run {run_id}, which has another input")
        self.key = key
        self.run_id = run_id


class RunEnded(WorkflowEngineError):
    """What was asked for comes too late; ``state`` is how the run ended, or ``cancelling``."""

    def __init__(self, run_id: str, state: str, why: str = "it has ended, and cannot be changed any more") -> None:
        super().__init__(f"run {run_id} is {state}: {why}")
        self.run_id = run_id
        self.state = str(state)


class WrongState(WorkflowEngineError):
    """What was asked of a run or a step cannot be done where it stands, which ``state`` says."""

    def __init__(self, subject: str, state: str, why: str) -> None:
        super().__init__(f"{subject} is {state}: {why}")
        self.subject = subject
        self.state = str(state)


class StepNotFound(WorkflowEngineError):
    """The run has no step of that name."""

    def __init__(self, run_id: str, step: str, hint: str = "") -> None:
        super().__init__(f"run {run_id} has no step {step!r}{hint}")
        self.run_id = run_id
        self.step = step


class NotDead(WorkflowEngineError):
    """What is to be requeued or discarded does not wait for that: ``state`` is where it stands instead."""

    def __init__(self, subject: str, state: str) -> None:
        super().__init__(f"{subject} is not dead, but {state}: only what has failed can be requeued or discarded")
        self.subject = subject
        self.state = str(state)


class IllegalTransition(WorkflowEngineError):
    """A state machine has no such move."""

    def __init__(self, state: str, trigger: str) -> None:
        super().__init__(f"nothing leads from '{state}' by '{trigger}'")
        self.state = state
        self.trigger = trigger


class DatabaseUnavailable(WorkflowEngineError):
    """PostgreSQL does not answer or refuses the connection."""


class DatabaseNotMigrated(WorkflowEngineError):
    """The database's schema is missing or older than this release; run ``wfe db upgrade``."""


class BrokerUnavailable(WorkflowEngineError):
    """The broker does not take messages; the work stays ``ready`` and is dispatched later."""


class RunTimeout(WorkflowEngineError, TimeoutError):
    """A run had not finished when the wait ended; the run goes on."""

    def __init__(self, run_id: str, state: str, timeout: float) -> None:
        super().__init__(f"run {run_id} is still '{state}' after {timeout:g} s")
        self.run_id = run_id
        self.state = state


class NonRetryable(WorkflowEngineError):
    """Raised by a handler: fail the step at once, whatever its retry policy."""


class RetryAfter(WorkflowEngineError):
    """Raised by a handler: try again after ``delay`` (seconds or a timedelta), within ``max_attempts``.

    A delay below zero (a moment that has passed) means now.

    Raises:
        InvalidInput: the delay is not a number, or longer than a year.
    """

    def __init__(self, delay: float | timedelta, reason: str = "") -> None:
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        if not seconds <= _LONGEST_DELAY.total_seconds():  # infinity and NaN are not, either
            raise InvalidInput("delay", f"must be at most {_LONGEST_DELAY.days} days, not {delay!r}")
        self.delay = timedelta(seconds=max(seconds, 0))
        super().__init__(reason or f"try again after {self.delay.total_seconds():g} s")


class ApiTokenMissing(ConfigurationError, NonRetryable):
    """The environment variable that an API step's ``auth`` names holds no token; the message never shows its value."""


class ApiCallRefused(NonRetryable):
    """An API's answer says that asking again would not help; ``code`` is its HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ApiCallFailed(WorkflowEngineError):
    """An API did not answer (``code`` is None), or answered with an HTTP status that may be better next time."""

    def __init__(self, code: int | None, message: str) -> None:
        super().__init__(message)
        self.code = code


class HandlerExited(WorkflowEngineError):
    """A handler called ``sys.exit``: its attempt failed, the worker goes on."""


class WorkerLost(WorkflowEngineError):
    """The process that ran an attempt was killed or went away."""


class StepCancelled(WorkflowEngineError):
    """Raised inside a handler by ``ctx.heartbeat()``: its run was cancelled or timed out, or the attempt given away."""


class HeartbeatTimeout(WorkflowEngineError, TimeoutError):
    """A handler did not call ``ctx.heartbeat()`` for its step's ``heartbeat_timeout``."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(f"step {step!r} showed no sign of life for its heartbeat_timeout of {seconds:g} s")
        self.step = step
        self.seconds = seconds


class SignalTimeout(WorkflowEngineError, TimeoutError):
    """A step waited for a signal that did not come in time."""

    def __init__(self, step: str, signal: str, seconds: float | None) -> None:
        limit = "" if seconds is None else f" within {seconds:g} s"
        super().__init__(f"step {step!r}: signal {signal!r} did not come{limit}")
        self.step = step
        self.signal = signal
        self.seconds = seconds


class StepTimeout(WorkflowEngineError, TimeoutError):
    """A handler ran longer than its step's ``timeout``."""

    def __init__(self, step: str, seconds: float) -> None:
        super().__init__(f"step {step!r} ran longer than its timeout of {seconds:g} s")
        self.step = step
        self.seconds = seconds
