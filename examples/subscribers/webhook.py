"""Notify another system: each event of a run as a signed POST to a URL.

This is the library's own webhook (``workflow_engine.subscribers.webhook``), as a class to begin with: where it posts to
comes from the environment. Without code, each table ``[webhooks.NAME]`` of ``workflow_engine.toml`` is one, too: see
``docs/how-to/webhooks.md``.

Whatever is not a 2xx answer raises, so the relay tries the event again after 1 s and after 4 s; later events of the
same run wait, other runs go on. After the third failure it is a dead letter: the next event's turn comes, and
``wfe dead-letters requeue`` sends it again. The receiver may get an event twice (its answer was lost, a relay was
killed): ``webhook-id`` is the event's id and the same every time.
"""

import logging
import os
from collections.abc import Sequence

from workflow_engine import EventRecord
from workflow_engine.config.webhooks import WebhookEndpoint
from workflow_engine.subscribers.webhook import WebhookSubscriber

logger = logging.getLogger(__name__)


class Webhook(WebhookSubscriber):
    """Posts events as JSON. Without a URL it says so once and sends nothing."""

    name = "webhook"
    subscribe_to = ("run.*", "step.*")

    def __init__(
        self,
        *,
        url_from: str = "WEBHOOK_URL",
        secret_from: str = "WEBHOOK_SECRET",  # noqa: S107  the name of a variable
        timeout_seconds: float = 5.0,
        allow_networks: Sequence[str] = (),
    ) -> None:
        """Read URL and secret from these environment variables.

        Raises:
            ValueError: the URL cannot be posted to, unless ``allow_networks`` has where it is.
            ConfigurationError: there is a URL but no secret.
        """
        self._url_from = url_from
        self._url = os.environ.get(url_from)
        endpoint = WebhookEndpoint(
            url=self._url or "https://nowhere.invalid",
            secret_from=secret_from,
            timeout_seconds=timeout_seconds,
            allow_http=bool(allow_networks),
            allow_networks=tuple(allow_networks),
        )
        super().__init__(endpoint, setting=url_from)
        if self._url:
            self.secrets()  # told when the relay starts

    def opened(self) -> None:
        """Get ready to send, if there is where to."""
        if self._url:
            super().opened()
        else:
            logger.warning("%s is not set: no event is sent", self._url_from)

    def closed(self) -> None:
        """Close the connections."""
        if self._url:
            super().closed()

    def on_event(self, event: EventRecord) -> None:
        """Send an event; errors as the library's webhook."""
        if self._url:
            super().on_event(event)
