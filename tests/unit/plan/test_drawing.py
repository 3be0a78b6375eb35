"""A drawing is right when the graph can be read back from it, so these tests read."""

from collections.abc import Iterable, Mapping, Sequence
from random import Random

import pytest

from workflow_engine import Plan, Workflow, compile_plan
from workflow_engine.plan.drawing import draw, list_steps, mermaid
from workflow_engine.plan.lanes import draw_lanes
from workflow_engine.plan.layered import draw_layered

LEFT, RIGHT, UP, DOWN = "─┐┘┤┬┴┼╮╯", "─┌└├┬┴┼╭╰", "│└┘├┤┴┼╰╯", "│┌┐├┤┬┼╭╮"
"""The letters with an arm to that side."""

Edges = set[tuple[str, str]]


def a_plan(edges: Mapping[str, Iterable[str]]) -> Plan:
    workflow = Workflow("drawn")
    for name, after in edges.items():
        workflow.step(name=name, after=list(after))(lambda _: None)
    return compile_plan(workflow)


def random_graph(seed: int, size: int) -> tuple[list[str], list[list[int]]]:
    random = Random(seed)
    reach, most = random.choice([2, 4, size]), random.choice([1, 2, 4])
    parents: list[list[int]] = []
    for node in range(size):
        near = range(max(0, node - reach), node)
        parents.append(sorted(random.sample(near, min(len(near), random.randint(0, most)))))
    return [f"{random.choice('abcde') * random.randint(1, 6)}{node}" for node in range(size)], parents


def edges_of(labels: Sequence[str], parents: Sequence[Sequence[int]]) -> Edges:
    return {(labels[parent], labels[node]) for node, its in enumerate(parents) for parent in its}


class LayeredReader:
    """Reads a drawing from left to right as its users do: turn at vertical lines, leave them only to the right."""

    def __init__(self, lines: Sequence[str], labels: Sequence[str]) -> None:
        self.lines = lines
        self.starts: dict[tuple[int, int], str] = {}
        for row, line in enumerate(lines):
            for word_start, word in words(line):
                assert word in labels
                self.starts[row, word_start] = word
        assert sorted(self.starts.values()) == sorted(labels), "each step is drawn once"

    def edges(self) -> Edges:
        found: Edges = set()
        for (row, column), label in self.starts.items():
            found |= {(label, end) for end in self.follow(row, column + len(label))}
        return found

    def follow(self, row: int, column: int) -> set[str]:
        """Return where the line at a place leads."""
        if self.at(row, column) == " ":
            if (row, column + 1) in self.starts and self.at(row, column - 1) in RIGHT:
                return {self.starts[row, column + 1]}
            if self.at(row, column + 1) != "─" or self.at(row, column - 1) == "─":
                return set()
            return self.follow(row, column + 1)
        here = self.at(row, column)
        if here == "":
            return set()
        ends: set[str] = set()
        if here in LEFT and here != "─":
            ends |= self.leave(row, column)
        if self.at(row, column + 1) == "─" or self.at(row, column + 1) in UP + DOWN or here == "─":
            ends |= self.follow(row, column + 1)
        return ends

    def leave(self, row: int, column: int) -> set[str]:
        """Return where the vertical line through a place leads."""
        rows = [row]
        for step, arm in ((-1, UP), (1, DOWN)):
            here = row
            while self.at(here, column) in arm:
                here += step
                rows.append(here)
        exits = [here for here in rows if self.at(here, column) in RIGHT]
        return {end for here in exits for end in self.follow(here, column + 1)}

    def at(self, row: int, column: int) -> str:
        line = self.lines[row]
        return line[column] if 0 <= column < len(line) else ""


def words(line: str) -> list[tuple[int, str]]:
    found, start = [], None
    for place, letter in enumerate(f"{line} "):
        if letter.isalnum():
            start = place if start is None else start
        elif start is not None:
            found.append((start, line[start:place]))
            start = None
    return found


