"""Chords: what a finished part means, and how a complete chord's body is sent."""

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

from celery import Celery, maybe_signature
from celery.app.task import Context
from celery.exceptions import BackendStoreError, ChordError, SoftTimeLimitExceeded
from celery.states import PROPAGATE_STATES
from celery.utils.log import get_logger
from kombu.exceptions import EncodeError, OperationalError
from kombu.serialization import dumps, loads, prepare_accept_content

from workflow_engine.celery_app.result_codec import as_bytes
from workflow_engine.store.results import UNAVAILABLE, ChordClaim, ChordPart, ChordStore, Payload

logger = get_logger(__name__)

NOT_NOW: Final = (OperationalError, BackendStoreError, *UNAVAILABLE)
"""Broker or database are away: a complete chord keeps, and its body is sent when they are back."""

_SETTLED_AT_ONCE: Final = 4


class ChordBackend(Protocol):
    """What joining needs from the result backend."""

    app: Celery

    def read_result(self, state: str, result: Payload) -> Any:
        """Return a stored result as Python; a failure's is its exception."""

    def read_structure(self, structure: Payload) -> Any:
        """Return lists and dictionaries that were stored for a chord."""

    def results_of(self, task_ids: Sequence[str]) -> Mapping[str, Any]:
        """Return the values of those tasks that have succeeded."""

    def fail_chord(self, callback: Any, error: Exception, called: Sequence[Any]) -> Any:
        """Fail a chord's body and call its errbacks, but those ``called`` already."""


class ChordJoiner:
    """Sends the bodies of complete chords, each by whoever claims it first."""

    def __init__(self, backend: ChordBackend, chords: ChordStore) -> None:
        self._backend = backend
        self._chords = chords
        self._turn = _Turn()
        # A claim holds a connection while sending may need another: never let claims take the whole pool.
        self._slots = threading.BoundedSemaphore(_SETTLED_AT_ONCE)

    def settle(self, chord_id: str, body: Mapping[str, Any]) -> None:
        """Send the body of a complete chord, or fail it, unless another process does or has done so.

        Failing one chord may complete the one around it: they take turns, so that no claim waits in another.
        A body that cannot be sent now stays due: `ChordRescuer`, or the part's redelivery, sends it.
        """
        turn = self._turn
        turn.waiting.append((chord_id, body))
        if turn.is_busy:
            return
        turn.is_busy = True
        try:
            while turn.waiting:
                self._settle_or_leave(*turn.waiting.popleft())
        finally:
            turn.is_busy = False
            turn.waiting.clear()

    def _settle_or_leave(self, chord_id: str, body: Mapping[str, Any]) -> None:
        try:
            with self._slots, self._chords.claim(chord_id) as claim:
                if claim is not None:
                    self._apply(chord_id, body, claim)
                    claim.close()
        except NOT_NOW as error:
            logger.warning("Chord %s is complete; its body is sent later, now: %r", chord_id, error)

    def _apply(self, chord_id: str, body: Mapping[str, Any], claim: ChordClaim) -> None:
        callback, parts = maybe_signature(body, app=self._backend.app), claim.parts
        try:
            self._send(callback, self._join(parts, claim.structure))
        except (SoftTimeLimitExceeded, *NOT_NOW):
            raise
        except ChordError as error:
            logger.error("Chord %s raised: %r", chord_id, error)  # noqa: TRY400  # the part's own traceback is stored
            self._backend.fail_chord(callback, error, self._called(parts))
        except Exception as error:
            logger.exception("Chord %s: its body was not sent", chord_id)
            self._backend.fail_chord(callback, _chord_error(f"Callback error: {error!r}", error), [])

    def _called(self, parts: Sequence[ChordPart]) -> list[Any]:
        return [
            errback
            for part in parts
            if part.errbacks is not None
            for errback in self._backend.read_structure(part.errbacks)
        ]

    def _send(self, callback: Any, values: list[Any]) -> None:
        retrying: Callable[..., Any] | None = getattr(self._backend.app.amqp, "_retry_publish", None)
        if retrying is None:  # Celery before 5.7
            callback.delay(values)
        else:
            retrying(callback.delay, values)

    def _join(self, parts: Sequence[ChordPart], structure: Payload | None) -> list[Any]:
        values = [(part.task_id, self._value(part)) for part in parts]
        if structure is None:
            return [value for _, value in values]
        return self._nest(self._backend.read_structure(structure), dict(values))

    def _value(self, part: ChordPart) -> Any:
        try:
            value = self._backend.read_result(part.state, part.result)
        except Exception as error:
            raise _chord_error(f"Join error: {error!r}", error) from error
        if part.state in PROPAGATE_STATES:
            raise _chord_error(f"Dependency {part.task_id} raised {value!r}", value)
        return value

    def _nest(self, structure: Sequence[Any], values: dict[str, Any]) -> list[Any]:
        """Return the values as the header nests them; those of ``add_to_chord`` follow."""
        leaves = [leaf for node in structure for leaf in _leaves(node)]
        missing = [leaf for leaf in leaves if leaf not in values]
        if missing:
            values |= self._backend.results_of(missing)
        absent = [leaf for leaf in leaves if leaf not in values]
        if absent:
            raise ChordError(f"Dependency {absent[0]} has no result")
        added = [value for task_id, value in values.items() if task_id not in set(leaves)]
        return [_nested(node, values) for node in structure] + added


