"""The pictures of benchmark results: well-formed, with every figure in them."""

from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks import plots, results
from benchmarks.charts import Axis, Chart, Series, draw
from benchmarks.scale import Sized

SVG = "{http://www.w3.org/2000/svg}"
LOAD = (0.5, 0.5, 0.5)


def points(picture: str) -> list[str]:
    return [
        circle.findtext(f"{SVG}title") or "" for circle in ET.fromstring(picture).iter(f"{SVG}circle") if len(circle)
    ]


def test_a_picture_has_every_point_within_its_frame() -> None:
    curve = [(1.0, 0.001), (10.0, 2.5), (1_000.0, 12_345.0)]
    chart = Chart("A < B & C", "", Axis("x", logarithmic=True), Axis("y", logarithmic=True), [Series("seen", curve)])

    picture = ET.fromstring(draw(chart))
    circles = [circle for circle in picture.iter(f"{SVG}circle") if len(circle)]
    up = [float(circle.attrib["cy"]) for circle in circles]

    assert points(draw(chart)) == ["seen: 1, 0.001", "seen: 10, 2.5", "seen: 1,000, 12,345"]
    assert up == sorted(up, reverse=True)
    assert all(0 < float(circle.attrib["cx"]) < float(picture.attrib["width"]) for circle in circles)
    assert all(0 < height < float(picture.attrib["height"]) for height in up)


def test_a_picture_says_what_is_what() -> None:
    chart = Chart("title", "subtitle", Axis("across", names=["one", "two"]), Axis("up"), [Series("seen", [(0.0, 1.0)])])

    texts = [text.text for text in ET.fromstring(draw(chart)).iter(f"{SVG}text")]

    assert {"title", "subtitle", "across", "up", "one", "two", "seen", "0", "1"} <= set(texts)
    assert "prefers-color-scheme: dark" in draw(chart)


def test_saved_figures_are_drawn_as_medians(tmp_path: Path) -> None:
    figures = [
        Sized(what="1 -> N -> 1", size=size, steps=size + 2, taken=taken, others=0.0).as_json()
        for size, taken in ((10, 0.01), (10, 0.03), (10, 0.02), (1_000, 2.0), (10_000, 20.123456))
    ]
    results.save("joins", figures, LOAD, tmp_path)

    plots.main(tmp_path, tmp_path / "pictures")

    told = points((tmp_path / "pictures" / "joins.svg").read_text())
    assert told == ["taken: 10, 0.02", "taken: 1,000, 2", "taken: 10,000, 20.1"]


def test_full_tables_share_a_picture(tmp_path: Path) -> None:
    for rows, full in ((1_000_000, 1.05), (10_000_000, 1.2)):
        held = {"rows": {"steps": rows}, "seconds": 1.0}
        seen = {"workload": "chain", "empty": 1.0, "full": full, "others": 0.0}
        results.save(f"full_{rows}", [held, seen], LOAD, tmp_path)

    chart = plots.charts(tmp_path)["full"]

    assert points(draw(chart)) == [
        "1,000,000 steps and events: chain, 1.05",
        "10,000,000 steps and events: chain, 1.2",
    ]


def test_every_figure_in_the_repository_has_its_picture() -> None:
    drawn = {name: draw(chart) for name, chart in plots.charts(results.FOLDER).items()}

    assert {path.stem: path.read_text() for path in plots.PICTURES.glob("*.svg")} == drawn
