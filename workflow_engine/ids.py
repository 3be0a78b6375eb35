"""Identifiers and how new ones are made."""

import os
import time
import uuid
from typing import NewType

RunId = NewType("RunId", str)
"""A run's UUIDv7 in its usual text form."""


def new_run_id() -> RunId:
    """Return a new UUIDv7 (RFC 9562, section 5.7): sortable by millisecond of creation."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return RunId(str(uuid.UUID(int=value)))
