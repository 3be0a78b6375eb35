"""Notify another system: each event of a run as a signed POST to a URL.

Called by a relay, after the commit, one event at a time, in order within a run. Whatever is not a 2xx answer raises, so
the relay tries the event again after 1 s and after 4 s; later events of the same run wait, other runs go on. After the
third failure it is a dead letter: the next event's turn comes, and ``wfe dead-letters requeue`` sends it again.

The receiver may get an event twice (its answer was lost, a relay was killed). ``Idempotency-Key`` is the event's id and
the same every time.
"""

import hmac
import json
import logging
import os
from datetime import UTC, datetime
from typing import ClassVar

import httpx

from examples.subscribers.posting import post
from workflow_engine import EventRecord, Subscriber

logger = logging.getLogger(__name__)


class Webhook(Subscriber):
    """Posts events as JSON. Without a URL it says so once and sends nothing."""

    name = "webhook"
    subscribe_to = ("run.*", "step.*")
    timeout: ClassVar[float] = 30.0  # of the whole call; more than the client's own, so that the client's error is seen

    def __init__(
        self,
        *,
        url_from: str = "WEBHOOK_URL",
        secret_from: str = "WEBHOOK_SECRET",  # noqa: S107  the name of a variable
        timeout_seconds: float = 5.0,
    ) -> None:
        """Read URL and secret from these environment variables; wait so long for each of connection and answer.

        Raises:
            ValueError: there is a URL but no secret.
        """
        super().__init__()
        self._url_from = url_from
        self._url = os.environ.get(url_from)
        self._secret = os.environ.get(secret_from, "").encode()
        self._timeout_seconds = timeout_seconds
        if self._url and not self._secret:
            raise ValueError(f"{url_from} is set, but not {secret_from}: nothing is sent unsigned")

    def opened(self) -> None:
        """Keep connections from one event to the next."""
        self._http = httpx.Client(timeout=self._timeout_seconds)
        if not self._url:
            logger.warning("%s is not set: no event is sent", self._url_from)

    def closed(self) -> None:
        """Close the connections."""
        self._http.close()

    def on_event(self, event: EventRecord) -> None:
        """Send an event.

        Raises:
            NotAccepted: the answer is not 2xx.
            httpx.TransportError: there is none in time.
        """
        if not self._url:
            return
        body = as_json(event)
        timestamp = str(int(datetime.now(UTC).timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Idempotency-Key": event.id,
            "X-Timestamp": timestamp,
            "X-Signature": signature(self._secret, timestamp, body),
        }
        post(self._http, self._url, content=body, headers=headers)


def as_json(event: EventRecord) -> bytes:
    """Return what is sent of an event; ``position`` grows within a run."""
    return json.dumps(
        {
            "id": event.id,
            "name": event.name,
            "version": event.version,
            "position": event.position,
            "occurred_at": event.occurred_at.isoformat(),
            "namespace": event.namespace,
            "workflow": event.workflow,
            "run_id": event.run_id,
            "step": event.step,
            "attempt": event.attempt,
            "correlation_id": event.correlation_id,
            "data": dict(event.data),
        }
    ).encode()


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """Return HMAC-SHA256 of ``timestamp.body`` in hex.

    A receiver computes the same, compares with ``hmac.compare_digest``, and refuses timestamps (Unix seconds, of the
    sending and not of the event) that are minutes old: then nobody can send a recorded request again.
    """
    return hmac.new(secret, timestamp.encode() + b"." + body, "sha256").hexdigest()
