"""Durable workflows for Celery: DAGs in Python, chords counted by PostgreSQL."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workflow_engine.errors import (
    ApiCallFailed,
    ApiCallRefused,
    ApiTokenMissing,
    BrokerUnavailable,
    ConfigurationError,
    CyclicWorkflow,
    DatabaseNotMigrated,
    DatabaseUnavailable,
    DeadLetterNotFound,
    DefinitionChanged,
    DefinitionError,
    EventRefused,
    HeartbeatTimeout,
    IdempotencyConflict,
    IllegalTransition,
    InvalidInput,
    NonRetryable,
    NotDead,
    ResultNotStorable,
    RetryAfter,
    RunEnded,
    RunNotFound,
    RunTimeout,
    ScheduleNotFound,
    SignalTimeout,
    StepCancelled,
    StepNotFound,
    StepTimeout,
    SubscriberError,
    SubscriberNotFound,
    WorkflowEngineError,
    WorkflowNotFound,
    WrongState,
)

if TYPE_CHECKING:
    from workflow_engine.api_step import ApiRequest, ApiStepHandler
    from workflow_engine.bootstrap.clients import AsyncClient, Client
    from workflow_engine.bootstrap.engine import Engine, install
    from workflow_engine.client.handle import RunHandle
    from workflow_engine.config import Settings
    from workflow_engine.definitions.context import StepContext
    from workflow_engine.definitions.handlers import StepHandler
    from workflow_engine.definitions.policies import FailurePolicy, Priority, Retry
    from workflow_engine.definitions.step import Step
    from workflow_engine.definitions.workflow import Workflow
    from workflow_engine.model.dead_letters import StepDeadLetter
    from workflow_engine.model.records import EventRecord
    from workflow_engine.model.schedule import ScheduleRecord
    from workflow_engine.plan.compiler import compile_plan
    from workflow_engine.plan.plan import Plan
    from workflow_engine.relay.subscriber import Subscriber

# Imported when first asked for (PEP 562): Celery, SQLAlchemy and psycopg take half a second, which neither a module
# that only defines workflows nor `wfe --help` should pay.
_HOMES = {
    "ApiRequest": "api_step",
    "ApiStepHandler": "api_step",
    "AsyncClient": "bootstrap.clients",
    "Client": "bootstrap.clients",
    "Engine": "bootstrap.engine",
    "EventRecord": "model.records",
    "FailurePolicy": "definitions.policies",
    "Plan": "plan.plan",
    "Priority": "definitions.policies",
    "Retry": "definitions.policies",
    "RunHandle": "client.handle",
    "ScheduleRecord": "model.schedule",
    "Settings": "config",
    "Step": "definitions.step",
    "StepContext": "definitions.context",
    "StepDeadLetter": "model.dead_letters",
    "StepHandler": "definitions.handlers",
    "Subscriber": "relay.subscriber",
    "Workflow": "definitions.workflow",
    "compile_plan": "plan.compiler",
    "install": "bootstrap.engine",
}

__all__ = [
    "ApiCallFailed",
    "ApiCallRefused",
    "ApiRequest",
    "ApiStepHandler",
    "ApiTokenMissing",
    "AsyncClient",
    "BrokerUnavailable",
    "Client",
    "ConfigurationError",
    "CyclicWorkflow",
    "DatabaseNotMigrated",
    "DatabaseUnavailable",
    "DeadLetterNotFound",
    "DefinitionChanged",
    "DefinitionError",
    "Engine",
    "EventRecord",
    "EventRefused",
    "FailurePolicy",
    "HeartbeatTimeout",
    "IdempotencyConflict",
    "IllegalTransition",
    "InvalidInput",
    "NonRetryable",
    "NotDead",
    "Plan",
    "Priority",
    "ResultNotStorable",
    "Retry",
    "RetryAfter",
    "RunEnded",
    "RunHandle",
    "RunNotFound",
    "RunTimeout",
    "ScheduleNotFound",
    "ScheduleRecord",
    "Settings",
    "SignalTimeout",
    "Step",
    "StepCancelled",
    "StepContext",
    "StepDeadLetter",
    "StepHandler",
    "StepNotFound",
    "StepTimeout",
    "Subscriber",
    "SubscriberError",
    "SubscriberNotFound",
    "Workflow",
    "WorkflowEngineError",
    "WorkflowNotFound",
    "WrongState",
    "compile_plan",
    "install",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # the next look finds it without us
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
