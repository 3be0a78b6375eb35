"""Test kit for users: run a workflow in this process, make events for subscribers; no database, broker or worker."""

from workflow_engine.testing.events import an_event
from workflow_engine.testing.inline import InlineRun, run_inline

__all__ = ["InlineRun", "an_event", "run_inline"]
