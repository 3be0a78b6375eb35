"""The pages with code, in parts: a part is a file of tests, and each file is run by one process."""

from pathlib import Path
from typing import Any, Final

import pytest
import redis

from tests.support.doc_blocks import ROOT, Reader, blocks_of
from tests.support.matrix import BROKER_URL

_PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in _PAGES if any(block.is_code for block in blocks_of(page))]
HOW_TO = [page for page in WITH_CODE if page.parent.name == "how-to"]
OTHERS = [page for page in WITH_CODE if page not in HOW_TO]
_PARTS: Final = 4
_LONG: Final = {
    "authentication",
    "change-a-run-by-hand",
    "dead-letters",
    "deadlines",
    "find-and-manage-runs",
    "live-events",
    "operate",
    "schedules",
    "tracing",
    "wait",
    "webhooks",
    "why-does-my-run-not-move",
}
"""Guides with dozens of commands, or with waits: the long suite follows them."""


def part_of_the_guides(number: int) -> list[Any]:
    """Return the guides of a part as parameters of a test."""
    return [
        pytest.param(page, marks=[pytest.mark.slow] if page.stem in _LONG else [], id=name_of(page))
        for page in HOW_TO[number::_PARTS]
    ]


def name_of(page: Path) -> str:
    """Return a page's name below the root."""
    return str(page.relative_to(ROOT))


def follow(page: Path, folder: Path, *, database_url: str, broker_url: str) -> None:
    """Do what a page says, in order, as a reader would; nothing is left in the broker of what other pages said."""
    if BROKER_URL is None:  # one of our own
        with redis.Redis.from_url(broker_url) as broker:
            broker.flushdb()
    with Reader(folder, database_url=database_url, broker_url=broker_url) as reader:
        for block in blocks_of(page):
            reader.follow(block)
        reader.finish()