def read_lanes(lines: Sequence[str]) -> Edges:
    """Follow the lanes from top to bottom; each carries the names of the steps whose lines have flowed into it."""
    found: Edges = set()
    lanes: dict[int, set[str]] = {}
    last, last_lane = "", -1
    for line in lines:
        label = next((word for _, word in words(line)), "")
        cells = {place // 2: letter for place, letter in enumerate(line.removesuffix(label)) if place % 2 == 0}
        if last and cells.get(last_lane, " ") not in UP + "●":
            lanes.pop(last_lane, None)  # its lane did not go on: nobody waits for it
        if label:
            own = next(lane for lane, letter in cells.items() if letter == "●")
            found |= {(parent, label) for parent in lanes.get(own, set())}
            lanes[own] = {label}
            last, last_lane = label, own
            continue
        for lane, letter in cells.items():
            if letter in DOWN and letter != "│" and lane != last_lane:
                lanes.setdefault(lane, set())
                lanes[lane] = (lanes[lane] if letter in UP else set()) | {last}
        if cells[last_lane] not in DOWN:
            lanes.pop(last_lane)
        last = ""
    return found


@pytest.mark.parametrize("seed", range(300))
def test_every_edge_and_no_other_can_be_read_from_left_to_right(seed: int) -> None:
    labels, parents = random_graph(seed, size=1 + seed % 12)
    lines = draw_layered(labels, parents, width=10_000)

    assert lines is not None
    assert LayeredReader(lines, labels).edges() == edges_of(labels, parents), "\n".join(lines)


@pytest.mark.parametrize("seed", range(300))
def test_every_edge_and_no_other_can_be_read_from_top_to_bottom(seed: int) -> None:
    labels, parents = random_graph(seed, size=1 + seed % 30)
    lines = draw_lanes(labels, parents)

    assert read_lanes(lines) == edges_of(labels, parents), "\n".join(lines)


def test_a_diamond() -> None:
    plan = a_plan({"validate": [], "reserve": ["validate"], "charge": ["validate"], "ship": ["reserve", "charge"]})

    assert draw(plan).splitlines() == [
        "validate ─┬─ reserve ─┬─ ship",
        "          └─ charge ──┘",
    ]


def test_the_letter_n_is_not_drawn_as_a_full_join() -> None:
    plan = a_plan({"a": [], "b": [], "c": ["a", "b"], "d": ["b"]})

    assert draw(plan).splitlines() == ["a ─┌─ c", "b ─┴─ d"]


def test_steps_of_one_numbered_name_with_the_same_neighbours_are_drawn_as_one() -> None:
    shards = [f"parse_{number:02}" for number in range(12)]
    plan = a_plan({"find": [], **{shard: ["find"] for shard in shards}, "join": shards})

    assert draw(plan) == "find ── parse_00 … parse_11 (12) ── join"


def test_numbered_steps_with_different_neighbours_are_drawn_apart() -> None:
    plan = a_plan({"s1": [], "s2": ["s1"], "s3": ["s2"], "s4": ["s3"]})

    assert draw(plan) == "s1 ── s2 ── s3 ── s4"


def test_a_graph_too_wide_for_the_terminal_is_drawn_from_top_to_bottom() -> None:
    names = [f"step_{letter}" for letter in "abcdefghijklmnopqrstuvwxyzABCD"]
    plan = a_plan({name: names[max(number - 1, 0) : number] for number, name in enumerate(names)})

    assert draw(plan, 100).splitlines() == [f"● {name}" for name in names]


def test_a_maze_becomes_a_list() -> None:
    plan = a_plan(
        {name: [f"n{earlier}x" for earlier in range(max(0, number - 9), number)] for number, name in numbered(80)}
    )
    lines = draw(plan, 80).splitlines()

    assert lines == list_steps(plan).splitlines()
    assert lines[:3] == ["n0x", "n1x   after n0x", "n2x   after n0x, n1x"]
    assert len(lines) == 80


def numbered(count: int) -> list[tuple[int, str]]:
    return [(number, f"n{number}x") for number in range(count)]


def test_a_list_shortens_runs_of_numbered_parents() -> None:
    shards = [f"parse_{number}" for number in range(8, 13)]
    plan = a_plan({**{shard: [] for shard in shards}, "join": [*shards], "other": [shards[0], "join"]})

    assert [line.split(maxsplit=1) for line in list_steps(plan).splitlines() if "after" in line] == [
        ["join", "after parse_8 … parse_12 (5)"],
        ["other", "after parse_8, join"],
    ]


def test_numbers_with_gaps_are_not_a_run() -> None:
    names = ["p1", "p2", "p4", "p5", "p7"]

    assert list_steps(a_plan({name: [] for name in names})).split() == names


@pytest.mark.parametrize("size", [1, 12, 40, 64])
def test_no_line_is_wider_than_asked_for(size: int) -> None:
    for seed in range(10):
        labels, parents = random_graph(seed, size)
        layered = draw_layered(labels, parents, 80)
        assert layered is None or max(map(len, layered)) <= 80


def test_the_mermaid_form_has_every_step_and_edge() -> None:
    plan = a_plan({"a": [], "b.c": ["a"], "end": ["a", "b.c"]})

    assert mermaid(plan).splitlines() == [
        "flowchart LR",
        '    s0["a"]',
        '    s1["b.c"]',
        '    s2["end"]',
        "    s0 --> s1",
        "    s0 --> s2",
        "    s1 --> s2",
    ]
