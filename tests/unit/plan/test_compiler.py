"""A workflow compiles to steps in topological order and one chord for each step with parents."""

import json

import networkx
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recording import graph
from workflow_engine import Plan, Retry, Workflow, compile_plan
from workflow_engine.plan.compiler import difference
from workflow_engine.plan.graph import components, levels, reachable, topological_order


@st.composite
def dags(draw: st.DrawFn) -> list[list[int]]:
    size = draw(st.integers(1, 12))
    names = draw(st.permutations(range(size)))
    parents: list[list[int]] = [[] for _ in range(size)]
    for later in range(size):
        for earlier in range(later):
            if draw(st.booleans()):
                parents[names[later]].append(names[earlier])
    return parents


def as_networkx(parents: list[list[int]]) -> networkx.DiGraph:
    found = networkx.DiGraph()
    found.add_nodes_from(range(len(parents)))
    found.add_edges_from((parent, node) for node, mine in enumerate(parents) for parent in mine)
    return found


@given(dags())
def test_the_order_puts_parents_first_and_keeps_the_authors_order_where_it_may(parents: list[list[int]]) -> None:
    order = topological_order(parents)

    assert order == list(networkx.lexicographical_topological_sort(as_networkx(parents)))


@given(dags(), st.integers(0, 11))
def test_reachability_and_components_are_those_of_the_graph(parents: list[list[int]], start: int) -> None:
    found = as_networkx(parents)
    node = start % len(parents)

    assert reachable([node], parents) == networkx.ancestors(found, node)
    parts = {frozenset(part) for part in components(range(len(parents)), parents)}
    assert parts == {frozenset(part) for part in networkx.weakly_connected_components(found)}


@given(dags())
def test_levels_are_longest_distances(parents: list[list[int]]) -> None:
    order = topological_order(parents)
    by_level = levels(order, parents)

    assert [set(level) for level in by_level] == [
        set(generation) for generation in networkx.topological_generations(as_networkx(parents))
    ]


def test_each_step_with_parents_is_the_body_of_one_chord() -> None:
    plan = compile_plan(graph({"a": (), "b": (), "c": ("a",), "d": ("a", "b"), "e": ("c", "d")}))

    assert [(plan.names(chord.header), plan[chord.body].name) for chord in plan.chords] == [
        (["a"], "c"),
        (["a", "b"], "d"),
        (["c", "d"], "e"),
    ]
    assert plan.names(plan.roots) == ["a", "b"]
    assert plan.names(plan.sinks) == ["e"]
    assert {plan[part].name: plan[body].name for part, body in plan.joins.items()} == {
        "a": "d",
        "b": "d",
        "c": "e",
        "d": "e",
    }


def test_parents_keep_the_order_of_after() -> None:
    plan = compile_plan(graph({"a": (), "b": (), "c": ("b", "a")}))

    assert plan.names(plan[2].parents) == ["b", "a"]


def test_a_plan_comes_back_from_its_json() -> None:
    plan = compile_plan(graph({"a": (), "b": ("a",), "c": ("a", "b")}, queue="q", on_failure="continue"))

    again = Plan.from_json(plan.as_json(), namespace=plan.namespace, workflow=plan.workflow, version=plan.version)

    assert again == plan
    assert again.digest == plan.digest


def orders(**options: object) -> Plan:
    workflow = Workflow("orders", description=str(options.pop("description", "")))
    workflow.step(name="a")(lambda ctx: None)
    workflow.step(name="b", **{"after": ["a"], **options})(lambda ctx: None)  # type: ignore[call-overload]
    return compile_plan(workflow)


def test_the_digest_changes_with_everything_that_changes_a_run_and_with_nothing_else() -> None:
    same = {orders().digest, orders(description="other words").digest}
    changed = [
        orders(after=[]).digest,
        orders(queue="q").digest,
        orders(timeout=3).digest,
        orders(heartbeat_timeout=3).digest,
        orders(priority="high").digest,
        orders(retry=Retry(max_attempts=2)).digest,
    ]

    assert len(same) == 1
    assert len({*same, *changed}) == 1 + len(changed)


def test_an_option_that_older_releases_did_not_have_leaves_the_digests_of_their_plans_alone() -> None:
    assert orders().digest == "91bc639188bd81cca62e3c53f146b6c815a251480d4f2244aeae7796bdbd16cd"


def test_the_difference_does_not_show_the_order_in_which_a_database_keeps_options() -> None:
    kept = orders().as_json()
    for step in kept["steps"]:
        step["retry"] = dict(reversed(step["retry"].items()))
    stored = Plan.from_json(kept, namespace="default", workflow="orders", version="1")

    assert difference(stored, orders()) == ""


def test_the_difference_shows_only_what_changed() -> None:
    text = difference(orders(), orders(queue="fast"))

    assert "-b: after=['a'], queue=None" in text
    assert "+b: after=['a'], queue=fast" in text
    assert "a: after=[]" not in text


def test_a_timeout_of_runs_is_part_of_a_plan_that_has_one() -> None:
    without, with_one = compile_plan(slow()), compile_plan(slow(timeout=60))

    assert "timeout" not in without.as_json()  # plans that were registered before keep their digests
    assert with_one.as_json()["timeout"] == 60
    assert with_one.digest != without.digest
    assert "+timeout = 60 s" in difference(without, with_one)
    for plan in (without, with_one):
        named = {"namespace": plan.namespace, "workflow": plan.workflow, "version": plan.version}
        assert Plan.from_json(json.loads(json.dumps(plan.as_json())), **named) == plan


def slow(**options: float) -> Workflow:
    workflow = Workflow("slow", **options)  # type: ignore[arg-type]
    workflow.step(name="a")(lambda ctx: None)
    return workflow
