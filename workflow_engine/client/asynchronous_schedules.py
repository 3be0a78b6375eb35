"""Schedules for asyncio: each call runs in a thread."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from workflow_engine.client.schedules import Schedules
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.model.schedule import OccurrenceRecord, ScheduleRecord


class AsyncSchedules:
    """The schedules of a client's namespace, from asyncio; see ``Schedules``."""

    def __init__(self, schedules: Schedules) -> None:
        """Wrap them."""
        self._schedules = schedules

    async def create(self, name: str, workflow: Workflow | str, input: Any = None, **values: Any) -> ScheduleRecord:  # noqa: A002
        """Start runs of a workflow again and again; arguments and errors as ``Schedules.create``."""
        return await asyncio.to_thread(self._schedules.create, name, workflow, input, **values)

    async def update(self, name: str, **values: Any) -> ScheduleRecord:
        """Change some of a schedule; arguments and errors as ``Schedules.update``."""
        return await asyncio.to_thread(self._schedules.update, name, **values)

    async def get(self, name: str) -> ScheduleRecord:
        """Return a schedule.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        return await asyncio.to_thread(self._schedules.get, name)

    async def list(self, **wanted: Any) -> list[ScheduleRecord]:
        """Return schedules by name; arguments as ``Schedules.list``."""
        return await asyncio.to_thread(lambda: self._schedules.list(**wanted))

    async def next(self, name: str, count: int = 10) -> Sequence[datetime]:
        """Return the next occurrences of a schedule, in UTC; errors as ``Schedules.next``."""
        return await asyncio.to_thread(self._schedules.next, name, count)

    async def occurrences(self, name: str, **wanted: Any) -> Sequence[OccurrenceRecord]:
        """Return what became of a schedule's occurrences; arguments and errors as ``Schedules.occurrences``."""
        return await asyncio.to_thread(lambda: self._schedules.occurrences(name, **wanted))

    async def pause(self, name: str, *, actor: str | None = None) -> ScheduleRecord:
        """Let a schedule rest; errors as ``Schedules.pause``."""
        return await asyncio.to_thread(self._schedules.pause, name, actor=actor)

    async def resume(self, name: str, *, actor: str | None = None) -> ScheduleRecord:
        """Let a paused schedule go on; errors as ``Schedules.resume``."""
        return await asyncio.to_thread(self._schedules.resume, name, actor=actor)

    async def delete(self, name: str, *, actor: str | None = None) -> None:
        """Forget a schedule; errors as ``Schedules.delete``."""
        await asyncio.to_thread(self._schedules.delete, name, actor=actor)
