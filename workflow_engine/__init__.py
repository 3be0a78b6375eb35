"""Durable workflows for Celery: DAGs in Python, chords counted by PostgreSQL."""

from workflow_engine.bootstrap import AsyncClient, Client, Engine, install
from workflow_engine.client.handle import RunHandle
from workflow_engine.config import Settings
from workflow_engine.definitions.context import StepContext
from workflow_engine.definitions.handlers import StepHandler
from workflow_engine.definitions.policies import FailurePolicy, Priority, Retry
from workflow_engine.definitions.step import Step
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.errors import (
    BrokerUnavailable,
    ConfigurationError,
    CyclicWorkflow,
    DatabaseNotMigrated,
    DatabaseUnavailable,
    DefinitionChanged,
    DefinitionError,
    IdempotencyConflict,
    IllegalTransition,
    InvalidInput,
    NonRetryable,
    ResultNotStorable,
    RetryAfter,
    RunNotFound,
    RunTimeout,
    StepCancelled,
    StepTimeout,
    WorkflowEngineError,
    WorkflowNotFound,
)
from workflow_engine.plan.compiler import compile_plan
from workflow_engine.plan.plan import Plan

__all__ = [
    "AsyncClient",
    "BrokerUnavailable",
    "Client",
    "ConfigurationError",
    "CyclicWorkflow",
    "DatabaseNotMigrated",
    "DatabaseUnavailable",
    "DefinitionChanged",
    "DefinitionError",
    "Engine",
    "FailurePolicy",
    "IdempotencyConflict",
    "IllegalTransition",
    "InvalidInput",
    "NonRetryable",
    "Plan",
    "Priority",
    "ResultNotStorable",
    "Retry",
    "RetryAfter",
    "RunHandle",
    "RunNotFound",
    "RunTimeout",
    "Settings",
    "Step",
    "StepCancelled",
    "StepContext",
    "StepHandler",
    "StepTimeout",
    "Workflow",
    "WorkflowEngineError",
    "WorkflowNotFound",
    "compile_plan",
    "install",
]
