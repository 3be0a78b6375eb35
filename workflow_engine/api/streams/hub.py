"""Hub: hands what happens to the streams it is for, and leads those that were away from the past to the present."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from threading import Semaphore, current_thread, main_thread
from typing import Final, TypeVar

from anyio import CapacityLimiter, to_thread

from workflow_engine.api.refusals import Overloaded
from workflow_engine.api.streams.frames import Frame
from workflow_engine.api.streams.memory import Memory
from workflow_engine.api.streams.pace import Pace
from workflow_engine.api.streams.stream import Stream
from workflow_engine.api.streams.topics import Topics
from workflow_engine.config import Streams
from workflow_engine.errors import DatabaseUnavailable, WorkflowEngineError
from workflow_engine.relay.history import History, Interest
from workflow_engine.relay.live import RECONNECT_SECONDS, LiveLog, Told

logger = logging.getLogger(__name__)
T = TypeVar("T")

QUESTIONS: Final = 4
"""Streams whose past is read from the database at once; others wait their turn."""
_PAGE: Final = 500
_TICK: Final = 0.5
_LINGER_SECONDS: Final = 10.0
"""How long the log is read after the last stream has closed: its client may come again."""
_READY_SECONDS: Final = 5.0
_PAGES_AHEAD: Final = 4


class Hub:
    """The streams of one process. All of it but ``begin`` and ``tell`` is for the event loop's thread."""

    def __init__(self, log: LiveLog, history: History, settings: Streams) -> None:
        """Hand on what ``log`` tells."""
        self._log = log
        self._history = history
        self._settings = settings
        self.retry_seconds = settings.retry_seconds
        """How long clients wait before they come again."""
        self._streams: set[Stream] = set()
        self._topics = Topics()
        self._memory = Memory(0)
        self._ready: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._room = Semaphore(_PAGES_AHEAD)
        self._is_ending = False
        self._needed_at = 0.0

    def __len__(self) -> int:
        """Return how many streams are open."""
        return len(self._streams)

    # -- its life

    @asynccontextmanager
    async def life(self) -> AsyncIterator[None]:
        """Read the log and keep time, for the length of the block; streams end when it ends, or a signal comes."""
        self._loop, self._ready, self._is_ending = asyncio.get_running_loop(), asyncio.Event(), False
        self._questions = CapacityLimiter(QUESTIONS)
        self._log.start(self)
        ticking = asyncio.create_task(self._tick())
        try:
            with _before_signals(lambda: self._loop and self._loop.call_soon_threadsafe(self.end_all)):
                yield
        finally:
            self.end_all()
            ticking.cancel()
            for _ in range(_PAGES_AHEAD):  # whoever waits to tell us something need not any more
                self._room.release()
            await to_thread.run_sync(self._log.stop)

    def end_all(self) -> None:
        """End every stream, and let none begin: their clients come again, to another process."""
        self._is_ending = True
        for stream in self._streams:
            stream.end()

    async def require_ready(self) -> None:
        """Return once a stream can be opened.

        Raises:
            Overloaded: there are as many as may be, or the process is about to end.
            DatabaseUnavailable: the log was not reached in time.
        """
        if self._is_ending or len(self._streams) >= self._settings.most:
            raise Overloaded(f"this server has {len(self._streams)} streams open, and takes no more: come again later")
        self._needed_at = self._now()
        if self._log.wake():
            self._is_ready.clear()
        try:
            await asyncio.wait_for(self._is_ready.wait(), _READY_SECONDS)
        except TimeoutError:
            raise DatabaseUnavailable("the event log was not reached yet") from None

    # -- streams

    def open(self, interest: Interest, *, after: int | None, expires_in: float | None = None) -> Stream:
        """Begin a stream, after a place of the log or with what happens from now on."""
        now, settings = self._now(), self._settings
        stream = Stream(
            interest,
            after=self._memory.position if after is None else after,
            buffer=settings.buffer,
            beat_seconds=settings.heartbeat_seconds,
            now=now,
            pace=Pace(settings.user_rate) if interest.initiator is not None and settings.user_rate else None,
            expires_at=float("inf") if expires_in is None else now + expires_in,
        )
        self._streams.add(stream)
        if after is None:
            self._go_live(stream)
        if self._is_ending:
            stream.end()
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a stream."""
        stream.is_over = True
        self._streams.discard(stream)
        self._topics.remove(stream)

    async def lead_on(self, stream: Stream) -> None:
        """Offer a stream that is not live the next page of its past; make it live once there is none."""
        try:
            if not stream.is_checked:
                await self._check(stream)
            elif stream.reached >= self._memory.position:
                self._go_live(stream)
            elif stream.reached >= self._memory.floor:
                self._offer_recent(stream)
                await asyncio.sleep(0)  # others have their turn
            else:
                await self._offer_past(stream)
        except WorkflowEngineError as error:
            logger.debug("a stream waits for the database: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stream.wait(), RECONNECT_SECONDS)

    def take(self, stream: Stream) -> bytes:
        """Return what is to be sent next on a stream."""
        return stream.take(self._now())

    # -- what happens, from the thread that reads the log

    def begin(self, position: int) -> None:
        """Go on from a place of the log."""
        self._in_loop(partial(self._begin, position))

    def tell(self, page: Sequence[Told]) -> None:
        """Hand events on; return before that is done, but not when several pages wait."""
        size = max(self._settings.buffer // (2 * _PAGES_AHEAD), 1)  # streams that keep up send what they have meanwhile
        for start in range(0, len(page), size):
            self._room.acquire()
            self._in_loop(partial(self._tell, page[start : start + size]))

    def _in_loop(self, action: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, as its process ends
            if self._loop is not None:
                self._loop.call_soon_threadsafe(action)

    def _begin(self, position: int) -> None:
        if position != self._memory.position or not self._is_ready.is_set():
            self._memory = Memory(position)
            for stream in self._streams:  # a crash has given away places that were told of
                stream.reached = min(stream.reached, position)
        self._is_ready.set()

    def _tell(self, page: Sequence[Told]) -> None:
        self._room.release()
        now, frames = self._now(), [Frame(told) for told in page]
        for frame in frames:
            for stream in self._topics.interested(frame.told):
                stream.offer(frame, now)
        self._memory.extend(frames)

    # -- the way from the past to the present

    def _go_live(self, stream: Stream) -> None:
        stream.is_checked = stream.is_live = True
        self._topics.add(stream)

    def _offer_recent(self, stream: Stream) -> None:
        now, interest = self._now(), stream.interest
        frames, reached = self._memory.after(stream.reached, min(_PAGE, self._settings.buffer), interest.run_id)
        for frame in frames:
            if interest.fits(frame.told.event, frame.told.initiator):
                stream.offer(frame, now)
        stream.reached = max(stream.reached, reached)

    async def _offer_past(self, stream: Stream) -> None:
        limit = min(_PAGE, self._settings.buffer)
        after, until = stream.reached, self._memory.floor
        page, reached = await self._ask(
            lambda: self._history.page(stream.interest, after=after, until=until, limit=limit)
        )
        now = self._now()
        for told in page:
            stream.offer(Frame(told), now)
        stream.reached = max(stream.reached, reached)

    async def _check(self, stream: Stream) -> None:
        """Say so where the log has no more, or not yet, what comes after the place that a client names."""
        if stream.reached > self._memory.position:
            if stream.reached > await self._ask(self._history.head):
                stream.skip("unknown_position", self._memory.position)
        elif 0 < stream.reached < self._memory.floor:
            oldest = await self._ask(self._history.oldest)
            if oldest is None or stream.reached < oldest - 1:
                stream.skip("retention", min(self._memory.position, oldest - 1) if oldest else self._memory.position)
        stream.is_checked = True

    async def _ask(self, question: Callable[[], T]) -> T:
        return await to_thread.run_sync(question, limiter=self._questions)

    # -- the clock

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            now, position = self._now(), self._memory.position
            if self._streams:
                self._needed_at = now
            elif now - self._needed_at > _LINGER_SECONDS:
                self._log.rest()
            for stream in self._streams:
                stream.tick(now, position)

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()

    @property
    def _is_ready(self) -> asyncio.Event:
        assert self._ready is not None  # noqa: S101  the application has started
        return self._ready


@contextmanager
def _before_signals(action: Callable[[], object]) -> Iterator[None]:
    """Do ``action`` when a signal ends the process, before what the server does: it waits for open answers to end."""
    if current_thread() is not main_thread():
        yield
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    handlers = {number: signal.getsignal(number) for number in numbers}

    def first(number: int, frame: object) -> None:
        action()
        if callable(handler := handlers[signal.Signals(number)]):
            handler(number, frame)  # type: ignore[arg-type]

    ours = {number: first for number, handler in handlers.items() if callable(handler)}
    for number, handler in ours.items():
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, handlers[number])
