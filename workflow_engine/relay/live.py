"""LiveLog: the event log as it grows, read once for all who watch it live in this process; by nobody if nobody does."""

import logging
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from threading import Event as Flag
from threading import Lock, Thread
from typing import Final, Protocol

from workflow_engine.errors import WorkflowEngineError
from workflow_engine.ids import RunId
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.following import onward, settled_head
from workflow_engine.relay.order import place_of
from workflow_engine.relay.session import Session
from workflow_engine.store.channels import EVENTS, Subscription
from workflow_engine.store.transaction import Store

logger = logging.getLogger(__name__)

RECONNECT_SECONDS: Final = 1.0
_MOST_RUNS: Final = 20_000
"""Runs whose initiators stay in memory."""


@dataclass(frozen=True, slots=True)
class Told:
    """An event, and who submitted the run that it is about."""

    event: EventRecord
    initiator: str | None


class Watcher(Protocol):
    """Who is told; called from the thread that reads, which waits meanwhile."""

    def begin(self, position: int) -> None:
        """Every event up to this place was told or is past; again after an outage, maybe from an earlier place."""

    def tell(self, page: Sequence[Told]) -> None:
        """These are the next events, in order."""


class LiveLog:
    """Reads the log from its end on, in a thread of its own, and goes on where it was when the database is back.

    It rests until it is woken, and again once it is told to: reading what nobody watches takes a process that submits
    many runs as long as submitting them.
    """

    def __init__(self, store: Store, *, poll_seconds: float) -> None:
        """Read from ``store``, of which one connection is held; without a bell, look every ``poll_seconds``."""
        self._store = store
        self._poll_seconds = poll_seconds
        self._stop = Flag()
        self._pause = Flag()
        self._awake = Flag()
        self._lock = Lock()
        self._is_resting = True
        self._position: int | None = None
        self._initiators: OrderedDict[RunId, str | None] = OrderedDict()
        self._thread: Thread | None = None

    def start(self, watcher: Watcher) -> None:
        """Tell ``watcher``, from the moment that it wakes us."""
        self._stop.clear()
        self._awake.clear()
        self._pause.set()
        self._is_resting = True
        self._thread = Thread(target=self._run, args=[watcher], name="wfe-live-log", daemon=True)
        self._thread.start()

    def wake(self) -> bool:
        """Go on reading; return whether it rested: then what is told next is ``begin``, at another place."""
        with self._lock:
            rested, self._is_resting = self._is_resting, False
            self._pause.clear()
            self._awake.set()
            return rested

    def rest(self) -> None:
        """Read no more, until somebody watches again."""
        self._pause.set()

    def stop(self) -> None:
        """Read no more."""
        with self._lock:  # or whoever is about to rest would not see it
            self._stop.set()
            self._pause.set()
            self._awake.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self._store.database.close()

    def _run(self, watcher: Watcher) -> None:
        while not self._stop.is_set():
            if self._may_rest():
                self._awake.wait()
                continue
            try:
                self._follow(watcher)
                continue
            except WorkflowEngineError as error:
                logger.warning("live events wait for the database: %s", error)
            except Exception:
                logger.exception("reading live events failed; it begins anew")
            self._stop.wait(RECONNECT_SECONDS)

    def _may_rest(self) -> bool:
        """Return whether nobody watches; what is told of next is then what is new by then."""
        with self._lock:
            if not self._pause.is_set() or self._stop.is_set():
                return False
            self._is_resting = True
            self._awake.clear()
            self._position = None
            return True

    def _follow(self, watcher: Watcher) -> None:
        with self._store.single() as tx, Subscription(self._store.database, EVENTS) as bell:
            session = Session(tx)
            if self._position is None:
                self._position = settled_head(session, bell)
            else:  # a crash may have forgotten the youngest events
                self._position = min(self._position, session.head())
            watcher.begin(self._position)
            for page in onward(session, bell, self._position, poll_seconds=self._poll_seconds, stop=self._pause):
                watcher.tell(self._with_initiators(session, page))
                self._position = place_of(page[-1])

    def _with_initiators(self, session: Session, page: Sequence[EventRecord]) -> list[Told]:
        # Not by `- self._initiators.keys()`, which goes through all of them.
        run_ids = {event.run_id for event in page if event.run_id is not None}
        unknown = {run_id for run_id in run_ids if run_id not in self._initiators}
        if unknown:
            self._ask(session, unknown)
        told = [Told(event, None if event.run_id is None else self._initiators.get(event.run_id)) for event in page]
        while len(self._initiators) > _MOST_RUNS:
            self._initiators.popitem(last=False)
        return told

    def _ask(self, session: Session, unknown: Collection[RunId]) -> None:
        with session.single() as tx:
            found = tx.streams.initiators(unknown)
        self._initiators.update({run_id: found.get(run_id) for run_id in unknown})
