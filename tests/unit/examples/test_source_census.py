"""The census as a workflow: its graph, its input, and a whole run on a small tree."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from examples.order_fulfilment import orders
from examples.source_census import CensusInput, census
from workflow_engine import InvalidInput, Workflow, compile_plan
from workflow_engine.plan.graph import reachable
from workflow_engine.testing.inline import run_inline


def is_series_parallel(workflow: Workflow) -> bool:
    """Whether the order of the steps has no N (Valdes, Tarjan, Lawler 1982): a < c, a < d, b < d, no other relation."""
    plan = compile_plan(workflow)
    children = [step.children for step in plan]
    below = [reachable([position], children) for position in range(len(plan))]

    def unrelated(one: int, other: int) -> bool:
        return one not in below[other] and other not in below[one]

    return not any(
        {c, d} <= below[a] and d in below[b] and unrelated(a, b) and unrelated(c, d) and unrelated(b, c)
        for a, b, c, d in permutations(range(len(plan)), 4)
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "app").mkdir(parents=True)
    (root / "app" / "__init__.py").write_text("import tool, sys\n\ndef f(a):\n    return 1 if a else 2\n")
    (root / "app" / "bad.py").write_bytes(b"\xff")
    (root / "tool.py").write_text("import app\n")
    return root


def test_no_nesting_of_chords_has_the_graph_of_the_census() -> None:
    assert not is_series_parallel(census)
    assert is_series_parallel(orders)


def test_the_n_in_the_graph_is_where_the_documentation_says() -> None:
    after = {step.name: set(step.after) for step in census}

    assert "parse_00" in after["rank_packages"] & after["rank_complexity"]
    assert "parse_07" in after["rank_complexity"] - after["rank_packages"]


def test_every_shard_is_parsed_by_a_step_of_its_own() -> None:
    assert [name for name in census.steps if name.startswith("parse_")] == [f"parse_{n:02d}" for n in range(12)]


def test_a_run_writes_the_page_and_the_numbers(tree: Path, tmp_path: Path) -> None:
    run = run_inline(census, {"root": str(tree), "report_dir": str(tmp_path / "report")})

    assert run.state == "succeeded"
    result = run.result["write_report"]
    numbers = json.loads(Path(result["json"]).read_text())
    assert (result["files"], result["lines"], result["functions"]) == (2, 5, 1)
    assert numbers["packages"]["skipped_count"] == 1
    assert numbers["imports"]["cycles"] == [["app", "tool"]]
    assert "<title>Source census of source</title>" in Path(result["html"]).read_text()


def test_repeating_a_step_gives_the_same_result(tree: Path, tmp_path: Path) -> None:
    asked = {"root": str(tree), "report_dir": str(tmp_path / "report")}

    first, second = run_inline(census, asked).results, run_inline(census, asked).results

    assert first == second


def test_only_the_largest_packages_are_counted_and_the_page_says_so(tree: Path, tmp_path: Path) -> None:
    run = run_inline(census, {"root": str(tree), "report_dir": str(tmp_path), "max_packages": 1})

    assert run.results["discover"]["left_out"] == 1
    assert [row["name"] for row in run.results["rank_packages"]["rows"]] == ["app"]
    assert "1 smaller package" in (tmp_path / "census.html").read_text()


def test_an_empty_folder_is_a_run_with_an_empty_report(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    run = run_inline(census, {"root": str(tmp_path / "empty"), "report_dir": str(tmp_path)})

    assert run.result["write_report"]["files"] == 0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"root": "/no/such/folder"}, "root"),
        ({"root": __file__}, "root"),
        ({"report_dir": __file__}, "report_dir"),
        ({"max_packages": 0}, "max_packages"),
        ({"max_packages": 1_000_000}, "max_packages"),
        ({"rot": "/srv"}, "rot"),
    ],
)
def test_a_wrong_input_is_refused_by_name(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=rf"\b{field}: "):
        census.parse_input(wrong)


def test_without_an_input_it_counts_the_standard_library_of_this_python() -> None:
    asked = CensusInput()

    assert (asked.root / "asyncio").is_dir()
    assert asked.report_dir.is_absolute()


def test_paths_are_stored_absolute_because_workers_run_elsewhere(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)

    stored = census.storable_input({"root": "app", "report_dir": "out"})

    assert (stored["root"], stored["report_dir"]) == (str(tree / "app"), str(tree / "out"))
