"""Celery's page "Canvas: Designing Work-flows", on real workers of each pool."""

import importlib.util
from collections.abc import Iterator
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.exceptions import ChordError

from tests.integration.backend.running import Canvas, canvas, wait_until
from tests.support.matrix import those_asked_for

SECONDS = 20


# gevent's consumer looks for messages only every 2 s while its prefetch is used up, whatever the backend
CONCURRENCY = {"prefork": "2", "threads": "2", "gevent": "50"}


@pytest.fixture(scope="module", params=those_asked_for(CONCURRENCY))
def here(request: pytest.FixtureRequest, postgres_url: str, broker_url: str) -> Iterator[Canvas]:
    if request.param == "gevent" and importlib.util.find_spec("gevent") is None:
        pytest.fail("the gevent pool is part of what we promise: install the test dependencies")
    with (
        canvas(postgres_url, broker_url) as here,
        here.worker("--pool", request.param, "--concurrency", CONCURRENCY[request.param]),
    ):
        yield here


@pytest.fixture
def app(here: Canvas) -> Celery:
    return here.app


@pytest.fixture
def tasks(here: Canvas) -> SimpleNamespace:
    return here.tasks


def value_of(result: Any) -> Any:
    return result.get(timeout=SECONDS)


def test_a_task_returns_its_result(tasks: SimpleNamespace) -> None:
    result = tasks.add.delay(2, 2)

    assert value_of(result) == 4
    assert result.state == "SUCCESS"
    assert result.date_done is not None


def test_a_link_is_called_with_the_result_and_is_a_child(tasks: SimpleNamespace) -> None:
    result = tasks.add.apply_async((2, 2), link=tasks.add.s(16))

    assert [value for _, value in result.collect()] == [4, 20]
    assert value_of(result.children[0]) == 20


def test_an_immutable_link_takes_no_result(tasks: SimpleNamespace) -> None:
    result = tasks.add.apply_async((2, 2), link=tasks.add.si(8, 8))

    assert value_of(result) == 4
    assert value_of(result.children[0]) == 16


def test_a_link_may_be_a_group(tasks: SimpleNamespace) -> None:
    result = tasks.add.apply_async((2, 2), link=group(tasks.add.s(1), tasks.add.s(2)))

    assert value_of(result) == 4
    assert value_of(result.children[0]) == [5, 6]


@pytest.mark.parametrize(("errback", "entry"), [("errback", "errback ValueError"), ("old_errback", "old errback")])
def test_an_errback_is_called_once(here: Canvas, errback: str, entry: str) -> None:
    result = here.tasks.fail.apply_async(link_error=getattr(here.tasks, errback).s())

    with pytest.raises(ValueError, match="as asked"):
        value_of(result)
    wait_until(lambda: here.rows("SELECT FROM trace WHERE entry LIKE %s", f"{entry}%"))


def test_a_chain_passes_results_on_and_knows_its_parents(tasks: SimpleNamespace) -> None:
    result = chain(tasks.add.s(4, 4), tasks.add.s(8), tasks.add.s(10))()

    assert value_of(result) == 26
    assert (result.parent.get(), result.parent.parent.get()) == (16, 8)


def test_a_failure_in_a_chain_reaches_its_end(tasks: SimpleNamespace) -> None:
    result = chain(tasks.add.s(1, 1), tasks.fail.s(), tasks.add.s(10))()

    with pytest.raises(ValueError, match="as asked"):
        value_of(result)
    wait_until(lambda: result.state == "FAILURE")


def test_a_group_keeps_its_order(tasks: SimpleNamespace) -> None:
    result = group(tasks.add.s(number, number) for number in range(20))()

    assert value_of(result) == [2 * number for number in range(20)]
    assert result.successful()
    assert result.completed_count() == 20


