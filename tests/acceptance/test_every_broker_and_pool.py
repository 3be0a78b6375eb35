"""Each broker with each pool carries a mix of all that a run may meet; `make test-matrix` is the long form."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.acceptance import flows
from tests.acceptance.plain_tasks import chord_of
from tests.fixtures.stages import StageMaker
from tests.support.checker import check
from tests.support.matrix import those_asked_for
from tests.support.processes import Stage, event_names, states, wait_for_all, wait_until

BROKERS = ["broker_url", "redis_url", pytest.param("rabbitmq_url", marks=pytest.mark.rabbitmq)]
POOLS = those_asked_for(["prefork", "threads", "gevent"])


@pytest.fixture(scope="module", params=BROKERS)
def stages(request: pytest.FixtureRequest, new_stage: StageMaker) -> Iterator[dict[str, Stage]]:
    """A stage for each pool on one broker; the workers start at the same time."""
    url = str(request.getfixturevalue(request.param))
    with ExitStack() as stack:
        made = {pool: stack.enter_context(new_stage(broker=url)) for pool in POOLS}
        workers = [stage.start_worker("--pool", pool, "-c3", ready=False) for pool, stage in made.items()]
        for stage, worker in zip(made.values(), workers, strict=True):
            stage.start_coordinator()
            worker.wait_until_ready()
        yield made


@pytest.mark.parametrize("pool", POOLS)
def test_a_mix_runs(stages: dict[str, Stage], pool: str) -> None:
    stage = stages[pool]
    graphs = stage.client.submit_many(flows.diamond, [{"n": number} for number in range(3)])
    shaky = stage.submit(flows.flaky, {"failures": 1})
    asked = stage.submit(flows.consent)
    cancelled = stage.submit(flows.gated, {"gate": "never opened"})
    paused = stage.submit(flows.gated, {"gate": "paused"})
    chord = chord_of(stage.client.engine.app, [1, 2, 3]).apply_async()

    stage.wait_for_call(paused, "hold")
    paused.pause()
    stage.open_gate("paused")
    wait_until(
        lambda: states(paused) == {"hold": "succeeded", "follow": "ready"}, why="what runs ends, nothing follows"
    )
    paused.resume()
    stage.wait_for_call(cancelled, "hold")
    cancelled.cancel()
    asked.signal("approved", {"by": "ada"})

    assert wait_for_all([*graphs, shaky, asked, paused, cancelled]) == ["succeeded"] * 6 + ["cancelled"]
    assert [run.result["bottom"]["right"] for run in graphs] == [0, 2, 4]
    assert event_names(shaky, "step.retrying") == ["step.retrying"]
    assert chord.get(timeout=20) == 12
    check(stage)
