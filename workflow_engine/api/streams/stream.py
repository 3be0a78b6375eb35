"""Stream: one client of the hub: what it wants, and what it was not sent yet. Used in one thread, the event loop's."""

import asyncio
import json
from typing import Final

from workflow_engine.api.streams.frames import END, GAP, Frame, Notice, block, heartbeat
from workflow_engine.api.streams.pace import Pace
from workflow_engine.relay.history import Interest
from workflow_engine.relay.order import place_of

_CHUNK: Final = 32_768
"""Bytes that are sent at once: a client that does not read costs about as many, twice, beside its buffer."""


class Stream:
    """Takes what is offered, and gives up the oldest of it for a client that is too slow."""

    __slots__ = (
        "_beat_at", "_beat_seconds", "_buffer", "_dropped", "_dropped_from", "_dropped_until", "_ending", "_expires_at",
        "_frames", "_is_beat_due", "_pace", "_told", "_waiter", "interest", "is_checked", "is_live", "is_over",
        "reached",
    )  # fmt: skip

    def __init__(
        self,
        interest: Interest,
        *,
        after: int,
        buffer: int,
        beat_seconds: float,
        now: float = 0.0,
        pace: Pace | None = None,
        expires_at: float = float("inf"),
    ) -> None:
        """Be about ``interest``, for a client that has everything up to the place ``after``.

        Args:
            interest: which events.
            after: where it begins.
            buffer: how many events may wait for the client.
            beat_seconds: how long it may be silent.
            now: by the event loop's clock.
            pace: limits how many events a second are sent.
            expires_at: when the client's token does, by the event loop's clock.
        """
        self.interest = interest
        self.reached = after
        """Up to this place of the log everything was offered."""
        self.is_live = False
        """Whether the hub offers it what is new."""
        self.is_checked = False
        """Whether it is known that the log has what comes after the beginning."""
        self.is_over = False
        self._buffer = buffer
        self._beat_seconds = beat_seconds
        self._pace = pace
        self._expires_at = expires_at
        self._told = after
        self._frames: list[Frame | Notice] = []
        self._dropped = self._dropped_from = self._dropped_until = 0
        self._ending = b""
        self._is_beat_due = False
        self._beat_at = now + beat_seconds
        self._waiter: asyncio.Future[None] | None = None

    def offer(self, frame: Frame, now: float) -> None:
        """Take an event of interest, unless it was offered before."""
        place = place_of(frame)
        if place <= self.reached:
            return
        before, self.reached = self.reached, place
        if self._pace is not None:
            self._take_notice(now)
            if not self._pace.passes(frame, before, now):
                return
        self._keep(frame)
        self.wake()

    def skip(self, reason: str, until: int) -> None:
        """Tell the client that it does not get what comes after its place up to another."""
        values = {"after": self.reached, "until": until, "events": None, "reason": reason}
        self._keep(Notice(GAP, until, 0, values))
        self.reached = until

    def tick(self, now: float, position: int) -> None:
        """Look at the clock; the hub has read the log up to ``position``."""
        if now >= self._expires_at:
            self.end("token_expired")
        if self._pace is not None:
            self._take_notice(now)
        if self.is_live and not self._frames and not (self._pace and self._pace.is_holding):
            self.reached = max(self.reached, position)
        if now >= self._beat_at:
            self._is_beat_due = True
        if self._frames or self._is_beat_due:
            self.wake()

    def end(self, reason: str | None = None) -> None:
        """End the stream: with a last word if the client should not simply come again."""
        if reason is not None:
            self._ending = block(END, None, json.dumps({"reason": reason}))
        self.is_over = True
        self.wake()

    def take(self, now: float) -> bytes:
        """Return what is to be sent next; nothing if there is nothing."""
        if self.is_over:
            ending, self._ending = self._ending, b""
            return ending
        data = self._next() or self._beat()
        if data:
            self._beat_at, self._is_beat_due = now + self._beat_seconds, False
        return data

    async def wait(self) -> None:
        """Return when there may be something to send, or the stream is over."""
        if self.is_over or self._frames or self._is_beat_due:
            return
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Let whoever waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _keep(self, frame: Frame | Notice) -> None:
        if len(self._frames) >= self._buffer:
            oldest = self._frames.pop(0)
            if not self._dropped:
                self._dropped_from = self._told
            self._dropped += oldest.events
            self._dropped_until = place_of(oldest)
        self._frames.append(frame)

    def _take_notice(self, now: float) -> None:
        notice = self._pace.notice(now) if self._pace is not None else None
        if notice is not None:
            self._keep(notice)
            self.wake()

    def _next(self) -> bytes:
        """Return frames, a chunk's worth, after a notice of those that were given up before them."""
        if self._dropped:
            values = {"after": self._dropped_from, "until": self._dropped_until, "events": self._dropped}
            self._dropped, self._told = 0, self._dropped_until
            return block(GAP, self._dropped_until, json.dumps(values | {"reason": "slow"}))
        size = number = 0
        while number < len(self._frames) and size < _CHUNK:
            size += len(self._frames[number].data)
            number += 1
        frames = self._frames[:number]
        del self._frames[:number]
        if frames:
            self._told = place_of(frames[-1])
        return b"".join([frame.data for frame in frames])

    def _beat(self) -> bytes:
        if not self._is_beat_due:
            return b""
        is_holding = self._pace is not None and self._pace.is_holding
        place = self.reached if self.reached > self._told and not is_holding else None
        self._told = place or self._told
        return heartbeat(place)
