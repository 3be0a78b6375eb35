"""What a benchmark's processes must agree on, and the Celery settings that both sides share."""

import os
from dataclasses import asdict, dataclass
from typing import Any, Final

ENGINE_QUEUE: Final = "bench-engine"
CANVAS_QUEUE: Final = "bench-canvas"
_PREFIX: Final = "BENCH_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Where the servers are, and how the workers run."""

    database_url: str
    broker_url: str
    results_url: str
    """Where Celery's side keeps its results: another database of the same Valkey."""
    queue: str = ENGINE_QUEUE
    """Of our side's steps."""
    events: bool = False
    """Whether both workers send task events."""
    same_transport: bool = False
    """Whether Celery's side gets the kombu transport that our own apps use, in place of kombu's."""

    def as_environment(self) -> dict[str, str]:
        """Return what ``from_environment`` reads."""
        return {_PREFIX + name.upper(): str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_environment(cls) -> "Configuration":
        """Read what the benchmark told this worker."""
        read = {
            name: os.environ[_PREFIX + name.upper()] for name in ("database_url", "broker_url", "results_url", "queue")
        }
        return cls(
            events=os.environ[_PREFIX + "EVENTS"] == "True",
            same_transport=os.environ[_PREFIX + "SAME_TRANSPORT"] == "True",
            **read,
        )

    def celery_settings(self, queue: str) -> dict[str, Any]:
        """Return the settings that both sides' apps get."""
        return {
            "task_default_queue": queue,
            "task_acks_late": True,
            "task_reject_on_worker_lost": True,
            "worker_prefetch_multiplier": 1,
            "task_serializer": "json",
            "result_serializer": "json",
            "accept_content": ["json"],
            "worker_send_task_events": self.events,
            "task_send_sent_event": False,
            "worker_hijack_root_logger": True,
            "broker_connection_retry_on_startup": True,
        }
