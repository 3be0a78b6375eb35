"""Engine: everything one process needs, wired from settings; install: the same on somebody else's Celery app.

What workers have no need of, such as SQLAlchemy below the client's lists, is imported when it is asked for: a worker
starts in two thirds of the time, and each of its processes is smaller.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from celery import Celery

from workflow_engine.bootstrap.built_in import BUILT_IN, built_in_subscribers, webhooks
from workflow_engine.celery_app.app import create_app, install_step_task
from workflow_engine.celery_app.continuing import Continuing
from workflow_engine.celery_app.dispatcher import CeleryDispatcher
from workflow_engine.celery_app.flower import FlowerLinks
from workflow_engine.celery_app.hooks import WorkerHooks
from workflow_engine.celery_app.identity import WorkerIdentity
from workflow_engine.celery_app.leases import WorkerLease
from workflow_engine.celery_app.runtime import StepRuntime
from workflow_engine.celery_app.tracing import Tracing
from workflow_engine.celery_app.worker_logs import WorkerLogs
from workflow_engine.celery_app.worker_metrics import WorkerMetrics
from workflow_engine.clock import SystemClock
from workflow_engine.config import Settings
from workflow_engine.definitions.registry import Registry
from workflow_engine.definitions.workflow import Workflow
from workflow_engine.engine.announcer import Announcer
from workflow_engine.engine.background import Background
from workflow_engine.engine.circuit_breaker import CircuitBreaker
from workflow_engine.engine.circuit_gauges import circuit_gauges
from workflow_engine.engine.event_bell import EventBell
from workflow_engine.engine.explainer import Explainer
from workflow_engine.engine.guarded_dispatcher import BROKER, GuardedDispatcher
from workflow_engine.engine.janitor import JanitorService
from workflow_engine.engine.listener import Waker
from workflow_engine.engine.payloads import redact_with
from workflow_engine.engine.processor import Processor
from workflow_engine.engine.redaction import load_redaction
from workflow_engine.engine.stale_runs import StaleRuns
from workflow_engine.engine.supervisor import Supervisor
from workflow_engine.metrics.opening import open_metrics
from workflow_engine.relay.inline import InlineDelivery
from workflow_engine.relay.registry import Subscribers
from workflow_engine.relay.subscriptions_file import unknown_workflows
from workflow_engine.store import channels
from workflow_engine.store.clock import DatabaseClock
from workflow_engine.store.database import Database
from workflow_engine.store.partitions import AUDIT_LOG, EVENT_LOG
from workflow_engine.store.transaction import Store

if TYPE_CHECKING:
    from workflow_engine.client.client import WorkflowClient
    from workflow_engine.engine.audit_desk import AuditDesk
    from workflow_engine.metrics.meter import Metrics
    from workflow_engine.relay.commands import DeliveryDesk
    from workflow_engine.relay.relay import Relay

logger = logging.getLogger(__name__)

_LIVE_CONNECTIONS: Final = 5


class Engine:
    """Everything one process needs, made when first asked for."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        app: Celery | None = None,
        workflows: Iterable[Workflow | str] = (),
        application_name: str = "workflow_engine",
        exposes_metrics: bool = False,
    ) -> None:
        """Wire from ``settings`` (those at hand unless given), on ``app`` or a Celery app of our own.

        ``exposes_metrics``: the process answers Prometheus by itself.

        Raises:
            ConfigurationError: a setting is wrong, or a workflow cannot be imported.
        """
        self.settings = settings or settings_at_hand()
        self._given_app = app
        self._workflows = list(workflows)
        self._application_name = application_name
        self._exposes_metrics = exposes_metrics
        if self.settings.redact is not None:
            redact_with(load_redaction(self.settings.redact))

    @cached_property
    def registry(self) -> Registry:
        """The workflows named in the settings and those given."""
        registry = Registry(each for each in self._workflows if isinstance(each, Workflow))
        registry.load(self.settings.workflows)
        registry.load(each for each in self._workflows if isinstance(each, str))
        return registry

    @cached_property
    def app(self) -> Celery:
        """The Celery app that carries the steps."""
        if self._given_app is not None:
            return self._given_app
        settings = self.settings
        urls = settings.require_broker_url(), settings.require_database_url()
        return create_app(*urls, settings.queue, priorities=settings.queue_priorities)

    @cached_property
    def store(self) -> Store:
        """Where all state is."""
        return Store(self._database(self.settings.database_connections))

    @cached_property
    def live_store(self) -> Store:
        """For streams of events: one connection reads the log, the others what clients missed."""
        return Store(self._database(_LIVE_CONNECTIONS))

    @cached_property
    def dispatcher(self) -> GuardedDispatcher:
        """Sends steps to the broker, while it takes them."""
        return GuardedDispatcher(self.broker_connection, self._circuit(BROKER))

    @cached_property
    def broker_connection(self) -> CeleryDispatcher:
        """Sends steps to the broker, whether it takes them or not."""
        queue = None if self._given_app is None else self._given_queue()
        return CeleryDispatcher(self.app, queue, self.tracing)

    @cached_property
    def tracing(self) -> Tracing:
        """What this process adds to the traces of runs."""
        return Tracing(_make_provider)

    @cached_property
    def processor(self) -> Processor:
        """Executes commands."""
        return Processor(
            self.store,
            self.dispatcher,
            loss_limit=self.settings.loss_limit,
            aging=timedelta(seconds=self.settings.orchestration.priority_aging_seconds),
            grace=timedelta(seconds=self.settings.cancel_grace_seconds),
            announcer=self._announcer,
            room=self.dispatcher.room,
            background=self._background,
        )

    @cached_property
    def _background(self) -> Background:
        """Sends the many steps of a batch."""
        return Background()

    @cached_property
    def event_bell(self) -> EventBell:
        """Tells the relays that there are events."""
        return EventBell(self.store.database, every=timedelta(seconds=self.settings.event_notify_seconds))

    @cached_property
    def inline(self) -> InlineDelivery:
        """Delivers events to the inline subscribers of this process."""
        return InlineDelivery(self.subscribers.inline)

    @cached_property
    def client(self) -> "WorkflowClient":
        """Submits runs."""
        made: WorkflowClient = import_module("workflow_engine.client.client").WorkflowClient(
            self.store,
            self.processor,
            self.registry,
            SystemClock(),
            namespace=self.settings.namespace,
            input_limit=self.settings.input_limit_bytes,
            explainer=self.explainer,
            stale=self.stale_runs,
        )
        return made

    @cached_property
    def explainer(self) -> Explainer:
        """Says why runs are where they are."""
        lease = timedelta(seconds=self.settings.lease_seconds)
        return Explainer(self.store, self.processor.plan, lease=lease, default_queue=self.default_queue)

    @cached_property
    def stale_runs(self) -> StaleRuns:
        """Finds runs that stand still."""
        settings = self.settings
        return StaleRuns(
            self.store,
            self.explainer,
            limit=timedelta(seconds=settings.stale_after_seconds),
            lease=timedelta(seconds=settings.lease_seconds),
        )

    @property
    def flower(self) -> FlowerLinks | None:
        """Where runs and steps are shown in Flower; None where nobody has said where it is."""
        url = self.settings.flower_url
        return None if url is None else FlowerLinks(url)

    @property
    def default_queue(self) -> str:
        """Where steps go that name no queue."""
        return self._given_queue() or str(self.app.conf.task_default_queue)

    def install(self) -> Celery:
        """Register the step task and the worker's heartbeat on the app, and return it."""
        identity = WorkerIdentity()
        runtime = StepRuntime(
            self.processor,
            self.registry,
            identity,
            store=self.store,
            result_limit=self.settings.result_limit_bytes,
            tracing=self.tracing,
            continuing=Continuing(self.settings.kept_steps, self.settings.kept_seconds, self.settings.kept_siblings),
        )
        lease = WorkerLease(Store(self._database(1)), self.processor, identity)
        hooks = WorkerHooks(lease, runtime.kept_steps, every=self.settings.heartbeat_seconds, workflows=self.registry)
        install_step_task(self.app, runtime, hooks, self.settings.require_database_url())
        circuits = [self.dispatcher.circuit, self.event_bell.circuit]
        WorkerMetrics(lease, runtime.kept_steps, lambda: self.metrics, circuits).connect()
        self.tracing.connect()
        if self._given_app is None or "log_format" in self.settings.model_fields_set:
            WorkerLogs(self.settings.log_format).connect()
        for warning in self.unknown_workflows():
            logger.warning(warning)
        return self.app

    def coordinator(self) -> Supervisor:
        """Return the services that run once the hot path cannot: readiness, timers, polling, rescue, upkeep."""
        home = import_module("workflow_engine.bootstrap.coordinator")
        supervisor: Supervisor = home.Coordinator(self, self.default_queue).supervisor()
        return supervisor

    @cached_property
    def janitor(self) -> JanitorService:
        """Makes and drops partitions of the event log and the audit log."""
        settings = self.settings
        keep = {
            EVENT_LOG: timedelta(days=settings.events_keep_days),
            AUDIT_LOG: timedelta(days=settings.audit_keep_days),
        }
        return JanitorService(self.store, DatabaseClock(self.store), keep=keep)

    @cached_property
    def audit_desk(self) -> "AuditDesk":
        """What people ask of the audit log."""
        desk: AuditDesk = import_module("workflow_engine.engine.audit_desk").AuditDesk(self.store)
        return desk

    @cached_property
    def subscribers(self) -> Subscribers:
        """The event subscribers in force."""
        settings = self.settings
        built_in = built_in_subscribers(settings, self.store, lambda: self.metrics, _make_provider)
        return Subscribers(built_in, paths=settings.subscribers, file=settings.subscribers_file, reserved=BUILT_IN)

    def unknown_workflows(self) -> list[str]:
        """Return a warning for each workflow that the subscribers file names and this process, knowing some, does not.

        Raises:
            ConfigurationError: the file is wrong.
        """
        file, known = self.settings.subscribers_file, {each.name for each in self.registry}
        return unknown_workflows(file, known) if file is not None and known else []

    @cached_property
    def relay_service(self) -> "Relay":
        """Delivers events to durable subscribers, in threads of this process.

        Raises:
            ConfigurationError: a webhook has no secret to sign with.
        """
        settings = self.settings
        for webhook in webhooks(settings):
            webhook.secrets()
        relay: Relay = import_module("workflow_engine.relay.relay").Relay(
            Store(self._relay_database),
            self.subscribers.durable,
            lease=timedelta(seconds=settings.relay_lease_seconds),
            poll_seconds=settings.poll_seconds,
        )
        return relay

    def relay(self) -> Supervisor:
        """Return the services that deliver events to durable subscribers."""
        listener = Waker(self.store.database, [self.relay_service], channel=channels.EVENTS)
        if self.metrics is not None:
            gauges = import_module("workflow_engine.relay.gauges").RelayGauges(self.relay_service.snapshot)
            self.metrics.observe(gauges.observed)
            self.metrics.observe(circuit_gauges([listener.circuit]))
        return Supervisor([self.relay_service, listener])

    @cached_property
    def delivery_desk(self) -> "DeliveryDesk":
        """What people ask of deliveries."""
        home = import_module("workflow_engine.relay.commands")
        desk: DeliveryDesk = home.DeliveryDesk(self.store, namespace=self.settings.namespace)
        return desk

    @cached_property
    def metrics(self) -> "Metrics | None":
        """What this process measures, served at its port from now on; None where nobody asks for it.

        Raises:
            ConfigurationError: the port is taken.
        """
        settings = self.settings
        return open_metrics(host=settings.metrics_host, port=settings.metrics_port, exposed=self._exposes_metrics)

    def close(self) -> None:
        """Send what is left to send, and give back what this process opened."""
        if (background := self.__dict__.get("_background")) is not None:
            background.close()
        if (metrics := self.__dict__.get("metrics")) is not None:
            metrics.close()
        for name in ("event_bell", "inline"):
            if (made := self.__dict__.get(name)) is not None:
                made.close()
        self.store.database.close()
        if (relay_database := self.__dict__.get("_relay_database")) is not None:
            relay_database.close()

    @cached_property
    def _announcer(self) -> Announcer:
        inline = self.inline
        return Announcer(self.event_bell.ring, inline or None, wanted=inline.names)

    @cached_property
    def _relay_database(self) -> Database:
        """One connection to deliver through, one to measure: subscribers may keep all others busy."""
        return self._database(2)

    def _circuit(self, name: str) -> CircuitBreaker:
        settings = self.settings
        return CircuitBreaker(
            name,
            failures=settings.circuit_failures,
            open_for=timedelta(seconds=settings.circuit_open_seconds),
            longest=timedelta(seconds=settings.circuit_longest_seconds),
        )

    def _database(self, connections: int) -> Database:
        return Database(
            self.settings.require_database_url(),
            max_connections=connections,
            application_name=self._application_name,
        )

    def _given_queue(self) -> str | None:
        """Steps that name no queue go where the given app's own tasks go, unless the settings say otherwise."""
        return self.settings.queue if "queue" in self.settings.model_fields_set else None


def _make_provider() -> Any:
    """Make a provider of spans as the environment asks; whoever wants none does not import OpenTelemetry's SDK."""
    return import_module("workflow_engine.subscribers.otel").make_provider()


def settings_at_hand() -> Settings:
    """Return the environment's settings; where they name no server, those of a running ``wfe dev``, if there is one.

    Raises:
        ConfigurationError: a setting is wrong.
    """
    # A look upwards, as nothing below knows of embedded servers; commands and clients are to find the same ones.
    found: Settings = import_module("workflow_engine.cli.attaching").settings_if_any()
    return found


def install(app: Celery, workflows: Iterable[Workflow | str] = (), *, settings: Settings | None = None) -> Engine:
    """Make an existing Celery app run steps: ``celery -A yours worker`` then does.

    The app keeps its result backend, its routes and its tasks; they may be steps as they are
    (``workflow.step(task=…)``).

    Args:
        app: your Celery app.
        workflows: the workflows its workers can run, or their import paths, beside those of ``WFE_WORKFLOWS``.
        settings: in place of those from the environment.

    Raises:
        ConfigurationError: a setting is missing or wrong.
    """
    engine = Engine(settings, app=app, workflows=workflows)
    engine.install()
    return engine