def test_a_skewed_group_runs_one_after_the_other(tasks: SimpleNamespace) -> None:
    skewed = group(tasks.add.s(number, 1) for number in range(3)).skew(start=0.1, stop=0.3, step=0.1)

    assert value_of(skewed.apply_async()) == [1, 2, 3]


def test_a_saved_group_is_restored_and_deleted(app: Celery, tasks: SimpleNamespace) -> None:
    result = group(tasks.add.s(1, 1), tasks.add.s(2, 2))()
    result.save()

    restored = app.GroupResult.restore(result.id)
    assert restored == result
    assert value_of(restored) == [2, 4]
    restored.delete()
    assert app.GroupResult.restore(result.id) is None


@pytest.mark.parametrize("size", [1, 2, 10])
def test_a_chord_passes_the_results_in_order(tasks: SimpleNamespace, size: int) -> None:
    header = [tasks.add.s(number, 0) for number in range(size)]

    assert value_of(chord(header)(tasks.same.s())) == list(range(size))


def test_a_chord_may_be_made_from_a_generator(tasks: SimpleNamespace) -> None:
    result = chord(tasks.add.s(number, number) for number in range(100))(tasks.total.s())

    assert value_of(result) == 9900


def test_a_chord_of_no_parts_calls_its_body(tasks: SimpleNamespace) -> None:
    assert value_of(chord([])(tasks.same.s())) == []


def test_a_chord_of_a_thousand_parts(tasks: SimpleNamespace) -> None:
    result = chord(tasks.same.s(number) for number in range(1000))(tasks.same.s())

    assert result.get(timeout=40) == list(range(1000))


def test_parts_may_ignore_their_results(tasks: SimpleNamespace) -> None:
    result = chord([tasks.unkept.s(1), tasks.unkept.s(2)])(tasks.total.s())

    assert value_of(result) == 3
    assert [part.state for part in result.parent] == ["PENDING", "PENDING"]


def test_a_group_chained_with_a_task_is_a_chord(tasks: SimpleNamespace) -> None:
    header = group(tasks.add.s(number, number) for number in range(4))

    assert value_of((header | tasks.total.s())()) == 12


def test_chords_follow_one_another_in_a_chain(tasks: SimpleNamespace) -> None:
    flow = (
        group(tasks.same.s(1), tasks.same.s(2))
        | tasks.total.s()
        | group(tasks.add.s(10), tasks.add.s(20))
        | tasks.total.s()
        | tasks.add.s(100)
    )

    assert value_of(flow()) == 136


def test_a_group_after_a_group_gets_the_list(tasks: SimpleNamespace) -> None:
    flow = group(tasks.same.s(1), tasks.same.s(2)) | group(tasks.total.s(), tasks.same.s())

    assert value_of(flow()) == [3, [1, 2]]


def test_the_body_may_be_a_chain(tasks: SimpleNamespace) -> None:
    assert value_of(chord([tasks.same.s(1), tasks.same.s(2)])(tasks.total.s() | tasks.add.s(10))) == 13


def test_the_body_may_be_a_chord(tasks: SimpleNamespace) -> None:
    inner = chord([tasks.total.s(), tasks.total.s()], tasks.same.s())

    assert value_of(chord([tasks.same.s(1), tasks.same.s(2)])(inner)) == [3, 3]


def test_an_inner_chords_body_is_a_part_of_the_outer(tasks: SimpleNamespace) -> None:
    inner = chord([tasks.add.s(1, 1), tasks.add.s(2, 2)], tasks.total.s())
    outer = chord([inner, chord([tasks.same.s(7)], tasks.total.s()), tasks.add.s(3, 3)])

    assert value_of(outer(tasks.same.s())) == [6, 7, 6]


def test_chords_nest_three_deep(tasks: SimpleNamespace) -> None:
    deepest = chord([tasks.same.s(1), tasks.same.s(2)], tasks.total.s())
    middle = chord([deepest, tasks.same.s(3)], tasks.total.s())

    assert value_of(chord([middle, tasks.same.s(4)])(tasks.total.s())) == 10


