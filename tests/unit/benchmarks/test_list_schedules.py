"""How soon a graph can have run at best."""

from benchmarks.graphs import Graph, first_come_first_served, layered_graph, longest_way_first, lower_bound

FORK = Graph(parents=[[], [], [], [2]], seconds=[2.0, 2.0, 1.0, 3.0])
"""Two steps of two seconds, and one of a second before one of three."""


def test_the_longest_way_goes_first() -> None:
    assert longest_way_first(FORK, 2) == 4.0
    assert first_come_first_served(FORK, 2) == 6.0
    assert lower_bound(FORK, 2) == 4.0


def test_one_worker_takes_as_long_as_all_steps_together() -> None:
    graph = layered_graph(10, 10, 1)

    assert round(longest_way_first(graph, 1), 6) == round(graph.total, 6)
    assert longest_way_first(graph, 2) >= lower_bound(graph, 2)


def test_a_layered_graph_is_the_same_for_the_same_seed() -> None:
    graph = layered_graph(10, 10, 1)

    assert graph == layered_graph.__wrapped__(10, 10, 1)
    assert graph != layered_graph(10, 10, 2)
    assert all(parent // 10 == number // 10 - 1 for number, some in enumerate(graph.parents) for parent in some)
    assert all(0.010 <= seconds <= 0.200 for seconds in graph.seconds)
