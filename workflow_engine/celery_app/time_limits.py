"""Time limits of a task of the pool that goes on with another step."""

# ruff: noqa: SLF001  billiard has no other way

from typing import Any


def replace_limits(timed: Any, task: Any, limits: tuple[float | None, float | None]) -> None:
    """Put the limits of the step that begins in the place of those of the one before.

    Args:
        timed: billiard's result of the message's task; None or another pool's, where processes are not timed.
        task: whose limits are those of a step that has none.
        limits: seconds until its process is killed, and until an exception is raised in the handler.
    """
    if not hasattr(timed, "_on_timeout_set"):
        return
    if timed._on_timeout_cancel:
        timed._on_timeout_cancel(timed)
    hard, soft = limits
    timed._soft_timeout, timed._timeout = soft or task.soft_time_limit, hard or task.time_limit
    # One that the pool has not seen begin is timed when it does.
    if timed._on_timeout_set and timed._accepted and (timed._soft_timeout or timed._timeout):
        timed._on_timeout_set(timed, timed._soft_timeout, timed._timeout)
