"""Webhooks: each event as a signed POST, to one endpoint for each subscriber.

An endpoint has a cursor of its own, so one that is down delays no other. An event that is not taken is posted again,
after 1 s, 4 s, 16 s …; later ones of its run wait, other runs go on. After the last try it is a dead letter. An answer
of 410 says that nobody wants events there any more: it is a dead letter at once.
"""

import logging
import os
from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import ClassVar, Final
from uuid import uuid4

from workflow_engine.clock import Clock, SystemClock
from workflow_engine.config import Settings
from workflow_engine.config.webhooks import WebhookEndpoint
from workflow_engine.errors import ConfigurationError, NonRetryable, SubscriberError
from workflow_engine.model.codec import event_to_json
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.patterns import events_of
from workflow_engine.relay.subscriber import Subscriber
from workflow_engine.subscribers.addresses import networks_of
from workflow_engine.subscribers.guarded_http import GuardedHttp
from workflow_engine.subscribers.signatures import secrets_of, signatures

logger = logging.getLogger(__name__)

PREFIX: Final = "webhook_"
"""Of the subscribers' names, before the endpoint's."""
TEST: Final = b'{"name":"webhook.test","data":{}}'
"""What ``wfe webhooks test`` sends."""
_SUCCESS: Final = range(200, 300)
_REDIRECT: Final = range(300, 400)
_SPARE_SECONDS: Final = 5.0


class NotAccepted(Exception):
    """The receiver answered, but not with 2xx."""


class EndpointGone(NonRetryable):
    """The receiver answered 410: it wants no more events."""


class WebhookSubscriber(Subscriber, abstract=True):
    """Posts events to an endpoint. Make one for settings with ``webhook_of``, or inherit from it."""

    timeout: ClassVar[float] = 30.0

    def __init__(self, endpoint: WebhookEndpoint, *, setting: str, clock: Clock | None = None) -> None:
        """Post to ``endpoint``, which comes from ``setting``."""
        super().__init__()
        self.endpoint = endpoint
        self._setting = setting
        self._clock = clock or SystemClock()

    def secrets(self) -> tuple[bytes, ...]:
        """Return what requests are signed with.

        Raises:
            ConfigurationError: it is not set, or cannot be used; the message does not have it.
        """
        name = self.endpoint.secret_from
        text = os.environ.get(name)
        if text is None:
            raise ConfigurationError(
                f"{self._setting}__SECRET_FROM: {name} is not in the environment; nothing is sent unsigned"
            )
        try:
            return secrets_of(text)
        except ValueError as error:
            raise ConfigurationError(f"{self._setting}__SECRET_FROM: {name} {error}") from None

    def opened(self) -> None:
        """Get ready to send.

        Raises:
            ConfigurationError: there is nothing to sign with.
        """
        self._secrets = self.secrets()
        allowed = networks_of(self.endpoint.allow_networks)
        self._http = GuardedHttp(timeout=self.endpoint.timeout_seconds, allowed=allowed)

    def closed(self) -> None:
        """Close the connections."""
        self._http.close()

    def on_event(self, event: EventRecord) -> None:
        """Post an event.

        Raises:
            NotAccepted: the answer is not 2xx.
            EndpointGone: the receiver wants no more.
            NoAnswer: there is none in time.
            AddressRefused: it must not be asked.
        """
        self.send(event.event_id, event_to_json(event).encode())

    def test(self) -> int:
        """Post an event that is none; return the HTTP code of the answer. Errors as of ``on_event``."""
        return self.send(f"test-{uuid4()}", TEST)

    def send(self, message_id: str, body: bytes) -> int:
        """Post a body, signed; return the HTTP code of the answer. Errors as of ``on_event``."""
        timestamp = str(int(self._clock.now().timestamp()))
        code = self._http.post(self.endpoint.url, body, self._headers(message_id, timestamp, body))
        if code in _SUCCESS:
            return code
        if code == HTTPStatus.GONE:
            logger.error("webhook %s: the receiver wants no more events (410): take it out of the settings", self.name)
            raise EndpointGone("the receiver answered 410: it wants no more events")
        hint = ", and redirects are not followed" if code in _REDIRECT else ""
        raise NotAccepted(f"the receiver answered {code}{hint}")

    def _headers(self, message_id: str, timestamp: str, body: bytes) -> Mapping[str, str]:
        return {
            **self.endpoint.headers,
            "content-type": "application/json",
            "user-agent": f"workflow-engine/{version('celery-workflow-engine')}",
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signatures(self._secrets, message_id, timestamp, body),
        }


def webhooks_of(settings: Settings) -> list[WebhookSubscriber]:
    """Return the webhooks of the settings, one for each endpoint.

    Raises:
        ConfigurationError: an endpoint cannot work as it is.
    """
    return [webhook_of(name, endpoint) for name, endpoint in settings.webhooks.items()]


def webhook_of(name: str, endpoint: WebhookEndpoint) -> WebhookSubscriber:
    """Return the subscriber of an endpoint: ``webhook_NAME``.

    Raises:
        ConfigurationError: an event is unknown; the message names the setting.
    """
    setting = f"WFE_WEBHOOKS__{name.upper()}"
    for pattern in endpoint.events:
        try:
            events_of(pattern)
        except SubscriberError as error:
            raise ConfigurationError(f"{setting}__EVENTS: {error}") from None
    attributes = {
        "__module__": __name__,
        "__doc__": f"Posts events to the endpoint {name!r}.",
        "name": PREFIX + name,
        "subscribe_to": endpoint.events,
        "namespaces": None if endpoint.namespace is None else frozenset({endpoint.namespace}),
        "timeout": endpoint.timeout_seconds + _SPARE_SECONDS,
        "tries": endpoint.tries,
    }
    made: WebhookSubscriber = type(f"Webhook_{name}", (WebhookSubscriber,), attributes)(endpoint, setting=setting)
    return made
