"""Exit 0 if the process of this container answers at HEALTH_URL, else 1 and say why."""

import os
import sys
import urllib.request
from typing import Final

PATIENCE: Final = 4.0
"""Seconds; less than the health check's own."""


def trouble(url: str) -> str | None:
    """Return what is wrong, or None."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # our own container needs no proxy
    try:
        with opener.open(url, timeout=PATIENCE):  # raises unless the answer is a good one
            return None
    except (OSError, ValueError) as error:
        return f"{url}: {error}"


if __name__ == "__main__":
    sys.exit(trouble(os.environ["HEALTH_URL"]))