def test_the_results_of_groups_in_a_header_nest(tasks: SimpleNamespace) -> None:
    fans_out = tasks.add.s(1, 1) | group(tasks.add.s(1), tasks.add.s(2))

    assert value_of(chord([fans_out, tasks.same.s(9)])(tasks.same.s())) == [[3, 4], 9]


def test_a_chain_in_a_header_counts_once(tasks: SimpleNamespace) -> None:
    header = [tasks.add.s(1, 1) | tasks.add.s(1), tasks.add.s(2, 2) | tasks.add.s(2)]

    assert value_of(chord(header)(tasks.same.s())) == [3, 6]


def test_a_retried_part_counts_once(tasks: SimpleNamespace) -> None:
    assert value_of(chord([tasks.flaky.s(1), tasks.flaky.s(2)])(tasks.same.s())) == [1, 2]


@pytest.mark.parametrize(("task", "value"), [("replaced", 5), ("replaced_by_group", [5, 6]), ("replaced_by_chord", 11)])
def test_a_part_may_replace_itself(tasks: SimpleNamespace, task: str, value: Any) -> None:
    header = [getattr(tasks, task).s(5), tasks.same.s(1)]

    assert value_of(chord(header)(tasks.same.s())) == [value, 1]


def test_a_task_in_a_chain_may_replace_itself(tasks: SimpleNamespace) -> None:
    assert value_of(chain(tasks.replaced_by_chord.s(5), tasks.add.s(1))()) == 12


def test_a_part_may_add_another(tasks: SimpleNamespace) -> None:
    result = chord([tasks.adds_a_part.s(1), tasks.same.s(10)])(tasks.total.s())

    assert value_of(result) == 13


@pytest.mark.parametrize("seed", range(20))
def test_a_random_canvas_gives_what_arithmetic_gives(tasks: SimpleNamespace, seed: int) -> None:
    signature, value = random_canvas(Random(seed), tasks, depth=3)

    assert value_of(signature.apply_async()) == value


def test_map_starmap_and_chunks(tasks: SimpleNamespace) -> None:
    assert value_of(tasks.total.map([[1, 2], [3, 4]]).delay()) == [3, 7]
    assert value_of(tasks.add.starmap([(1, 2), (3, 4)]).delay()) == [3, 7]
    assert value_of(tasks.add.chunks([(1, 1), (2, 2), (3, 3)], 2).group()()) == [[2, 4], [6]]


def test_a_failed_part_fails_the_body_and_calls_its_errback(here: Canvas) -> None:
    tasks = here.tasks
    body = tasks.total.s().on_error(tasks.errback.s())
    result = chord([tasks.same.s(1), tasks.fail.s(), tasks.same.s(2)])(body)

    with pytest.raises(ChordError, match=r"Dependency .* raised ValueError\('as asked'\)"):
        wait_for_end(result)
    wait_until(lambda: here.traced("errback ChordError") == 1)


def test_a_failed_header_fails_each_task_of_a_group_body(tasks: SimpleNamespace) -> None:
    result = chord([tasks.fail.s(), tasks.same.s(1)])(group(tasks.total.s(), tasks.same.s()))

    for member in result:
        with pytest.raises(ValueError, match="as asked"):
            wait_for_end(member)


def test_a_failed_header_fails_the_whole_chain_of_the_body(tasks: SimpleNamespace) -> None:
    result = chord([tasks.fail.s(), tasks.same.s(1)])(tasks.total.s() | tasks.add.s(1))

    with pytest.raises(ChordError):
        wait_for_end(result)


def test_a_failed_header_fails_a_body_that_is_a_chord(tasks: SimpleNamespace) -> None:
    inner = chord([tasks.total.s(), tasks.total.s()], tasks.same.s())
    result = chord([tasks.fail.s(), tasks.same.s(1)])(inner)

    with pytest.raises(ChordError):
        wait_for_end(result)


