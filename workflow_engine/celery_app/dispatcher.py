"""CeleryDispatcher: sends claimed steps to their queues, each as one message of constant size."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Final

from celery import Celery
from celery.utils.nodenames import anon_nodename
from kombu.exceptions import ChannelError

from workflow_engine.celery_app.messages import STEP_TASK, attempt_as_header, task_id
from workflow_engine.celery_app.publishing import NOT_TAKEN, PATIENCE, RETRY_POLICY, PublishingConnections
from workflow_engine.celery_app.tracing import Tracing
from workflow_engine.engine.dispatcher import Dispatch, NotDispatched
from workflow_engine.errors import BrokerUnavailable

KILL_GRACE: Final = 5.0
"""Seconds between a step's own timeout (an exception in the handler) and the killing of its process."""

_NOT_FOUND: Final = "404"
"""What a broker answers where a queue does not exist."""

_BATCH: Final = 100
"""Messages that travel together."""


class CeleryDispatcher:
    """Hands steps to Celery's broker."""

    def __init__(
        self,
        app: Celery,
        default_queue: str | None = None,
        tracing: Tracing | None = None,
        *,
        patience: float = PATIENCE,
    ) -> None:
        """Publish to the broker of ``app``.

        Args:
            app: whose settings say how.
            default_queue: where steps go that name none, if not to the app's own.
            tracing: what is added to messages.
            patience: seconds to wait for what the broker says.
        """
        self._app = app
        self._default_queue = default_queue
        self._tracing = tracing or Tracing()
        self._patience = patience
        self._connections = PublishingConnections(app, patience)

    def dispatch(self, steps: Sequence[Dispatch]) -> None:
        """Send each step once.

        Raises:
            NotDispatched: the broker stopped taking messages; it names the steps that were not sent.
        """
        sent = 0
        try:
            with self._connections.acquire() as producer:
                producer.connection.ensure_connection(**RETRY_POLICY)
                for together in _batches(steps):
                    with _batch(producer) if len(together) > 1 else nullcontext():
                        for step in together:
                            self._send(producer, step)
                    sent += len(together)
        except NOT_TAKEN as error:
            # Of a batch that broke, some may have arrived: a step that is sent twice is claimed once.
            raise NotDispatched(steps[sent:], f"{type(error).__name__}: {error}") from error

    def ping(self) -> None:
        """Return if the broker answers.

        Raises:
            BrokerUnavailable: it does not.
        """
        try:
            self._connections.ask()
        except NOT_TAKEN as error:
            raise BrokerUnavailable(f"{type(error).__name__}: {error}") from error

    @cached_property
    def _priorities(self) -> tuple[int, ...]:
        return _broker_priorities(self._app)

    def is_idle(self, queue: str | None) -> bool:
        """Return whether no message waits in a queue; False if the broker cannot tell."""
        name = self._queue(queue)
        try:
            with self._app.connection_for_read() as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
                declared = self._app.amqp.queues[name].bind(connection.default_channel).queue_declare(passive=True)
                return bool(declared.message_count == 0)
        except ChannelError as error:
            return str(error.reply_code) == _NOT_FOUND  # in Redis the last message takes the queue along
        except Exception:
            return False

    def _send(self, producer: Any, step: Dispatch) -> None:
        queue = self._queue(step.queue)
        declared = _declared(producer.channel)
        message = _message(self._app, step)
        with self._tracing.sending(step, message.headers):
            self._app.amqp.send_task_message(
                producer,
                STEP_TASK,
                message,
                queue=queue,
                declare=[] if queue in declared else None,
                priority=self._priorities[step.priority],
                retry=True,
                retry_policy=RETRY_POLICY,
                serializer="json",
                confirm_timeout=self._patience,
            )
        declared.add(queue)

    def _queue(self, queue: str | None) -> str:
        return queue or self._default_queue or self._app.conf.task_default_queue


def _message(app: Celery, step: Dispatch) -> Any:
    """Return Celery's message for a step, sent as a part of the chord it feeds, as ``celery.chord`` sends its parts."""
    group, chord = (None, None) if step.join is None else _chord(step)
    soft, hard = (None, None) if step.timeout is None else (step.timeout, step.timeout + KILL_GRACE)
    identifier = task_id(step.run_id, step.step, step.attempt)
    message = app.amqp.as_task_v2(
        identifier,
        STEP_TASK,
        group_id=group,
        chord=chord,
        soft_time_limit=soft,
        time_limit=hard,
        root_id=step.run_id,
        shadow=f"{step.workflow}.{step.step}",
        argsrepr=f"(run={step.run_id}, step={step.step}, attempt={step.attempt})",
        kwargsrepr="{}",
        origin=anon_nodename(),
        create_sent_event=app.conf.task_send_sent_event,
    )
    message.headers.update(attempt_as_header(step.as_attempt))
    return message


def _chord(step: Dispatch) -> tuple[str, dict[str, Any]]:
    group = f"{step.run_id}.{step.join}"
    body: dict[str, Any] = {
        "task": STEP_TASK,
        "args": [],
        "kwargs": {},
        "options": {"task_id": task_id(step.run_id, step.join or "", 1), "root_id": step.run_id},
        "subtask_type": None,
        "immutable": True,
    }
    return group, body


def _declared(channel: Any) -> set[str]:
    """Return the queues declared through a channel; a new connection has a new one.

    kombu remembers too, but binds a copy of the queue before it looks: a third of what a publish costs.
    """
    known: set[str] = channel.__dict__.setdefault("wfe_declared", set())
    return known


def _broker_priorities(app: Celery) -> tuple[int, ...]:
    """Return the broker's numbers for our priorities: 9 is RabbitMQ's highest, and the lowest of kombu's Redis."""
    with app.connection_for_write() as connection:
        urgent_is_low = connection.transport.driver_type == "redis"
    return (9, 6, 3, 0) if urgent_is_low else (0, 3, 6, 9)


def _batches(steps: Sequence[Dispatch]) -> Iterator[Sequence[Dispatch]]:
    for start in range(0, len(steps), _BATCH):
        yield steps[start : start + _BATCH]


def _batch(producer: Any) -> AbstractContextManager[Any]:
    """Return kombu's own batch (one round trip for many messages), where kombu (5.7) and the transport have it."""
    if getattr(producer, "supports_batch_publish", False):
        batch: AbstractContextManager[Any] = producer.batch(max_size=_BATCH)
        return batch
    return nullcontext()
