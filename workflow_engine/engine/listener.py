"""Listeners: hold a connection that listens, and tell services what was notified; listen again when it broke."""

import logging
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from time import time
from typing import Final

from workflow_engine.engine.circuit_breaker import CircuitBreaker
from workflow_engine.engine.coordinator_meter import CoordinatorMeter
from workflow_engine.engine.readiness import ReadinessService
from workflow_engine.engine.service import Service
from workflow_engine.engine.timekeeper import TimekeeperService
from workflow_engine.errors import DatabaseUnavailable
from workflow_engine.model.readiness import ReadinessAction, ReadinessNotice, ReadinessRule, classify
from workflow_engine.store.channels import NAMESPACES, READY, TIMERS, Notice, Subscription
from workflow_engine.store.database import Database
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

CIRCUIT: Final = "listener"
"""The circuit's name."""
FIRST_WAIT: Final = timedelta(seconds=0.2)
LONGEST_WAIT: Final = timedelta(seconds=5)
"""Between two tries to listen again; it grows from one to the other."""
CATCH_UP: Final = "catch_up"
EVERY_NAMESPACE: Final = "*"


class Listener(Service):
    """Holds one connection that listens."""

    name = "listener"

    def __init__(self, database: Database, circuit: CircuitBreaker | None = None) -> None:
        """Listen in ``database``; after a broken connection, try again when ``circuit`` lets us."""
        super().__init__(timedelta(hours=1))
        self._database = database
        self.circuit = circuit or CircuitBreaker(CIRCUIT, failures=1, open_for=FIRST_WAIT, longest=LONGEST_WAIT)

    def run_once(self) -> timedelta | None:
        """Listen until the connection breaks or the service stops; return how long to leave PostgreSQL alone."""
        if self.circuit.admit():
            try:
                self._listen()
            except DatabaseUnavailable as error:
                self.circuit.failed(str(error))
            except BaseException:
                self.circuit.abandoned()
                raise
        return self.circuit.wait() or None

    def _listen(self) -> None:
        with Subscription(self._database, *self.channels()) as subscription:
            self.begin(subscription)
            self.circuit.succeeded()
            while not self._stopping:
                for notice in subscription.notices(seconds=1.0):
                    self.hear(notice, subscription)

    @abstractmethod
    def channels(self) -> Iterable[str]:
        """Return what to listen to."""

    @abstractmethod
    def begin(self, subscription: Subscription) -> None:
        """Catch up with whatever was notified while nobody listened."""

    @abstractmethod
    def hear(self, notice: Notice, subscription: Subscription) -> None:
        """Something was notified."""


class Waker(Listener):
    """Wakes services when a channel is notified."""

    def __init__(
        self, database: Database, wakes: Sequence[Service], *, channel: str, circuit: CircuitBreaker | None = None
    ) -> None:
        """Wake ``wakes`` when ``channel`` is notified."""
        super().__init__(database, circuit)
        self._wakes = wakes
        self._channel = channel

    def channels(self) -> Iterable[str]:
        """The one channel."""
        return [self._channel]

    def begin(self, subscription: Subscription) -> None:
        """Wake everybody."""
        self._wake_all()

    def hear(self, notice: Notice, subscription: Subscription) -> None:
        """Wake everybody."""
        self._wake_all()

    def _wake_all(self) -> None:
        for service in self._wakes:
            service.wake()


class ReadinessListener(Listener):
    """Turns notices of readiness into commands, and tells the timekeeper of new timers."""

    def __init__(
        self,
        store: Store,
        readiness: ReadinessService,
        timekeeper: TimekeeperService,
        *,
        namespaces: Sequence[str] = (EVERY_NAMESPACE,),
        rules: Sequence[ReadinessRule] = (),
        meter: CoordinatorMeter | None = None,
        circuit: CircuitBreaker | None = None,
    ) -> None:
        """Listen for the namespaces that fit one of the shell patterns ``namespaces``, there now or later.

        Args:
            store: where the notices come from.
            readiness: dispatches what is ready.
            timekeeper: is told of timers.
            namespaces: ``*`` among them is all, through one channel.
            rules: what to do about notices; the first that covers one decides, before ``DEFAULT_RULES``.
            meter: counts notices.
            circuit: opens when the connection breaks.
        """
        super().__init__(store.database, circuit)
        self._store = store
        self._readiness = readiness
        self._timekeeper = timekeeper
        self._namespaces = namespaces
        self._rules = rules
        self._meter = meter or CoordinatorMeter()
        self._offset = 0.0

    def channels(self) -> Iterable[str]:
        """The channel of all namespaces, or that of each of ours; new namespaces; timers."""
        if EVERY_NAMESPACE in self._namespaces:
            return [READY, TIMERS]
        with self._store.single() as tx:
            found = tx.plans.namespace_channels()
        ours = [channel for namespace, channel in found.items() if self._is_ours(namespace)]
        return [*ours, NAMESPACES, TIMERS]

    def begin(self, subscription: Subscription) -> None:
        """Dispatch whatever became ready, and fire whatever came due, while nobody listened."""
        self._offset = subscription.clock_offset()
        subscription.listen(self.channels())  # those that appeared between the first question and LISTEN
        self._readiness.ask(CATCH_UP)
        self._timekeeper.wake()

    def hear(self, notice: Notice, subscription: Subscription) -> None:
        """Do what a notice asks for."""
        if notice.channel == TIMERS:
            self._timekeeper.hear(_seconds(notice.payload))
        elif notice.channel == NAMESPACES:
            self._follow(subscription)
        else:
            self._classify(notice)

    def _follow(self, subscription: Subscription) -> None:
        before = subscription.channels
        subscription.listen(self.channels())
        if subscription.channels - before:
            self._readiness.ask(CATCH_UP)  # its first run may have been quicker than we

    def _classify(self, notice: Notice) -> None:
        told = ReadinessNotice.parse(notice.payload)
        if told is None:
            logger.warning("a notice on %s is none of ours: %.100s", notice.channel, notice.payload)
            self._readiness.ask(CATCH_UP)
            return
        latency = None if told.sent_at is None else time() + self._offset - told.sent_at
        self._meter.noticed(told.triggered_by, latency)
        if classify(told, self._rules) is ReadinessAction.PROCESS_READINESS:
            self._readiness.ask(told.triggered_by, told.run_id)

    def _is_ours(self, namespace: str) -> bool:
        return any(fnmatchcase(namespace, pattern) for pattern in self._namespaces)


def _seconds(payload: str) -> float:
    try:
        return float(payload)
    except ValueError:
        return 0.0  # none of ours: it costs a look
