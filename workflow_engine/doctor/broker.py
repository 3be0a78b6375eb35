"""What is to be said of a broker, and of how an app uses it. Pure."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from workflow_engine.celery_app.broker_facts import BrokerFacts, BrokerKind
from workflow_engine.doctor.finding import Finding, failing, fine, warning
from workflow_engine.model.durations import duration

_KEEPS_ALL: Final = "noeviction"
_FULL: Final = 0.9
_CROWDED: Final = 0.8
_SHORT_VISIBILITY: Final = 300
"""Seconds; ordinary tasks that take longer run twice."""
_USUAL_VISIBILITY: Final = 3_600
_CHANNEL_PATIENCE: Final = timedelta(minutes=30)
"""RabbitMQ's ``consumer_timeout``, unless it was changed; no client can ask for it."""
_NEAR: Final = 0.8


def on_broker(facts: BrokerFacts) -> Iterator[Finding]:
    """Yield what is to be said of the broker itself."""
    yield _on_role(facts)
    if facts.eviction is not None:
        yield _on_eviction(facts)
    if facts.keeps_log is not None:
        yield _on_persistence(facts)
    if facts.connections and facts.connection_limit and facts.connections >= facts.connection_limit * _CROWDED:
        yield warning(
            "broker-connections",
            f"{facts.connections} of {facts.connection_limit} connections of the broker are in use.",
            "Raise its maxclients, or run fewer processes.",
        )


def on_use(conf: Any, facts: BrokerFacts, longest_running: float | None) -> Iterator[Finding]:
    """Yield the traps in how an app acknowledges: ``conf`` is Celery's, ``longest_running`` of steps, in seconds."""
    if facts.kind is BrokerKind.RABBITMQ:
        if (longest_running or 0.0) > _CHANNEL_PATIENCE.total_seconds() * _NEAR:
            yield warning(
                "acknowledgement",
                f"A step has run for {duration(timedelta(seconds=longest_running or 0.0))}; RabbitMQ closes the "
                f"channel of a worker that holds a message for {duration(_CHANNEL_PATIENCE)}, unless its "
                "consumer_timeout says otherwise.",
                "Raise consumer_timeout in rabbitmq.conf above the longest step.",
            )
    elif facts.kind is not BrokerKind.OTHER:
        seconds = (conf.broker_transport_options or {}).get("visibility_timeout", _USUAL_VISIBILITY)
        if seconds < _SHORT_VISIBILITY:
            yield warning(
                "acknowledgement",
                f"visibility_timeout is {seconds} s: messages of tasks that take longer come again. Steps ignore that, "
                "ordinary tasks run twice.",
                "Set broker_transport_options['visibility_timeout'] above the longest ordinary task.",
            )
    if not conf.worker_send_task_events:
        yield warning(
            "task-events",
            "Workers of this app send no task events: Flower shows nothing.",
            "Set worker_send_task_events = True, or start workers with -E.",
        )
    if conf.worker_prefetch_multiplier != 1:
        yield warning(
            "prefetch",
            f"worker_prefetch_multiplier is {conf.worker_prefetch_multiplier}: a worker with a long step keeps others "
            "waiting that idle workers could run.",
            "Set worker_prefetch_multiplier = 1.",
        )


def _on_role(facts: BrokerFacts) -> Finding:
    name = f"{facts.kind} {facts.version or ''}".strip()
    if facts.is_cluster:
        return failing("broker", f"{name} is a cluster, which Celery cannot use.", "Use one without cluster mode.")
    if facts.is_replica:
        return failing(
            "broker",
            f"{name} is a replica: it takes no messages.",
            "Point WFE_BROKER_URL at the primary, or a Sentinel.",
        )
    return fine("broker", f"{name} answers.")


def _on_eviction(facts: BrokerFacts) -> Finding:
    advice = "Set maxmemory-policy noeviction, and give it memory enough."
    if facts.eviction != _KEEPS_ALL:
        sentence = f"maxmemory-policy is {facts.eviction}: when memory is short, the broker throws messages away."
        all_keys = str(facts.eviction).startswith("allkeys") and bool(facts.memory_limit)
        return (failing if all_keys else warning)("eviction", f"{sentence} Steps among them run late.", advice)
    if facts.memory_limit and (facts.memory_used or 0) >= facts.memory_limit * _FULL:
        return warning(
            "eviction",
            f"{facts.memory_used} of {facts.memory_limit} bytes of the broker's memory are used; it takes no messages "
            "when it is full.",
            "Raise maxmemory, or start workers for what waits (`wfe doctor` names queues without any).",
        )
    return fine("eviction", "The broker throws no messages away when memory is short (noeviction).")


def _on_persistence(facts: BrokerFacts) -> Finding:
    if facts.is_writing is False:
        return warning(
            "persistence",
            "The broker could not write to its disk.",
            "Look at its log, and at the space on its disk; it may refuse messages until then.",
        )
    if facts.keeps_log:
        return fine("persistence", "The broker keeps an append-only file: messages outlive its restart.")
    return fine(
        "persistence",
        "The broker keeps no append-only file: after its restart, steps are sent again; ordinary tasks are lost.",
    )
