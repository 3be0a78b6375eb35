"""Which names are allowed, and the check that says what is wrong with one."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from workflow_engine.errors import DefinitionError

NAME_LIMIT = 100
"""Characters a workflow, step, version, namespace or queue name may have."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", re.ASCII)


def check_name(kind: str, name: object) -> str:
    """Return ``name`` if it can be one.

    Raises:
        DefinitionError: not a string, empty, longer than ``NAME_LIMIT``, or with characters other than ASCII letters,
            digits and ``_ . -`` (names become task names, metric labels and parts of URLs).
    """
    if not isinstance(name, str) or not name:
        raise DefinitionError(f"{kind} name must be a non-empty string, not {name!r}")
    if len(name) > NAME_LIMIT:
        raise DefinitionError(f"{kind} name {name[:20]!r}… has {len(name)} characters; the limit is {NAME_LIMIT}")
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"{kind} name {name!r} may only have letters, digits, '_', '.' and '-'")
    return name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest known name, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
