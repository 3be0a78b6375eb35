"""The same idempotency key gives the same run, and a batch is stored as a whole or not at all."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance import flows
from tests.support.processes import Stage, wait_for_all
from workflow_engine import IdempotencyConflict, InvalidInput


def test_sixteen_threads_with_one_key_make_one_run(running: Stage) -> None:
    with ThreadPoolExecutor(16) as threads:
        runs = list(
            threads.map(lambda _: running.submit(flows.diamond, {"n": 5}, idempotency_key="order-17"), range(16))
        )

    assert len({run.id for run in runs}) == 1
    assert sum(run.created for run in runs) == 1
    runs[0].wait(timeout=20)
    assert len(running.traced(runs[0])) == 4


def test_a_key_goes_on_naming_its_run_after_that_has_ended(running: Stage) -> None:
    first = running.submit(flows.diamond, {"n": 5}, idempotency_key="ended").wait(timeout=20)

    again = running.submit(flows.diamond, {"n": 5}, idempotency_key="ended")

    assert (again.id, again.state, again.created) == (first.id, "succeeded", False)


def test_the_same_input_in_another_order_of_keys_is_the_same_input(running: Stage) -> None:
    first = running.submit(flows.diamond, {"n": 5, "m": {"a": 1, "b": 2}}, idempotency_key="ordered")

    again = running.submit(flows.diamond, {"m": {"b": 2, "a": 1}, "n": 5}, idempotency_key="ordered")

    assert again.id == first.id
    first.wait(timeout=20)


def test_another_input_under_the_same_key_is_a_conflict_that_names_both(running: Stage) -> None:
    first = running.submit(flows.diamond, {"n": 5}, idempotency_key="taken")

    with pytest.raises(IdempotencyConflict, match="'taken' already belongs to run") as conflict:
        running.submit(flows.diamond, {"n": 6}, idempotency_key="taken")

    assert conflict.value.run_id == first.id
    first.wait(timeout=20)


def test_a_key_belongs_to_its_workflow(running: Stage) -> None:
    one = running.submit(flows.diamond, {"n": 5}, idempotency_key="shared")
    other = running.submit(flows.chain, {"n": 5}, idempotency_key="shared")

    assert one.id != other.id
    wait_for_all([one, other])


def test_a_thousand_runs_are_stored_in_one_transaction_and_all_run(running: Stage) -> None:
    runs = running.client.submit_many(flows.single, [{"n": number} for number in range(1_000)])

    transactions = running.rows(
        "SELECT DISTINCT xmin::text FROM events WHERE run_id = ANY(%s::uuid[]) AND name = 'run.submitted'",
        [run.id for run in runs],
    )
    assert len(transactions) == 1
    assert set(wait_for_all(runs, within=60)) == {"succeeded"}
    assert [runs[number].result for number in (0, 999)] == [{"only": 0}, {"only": 999}]


def test_one_bad_input_of_many_is_named_and_nothing_is_stored(running: Stage) -> None:
    before = running.rows("SELECT count(*) AS number FROM runs")

    with pytest.raises(InvalidInput, match=r"^inputs\[2\]\.input: order_id: Field required"):
        running.client.submit_many(flows.strict, [{"order_id": 1}, {"order_id": 2}, {"order": 3}])

    assert running.rows("SELECT count(*) AS number FROM runs") == before


def test_more_than_a_thousand_at_once_are_refused(running: Stage) -> None:
    with pytest.raises(InvalidInput, match="at most 1000 runs"):
        running.client.submit_many(flows.diamond, ({"n": 1} for _ in range(1_001)))


def test_no_runs_at_all_are_a_batch_too(running: Stage) -> None:
    assert running.client.submit_many(flows.diamond, []) == []
