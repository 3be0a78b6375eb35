"""Every code block of a quarter of the how-to guides works."""

from pathlib import Path

import pytest

from tests.support.doc_pages import follow, part_of_the_guides


@pytest.mark.parametrize("page", part_of_the_guides(0))
def test_every_block_of_a_page_works(page: Path, tmp_path: Path, fresh_database: str, broker_url: str) -> None:
    follow(page, tmp_path, database_url=fresh_database, broker_url=broker_url)
