"""Bodies of complete chords that were never confirmed as sent, sent by any worker that lives."""

from datetime import timedelta
from typing import Any, Final

from celery import Celery, signals
from celery.utils.log import get_logger
from kombu.exceptions import ContentDisallowed, DecodeError

from workflow_engine.celery_app.chords import ChordJoiner, decode_body
from workflow_engine.store.results import UNAVAILABLE, ChordStore

logger = get_logger(__name__)

_EVERY: Final = 2.0
_EVERY_WHILE_AWAY: Final = 60.0
_AGE: Final = timedelta(seconds=1)
_AT_ONCE: Final = 100


class ChordRescuer:
    """Looks for overdue chords from the timer of each worker's main process.

    A part's redelivery finds them too, but there may be none: Celery acknowledges the message of a part whose
    process died after its success was stored, and a part that is acknowledged early is never redelivered.
    """

    def __init__(self, app: Celery, chords: ChordStore, joiner: ChordJoiner) -> None:
        self._app = app
        self._chords = chords
        self._joiner = joiner
        self._entry: Any = None
        signals.worker_ready.connect(self._start)

    def rescue(self) -> int:
        """Send the bodies that are overdue; return how many were found."""
        overdue = self._chords.overdue(age=_AGE, limit=_AT_ONCE)
        for chord in overdue:
            try:
                body = decode_body(chord.body, self._app)
            except (ContentDisallowed, DecodeError):
                logger.exception("Chord %s waits for a worker that accepts its body", chord.chord_id)
                continue
            logger.warning("Chord %s is complete but its body was not confirmed as sent: sending it", chord.chord_id)
            self._joiner.settle(chord.chord_id, body)
        return len(overdue)

    def begin(self, timer: Any) -> None:
        """Look for overdue chords from now on; anew if a lost broker has cleared the timer."""
        if self._entry is not None:
            self._entry.cancel()
        self._schedule(timer, _EVERY)

    def _start(self, sender: Any = None, **_: Any) -> None:
        """Begin in a worker that is ready, in its app's own backend: others of its class may exist beside it."""
        rescuer = getattr(sender.app.backend, "rescuer", None)
        if sender.app is self._app and isinstance(rescuer, ChordRescuer):
            rescuer.begin(sender.timer)

    def _schedule(self, timer: Any, seconds: float) -> None:
        self._entry = timer.call_after(seconds, self._run, (timer,))

    def _run(self, timer: Any) -> None:
        pause = _EVERY
        try:
            self.rescue()
        except UNAVAILABLE as error:
            pause = _EVERY_WHILE_AWAY  # asking takes seconds then, and this is the worker's main loop
            logger.warning("No overdue chords were looked for: %r", error)
        finally:
            self._schedule(timer, pause)
