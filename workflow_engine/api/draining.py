"""Draining: a body that is not wanted is taken off the wire before the answer.

Whoever is answered and cut off in the middle of sending sees a broken connection instead of the answer.
"""

import asyncio
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Receive, Scope

_MOST_BYTES: Final = 33_554_432
_LONGEST_SECONDS: Final = 5.0


async def drain(scope: Scope, receive: Receive) -> None:
    """Read what is left of a body and keep nothing of it; give up on what is huge, slow, or waits to be asked for."""
    headers = Headers(scope=scope)
    length = headers.get("content-length", "")
    has_body = length not in {"", "0"} or "transfer-encoding" in headers
    if not has_body or "expect" in headers or (length.isdecimal() and int(length) > _MOST_BYTES):
        return
    seen = 0
    try:
        async with asyncio.timeout(_LONGEST_SECONDS):
            while seen <= _MOST_BYTES:
                message = await receive()
                seen += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return
