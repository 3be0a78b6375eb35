"""Every code block of the README, and of all pages but the guides, works."""

from pathlib import Path

import pytest

from tests.support.doc_pages import OTHERS, follow, name_of


@pytest.mark.parametrize("page", OTHERS, ids=name_of)
def test_every_block_of_a_page_works(page: Path, tmp_path: Path, fresh_database: str, broker_url: str) -> None:
    follow(page, tmp_path, database_url=fresh_database, broker_url=broker_url)
