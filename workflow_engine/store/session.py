"""Work inside a transaction that belongs to the caller."""

import sys
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from workflow_engine.errors import InvalidInput
from workflow_engine.store.transaction import Transaction


class _NamedRows:
    """The caller's connection with our form of rows; its own row factory stays what it is."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, query: bytes, parameters: Any = None, *, prepare: bool | None = None) -> Any:
        cursor = self._connection.cursor(row_factory=namedtuple_row)
        return cursor.execute(query, parameters, prepare=prepare)


def caller_transaction(session: Any) -> Transaction:
    """Return the repositories on the connection of a SQLAlchemy ``Session`` or ``Connection``, or a psycopg one.

    Raises:
        InvalidInput: ``session`` is none of these, or does not use psycopg 3.
    """
    if _is_a(session, "sqlalchemy.orm", "Session"):
        session = session.connection()
    if _is_a(session, "sqlalchemy", "Connection"):
        session = session.connection.driver_connection
    if not isinstance(session, psycopg.Connection):
        raise InvalidInput(
            "session",
            "must be a SQLAlchemy Session or Connection on postgresql+psycopg, or a psycopg 3 Connection, "
            f"not {type(session).__name__}",
        )
    return Transaction(_NamedRows(session))  # type: ignore[arg-type]  # repositories only call execute


def _is_a(value: object, module: str, name: str) -> bool:
    """Return whether ``value`` is of a class whose module nobody need have imported."""
    found = sys.modules.get(module)
    return found is not None and isinstance(value, getattr(found, name))
