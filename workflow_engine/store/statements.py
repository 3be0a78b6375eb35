"""Named SQL statements, one file each, below ``sql/``."""

from functools import cache
from importlib.resources import files

_FOLDER = files("workflow_engine.store") / "sql"


@cache
def statement(name: str) -> bytes:
    """Return the text of ``sql/<name>.sql``, ready for psycopg.

    Repositories call it at import, so a missing file fails there and not under load.
    """
    return (_FOLDER / f"{name}.sql").read_bytes()
