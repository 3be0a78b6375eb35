"""What a coordinator runs, by its deployment mode."""

import os
from collections.abc import Iterator
from datetime import timedelta
from socket import gethostname
from typing import TYPE_CHECKING

from workflow_engine.config import DeploymentMode, Orchestration, Settings
from workflow_engine.engine.backlog import BacklogGauges
from workflow_engine.engine.broker_watch import BrokerWatch
from workflow_engine.engine.circuit_gauges import circuit_gauges
from workflow_engine.engine.coordinator_meter import CoordinatorMeter
from workflow_engine.engine.leader import ROLE, Leader
from workflow_engine.engine.listener import ReadinessListener
from workflow_engine.engine.poller import FallbackPoller
from workflow_engine.engine.readiness import ReadinessService
from workflow_engine.engine.rescuer import RescueService
from workflow_engine.engine.resender import ResendService
from workflow_engine.engine.service import Service
from workflow_engine.engine.stale_watch import StaleWatch
from workflow_engine.engine.supervisor import Supervisor
from workflow_engine.engine.timekeeper import TimekeeperService
from workflow_engine.metrics import instruments
from workflow_engine.metrics import readiness as readiness_instruments
from workflow_engine.model.readiness import ReadinessAction, ReadinessRule
from workflow_engine.store.leaders import Leadership

if TYPE_CHECKING:
    from workflow_engine.bootstrap.engine import Engine
    from workflow_engine.metrics.meter import Metrics


class Coordinator:
    """The services of one coordinator.

    Readiness, the listener and the watch on the broker work in every coordinator; timers, polling, rescue and upkeep in
    the one that leads.
    """

    def __init__(self, engine: "Engine", default_queue: str) -> None:
        """Wire from the engine's settings and store."""
        settings, store = engine.settings, engine.store
        self._engine = engine
        self._polling = settings.orchestration.fallback_poller
        self._mode = settings.orchestration.deployment.mode
        self._meter = CoordinatorMeter(engine.metrics)
        self.readiness = ReadinessService(engine.processor, meter=self._meter, batch=self._polling.batch_size)
        self.timekeeper = TimekeeperService(
            store, engine.processor, meter=self._meter, **self._sleep(timedelta(seconds=self._polling_seconds))
        )
        self.rescue = RescueService(store, engine.processor, lease=timedelta(seconds=settings.lease_seconds))
        self.resend = ResendService(
            store,
            engine.processor,
            engine.dispatcher,
            stranded_after=timedelta(seconds=settings.stranded_seconds),
        )
        dispatcher = engine.dispatcher
        self.broker_watch = BrokerWatch(
            engine.processor, self.readiness, dispatcher.circuit, engine.broker_connection.ping
        )
        self.stale_watch = StaleWatch(engine.stale_runs, engine.processor)
        led = list(self._led())
        self.leader = Leader(Leadership(store.database, ROLE, f"{gethostname()}:{os.getpid()}"), led)
        listeners = list(self._listener(settings.orchestration))
        self._circuits = [dispatcher.circuit, *(each.circuit for each in listeners), engine.event_bell.circuit]
        self._services = [self.readiness, self.broker_watch, *led, *listeners, self.leader]
        if engine.metrics is not None:
            self._measure(engine.metrics, settings, default_queue)

    def supervisor(self) -> Supervisor:
        """Return the services, to be run."""
        return Supervisor(self._services)

    @property
    def _polling_seconds(self) -> float:
        return self._polling.fallback_polling_interval_seconds

    def _sleep(self, polling: timedelta) -> dict[str, timedelta]:
        """Without notices, nobody tells the timekeeper of a timer: it looks as often as the poller."""
        return {"longest_sleep": polling} if self._mode is DeploymentMode.POLLING_ONLY else {}

    def _led(self) -> Iterator[Service]:
        yield self.timekeeper
        if self._mode is not DeploymentMode.EVENT_DRIVEN_ONLY:
            # Where polling is all there is, nothing was overlooked, and nothing has to wait until it counts as such.
            is_all = self._mode is DeploymentMode.POLLING_ONLY
            yield FallbackPoller(
                self._engine.store,
                self.readiness,
                every=timedelta(seconds=self._polling_seconds),
                age=timedelta(seconds=0 if is_all else self._polling.age_threshold_seconds),
                batch=self._polling.batch_size,
                meter=self._meter,
                room=self._engine.dispatcher.room,
            )
        yield self.rescue
        yield self.resend
        yield self.stale_watch
        yield self._engine.janitor

    def _listener(self, orchestration: Orchestration) -> Iterator[ReadinessListener]:
        if self._mode is not DeploymentMode.POLLING_ONLY:
            yield ReadinessListener(
                self._engine.store,
                self.readiness,
                self.timekeeper,
                namespaces=orchestration.listener.namespaces,
                rules=[
                    ReadinessRule(**{**rule.model_dump(), "action": ReadinessAction(rule.action)})
                    for rule in orchestration.classification
                ],
                meter=self._meter,
            )

    def _measure(self, metrics: "Metrics", settings: Settings, default_queue: str) -> None:
        lease = timedelta(seconds=settings.lease_seconds)
        metrics.observe(BacklogGauges(self._engine.store, lease=lease, default_queue=default_queue).observed)
        metrics.observe({instruments.STEPS_RESENT: lambda: [(self.resend.resent, {})]})
        metrics.observe(circuit_gauges(self._circuits))
        metrics.observe({readiness_instruments.STALE_RUNS: lambda: self.stale_watch.numbers})
        metrics.observe({readiness_instruments.IS_LEADER: lambda: [(int(self.leader.is_leading), {})]})