def test_a_failed_inner_chord_fails_the_outer(tasks: SimpleNamespace) -> None:
    inner = chord([tasks.fail.s(), tasks.same.s(1)], tasks.total.s())
    result = chord([inner, tasks.same.s(1)])(tasks.total.s())

    with pytest.raises(ChordError):
        wait_for_end(result)


@pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header")
def test_an_errback_linked_to_nested_chords_is_called_once(here: Canvas) -> None:
    tasks = here.tasks
    inner = chord([tasks.fail.s(), tasks.same.s(1)], tasks.total.s())
    middle = chord([inner, tasks.same.s(2)], tasks.total.s())
    outer = chord([middle, tasks.same.s(3)], tasks.total.s().on_error(tasks.old_errback.si("of the body")))
    outer.link_error(tasks.old_errback.si("of all"))

    with pytest.raises(ChordError):
        wait_for_end(outer.apply_async())

    wait_until(lambda: here.traced("old errback of all") == 1)
    wait_until(lambda: here.traced("old errback of the body") == 1)
    assert value_of(tasks.same.delay("nothing else is queued")) == "nothing else is queued"
    assert here.traced("old errback of all") == 1


def test_a_chain_that_fails_early_fails_the_chord_it_is_a_part_of(tasks: SimpleNamespace) -> None:
    fails = tasks.fail.s() | tasks.add.s(1)
    fans_out = tasks.fail.s() | group(tasks.add.s(1), tasks.add.s(2))

    for part in (fails, fans_out):
        with pytest.raises(ChordError):
            wait_for_end(chord([part, tasks.same.s(1)])(tasks.same.s()))


def test_a_chain_that_fails_early_fails_the_group_at_its_end(tasks: SimpleNamespace) -> None:
    result = (tasks.fail.s() | group(tasks.add.s(1), tasks.add.s(2)))()

    for member in result:
        with pytest.raises(ValueError, match="as asked"):
            wait_for_end(member)


def test_the_error_of_a_chord_is_that_of_its_part_if_parents_are_followed(tasks: SimpleNamespace) -> None:
    result = chord([tasks.fail.s(), tasks.same.s(1)])(tasks.same.s())

    with pytest.raises(ValueError, match="as asked"):
        value_of(result)


def test_results_are_forgotten(tasks: SimpleNamespace) -> None:
    result = tasks.add.delay(1, 1)
    assert value_of(result) == 2

    result.forget()

    assert result.state == "PENDING"


def test_no_chord_is_left_open(here: Canvas) -> None:
    assert value_of(chord([here.tasks.same.s(1)])(here.tasks.same.s())) == [1]

    wait_until(lambda: not here.rows("SELECT FROM chord_parts"))
    wait_until(lambda: not here.rows("SELECT FROM chords WHERE arrived > 0 AND closed_at IS NULL"))


def random_canvas(random: Random, tasks: SimpleNamespace, depth: int) -> tuple[Any, int]:
    """Return nested chains and chords, parts that replace themselves among them, and the number they come to."""
    number = random.randint(0, 9)
    if depth == 0 or random.random() < 0.2:
        leaf = random.choice([tasks.same, tasks.replaced, tasks.flaky])
        return leaf.si(number), number
    if random.random() < 0.4:
        inner, value = random_canvas(random, tasks, depth - 1)
        return chain(inner, tasks.add.s(number)), value + number
    parts = [random_canvas(random, tasks, depth - 1) for _ in range(random.randint(1, 4))]
    value = sum(value for _, value in parts)
    header = [signature for signature, _ in parts]
    if random.random() < 0.5:
        return chord(header, tasks.total.s()), value
    return chord(header, chain(tasks.total.s(), tasks.add.s(number))), value + number


def wait_for_end(result: Any) -> Any:
    """Wait for this very result; its parents, which `get` looks at too, fail before it does."""
    result.parent = None
    return value_of(result)
