"""Schedules: what applications ask of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from workflow_engine.clock import Clock
from workflow_engine.definitions.names import NAME_LIMIT, check_name
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.engine.processor import Processor
from workflow_engine.errors import DefinitionError, InvalidInput, ScheduleNotFound
from workflow_engine.model.commands import (
    CreateSchedule,
    DeleteSchedule,
    PauseSchedule,
    ResumeSchedule,
    RunInput,
    UpdateSchedule,
)
from workflow_engine.model.run_options import check_text, checked
from workflow_engine.model.schedule import (
    OccurrenceRecord,
    ScheduleRecord,
    Timing,
    options_of_every_run,
)
from workflow_engine.store.transaction import Store

PAGE_LIMIT: Final = 1_000
"""Schedules, or occurrences, that one page may hold."""
_ACTOR_LIMIT: Final = 200
UNCHANGED: Final[Any] = object()
"""An input that is not given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A workflow and an input that fit each other."""

    workflow: str
    namespace: str
    input: str
    """JSON text."""
    digest: str


class Schedules:
    """The schedules of a client's namespace: ``client.schedules``."""

    def __init__(
        self,
        store: Store,
        processor: Processor,
        clock: Clock,
        *,
        namespace: str,
        accept: Callable[[Workflow | str, Any, str | None], Accepted],
    ) -> None:
        """Use the given parts; ``accept`` registers a workflow if need be and checks an input."""
        self._store = store
        self._processor = processor
        self._clock = clock
        self._namespace = namespace
        self._accept = accept

    def create(
        self,
        name: str,
        workflow: Workflow | str,
        input: Any = None,  # noqa: A002  the word of the public interface
        *,
        version: str | None = None,
        actor: str | None = None,
        **values: Any,
    ) -> ScheduleRecord:
        """Start runs of a workflow again and again.

        Args:
            name: unique in the namespace: letters, digits and ``_ . -``.
            workflow: the workflow, or the name of one that is loaded here or was submitted before.
            input: what every run gets; checked now.
            version: of the workflow; unless given, each run has the newest one of its time.
            actor: who asks, for the audit.
            **values: ``cron`` (five fields) or ``rrule`` (RFC 5545, without DTSTART); ``time_zone`` (an IANA name,
                ``UTC`` by default), ``start`` and ``end`` (datetimes with a zone, both included); ``catch_up``
                (``latest``, ``all`` or ``none``), ``overlap`` (``allow``, ``skip`` or ``cancel_running``); and for
                every run ``title``, ``description``, ``tags``, ``metadata``, ``agent``, ``initiator``, ``priority``.

        Raises:
            InvalidInput: something is refused, or the name is taken; nothing is stored.
            WorkflowNotFound: no workflow of that name and version is known.
            DefinitionError: the workflow cannot work, or its version is registered with another definition.
            DatabaseUnavailable: PostgreSQL does not answer; nothing is stored.
        """
        timing, options = _apart(values)
        checked_timing = checked(Timing, timing)
        checked_timing.recurrence(checked_timing.start or self._clock.now())  # a wrong rule registers no workflow
        checked_options = options_of_every_run(**options)
        accepted = self._accepted(workflow, input, version)
        command = CreateSchedule(
            namespace=self._namespace,
            name=_new_name(name),
            actor=_actor(actor),
            workflow=accepted.workflow,
            version=version,
            input=RunInput(text=accepted.input, digest=accepted.digest),
            options=checked_options,
            timing=checked_timing,
        )
        made: ScheduleRecord = self._processor.execute(command)
        return made

    def update(
        self,
        name: str,
        *,
        input: Any = UNCHANGED,  # noqa: A002  the word of the public interface
        version: str | None = UNCHANGED,
        actor: str | None = None,
        **values: Any,
    ) -> ScheduleRecord:
        """Change some of a schedule; arguments as for ``create``, and what is not given stays as it is.

        With another rule, zone, start or end it goes on with the first occurrence from now. ``version=None`` goes back
        to the newest one.

        Raises:
            InvalidInput: something is refused; nothing is changed.
            ScheduleNotFound: there is none of that name.
            WorkflowNotFound: its workflow has no such version.
        """
        timing, options = _apart(values)
        options_of_every_run(**options)
        given = None
        if input is not UNCHANGED:
            found = self.get(name)
            accepted = self._accepted(found.workflow, input, found.version if version is UNCHANGED else version)
            given = RunInput(text=accepted.input, digest=accepted.digest)
        command = UpdateSchedule(
            namespace=self._namespace,
            name=_name(name),
            actor=_actor(actor),
            timing=timing,
            options=options,
            input=given,
            version={} if version is UNCHANGED else {"version": version and check_text("version", version)},
        )
        changed: ScheduleRecord = self._processor.execute(command)
        return changed

    def get(self, name: str) -> ScheduleRecord:
        """Return a schedule.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        with self._store.single() as tx:
            found = tx.schedules.find(self._namespace, _name(name))
        if found is None:
            raise ScheduleNotFound(f"no schedule {name!r} is in namespace {self._namespace!r}")
        return found

    def list(self, *, workflow: str | None = None, limit: int = 50, after: str | None = None) -> list[ScheduleRecord]:
        """Return schedules by name, at most ``limit`` (1 to 1,000); ``after`` is the last name of the page before.

        Raises:
            InvalidInput: a limit out of range, or a name that is no text.
        """
        _check_limit(limit)
        if workflow is not None:
            check_text("workflow", workflow)
        with self._store.single() as tx:
            return tx.schedules.page(
                self._namespace,
                workflow=workflow,
                after="" if after is None else check_text("after", after),
                limit=limit,
            )

    def next(self, name: str, count: int = 10) -> Sequence[datetime]:
        """Return the next occurrences of a schedule, in UTC; also of a paused one, which lets them pass.

        Raises:
            InvalidInput: a count that is not from 1 to 1,000.
            ScheduleNotFound: there is none of that name.
        """
        _check_limit(count, "count")
        found = self.get(name)
        with self._store.single() as tx:
            return found.upcoming(count, tx.now())

    def occurrences(self, name: str, *, limit: int = 50, before: datetime | None = None) -> Sequence[OccurrenceRecord]:
        """Return what became of a schedule's occurrences in the last 90 days, the newest first.

        Raises:
            InvalidInput: a limit out of range.
            ScheduleNotFound: there is none of that name.
        """
        _check_limit(limit)
        found = self.get(name)
        with self._store.single() as tx:
            return tx.schedules.page_occurrences(found.id, before=before, limit=limit)

    def pause(self, name: str, *, actor: str | None = None) -> ScheduleRecord:
        """Let a schedule rest: what comes due until it is resumed is not made up for.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        command = PauseSchedule(namespace=self._namespace, name=_name(name), actor=_actor(actor))
        paused: ScheduleRecord = self._processor.execute(command)
        return paused

    def resume(self, name: str, *, actor: str | None = None) -> ScheduleRecord:
        """Let a paused schedule go on with its next occurrence.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        command = ResumeSchedule(namespace=self._namespace, name=_name(name), actor=_actor(actor))
        resumed: ScheduleRecord = self._processor.execute(command)
        return resumed

    def delete(self, name: str, *, actor: str | None = None) -> None:
        """Forget a schedule; runs that it started go on.

        Raises:
            ScheduleNotFound: there is none of that name.
        """
        self._processor.execute(DeleteSchedule(namespace=self._namespace, name=_name(name), actor=_actor(actor)))

    def _accepted(self, workflow: Workflow | str, value: Any, version: str | None) -> Accepted:
        if version is not None:
            check_text("version", version)
        accepted = self._accept(workflow, value, version)
        if accepted.namespace != self._namespace:
            where = f"{accepted.namespace!r}, and schedules made here in {self._namespace!r}"
            raise InvalidInput("workflow", f"{accepted.workflow!r} is in namespace {where}")
        return accepted


def _apart(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is said about the schedule, and what about every run."""
    timing = {name: value for name, value in values.items() if name in Timing.model_fields}
    return timing, {name: value for name, value in values.items() if name not in timing}


def _new_name(name: object) -> str:
    try:
        return check_name("schedule", name)
    except DefinitionError as error:
        raise InvalidInput("name", str(error)) from None


def _name(name: object) -> str:
    found = check_text("name", name)
    if len(found) > NAME_LIMIT:
        raise ScheduleNotFound(f"no schedule has a name of {len(found)} characters")
    return found


def _actor(actor: object) -> str | None:
    if actor is None:
        return None
    if len(found := check_text("actor", actor)) > _ACTOR_LIMIT:
        raise InvalidInput("actor", f"has {len(found)} characters; the limit is {_ACTOR_LIMIT}")
    return found


def _check_limit(limit: object, field: str = "limit") -> None:
    if not isinstance(limit, int) or not 1 <= limit <= PAGE_LIMIT:
        raise InvalidInput(field, f"must be from 1 to {PAGE_LIMIT}, not {limit!r}")
