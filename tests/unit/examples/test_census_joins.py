"""What the joins of the census make of its shards."""

from pathlib import Path

from examples.census.joins import cycles, import_graph, rank_complexity, rank_sizes
from examples.census.rows import ShardFacts
from examples.census.shard import BANDS, KEPT_PER_SHARD, parse_shard

TREE = {
    "app/__init__.py": "import tool\nimport app.core\n",
    "app/core.py": "import sys\nfrom tool import f\ndef g(a):\n    import lazy\n    return 1 if a else 2\n",
    "tool.py": "import app, sys\ndef f():\n    '''Documented.'''\n",
    "lazy.py": "import tool\nclass C: pass\n",
    "broken.py": "def (\n",
}
KINDS = {"app": "package", "tool": "module", "lazy": "module", "broken": "module"}


def shard(root: Path, *paths: str, tree: dict[str, str] = TREE) -> ShardFacts:
    for path, source in tree.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    return parse_shard(root, paths, exclude=(), max_bytes=10_000, between=lambda: None)


def test_packages_are_ranked_by_lines_over_all_shards(tmp_path: Path) -> None:
    sizes = rank_sizes([shard(tmp_path, "tool.py", "lazy.py"), shard(tmp_path, "app")])

    assert [(row["name"], row["files"], row["lines"]) for row in sizes["rows"]] == [
        ("app", 2, 7),
        ("tool", 1, 3),
        ("lazy", 1, 2),
    ]


def test_a_package_row_adds_up_its_files(tmp_path: Path) -> None:
    (row,) = rank_sizes([shard(tmp_path, "app")])["rows"]

    assert (row["functions"], row["classes"], row["documented"], row["complexity"], row["worst"]) == (1, 0, 0, 2, 2)


def test_broken_files_are_counted_and_named(tmp_path: Path) -> None:
    sizes = rank_sizes([shard(tmp_path, "broken.py"), shard(tmp_path, "tool.py")])

    assert sizes["skipped_count"] == 1
    assert sizes["skipped"] == [
        {"where": "broken.py", "reason": "syntax error", "detail": "line 1: invalid syntax"},
    ]


def test_many_broken_files_are_all_counted_but_not_all_named(tmp_path: Path) -> None:
    tree = {f"bad/b{number:03d}.py": "def (" for number in range(KEPT_PER_SHARD + 5)}

    found = shard(tmp_path, "bad", tree=tree)

    assert (found["skipped_count"], len(found["skipped"])) == (KEPT_PER_SHARD + 5, KEPT_PER_SHARD)


def test_functions_are_ranked_and_counted_in_bands(tmp_path: Path) -> None:
    ranked = rank_complexity([shard(tmp_path, "app"), shard(tmp_path, "tool.py")], top=1)

    (first,) = ranked["functions"]
    assert (first["name"], first["where"], first["complexity"]) == ("g", "app/core.py:3", 2)
    assert ranked["bands"] == [1, 1, 0, 0, 0, 0, 0, 0]


def test_each_limit_belongs_to_its_own_band_and_the_next_number_to_the_next(tmp_path: Path) -> None:
    def function(complexity: int) -> str:
        return f"def f{complexity}(a):\n" + "    if a: pass\n" * (complexity - 1) + "    return a\n"

    tree = {"m.py": "".join(function(limit) + function(limit + 1) for limit in BANDS[2:])}

    bands = rank_complexity([shard(tmp_path, "m.py", tree=tree)], top=1)["bands"]

    assert bands == [0, 0, 1, 2, 2, 2, 2, 1]


def test_hubs_are_names_that_many_packages_import(tmp_path: Path) -> None:
    graph = import_graph([shard(tmp_path, "app"), shard(tmp_path, "tool.py", "lazy.py")], KINDS, top=3)

    assert [(hub["name"], hub["kind"], hub["importers"], hub["files"]) for hub in graph["hubs"]] == [
        ("tool", "module", 2, 3),
        ("sys", "outside", 2, 2),
        ("app", "package", 1, 1),
    ]


def test_links_are_between_names_at_home_that_import_each_other_at_load_time(tmp_path: Path) -> None:
    graph = import_graph([shard(tmp_path, "app", "tool.py", "lazy.py")], KINDS, top=1)

    assert [hub["name"] for hub in graph["at_home"]] == ["tool", "app", "lazy"]
    assert [(link["importer"], link["target"]) for link in graph["links"]] == [
        ("app", "tool"),
        ("tool", "app"),
        ("lazy", "tool"),
    ]


def test_a_package_that_imports_itself_is_no_edge(tmp_path: Path) -> None:
    graph = import_graph([shard(tmp_path, "app")], KINDS, top=9)

    assert graph["edges"] == 3  # tool, sys, lazy
    assert "app" not in [hub["name"] for hub in graph["hubs"]]


def test_only_imports_at_load_time_close_a_circle(tmp_path: Path) -> None:
    graph = import_graph([shard(tmp_path, "app", "tool.py", "lazy.py")], KINDS, top=9)

    assert graph["cycles"] == [["app", "tool"]]  # app imports lazy too, but only inside a function


def test_cycles_are_found_once_each_and_the_largest_comes_first() -> None:
    edges = {"a": ["b"], "b": ["c", "x"], "c": ["a"], "x": ["y"], "y": ["x", "end"], "end": [], "alone": ["alone"]}

    assert cycles(edges) == [["a", "b", "c"], ["x", "y"]]


def test_a_chain_of_any_length_has_no_cycle_and_does_not_exhaust_the_stack() -> None:
    assert cycles({str(number): [str(number + 1)] for number in range(5_000)}) == []


def test_no_shards_with_packages_give_empty_tables(tmp_path: Path) -> None:
    empty = shard(tmp_path)

    assert rank_sizes([empty]) == {"rows": [], "skipped": [], "skipped_count": 0}
    assert rank_complexity([empty], top=5) == {"functions": [], "bands": [0] * (len(BANDS) + 1)}
    assert import_graph([empty], {}, top=5) == {"hubs": [], "at_home": [], "links": [], "edges": 0, "cycles": []}
