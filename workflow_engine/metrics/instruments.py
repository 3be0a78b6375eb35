"""The instruments: one declaration for each, with its name, kind, unit, labels and description."""

from typing import Final

from workflow_engine.metrics import api, readiness
from workflow_engine.metrics.instrument import WAITS, Instrument, Kind, Source

_DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)

_RUN: Final = ("namespace", "workflow")
_STEP: Final = ("namespace", "workflow", "step")

RUNS: Final = Instrument(
    name="wfe.runs",
    kind=Kind.COUNTER,
    sources=(Source.RELAY,),
    labels=(*_RUN, "state"),
    description="Runs that came to a state; a submitted run comes to pending.",
)
STEPS: Final = Instrument(
    name="wfe.steps",
    kind=Kind.COUNTER,
    sources=(Source.RELAY,),
    labels=(*_STEP, "state"),
    description="Steps that came to a state; a step that is tried again comes to dispatched and running again.",
)
STEP_RETRIES: Final = Instrument(
    name="wfe.step.retries",
    kind=Kind.COUNTER,
    sources=(Source.RELAY,),
    labels=_STEP,
    description="Failed attempts that are tried again.",
)
STEPS_LOST: Final = Instrument(
    name="wfe.steps.lost",
    kind=Kind.COUNTER,
    sources=(Source.RELAY,),
    labels=_STEP,
    description="Attempts whose process went away.",
)
STEP_DURATION: Final = Instrument(
    name="wfe.step.duration",
    kind=Kind.HISTOGRAM,
    sources=(Source.RELAY,),
    unit="s",
    labels=(*_STEP, "state"),
    bounds=_DURATIONS,
    description="From an attempt's claim by a worker to its end in a state; lost attempts are left out.",
)
STEP_QUEUE_WAIT: Final = Instrument(
    name="wfe.step.queue_wait",
    kind=Kind.HISTOGRAM,
    sources=(Source.RELAY,),
    unit="s",
    labels=_STEP,
    bounds=WAITS,
    description="From an attempt's dispatch to its claim by a worker; known when the attempt has ended.",
)
STEP_DISPATCH_LATENCY: Final = Instrument(
    name="wfe.step.dispatch_latency",
    kind=Kind.HISTOGRAM,
    sources=(Source.RELAY,),
    unit="s",
    labels=_STEP,
    bounds=WAITS,
    description="From the moment a step could run to its dispatch; 0 where both are the same moment.",
)
RUN_DURATION: Final = Instrument(
    name="wfe.run.duration",
    kind=Kind.HISTOGRAM,
    sources=(Source.RELAY,),
    unit="s",
    labels=(*_RUN, "state"),
    bounds=(*_DURATIONS, 14_400.0, 86_400.0),
    description="From the claim of a run's first step to the run's end in a state; runs that never began are left out.",
)
EVENTS: Final = Instrument(
    name="wfe.events",
    kind=Kind.COUNTER,
    sources=(Source.RELAY,),
    labels=("name",),
    description="Events of the catalogue.",
)
RELAY_LAG_EVENTS: Final = Instrument(
    name="wfe.relay.lag_events",
    kind=Kind.GAUGE,
    sources=(Source.RELAY, Source.COORDINATOR),
    labels=("subscriber",),
    description="Positions of the event log between its head and a subscriber's cursor.",
)
RELAY_LAG: Final = Instrument(
    name="wfe.relay.lag",
    kind=Kind.GAUGE,
    sources=(Source.RELAY, Source.COORDINATOR),
    unit="s",
    labels=("subscriber",),
    description="Age of the oldest event that a subscriber has not had.",
)
RELAY_DELIVERED: Final = Instrument(
    name="wfe.relay.delivered",
    kind=Kind.COUNTER,
    sources=(Source.RELAY,),
    labels=("subscriber",),
    description="Events that this relay delivered to a subscriber.",
)
RELAY_FAILED: Final = Instrument(
    name="wfe.relay.failed",
    kind=Kind.COUNTER,
    sources=(Source.RELAY,),
    labels=("subscriber",),
    description="Calls of a subscriber, by this relay, that failed or took too long.",
)
DEAD_LETTERS: Final = Instrument(
    name="wfe.dead_letters",
    kind=Kind.GAUGE,
    sources=(Source.RELAY, Source.COORDINATOR),
    labels=("subscriber",),
    description="Deliveries that were given up and wait for a person.",
)
DEAD_STEPS: Final = Instrument(
    name="wfe.dead_steps",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    labels=_RUN,
    description="Steps that failed for good and wait for a person to requeue or discard them.",
)
UNFINISHED_RUNS: Final = Instrument(
    name="wfe.unfinished_runs",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    labels=("state",),
    description="Runs that are not finished, by state.",
)
UNFINISHED_STEPS: Final = Instrument(
    name="wfe.unfinished_steps",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    labels=("state",),
    description="Steps of unfinished runs that are not finished, by state.",
)
QUEUE_DEPTH: Final = Instrument(
    name="wfe.queue_depth",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    labels=("queue",),
    description="Steps that were dispatched to a queue and that no worker has claimed.",
)
OLDEST_READY: Final = Instrument(
    name="wfe.oldest_ready_step_age",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    unit="s",
    description="How long the step that is due for longest has waited for its dispatch; 0 if none is due.",
)
WORKERS_ALIVE: Final = Instrument(
    name="wfe.workers_alive",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    description="Workers that were heard of within the lease.",
)
BACKLOG_COMPLETE: Final = Instrument(
    name="wfe.backlog_complete",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    description="1 if everything unfinished was counted; 0 if it is so much that only the oldest part was.",
)
DATABASE_UP: Final = Instrument(
    name="wfe.database_up",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR,),
    description="1 if PostgreSQL answered when the gauges were last read; else 0, and they are missing.",
)
STEPS_RESENT: Final = Instrument(
    name="wfe.steps.resent",
    kind=Kind.COUNTER,
    sources=(Source.COORDINATOR,),
    description="Steps that this coordinator sent again because their messages were gone.",
)
CIRCUIT_STATE: Final = Instrument(
    name="wfe.circuit.state",
    kind=Kind.GAUGE,
    sources=(Source.COORDINATOR, Source.RELAY, Source.WORKER, Source.API),
    labels=("circuit",),
    description="Whether this process asks the other side: 0 closed, it does; 1 half-open, it tries once; 2 open, not.",
)
CIRCUIT_OPENINGS: Final = Instrument(
    name="wfe.circuit.openings",
    kind=Kind.COUNTER,
    sources=(Source.COORDINATOR, Source.RELAY, Source.WORKER, Source.API),
    labels=("circuit",),
    description="How often this process has stopped asking the other side; a try that fails counts again.",
)
WORKER_UP: Final = Instrument(
    name="wfe.worker.up",
    kind=Kind.GAUGE,
    sources=(Source.WORKER,),
    labels=("worker",),
    description="1 while the worker takes messages.",
)
WORKER_STEPS_AT_HAND: Final = Instrument(
    name="wfe.worker.steps_at_hand",
    kind=Kind.GAUGE,
    sources=(Source.WORKER,),
    description="Step tasks that the worker has received and not finished.",
)
WORKER_TASKS_RECEIVED: Final = Instrument(
    name="wfe.worker.tasks_received",
    kind=Kind.COUNTER,
    sources=(Source.WORKER,),
    labels=("kind",),
    description="Celery tasks that the worker received: steps, or others of the same app.",
)
WORKER_TASKS_FINISHED: Final = Instrument(
    name="wfe.worker.tasks_finished",
    kind=Kind.COUNTER,
    sources=(Source.WORKER,),
    labels=("kind",),
    description="Received tasks that the worker has done with, however they ended.",
)
WORKER_POOL_SIZE: Final = Instrument(
    name="wfe.worker.pool_size",
    kind=Kind.GAUGE,
    sources=(Source.WORKER,),
    description="How many tasks the worker can run at a time.",
)
WORKER_HEARTBEAT_AGE: Final = Instrument(
    name="wfe.worker.heartbeat_age",
    kind=Kind.GAUGE,
    sources=(Source.WORKER,),
    unit="s",
    description="Time since the database last took the worker's heartbeat; at the lease, its steps are given away.",
)

INSTRUMENTS: Final = (
    RUNS,
    STEPS,
    STEP_RETRIES,
    STEPS_LOST,
    STEP_DURATION,
    STEP_QUEUE_WAIT,
    STEP_DISPATCH_LATENCY,
    RUN_DURATION,
    EVENTS,
    RELAY_LAG_EVENTS,
    RELAY_LAG,
    RELAY_DELIVERED,
    RELAY_FAILED,
    DEAD_LETTERS,
    DEAD_STEPS,
    UNFINISHED_RUNS,
    UNFINISHED_STEPS,
    QUEUE_DEPTH,
    OLDEST_READY,
    WORKERS_ALIVE,
    BACKLOG_COMPLETE,
    DATABASE_UP,
    STEPS_RESENT,
    CIRCUIT_STATE,
    CIRCUIT_OPENINGS,
    *readiness.INSTRUMENTS,
    *api.INSTRUMENTS,
    WORKER_UP,
    WORKER_STEPS_AT_HAND,
    WORKER_TASKS_RECEIVED,
    WORKER_TASKS_FINISHED,
    WORKER_POOL_SIZE,
    WORKER_HEARTBEAT_AGE,
)
"""Every instrument there is; what is not here is not measured."""
