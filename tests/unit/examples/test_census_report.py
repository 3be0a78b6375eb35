"""The page is whole, escapes what it is given, and its charts are right."""

import json
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest

from examples.census.charts import Arc, Bar, Box, Spoke, Tile, columns, squarify, treemap, wheel
from examples.census.report import as_json, render
from examples.census.rows import Census, FunctionRow, Hub, PackageRow

VOID = {"meta", "br", "hr", "img", "input", "link"}
NASTY = "<script>alert('&\"')</script>"


class _Balance(HTMLParser):
    """Raises where tags do not nest; collects elements and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href"}]
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"{tag} has an attribute twice: {names}"
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.text += data


def package(name: str, lines: int, functions: int = 3, complexity: int = 9) -> PackageRow:
    return {
        "name": name, "files": 2, "lines": lines, "functions": functions, "classes": 1,
        "documented": 1, "complexity": complexity, "worst": 4,
    }  # fmt: skip


def a_census(name: str = "app") -> Census:
    function: FunctionRow = {"name": name, "where": f"{name}/core.py:7", "complexity": 21, "lines": 80}
    hub: Hub = {"name": name, "kind": "package", "importers": 2, "files": 9}
    sys: Hub = {"name": "sys", "kind": "outside", "importers": 1, "files": 3}
    return {
        "root": f"/srv/{name}", "python": "3.11.7", "run_id": "run-1", "written_at": "2025-11-03T10:20:00+00:00",
        "left_out": 2,
        "packages": {
            "rows": [package(name, 900), package("util", 100)],
            "skipped": [{"where": f"{name}/bad.py", "reason": "syntax error", "detail": name}],
            "skipped_count": 1,
        },
        "modules": {"rows": [package("tool", 50, functions=0, complexity=0)], "skipped": [], "skipped_count": 0},
        "complexity": {"functions": [function], "bands": [4, 1, 0, 0, 0, 0, 1, 0]},
        "imports": {
            "hubs": [hub, sys],
            "at_home": [hub, {**hub, "name": "util"}],
            "links": [
                {"importer": name, "target": "util", "files": 3},
                {"importer": "util", "target": name, "files": 1},
            ],
            "edges": 8,
            "cycles": [[name, "util"]],
        },
    }  # fmt: skip


def an_empty_census() -> Census:
    return {
        **a_census(),
        "packages": {"rows": [], "skipped": [], "skipped_count": 0},
        "modules": {"rows": [], "skipped": [], "skipped_count": 0},
        "complexity": {"functions": [], "bands": [0] * 8},
        "imports": {"hubs": [], "at_home": [], "links": [], "edges": 0, "cycles": []},
        "left_out": 0,
    }


@pytest.mark.parametrize("census", [a_census(), a_census(NASTY), an_empty_census()], ids=["usual", "nasty", "empty"])
def test_the_page_nests_its_tags(census: Census) -> None:
    page = _Balance(render(census))

    assert page.open == []
    assert page.seen.count("script") == 1
    assert page.seen[:2] == ["html", "head"]


def test_names_are_escaped_wherever_they_appear() -> None:
    page = render(a_census(NASTY))

    assert NASTY not in page
    assert NASTY in _Balance(page).text


def test_the_page_needs_nothing_from_anywhere() -> None:
    assert _Balance(render(a_census())).addresses == ["census.json"]


def test_the_page_says_what_was_found() -> None:
    text = _Balance(render(a_census())).text

    assert "1,050 lines" in text
    assert "app is the largest" in text
    assert "app has 21 ways through" in text
    assert "app is imported by 2 of 3" in text
    assert "2 packages import in a circle" in text
    assert "Not in the numbers above: 1 file." in text
    assert "2 smaller packages" in text


def test_an_import_both_ways_is_one_line_and_explained() -> None:
    page = render(a_census())

    assert page.count('class="arc mutual"') == 2  # in the wide wheel and in the narrow one
    assert "imports both ways" in page


def test_an_empty_tree_gives_a_page_that_says_so() -> None:
    text = _Balance(render(an_empty_census())).text

    assert "0 lines of Python in 0 files" in text
    assert "Where the code is" not in text


def test_the_json_is_the_census_itself() -> None:
    assert json.loads(as_json(a_census(NASTY))) == a_census(NASTY)


@pytest.mark.parametrize(
    "svg",
    [
        treemap([Tile(label=NASTY, size=9, heat=2, hint=NASTY), Tile(label="b", size=0, heat=1, hint="")],
                width=400, height=300),
        treemap([], width=400, height=300),
        columns([Bar(label=NASTY, value=0, hint=NASTY)], width=300, height=200),
        columns([], width=300, height=200),
        wheel([Spoke(name=NASTY, weight=1, kind="module")], [Arc(start=NASTY, end="gone", mutual=True)], size=300),
        wheel([], [], size=300),
    ],
)  # fmt: skip
def test_every_chart_is_well_formed_whatever_its_names(svg: str) -> None:
    assert ET.fromstring(svg).tag == "svg"


def test_boxes_of_a_treemap_fill_the_space_in_proportion_and_do_not_overlap() -> None:
    sizes = [50, 20, 10, 8, 5, 4, 2, 1]

    boxes = list(squarify(sizes, Box(0, 0, 400, 250)))

    assert [box.width * box.height for box in boxes] == pytest.approx([size * 1_000 for size in sizes])
    for number, box in enumerate(boxes):
        assert box.x >= 0
        assert box.y >= 0
        assert box.x + box.width <= 400 + 1e-6
        assert box.y + box.height <= 250 + 1e-6
        assert not any(overlap(box, other) for other in boxes[:number])


def overlap(one: Box, other: Box) -> bool:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return across > 1e-6 and down > 1e-6


def test_bars_are_as_high_as_their_values_and_a_small_one_still_shows() -> None:
    svg = ET.fromstring(columns([Bar(label="a", value=1_000, hint=""), Bar(label="b", value=1, hint="")],
                                width=200, height=148))  # fmt: skip

    heights = [float(bar.attrib["height"]) for bar in svg.iter("rect")]

    assert heights == [100.0, 2.0]
