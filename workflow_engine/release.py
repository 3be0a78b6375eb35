"""Which release of the library this is."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Final

DISTRIBUTION: Final = "celery-workflow-engine"


@cache
def release() -> str:
    """Return the release, as ``pip`` knows it."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"
