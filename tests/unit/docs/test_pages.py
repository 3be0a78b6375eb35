"""What holds for every page: links lead somewhere, decisions have their form, words are those of the glossary."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflow_engine.model.run import RunState
from workflow_engine.model.step import StepState

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
MADE_ELSEWHERE = {ROOT / "docs/benchmarks.md"}
"""Written by `make bench`."""

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text())


def _links(page: Path) -> Iterator[tuple[Path, str]]:
    for target in _LINK.findall(_prose(page)):
        if "://" not in target:
            path, _, anchor = target.partition("#")
            yield (page.parent / path).resolve() if path else page, anchor


def _anchors(page: Path) -> set[str]:
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(_prose(page))}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target, anchor in _links(page):
        assert target.exists() or target in MADE_ELSEWHERE, f"{target} is not there"
        assert not anchor or anchor in _anchors(target), f"{_name(target)} has no heading #{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_begins_with_one_title(page: Path) -> None:
    text = re.sub(r"\A<!--.*?-->\n\n", "", _prose(page))

    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "glossary.md"], ids=_name)
def test_a_page_uses_no_word_that_the_glossary_refuses(page: Path) -> None:
    refused = re.compile(r"\b(canceled|pipelines?|workflow instances?|task instances?|outbox)\b", re.IGNORECASE)

    assert refused.findall(_prose(page)) == []


@pytest.mark.parametrize("decision", DECISIONS, ids=_name)
def test_a_decision_has_context_decision_and_consequences_on_one_page(decision: Path) -> None:
    text = decision.read_text()

    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert text.startswith(f"# {int(decision.name[:4])}. ")
    assert len(text.splitlines()) <= 60


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(decision.name[:4]) for decision in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_glossary_names_every_state_in_order() -> None:
    glossary = (ROOT / "docs/glossary.md").read_text()

    for name, states in (("run", RunState), ("step", StepState)):
        row = next(line for line in glossary.splitlines() if line.startswith(f"| {name} |"))
        assert re.findall(r"`(\w+)`", row) == [state.value for state in states]
