"""What is to be said of work that should have been done by now. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from workflow_engine.doctor.finding import Finding, failing, fine, warning
from workflow_engine.model.durations import duration
from workflow_engine.model.standstills import StaleRun
from workflow_engine.store.diagnosis import OverdueTimers
from workflow_engine.store.gauges import SubscriberBacklog

GRACE: Final = timedelta(seconds=30)
"""How late a timer, or a step that is ready, may be before it is told of: a new leader needs some seconds."""
_BEHIND: Final = 60.0
"""Seconds a subscriber may be behind."""


def on_ready(oldest_seconds: float) -> Finding:
    """Return whether what is ready is handed out."""
    if oldest_seconds > GRACE.total_seconds():
        return failing(
            "ready",
            f"A step has been ready for {_long(oldest_seconds)}, and nobody has handed it out.",
            "See what is said of coordinator and broker above.",
        )
    return fine("ready", "What is ready is handed out.")


def on_timers(overdue: OverdueTimers) -> Finding:
    """Return whether timers are fired in time."""
    if overdue.number:
        return failing(
            "timers",
            f"{overdue.number} {'timer is' if overdue.number == 1 else 'timers are'} overdue, the first one by "
            f"{_long(overdue.seconds or 0.0)}: retries, waits, deadlines or schedules do not happen.",
            "See what is said of the coordinator above; its log says what it fails on.",
        )
    return fine("timers", "No timer is overdue.")


def on_stale(shown: Sequence[StaleRun], number: int, *, is_all: bool) -> Iterator[Finding]:
    """Yield runs of which nothing has moved for long: ``number`` of them, or more unless ``is_all``."""
    for run in shown:
        yield warning(
            "stale",
            f"Run {run.run_id} of {run.workflow} has not moved for {duration(run.stands_for)}: {run.sentence}.",
            f"`wfe runs explain {run.run_id}` says more.",
        )
    if number > len(shown):
        yield warning(
            "stale",
            f"{number}{'' if is_all else ' or more'} runs stand still.",
            "`wfe runs list --stale` lists them.",
        )
    if not number:
        yield fine("stale", "No run stands still.")


def on_dead_steps(dead: Mapping[tuple[str, str], int]) -> Iterator[Finding]:
    """Yield the workflows with steps that failed for good."""
    for (namespace, workflow), number in sorted(dead.items()):
        yield warning(
            "dead-letters",
            f"{number} {'step' if number == 1 else 'steps'} of {workflow} (namespace {namespace}) failed for good and "
            f"{'waits' if number == 1 else 'wait'} for a person.",
            f"`wfe dead-letters list --workflow {workflow}`, then requeue or discard.",
        )
    if not dead:
        yield fine("dead-letters", "No failed step waits for a person.")


def on_subscribers(found: Sequence[SubscriberBacklog]) -> Iterator[Finding]:
    """Yield subscribers that are behind, or that failed on events for good."""
    for each in found:
        if each.lag_seconds > _BEHIND:
            yield warning(
                "deliveries",
                f"Subscriber {each.name} is {_long(each.lag_seconds)} behind ({each.lag_events} places of the log).",
                "See what is said of the relay; a subscriber nobody runs any more: `wfe subscribers forget "
                f"{each.name}`.",
            )
        if each.dead_letters:
            yield warning(
                "deliveries",
                f"Subscriber {each.name} failed on {each.dead_letters} "
                f"{'event' if each.dead_letters == 1 else 'events'} for good.",
                f"`wfe dead-letters list --subscriber {each.name}`, then requeue or discard.",
            )
    if not any(each.dead_letters or each.lag_seconds > _BEHIND for each in found):
        yield fine("deliveries", "Subscribers have got what happened.")


def _long(seconds: float) -> str:
    return duration(timedelta(seconds=seconds))
