"""JSON that PostgreSQL will take, or a clear refusal."""

import json
import re
from typing import Any, Final

from workflow_engine.errors import InvalidInput, ResultNotStorable

NESTING_LIMIT: Final = 200
"""Lists and objects inside each other. Python's JSON reader counts them against the depth of the caller's stack, so
what was written near its limit could not be read again deeper inside a worker."""

_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKETS: Final = re.compile(r"[\[\]{}]")


def input_as_json(value: Any, limit: int) -> str:
    """Return a run's input as JSON text.

    Raises:
        InvalidInput: it is not JSON, has NUL characters or lone surrogates in it, is over ``limit`` bytes or nested
            too deep.
    """
    text, problem = _encode(value, limit, "WFE_INPUT_LIMIT_BYTES")
    if problem:
        raise InvalidInput("input", problem)
    return text


def payload_as_json(value: Any, limit: int) -> str:
    """Return a signal's payload as JSON text.

    Raises:
        InvalidInput: as for ``input_as_json``.
    """
    text, problem = _encode(value, limit, "WFE_INPUT_LIMIT_BYTES")
    if problem:
        raise InvalidInput("payload", problem)
    return text


def result_as_json(value: Any, limit: int) -> str:
    """Return a step's result as JSON text.

    Raises:
        ResultNotStorable: as for ``input_as_json``.
    """
    text, problem = _encode(value, limit, "WFE_RESULT_LIMIT_BYTES")
    if problem:
        raise ResultNotStorable("result", problem)
    return text


def _encode(value: Any, limit: int, setting: str) -> tuple[str, str]:
    """Return the text and what is wrong with it, if anything."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        size = len(text.encode())
    except UnicodeEncodeError:
        return "", "has a lone surrogate in a string, which is not a character"
    except (TypeError, ValueError, RecursionError) as error:
        return "", f"is not JSON: {error}"
    if size > limit:
        return "", f"has {size} bytes as JSON; the limit is {limit} ({setting})"
    if _NUL.search(text):
        return "", "has a NUL character in a string, which PostgreSQL cannot store"
    if text.count("[") + text.count("{") > NESTING_LIMIT and _depth(text) > NESTING_LIMIT:
        return "", f"has lists or objects inside each other more than {NESTING_LIMIT} deep"
    return text, ""


def _depth(text: str) -> int:
    """Return how deep the lists and objects of a JSON text are inside each other."""
    depth = deepest = 0
    for sign in _BRACKETS.findall(_STRING.sub("", text)):
        depth += 1 if sign in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
