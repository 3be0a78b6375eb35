"""Copies: many messages that differ in names and ids alone, copied from one that Celery made and nobody was sent.

Most of what publishing costs is the making of a message, and all but a few words of it is the same for the steps of a
batch of runs, for the parts of one wide join, and for runs of one workflow that are submitted one after the other.
"""

import json
import os
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from kombu.exceptions import BatchPublishError

from workflow_engine.celery_app.publishing import RETRY_POLICY
from workflow_engine.engine.dispatcher import Dispatch
from workflow_engine.ids import RunId

if TYPE_CHECKING:
    from workflow_engine.celery_app.transport import Unsent

_WORTH: Final = 4
"""Messages of one kind from which on copying is cheaper than making each."""
_MOST_KINDS: Final = 1_000
"""Of which something is remembered, before all is forgotten and begun anew."""

Kind = tuple[Any, ...]


class Patterns:
    """Messages to copy, by kind, and how often each kind was sent: of this process, whose name is in them."""

    def __init__(self) -> None:
        """Know none yet."""
        self._forget()

    def are_worth_copying(self, steps: Sequence[Dispatch]) -> bool:
        """Return whether these steps' messages are alike for the most part, or like those that were sent before."""
        if self._pid != os.getpid() or len(self._sent) > _MOST_KINDS:
            self._forget()
        kinds = {_kind(step) for step in steps}
        for kind in kinds:
            self._sent[kind] += 1
        return len(kinds) * _WORTH <= len(steps) or all(self._sent[kind] > _WORTH for kind in kinds)

    def of(self, step: Dispatch, make: Callable[[Dispatch], "_Pattern"]) -> "_Pattern":
        """Return the message to copy for a step, made the first time."""
        kind = _kind(step)
        pattern = self._made.get(kind)
        if pattern is None:
            pattern = self._made[kind] = make(step)
        return pattern

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._sent = Counter[Kind]()
        self._made: dict[Kind, _Pattern] = {}


class Copies:
    """Sends copies through one producer of our own Redis transport."""

    def __init__(self, patterns: Patterns, producer: Any, send: Callable[[Any, Dispatch], None]) -> None:
        """Send through ``producer``; ``send`` lets Celery make and publish a message."""
        self._patterns = patterns
        self._producer = producer
        self._send = send

    def send(self, steps: Sequence[Dispatch]) -> None:
        """Send each step once, in their order, all of them in one round trip.

        Raises:
            OperationalError: the broker does not answer.
            BatchPublishError: it refuses them.
        """
        texts: dict[str, list[str]] = {}
        for step, tag in zip(steps, _new_tags(len(steps)), strict=True):
            pattern = self._patterns.of(step, self._make)
            texts.setdefault(pattern.key, []).append(pattern.fill(step, tag))
        producer = self._producer

        def push() -> None:
            producer.channel.push(texts)  # asked for anew: after an outage it is another one

        try:
            producer.connection.ensure(producer, push, **RETRY_POLICY)()
        except producer.connection.channel_errors as error:
            raise BatchPublishError(str(error)) from error

    def _make(self, step: Dispatch) -> "_Pattern":
        sample = replace(step, run_id=RunId(str(uuid4())), step=f"step {uuid4()}", position=uuid4().int)
        with self._producer.channel.withholding() as withheld:
            self._send(self._producer, sample)
        (unsent,) = withheld
        return _Pattern.of(unsent, sample)


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A message with stand-ins for what differs."""

    key: str
    """Where it goes."""
    text: str
    """All of it, a stand-in for its body."""
    body: str
    sample: Dispatch
    """Has the stand-ins."""
    tag: str
    encoded: str

    @classmethod
    def of(cls, unsent: "Unsent", sample: Dispatch) -> "_Pattern":
        message = json.loads(unsent.text)
        return cls(
            key=unsent.key,
            text=unsent.text,
            body=b64decode(message["body"]).decode(),
            sample=sample,
            tag=message["properties"]["delivery_tag"],
            encoded=message["body"],
        )

    def fill(self, step: Dispatch, tag: str) -> str:
        """Return a step's message."""
        encoded = b64encode(self._named(self.body, step).encode()).decode()
        return self._named(self.text.replace(self.encoded, encoded), step).replace(self.tag, tag)

    def _named(self, text: str, step: Dispatch) -> str:
        return (
            text.replace(self.sample.run_id, step.run_id)
            .replace(self.sample.step, json.dumps(step.step)[1:-1])
            .replace(str(self.sample.position), str(step.position))
        )


def _kind(step: Dispatch) -> Kind:
    """Return what the messages of two steps must have in common for one to be a copy of the other."""
    return step.plan_id, step.attempt, step.workflow, step.queue, step.priority, step.timeout, step.join, step.others


def _new_tags(number: int) -> Iterator[str]:
    """Yield ids as kombu makes them, of chance that is asked for once: asking costs more than all else here."""
    chance = os.urandom(16 * number)
    for start in range(0, len(chance), 16):
        yield str(UUID(bytes=chance[start : start + 16], version=4))
