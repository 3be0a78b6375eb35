"""Alert on failures: when so many of a kind came within so many seconds, and then not again for a while.

Called by a relay, one event at a time. It counts for each workflow by itself (dead letters: for each subscriber), by
the times at which things happened, so that a relay which was away and catches up finds what it would have found. An
event that comes again is the same failure, not one more.

An alert is a line of level ERROR and, if there is a URL, a POST of ``{"text": …}``, as chat services take it. If that
fails, the relay calls again, and the alert is given again. What was counted is kept in memory: a relay that takes over
begins to count anew, and may repeat an alert that the one before it gave.
"""

import logging
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

import httpx
from pydantic import BaseModel, NonNegativeFloat, PositiveFloat, PositiveInt

from examples.subscribers.posting import post
from workflow_engine import EventRecord, Subscriber

logger = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds."""


class Rule(BaseModel):
    """When to alert: the options for a workflow, checked."""

    threshold: PositiveInt
    window_seconds: PositiveFloat
    cooldown_seconds: NonNegativeFloat


class Alerting(Subscriber):
    """Says when a workflow fails too often, or when a subscriber does."""

    name = "alerting"
    subscribe_to = ("run.failed", "step.failed", "subscriber.dead_lettered")

    def __init__(
        self,
        *,
        threshold: int = 1,
        window_seconds: float = 300.0,
        cooldown_seconds: float = 900.0,
        url_from: str = "ALERT_URL",
    ) -> None:
        """Alert once there are ``threshold`` failures of a kind within the window, then not during the cool-down.

        The subscribers file may set these for each workflow. ``url_from`` is an environment variable.
        """
        super().__init__(threshold=threshold, window_seconds=window_seconds, cooldown_seconds=cooldown_seconds)
        self._url = os.environ.get(url_from)
        self._failures: dict[str, dict[str, datetime]] = {}
        self._alerted_at: dict[str, datetime] = {}

    def configure(self, options: Mapping[str, Any], workflow_options: Mapping[str, Mapping[str, Any]]) -> None:
        """Take the options of the subscribers file; what is wrong with them is told before the relay starts."""
        super().configure(options, workflow_options)
        for workflow in (None, *workflow_options):
            self._rule(workflow)

    def on_event(self, event: EventRecord) -> None:
        """Count a failure; alert if it is one too many.

        Raises:
            NotAccepted, httpx.TransportError: the alert could not be posted.
        """
        rule = self._rule(event.workflow)
        kind = f"{event.name} of {event.workflow or event.data['subscriber']}"
        times = self._latest(kind, event, rule.threshold)
        if len(times) < rule.threshold or times[-1] - times[0] > timedelta(seconds=rule.window_seconds):
            return
        alerted_at = self._alerted_at.get(kind)
        if alerted_at is None or times[-1] - alerted_at > timedelta(seconds=rule.cooldown_seconds):
            number = f"{rule.threshold} or more within {rule.window_seconds:g} s"
            self._alert(f"{kind}: {number}; the last is {_description(event)}")
            self._alerted_at[kind] = times[-1]

    def _rule(self, workflow: str | None) -> Rule:
        return Rule.model_validate(self.options_for(workflow))

    def _latest(self, kind: str, event: EventRecord, number: int) -> list[datetime]:
        """Return the times of the latest failures of a kind, the oldest first; older ones no longer matter."""
        failures = {**self._failures.get(kind, {}), event.id: event.occurred_at}
        self._failures[kind] = dict(sorted(failures.items(), key=itemgetter(1))[-number:])
        return list(self._failures[kind].values())

    def _alert(self, text: str) -> None:
        logger.error("ALERT %s", text)
        if self._url:
            with httpx.Client(timeout=_PATIENCE) as http:
                post(http, self._url, json={"text": text})


def _description(event: EventRecord) -> str:
    """Name the failure by its error's class; the error's message may be about a person."""
    where = f"run {event.run_id}, step {event.step or event.data['step']}" if event.run_id else event.data["event_name"]
    return f"{event.data['error_class']} in {where}"
