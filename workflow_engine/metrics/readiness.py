"""The instruments of readiness, timers and leadership: what a coordinator does."""

from typing import Final

from workflow_engine.metrics.instrument import WAITS, Instrument, Kind, Source

_TRIGGER: Final = ("triggered_by",)

READINESS_EVENTS: Final = Instrument(
    name="wfe.task_readiness_events_received",
    kind=Kind.COUNTER,
    sources=(Source.COORDINATOR,),
    labels=_TRIGGER,
    description="Notices from PostgreSQL that steps became ready, or a run moved, outside the hot path.",
)
NOTIFICATION_LATENCY: Final = Instrument(
    name="wfe.task_readiness_notification_latency",
    kind=Kind.HISTOGRAM,
    sources=(Source.COORDINATOR,),
    unit="s",
    bounds=WAITS,
    description="From the commit of what made a step ready to the arrival of its notice.",
)
READINESS_COMMANDS: Final = Instrument(
    name="wfe.task_readiness_command_sent",
    kind=Kind.COUNTER,
    sources=(Source.COORDINATOR,),
    labels=_TRIGGER,
    description="Commands to dispatch what is ready, by how we knew.",
)
READINESS_LATENCY: Final = Instrument(
    name="wfe.task_readiness_latency",
    kind=Kind.HISTOGRAM,
    sources=(Source.COORDINATOR,),
    unit="s",
    labels=_TRIGGER,
    bounds=WAITS,
    description="From the moment a step became ready to its dispatch by the coordinator.",
)
FALLBACK_POLLS: Final = Instrument(
    name="wfe.fallback_polls_executed",
    kind=Kind.COUNTER,
    sources=(Source.COORDINATOR,),
    description="Looks of the fallback poller.",
)
FALLBACK_FOUND: Final = Instrument(
    name="wfe.fallback_tasks_found",
    kind=Kind.COUNTER,
    sources=(Source.COORDINATOR,),
    description="Steps that were ready and that only the fallback poller found.",
)
TIMERS_PENDING: Final = Instrument(
    name="wfe.timers_pending",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    labels=("kind",),
    description="Moments in the future that are waited for.",
)
TIMERS_FIRED: Final = Instrument(
    name="wfe.timers_fired",
    kind=Kind.COUNTER,
    sources=(Source.COORDINATOR,),
    labels=("kind",),
    description="Timers that came due and were fired.",
)
TIMER_LATENESS: Final = Instrument(
    name="wfe.timer_lateness",
    kind=Kind.HISTOGRAM,
    sources=(Source.COORDINATOR,),
    unit="s",
    bounds=WAITS,
    description="From the moment a timer was due to the moment it was taken to be fired.",
)
IS_LEADER: Final = Instrument(
    name="wfe.coordinator_leads",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    description="1 if this coordinator fires timers, polls and rescues; of several, one does.",
)

STALE_RUNS: Final = Instrument(
    name="wfe.stale_runs",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    labels=("level",),
    description="Runs of which nothing has moved for longer than their limit (`stale`), or for 80 % of it (`warning`).",
)

INSTRUMENTS: Final = (
    READINESS_EVENTS,
    NOTIFICATION_LATENCY,
    READINESS_COMMANDS,
    READINESS_LATENCY,
    FALLBACK_POLLS,
    FALLBACK_FOUND,
    TIMERS_PENDING,
    TIMERS_FIRED,
    TIMER_LATENESS,
    IS_LEADER,
    STALE_RUNS,
)
