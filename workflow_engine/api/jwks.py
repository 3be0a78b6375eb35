"""PublishedKeys: the keys an issuer publishes (JWKS), kept, and asked for again when a token names another one."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import Final

import httpx

from workflow_engine.api.keys import Key, key_of_jwk
from workflow_engine.api.refusals import KeysUnavailable

logger = logging.getLogger(__name__)

FRESH_SECONDS: Final = 300.0
"""Age at which the keys are asked for again, whatever tokens name: so a key that was withdrawn goes."""
PAUSE_SECONDS: Final = 5.0
"""Between two tries, so that tokens with invented names cannot make us hammer the issuer."""
_SIZE_LIMIT: Final = 262_144
_KEYS_LIMIT: Final = 100
_ANSWER_SECONDS: Final = 3.0
"""For each part of the issuer's answer."""
_WHOLE_SECONDS: Final = 6.0
"""For all of it, however slowly it drips."""


class NoKeys(Exception):
    """What the issuer answered cannot be used; the message says why."""


class PublishedKeys:
    """Keys by name. Only one asks for them at a time, in a thread of its own; who waits for that holds no thread."""

    def __init__(
        self,
        load: Callable[[], bytes],
        *,
        fresh_seconds: float = FRESH_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """``load`` returns a JWKS, or raises ``NoKeys`` or an error of the network or of files."""
        self._load = load
        self._fresh_seconds = fresh_seconds
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._known: Mapping[str | None, Key] = {}
        self._loaded_at = float("-inf")
        self._tried_at = float("-inf")
        self._renewal: Future[None] | None = None
        self._lock = Lock()

    async def find(self, name: str | None) -> Key | None:
        """Return the key of a name, asking for the keys again if it is not known; without a name the only key.

        Raises:
            KeysUnavailable: the keys could not be had so far.
        """
        if self._clock() - self._loaded_at > self._fresh_seconds:
            self._renew()  # nobody waits for it who has a key: the old ones go on
        found = self._known.get(name)
        if found is None and (renewal := self._renew()) is not None:
            await asyncio.wrap_future(renewal)
            found = self._known.get(name)
        if found is None and not self._known:
            raise KeysUnavailable(
                "the keys that tokens are checked with cannot be had",
                headers={"Retry-After": str(max(round(self._pause_seconds), 1))},
            )
        return found

    def _renew(self) -> Future[None] | None:
        """Return the renewal at hand, else start one; None if the last try was just now."""
        with self._lock:
            if self._renewal is not None:
                return self._renewal
            if self._clock() - self._tried_at < self._pause_seconds:
                return None
            self._tried_at = self._clock()
            future: Future[None] = Future()
            self._renewal = future
            future.set_running_or_notify_cancel()  # one who stops waiting does not take it from the others
        Thread(target=self._run, args=(future,), name="jwks", daemon=True).start()
        return future

    def _run(self, future: Future[None]) -> None:
        try:
            self._known = parse(self._load())
            self._loaded_at = self._clock()
        except (NoKeys, httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            logger.warning(
                "the keys of tokens cannot be renewed, %s: %s",
                "the old ones go on" if self._known else "and there are none",
                str(error) or type(error).__name__,
            )
        finally:
            with self._lock:
                self._renewal = None
            future.set_result(None)


def parse(text: bytes) -> Mapping[str | None, Key]:
    """Return the keys of a JWKS by name; if there is one only, also for tokens that name none.

    Raises:
        NoKeys: it is no JWKS, or has no key that we take.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise NoKeys("that is no JSON") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _KEYS_LIMIT:
        raise NoKeys(f"that is no JWKS with at most {_KEYS_LIMIT} keys")
    found: dict[str | None, Key] = {}
    usable = [(jwk.get("kid"), key) for jwk in listed if isinstance(jwk, dict) and (key := key_of_jwk(jwk))]
    for name, key in usable:
        if isinstance(name, str):
            found.setdefault(name, key)
    if len(usable) == 1:
        found[None] = usable[0][1]
    if not found:
        raise NoKeys("it has no RSA key of 2048 bits or more, nor an EC key on P-256, that is for signatures")
    return found


def download(url: str) -> bytes:
    """Return what is at a URL.

    Raises:
        NoKeys: it answers something else than 200, or too much, or too slowly.
        httpx.HTTPError: it does not answer.
    """
    deadline = monotonic() + _WHOLE_SECONDS
    body = bytearray()
    with httpx.stream("GET", url, timeout=_ANSWER_SECONDS, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != httpx.codes.OK:
            raise NoKeys(f"the answer was {answer.status_code}")
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > _SIZE_LIMIT or monotonic() > deadline:
                raise NoKeys(f"the answer has more than {_SIZE_LIMIT} bytes, or takes more than {_WHOLE_SECONDS:g} s")
    return bytes(body)


def read_bounded(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        NoKeys: it is too large for a JWKS.
    """
    with path.open("rb") as file:
        text = file.read(_SIZE_LIMIT + 1)
    if len(text) > _SIZE_LIMIT:
        raise NoKeys(f"{path} has more than {_SIZE_LIMIT} bytes")
    return text
