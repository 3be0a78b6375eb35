"""create_app: an app of our own, every Celery setting in one place; install: join somebody else's."""

from celery import Celery
from kombu import Queue

from workflow_engine.celery_app.hooks import WorkerHooks
from workflow_engine.celery_app.kept_steps import ListenToPool
from workflow_engine.celery_app.pool_watch import PoolWatch
from workflow_engine.celery_app.queues import MAX_PRIORITY
from workflow_engine.celery_app.runtime import StepRuntime
from workflow_engine.celery_app.step_backend import StepBackend
from workflow_engine.celery_app.task import StepTask
from workflow_engine.celery_app.task_events import PromptReading

_BROKER_PATIENCE = 5.0
"""Seconds to wait for a broker's socket before it counts as down."""

_BROKER_CONNECTIONS = 1_000
"""kombu's limit of 10 is too low for a gevent pool, whose greenlets acknowledge at the same time."""

_REDIS_TRANSPORT = "workflow_engine.celery_app.transport:Transport"

_ON_RABBITMQ = {
    "amqp": "workflow_engine.celery_app.queues:StandingAMQP",
    "events": "workflow_engine.celery_app.task_events:UnconfirmedEvents",
}


def create_app(broker_url: str, database_url: str, queue: str, *, priorities: bool = True) -> Celery:
    """Return a Celery app for workers and clients that have none of their own.

    Args:
        broker_url: Redis, Valkey or RabbitMQ.
        database_url: where results go.
        queue: of steps that name none.
        priorities: whether the queues that it makes on RabbitMQ have any; those of Redis always have.
    """
    is_amqp = _is_amqp(broker_url)
    app = Celery("workflow_engine", **(_ON_RABBITMQ if is_amqp else {}))
    app.conf.update(
        broker_url=broker_url,
        result_backend=f"wfe+{database_url}",
        task_default_queue=queue,
        task_queues=[Queue(queue)],
        task_create_missing_queues=True,
        task_queue_max_priority=MAX_PRIORITY if is_amqp and priorities else None,
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,  # a long step must not hold short ones that an idle worker could run
        worker_send_task_events=True,
        task_send_sent_event=False,
        task_track_started=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a step's commit does not need the broker
        broker_connection_retry_on_startup=True,
        broker_transport=_REDIS_TRANSPORT if _is_redis(broker_url) else None,
        broker_transport_options=_transport_options(broker_url),
        worker_hijack_root_logger=True,
        enable_utc=True,
    )
    return app


def install_step_task(app: Celery, runtime: StepRuntime, hooks: WorkerHooks, database_url: str) -> None:
    """Register the step task, with a durable backend of its own, and the worker's heartbeat on ``app``.

    The app's result backend and its other tasks stay what they are.
    """
    task = StepTask()
    task.runtime = runtime
    backend = StepBackend(app, url=f"wfe+{database_url}")
    backend.runtime = runtime
    task.backend = backend
    app.register_task(task)
    task.kept_steps = runtime.kept_steps
    app.steps["worker"].add(PoolWatch)
    app.steps["consumer"].add(PromptReading)
    app.steps["worker"].add(type("ListenToThisPool", (ListenToPool,), {"kept_steps": runtime.kept_steps}))
    hooks.connect()


def _is_amqp(broker_url: str) -> bool:
    return broker_url.startswith(("amqp://", "amqps://", "pyamqp://"))


def _is_redis(broker_url: str) -> bool:
    return broker_url.startswith(("redis://", "rediss://"))


def _transport_options(broker_url: str) -> dict[str, object]:
    if _is_redis(broker_url):
        return {
            "max_connections": _BROKER_CONNECTIONS,
            "socket_connect_timeout": _BROKER_PATIENCE,
            "socket_timeout": 30.0,
            "socket_keepalive": True,
            "health_check_interval": 25,
            # Longer than any step should take between heartbeats; a repeated message is ignored, so short is safe too.
            "visibility_timeout": 3_600,
        }
    return {"confirm_publish": True}
