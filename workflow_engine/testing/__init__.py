"""Test kit for users: run a workflow in this process, without database, broker or worker."""

from workflow_engine.testing.inline import InlineRun, run_inline

__all__ = ["InlineRun", "run_inline"]
