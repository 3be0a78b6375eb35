"""Steps that are HTTP calls, in a real worker against a real server."""

from tests.acceptance.api_flows import calls
from tests.fixtures.stages import StageMaker
from tests.support.http_server import Answer, http_server, json_answer
from tests.support.processes import event_names


def test_calls_are_tried_again_with_the_same_key_and_refusals_are_final(new_stage: StageMaker) -> None:
    with new_stage() as stage, http_server() as server:
        stage.start_coordinator()
        stage.start_worker("-c1", app="tests.acceptance.api_app")

        server.answers = [Answer(status=503), json_answer({}, 429, **{"Retry-After": "0"}), json_answer({"paid": 7})]
        paid = stage.submit(calls, {"url": server.url}).wait(timeout=30)
        server.answers = [Answer(status=404, body=b"no such order")]
        refused = stage.submit(calls, {"url": server.url}).wait(timeout=30)

        assert paid.state == "succeeded"
        assert event_names(paid, "step.retrying", "step.completed") == ["step.retrying"] * 2 + ["step.completed"]
        assert [asked.headers["idempotency-key"] for asked in server.asked[:3]] == [f"{paid.id}:call"] * 3
        assert refused.state == "failed"
        assert refused.error is not None
        assert "404" in refused.error["message"]
        assert len(server.asked) == 4