class _Turn(threading.local):
    """The chords this thread is still to settle."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[str, Mapping[str, Any]]] = deque()
        self.is_busy = False


def is_part(request: Any) -> bool:
    """Tell whether a task's end is to be counted at a chord."""
    return bool(request and request.chord and request.group and request.id)


def leaves_of(signature: Any, app: Celery) -> Iterator[Any]:
    """Yield the tasks whose results are the signature's result, as ``chord`` counts them."""
    signature = maybe_signature(signature, app=app)
    match signature.get("subtask_type"):
        case "group":
            for task in signature.tasks:
                yield from leaves_of(task, app)
        case "chain":
            yield from leaves_of(signature.tasks[-1], app)
        case "chord":
            yield from leaves_of(signature.body, app)
        case _:
            yield signature


def as_request(signature: Any) -> Any:
    """Return the request that a frozen task's message would have carried, as far as chords are concerned."""
    options = signature.options
    return Context(
        id=options.get("task_id"),
        task=signature.task,
        group=options.get("group_id"),
        group_index=options.get("group_index"),
        chord=options.get("chord"),
    )


def without(errbacks: Sequence[Any], called: Sequence[Any]) -> list[Any]:
    """Return the errbacks that are not among those called; one that is linked twice is the same."""
    done = [_identity(errback) for errback in called]
    return [errback for errback in errbacks if _identity(errback) not in done]


def encode_body(body: Mapping[str, Any], app: Celery) -> Payload | None:
    """Serialize a chord's body as its message was; ``None`` if that fails, and no rescuer can send it."""
    try:
        content_type, content_encoding, data = dumps(dict(body), serializer=app.conf.task_serializer)
    except EncodeError:
        return None
    return Payload(data=as_bytes(data), content_type=content_type, content_encoding=content_encoding)


def decode_body(body: Payload, app: Celery) -> Any:
    """Return what ``encode_body`` made, if the app accepts its content type."""
    return loads(
        body.data,
        content_type=body.content_type,
        content_encoding=body.content_encoding,
        accept=prepare_accept_content(app.conf.accept_content),
    )


def _leaves(node: Sequence[Any]) -> Iterator[str]:
    (task_id, _), children = node
    if children is None:
        yield task_id
    else:
        for child in children:
            yield from _leaves(child)


def _nested(node: Sequence[Any], values: Mapping[str, Any]) -> Any:
    (task_id, _), children = node
    return values[task_id] if children is None else [_nested(child, values) for child in children]


def _identity(signature: Mapping[str, Any]) -> tuple[str, list[Any], dict[str, Any]]:
    return signature["task"], list(signature.get("args") or ()), dict(signature.get("kwargs") or {})


def _chord_error(message: str, cause: object) -> ChordError:
    error = ChordError(message)
    if isinstance(cause, Exception):
        error.__cause__ = cause
    return error
