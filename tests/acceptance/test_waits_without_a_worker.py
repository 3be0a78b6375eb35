"""Steps that wait hold no worker, and nothing of them is lost with the coordinator."""

from tests.acceptance import flows
from tests.support.processes import Stage, states, wait_until


def test_a_worker_does_other_work_while_steps_wait_and_a_killed_coordinator_loses_none(lonely_stage: Stage) -> None:
    stage = lonely_stage
    coordinator = stage.start_coordinator_process()
    stage.start_worker("-c1")
    consent, nap = stage.submit(flows.consent), stage.submit(flows.napping)
    wait_until(lambda: states(consent)["approved"] == states(nap)["nap"] == "suspended")

    coordinator.kill()
    assert stage.submit(flows.diamond, {"n": 1}).wait(timeout=20).state == "succeeded"
    assert states(consent) == {"approved": "suspended", "act": "waiting"}
    assert stage.client.signal(consent.id, "approved", {"by": "ada"}, actor="ada")
    assert consent.wait(timeout=20).result == {"act": {"by": "ada"}}  # it takes no coordinator
    stage.start_coordinator_process()

    assert nap.wait(timeout=20).result == {"rise": "up"}
    started, finished = (getattr(nap.steps()[0], name) for name in ("started_at", "finished_at"))
    assert (finished - started).total_seconds() >= flows.NAP_SECONDS
