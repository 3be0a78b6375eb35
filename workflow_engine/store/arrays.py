"""PostgreSQL arrays as text: psycopg takes several times as long for lists, and again at each call."""

from collections.abc import Iterable


def integer_array(values: Iterable[int]) -> str:
    """Return ``{1,2,3}``."""
    return "{" + ",".join(str(value) for value in values) + "}"


def text_array(values: Iterable[str]) -> str:
    """Return ``{"a","b"}``, with quotes and backslashes escaped."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"
