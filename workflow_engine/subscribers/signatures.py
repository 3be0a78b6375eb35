"""Signatures of webhooks, as Standard Webhooks (standardwebhooks.com) has them. Pure."""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Sequence
from typing import Final

_ENCODED: Final = "whsec_"
_VERSION: Final = "v1"
SHORTEST_SECRET: Final = 16
"""Bytes."""


def secrets_of(text: str) -> tuple[bytes, ...]:
    """Return the secrets in the text of a variable, separated by blanks; the newest should be the first.

    Raises:
        ValueError: there is none, or one is not as it should be.
    """
    found = tuple(_secret(part) for part in text.split())
    if not found:
        raise ValueError("is empty")
    return found


def signatures(secrets: Sequence[bytes], message_id: str, timestamp: str, body: bytes) -> str:
    """Return what ``webhook-signature`` says: HMAC-SHA256 of ``id.timestamp.body`` with each secret."""
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    made = (b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets)
    return " ".join(f"{_VERSION},{signature}" for signature in made)


def _secret(text: str) -> bytes:
    secret = text.encode()
    if text.startswith(_ENCODED):
        try:
            secret = b64decode(text.removeprefix(_ENCODED), validate=True)
        except (NotBase64, ValueError):
            raise ValueError(f"begins with {_ENCODED}, and the rest is not base64") from None
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(f"has {len(secret)} bytes, and a secret needs {SHORTEST_SECRET}: `openssl rand -base64 32`")
    return secret
