"""Every code block of the README and of the documentation works, run in order as a reader would."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.support.doc_blocks import ROOT, Reader, blocks_of

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in PAGES if any(block.is_code for block in blocks_of(page))]


@pytest.fixture
def empty_database(postgres_url: str) -> Iterator[str]:
    """A database for one page; the page migrates it."""
    name = f"page_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        parts = conninfo_to_dict(postgres_url)
        password = f":{parts['password']}" if parts.get("password") else ""
        yield f"postgresql://{parts['user']}{password}@{parts['host']}:{parts.get('port', 5432)}/{name}"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_works(page: Path, tmp_path: Path, empty_database: str, broker_url: str) -> None:
    with Reader(tmp_path, database_url=empty_database, broker_url=broker_url) as reader:
        for block in blocks_of(page):
            reader.follow(block)
        reader.finish()
