"""The subscribers that come with the library; what one of them needs is imported where it is wanted."""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from workflow_engine.client.tracing import exporter_names
from workflow_engine.config import Settings
from workflow_engine.metrics.opening import metrics_are_wanted
from workflow_engine.relay.subscriber import Subscriber
from workflow_engine.store.transaction import Store
from workflow_engine.subscribers.audit import AuditSubscriber
from workflow_engine.subscribers.metrics import MetricsSubscriber

if TYPE_CHECKING:
    from workflow_engine.metrics.meter import Metrics
    from workflow_engine.subscribers.webhook import WebhookSubscriber

BUILT_IN: Final = frozenset({"audit", "metrics", "telemetry"})
"""The names of the library's own subscribers, wanted in a process or not."""


def built_in_subscribers(
    settings: Settings, store: Store, metrics: Callable[[], "Metrics | None"], make_provider: Callable[[], Any]
) -> Iterator[Subscriber]:
    """Yield those that are wanted.

    Raises:
        ConfigurationError: a webhook cannot work as it is.
    """
    yield AuditSubscriber(store)
    yield from webhooks(settings)
    if metrics_are_wanted(settings.metrics_port):
        yield MetricsSubscriber(metrics)
    if exporter_names():
        telemetry = import_module("workflow_engine.subscribers.telemetry")
        yield telemetry.TelemetrySubscriber(store, make_provider)


def webhooks(settings: Settings) -> list["WebhookSubscriber"]:
    """Return the webhooks of the settings.

    Raises:
        ConfigurationError: one cannot work as it is.
    """
    if not settings.webhooks:
        return []
    found: list[WebhookSubscriber] = import_module("workflow_engine.subscribers.webhook").webhooks_of(settings)
    return found
