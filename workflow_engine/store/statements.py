"""Named SQL statements, one file each, below ``sql/``."""

import re
from functools import cache
from importlib.resources import files

_FOLDER = files("workflow_engine.store") / "sql"
_COMMENT = re.compile(r"--.*")
_PART_BEGINS, _PART_ENDS = re.compile(r"-- \[(\w+)"), re.compile(r"-- \w+\]")


@cache
def statement(name: str, parts: frozenset[str] | None = None) -> bytes:
    """Return what ``sql/<name>.sql`` says, ready for psycopg: without comments and indentation, but with its name.

    psycopg (3.3) remembers how it has read a statement of up to 4,096 bytes, and reads a longer one anew each time,
    which took a third of a millisecond for one of the hot path. Repositories call this at import, so a missing file
    fails there and not under load.

    Args:
        name: of the file.
        parts: of those that the file marks, the ones to keep; None is all.
    """
    text = _chosen((_FOLDER / f"{name}.sql").read_text(), parts)
    return f"/* {name} */ {' '.join(_COMMENT.sub('', text).split())}".encode()


def _chosen(text: str, parts: frozenset[str] | None) -> str:
    kept: list[str] = []
    inside: list[str] = []
    for line in text.splitlines():
        if begins := _PART_BEGINS.fullmatch(line):
            inside.append(begins[1])
        elif _PART_ENDS.fullmatch(line):
            inside.pop()
        elif parts is None or parts.issuperset(inside):
            kept.append(line)
    return "\n".join(kept)
