"""Every code block of one half of the how-to guides works."""

from pathlib import Path

import pytest

from tests.support.doc_pages import HOW_TO, follow, name_of


@pytest.mark.parametrize("page", HOW_TO[::2], ids=name_of)
def test_every_block_of_a_page_works(page: Path, tmp_path: Path, fresh_database: str, broker_url: str) -> None:
    follow(page, tmp_path, database_url=fresh_database, broker_url=broker_url)
