"""CeleryDispatcher: sends claimed steps to their queues, in messages whose size does not depend on the run's."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any, Final

from celery import Celery, signals
from celery.utils.nodenames import anon_nodename
from kombu.exceptions import ChannelError

from workflow_engine.celery_app.copies import Copies, Patterns
from workflow_engine.celery_app.messages import HEADER, OTHERS, STEP_TASK, step_headers, task_id
from workflow_engine.celery_app.publishing import NOT_TAKEN, PATIENCE, RETRY_POLICY, PublishingConnections
from workflow_engine.celery_app.tracing import Tracing
from workflow_engine.engine.dispatcher import Dispatch, NotDispatched
from workflow_engine.errors import BrokerUnavailable

_NOT_FOUND: Final = "404"
"""What a broker answers where a queue does not exist."""

_BATCH: Final = 100
"""Messages that travel together."""

_PUBLISHING: Final = (signals.before_task_publish, signals.after_task_publish, signals.task_sent)
"""What Celery says of each message to whoever listens, and lets them change."""

Send = Callable[[Sequence[Dispatch]], None]


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
        self._patterns = Patterns()

    def dispatch(self, steps: Sequence[Dispatch]) -> None:
        """Send each step once.

        Raises:
            NotDispatched: the broker stopped taking messages; it names the steps that were not sent.
        """
        sent = 0
        try:
            with self._connections.acquire() as producer:
                producer.connection.ensure_connection(**RETRY_POLICY)
                send = self._copying(producer) if self._may_copy(producer, steps) else self._one_by_one(producer)
                for together in _batches(steps):
                    send(together)
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

    def _copying(self, producer: Any) -> Send:
        return Copies(self._patterns, producer, self._send).send

    def _one_by_one(self, producer: Any) -> Send:
        def send(steps: Sequence[Dispatch]) -> None:
            with _batch(producer) if len(steps) > 1 else nullcontext():
                for step in steps:
                    self._send(producer, step)

        return send

    def _may_copy(self, producer: Any, steps: Sequence[Dispatch]) -> bool:
        """Return whether Celery would do nothing for these steps that is left out where one is a copy of another."""
        return (
            getattr(producer.channel, "takes_copies", False)
            and self._patterns.are_worth_copying(steps)
            and not any(signal.receivers for signal in _PUBLISHING)
            and not self._app.conf.task_send_sent_event
            and not self._app.conf.task_compression
            and all(_is_plain(self._app.amqp.queues[name]) for name in {self._queue(step.queue) for step in steps})
            and all(self._tracing.leaves_alone(step) for step in steps)
        )

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
    headers = step_headers(step)
    hard, soft = headers["timelimit"]
    message = app.amqp.as_task_v2(
        headers["id"],
        STEP_TASK,
        group_id=headers["group"],
        chord=None if step.join is None else _chord(step, step.join),
        soft_time_limit=soft,
        time_limit=hard,
        root_id=step.run_id,
        shadow=headers["shadow"],
        argsrepr=headers["argsrepr"],
        kwargsrepr="{}",
        origin=anon_nodename(),
        create_sent_event=app.conf.task_send_sent_event,
    )
    message.headers[HEADER] = headers[HEADER]
    if step.others:
        message.headers[OTHERS] = list(step.others)
    return message


def _chord(step: Dispatch, body: str) -> dict[str, Any]:
    return {
        "task": STEP_TASK,
        "args": [],
        "kwargs": {},
        "options": {"task_id": task_id(step.run_id, body, 1), "root_id": step.run_id},
        "subtask_type": None,
        "immutable": True,
    }


def _declared(channel: Any) -> set[str]:
    """Return the queues declared through a channel; a new connection has a new one.

    kombu remembers too, but binds a copy of the queue before it looks: a third of what a publish costs.
    """
    known: set[str] = channel.__dict__.setdefault("wfe_declared", set())
    return known


def _is_plain(queue: Any) -> bool:
    """Return whether a message goes into this queue alone, and leaves it as it is."""
    return queue.exchange.type == "direct" and queue.expires is None and not queue.queue_arguments


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
