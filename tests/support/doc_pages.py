"""The pages with code, in parts: a part is a file of tests, and each file is run by one process."""

from pathlib import Path

from tests.support.doc_blocks import ROOT, Reader, blocks_of

_PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WITH_CODE = [page for page in _PAGES if any(block.is_code for block in blocks_of(page))]
HOW_TO = [page for page in WITH_CODE if page.parent.name == "how-to"]
OTHERS = [page for page in WITH_CODE if page not in HOW_TO]


def name_of(page: Path) -> str:
    """Return a page's name below the root."""
    return str(page.relative_to(ROOT))


def follow(page: Path, folder: Path, *, database_url: str, broker_url: str) -> None:
    """Do what a page says, in order, as a reader would."""
    with Reader(folder, database_url=database_url, broker_url=broker_url) as reader:
        for block in blocks_of(page):
            reader.follow(block)
        reader.finish()
