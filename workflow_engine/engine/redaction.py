"""Redaction: what an application lets its events say about people."""

import importlib
import json
import logging
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from workflow_engine.errors import ConfigurationError
from workflow_engine.model.events import CATALOGUE, Payload, Privacy, privacy_of

logger = logging.getLogger(__name__)

Redact = Callable[[str, str, str], str]
"""Gets an event's name, a field's name and its text, and returns what is stored instead."""

REDACTED: Final = "[redacted]"


class Redaction:
    """Rewrites the personal fields of payloads; a hook that fails hides the field and is told of once."""

    def __init__(self, redact: Redact) -> None:
        """Ask ``redact`` about each personal field that has a text."""
        self._redact = redact
        self._has_failed = False

    def __call__(self, payload: Payload) -> str:
        """Return the payload as JSON, as it may be stored.

        A text longer than its field may be is cut to fit.
        """
        values: dict[str, Any] = json.loads(payload.model_dump_json())
        for field, limit in _personal_fields(payload.event):
            if isinstance(values.get(field), str):
                values[field] = self._rewritten(payload.event, field, values[field])[:limit]
        return type(payload).model_validate_json(json.dumps(values)).model_dump_json()

    def _rewritten(self, event: str, field: str, value: str) -> str:
        try:
            text: object = self._redact(event, field, value)
        except Exception as error:
            return self._hidden(event, field, f"raised {type(error).__name__}")  # its text may quote the value
        if not isinstance(text, str):
            return self._hidden(event, field, f"returned {type(text).__name__}, not text")
        return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()

    def _hidden(self, event: str, field: str, reason: str) -> str:
        if not self._has_failed:
            self._has_failed = True
            logger.error(
                "the redaction hook %s for %s of %s: such fields are stored as %s", reason, field, event, REDACTED
            )
        return REDACTED


def load_redaction(path: str | None) -> Redaction | None:
    """Return the redaction by the hook at ``module:function``; None where none is asked for.

    Raises:
        ConfigurationError: there is no such function.
    """
    if path is None:
        return None
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise ConfigurationError(f"WFE_REDACT: {path!r} is not an import path: module:function")
    here = str(Path.cwd())
    if here not in sys.path:  # console scripts do not look in the current folder; `python -m` does
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), attribute, None)
    except Exception as error:  # whatever the module does when it is imported
        raise ConfigurationError(f"WFE_REDACT: cannot import {module_name!r}: {error}") from error
    if not callable(found):
        raise ConfigurationError(f"WFE_REDACT: {module_name} has no function {attribute!r}")
    return Redaction(found)


@lru_cache
def _personal_fields(event: str) -> tuple[tuple[str, int | None], ...]:
    """Return an event's personal fields with the most characters each may have."""
    payload = CATALOGUE[event]
    personal = [name for name, privacy in privacy_of(payload).items() if privacy is Privacy.PERSONAL]
    return tuple((name, _longest(payload, name)) for name in personal)


def _longest(payload: type[Payload], field: str) -> int | None:
    schema = payload.model_json_schema()["properties"][field]
    limits = [part["maxLength"] for part in [schema, *schema.get("anyOf", [])] if "maxLength" in part]
    return limits[0] if limits else None
