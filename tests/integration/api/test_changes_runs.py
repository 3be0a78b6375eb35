"""Batches, cancels, signals, dead letters and schedules by HTTP."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.api.walking import Walk

ORDER = {"input": {"order_id": 17}}


@pytest.fixture
def run(http: httpx.Client) -> str:
    """A new run of ``orders``."""
    made: str = http.post("/v1/workflows/orders/runs", json=ORDER).json()["id"]
    return made


def batch(http: httpx.Client, *runs: dict[str, Any]) -> httpx.Response:
    return http.post("/v1/runs/batch", json={"runs": runs})


def test_a_batch_submits_runs_of_several_workflows(http: httpx.Client) -> None:
    answer = batch(http, {"workflow": "orders", **ORDER, "title": "One"}, {"workflow": "approvals"})

    assert answer.status_code == 201
    shown = [http.get(each["links"]["self"]).json() for each in answer.json()["items"]]
    assert [(each["workflow"], each["title"]) for each in shown] == [("orders", "One"), ("approvals", None)]


def test_a_batch_that_was_there_before_is_answered_with_200(http: httpx.Client) -> None:
    key = uuid4().hex
    runs = [{"workflow": "orders", **ORDER, "idempotency_key": f"{key}-{number}"} for number in range(3)]
    first = batch(http, *runs)

    again = batch(http, *runs)
    assert (first.status_code, again.status_code) == (201, 200)
    assert [each["id"] for each in again.json()["items"]] == [each["id"] for each in first.json()["items"]]


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"workflow": "orders", "input": {}}, 422, "runs[1].input"),
        ({"workflow": "orders", **ORDER, "colour": "red"}, 422, "runs[1].colour"),
        ({**ORDER}, 422, "runs[1].workflow"),
        ({"workflow": "nothing"}, 404, None),
        ({"workflow": "orders", "input": {"order_id": 1}, "idempotency_key": "taken"}, 409, None),
    ],
)
def test_nothing_of_a_batch_is_stored_if_one_is_refused(
    http: httpx.Client, wrong: dict[str, Any], code: int, field: str | None
) -> None:
    tag = uuid4().hex
    batch(http, {"workflow": "orders", **ORDER, "idempotency_key": "taken"})

    answer = batch(http, {"workflow": "orders", **ORDER, "tags": [tag]}, wrong)

    assert answer.status_code == code
    assert field is None or answer.json()["errors"][0]["field"] == field
    assert http.get("/v1/runs", params={"tag": tag}).json()["items"] == []


@pytest.mark.parametrize("number", [0, 1_001])
def test_a_batch_has_1_to_1_000_runs(http: httpx.Client, number: int) -> None:
    answer = batch(http, *[{"workflow": "orders", **ORDER}] * number)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "runs"


def test_a_run_is_cancelled_once_and_asking_again_changes_nothing(http: httpx.Client, run: str) -> None:
    first = http.post(f"/v1/runs/{run}/cancel", json={"reason": "withdrawn", "actor": "ada"}).json()
    again = http.post(f"/v1/runs/{run}/cancel").json()

    assert first == {"id": run, "state": "cancelled", "changed": True}
    assert again == {"id": run, "state": "cancelled", "changed": False}
    told = http.get(f"/v1/runs/{run}/events", params={"limit": 1_000}).json()["items"]
    (cancelling,) = [each for each in told if each["name"] == "run.cancelling"]
    assert (cancelling["data"]["reason"], cancelling["data"]["actor"]) == ("withdrawn", "ada")


@pytest.mark.parametrize("number", [1, 1_000])
def test_a_batch_takes_the_same_statements_whatever_its_size(
    http: httpx.Client, statements_of: Callable[[], int], number: int
) -> None:
    batch(http, {"workflow": "orders", **ORDER})
    statements_of()

    assert batch(http, *[{"workflow": "orders", **ORDER}] * number).status_code == 201

    assert statements_of() <= 2


def test_a_run_that_has_ended_is_not_cancelled(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.finish(run, "charge", "pack", "ship")

    answer = http.post(f"/v1/runs/{run}/cancel")

    assert (answer.status_code, answer.json()["state"]) == (409, "succeeded")


def test_a_run_is_paused_and_resumed_once(http: httpx.Client, run: str) -> None:
    answers = [http.post(f"/v1/runs/{run}/{act}").json() for act in ("pause", "pause", "resume", "resume")]

    assert [(each["state"], each["changed"]) for each in answers] == [
        ("paused", True),
        ("paused", False),
        ("pending", True),
        ("pending", False),
    ]


def test_a_failed_run_is_retried(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.fail(run, "charge")

    answer = http.post(f"/v1/runs/{run}/retry", json={"reason": "card renewed"}).json()

    assert (answer["state"], answer["requeued"], answer["changed"]) == ("running", ["charge"], True)


def test_a_step_is_resolved_by_hand(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.fail(run, "charge")

    answer = http.post(f"/v1/runs/{run}/steps/charge/resolve", json={"result": {"paid": True}, "reason": "in cash"})

    assert answer.json() == {"id": run, "state": "running", "changed": True}
    assert http.get(f"/v1/runs/{run}/steps").json()["items"][0]["result"] == {"paid": True}


def test_a_run_is_done_again_from_a_step(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.finish(run, "charge", "pack", "ship")

    first, again = (
        http.post(f"/v1/runs/{run}/rerun", json={"step": "pack", "idempotency_key": f"again-{run}"}) for _ in range(2)
    )

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"] != run
    steps = http.get(first.json()["links"]["steps"]).json()["items"]
    assert [step["state"] for step in steps] == ["succeeded", "ready", "waiting"]


def test_what_is_said_about_a_run_is_changed(http: httpx.Client, run: str) -> None:
    said = {"due_at": "2030-01-31T12:00:00Z", "remind_before": [3600], "priority": "low", "metadata": {"a": 1}}
    assert set(http.patch(f"/v1/runs/{run}", json=said).json()["changed"]) == said.keys()

    shown = http.get(f"/v1/runs/{run}").json()
    assert {name: shown[name] for name in said} == said | {"remind_before": [3600.0]}
    assert http.patch(f"/v1/runs/{run}", json={"metadata": {"a": None}, "due_at": None}).status_code == 200
    shown = http.get(f"/v1/runs/{run}").json()
    assert (shown["metadata"], shown["due_at"], shown["priority"]) == ({}, None, "low")
    assert http.patch(f"/v1/runs/{run}", json={}).status_code == 422


def test_a_run_that_has_ended_is_deleted(http: httpx.Client, run: str) -> None:
    refused = http.delete(f"/v1/runs/{run}")
    assert (refused.status_code, refused.json()["state"]) == (409, "pending")

    http.post(f"/v1/runs/{run}/cancel")
    assert http.delete(f"/v1/runs/{run}", params={"reason": "asked to forget"}).status_code == 204
    assert http.get(f"/v1/runs/{run}").status_code == 404
    assert http.delete(f"/v1/runs/{run}").status_code == 404


def test_many_runs_are_updated_and_deleted_by_a_filter(http: httpx.Client) -> None:
    tag = uuid4().hex
    ids = [each["id"] for each in batch(http, *[{"workflow": "orders", **ORDER, "tags": [tag]}] * 2).json()["items"]]
    wanted = {"filter": {"tags": [tag]}}

    updated = http.post("/v1/runs/bulk/update", json=wanted | {"changes": {"priority": "low"}}).json()
    assert sorted(updated["done"]) == sorted(ids)
    assert http.post("/v1/runs/bulk/update", json=wanted | {"changes": {}}).status_code == 422
    assert http.post("/v1/runs/bulk/delete", json=wanted).json()["matched"] == 0
    http.post("/v1/runs/bulk/cancel", json=wanted)
    assert http.post("/v1/runs/bulk/delete", json=wanted | {"dry_run": True}).json()["matched"] == 2
    assert sorted(http.post("/v1/runs/bulk/delete", json=wanted).json()["done"]) == sorted(ids)


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("pause", {}),
        ("resume", {}),
        ("cancel", {}),
        ("retry", {}),
        ("steps/pack/resolve", {"result": 1, "reason": "r"}),
    ],
)
def test_what_does_not_go_with_a_runs_end_is_a_409_that_names_the_state(
    http: httpx.Client, run: str, walk: Walk, act: str, body: dict[str, Any]
) -> None:
    walk.finish(run, "charge", "pack", "ship")

    answer = http.post(f"/v1/runs/{run}/{act}", json=body)

    assert (answer.status_code, answer.json()["state"]) == (409, "succeeded")


def test_a_run_that_goes_on_is_not_done_again(http: httpx.Client, run: str) -> None:
    answer = http.post(f"/v1/runs/{run}/rerun", json={"step": "pack"})

    assert (answer.status_code, answer.json()["state"]) == (409, "pending")


@pytest.mark.parametrize("act", ["steps/pick/resolve", "rerun", "retry"])
def test_an_unknown_step_is_not_found(http: httpx.Client, run: str, walk: Walk, act: str) -> None:
    walk.fail(run, "charge")
    bodies = {"rerun": {"step": "pick"}, "retry": {"steps": ["pick"]}}

    answer = http.post(f"/v1/runs/{run}/{act}", json=bodies.get(act, {"result": 1, "reason": "r"}))

    assert (answer.status_code, answer.json()["step"]) == (404, "pick")
    assert "did you mean 'pack'?" in answer.json()["detail"]


def test_many_runs_are_changed_by_a_filter_after_a_dry_run(http: httpx.Client) -> None:
    tag = uuid4().hex
    made = batch(http, *[{"workflow": "orders", **ORDER, "tags": [tag]}] * 3).json()["items"]
    ids = sorted(each["id"] for each in made)
    wanted = {"filter": {"tags": [tag]}}

    dry = http.post("/v1/runs/bulk/cancel", json=wanted | {"dry_run": True}).json()
    assert (dry["dry_run"], dry["matched"], sorted(dry["done"]), dry["more"]) == (True, 3, ids, False)

    some = http.post("/v1/runs/bulk/pause", json=wanted | {"limit": 2}).json()
    assert (some["matched"], some["refused"], some["more"]) == (2, [], True)
    assert len(http.post("/v1/runs/bulk/resume", json=wanted).json()["done"]) == 2
    assert sorted(http.post("/v1/runs/bulk/cancel", json=wanted).json()["done"]) == ids
    assert http.post("/v1/runs/bulk/retry", json=wanted).json()["matched"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "filter"),
        ({"filter": {}}, "filter"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"filter": {"tags": "a"}}, "filter.tags"),
        ({"filter": {"workflow": "orders"}, "limit": 0}, "limit"),
        ({"filter": {"workflow": "orders"}, "limit": 1_001}, "limit"),
    ],
)
def test_a_bulk_must_say_which_runs_it_means(http: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = http.post("/v1/runs/bulk/cancel", json=body)

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_a_signal_is_taken_once_a_key(http: httpx.Client) -> None:
    run = http.post("/v1/workflows/approvals/runs", json={}).json()["id"]

    answers = [http.post(f"/v1/runs/{run}/signals/approved", json={"payload": True, "key": "k"}) for _ in range(2)]

    assert [each.json()["taken"] for each in answers] == [True, False]


def test_a_signal_that_nobody_waits_for_is_refused(http: httpx.Client, run: str) -> None:
    answer = http.post(f"/v1/runs/{run}/signals/approved", json={})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "name")

    http.post(f"/v1/runs/{run}/cancel")
    assert http.post(f"/v1/runs/{run}/signals/approved", json={}).status_code in {409, 422}


def test_a_dead_letter_is_found_shown_and_requeued(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.fail(run, "charge")

    (letter,) = http.get("/v1/dead-letters", params={"run": run}).json()["items"]
    assert (letter["id"], letter["error_class"], letter["state"]) == (f"{run}/charge", "CardDeclined", "dead")
    assert http.get(f"/v1/dead-letters/{run}/charge").json()["message"] == "insufficient funds"
    history = http.get(f"/v1/dead-letters/{run}/charge/history").json()["items"]
    assert history[-1]["name"] == "step.failed"

    closed = http.post(f"/v1/dead-letters/{run}/charge/requeue", json={"reason": "card renewed"}).json()
    assert (closed["state"], closed["reason"]) == ("requeued", "card renewed")
    again = http.post(f"/v1/dead-letters/{run}/charge/requeue")
    assert (again.status_code, again.json()["state"]) == (409, "requeued")


def test_dead_letters_are_discarded_by_a_filter_after_a_dry_run(http: httpx.Client, run: str, walk: Walk) -> None:
    walk.fail(run, "charge")

    dry = http.post("/v1/dead-letters/bulk/discard", json={"run": run, "dry_run": True}).json()
    assert dry == {"dry_run": True, "matched": 1, "done": [f"{run}/charge"], "refused": [], "more": False}
    assert http.get(f"/v1/dead-letters/{run}/charge").json()["state"] == "dead"

    http.post("/v1/dead-letters/bulk/discard", json={"run": run})
    assert http.get(f"/v1/dead-letters/{run}/charge").json()["state"] == "discarded"


def test_dead_letters_come_page_by_page(http: httpx.Client, walk: Walk) -> None:
    runs = [http.post("/v1/workflows/orders/runs", json=ORDER).json()["id"] for _ in range(3)]
    for each in runs:
        walk.fail(each, "charge")

    first = http.get("/v1/dead-letters", params={"limit": 2, "workflow": "orders"}).json()
    second = http.get("/v1/dead-letters", params={"limit": 2, "workflow": "orders", "cursor": first["next"]}).json()

    assert [each["run_id"] for each in first["items"] + second["items"]][:3] == runs[::-1]


def test_a_schedule_is_made_changed_paused_and_deleted(http: httpx.Client) -> None:
    name = f"nightly-{uuid4().hex[:6]}"
    terms = {"cron": "30 6 * * *", "time_zone": "Europe/Berlin", "input": {"order_id": 17}, "title": "Nightly"}
    made = http.post("/v1/schedules", json={"name": name, "workflow": "orders", **terms})
    assert made.status_code == 201, made.text
    assert http.get(made.headers["location"]).json()["options"] == {"title": "Nightly"}

    changed = http.patch(f"/v1/schedules/{name}", json={"cron": "0 7 * * *"}).json()
    assert (changed["cron"], changed["options"]) == ("0 7 * * *", {"title": "Nightly"})
    assert len(http.get(f"/v1/schedules/{name}/next", params={"count": 3}).json()["items"]) == 3
    assert http.post(f"/v1/schedules/{name}/pause").json()["next_at"] is None
    assert http.post(f"/v1/schedules/{name}/resume").json()["paused_at"] is None
    assert http.get(f"/v1/schedules/{name}/occurrences").json() == {"items": [], "next": None}
    assert http.delete(f"/v1/schedules/{name}").status_code == 204
    assert http.get(f"/v1/schedules/{name}").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cron": "99 * * * *"}, "cron"),
        ({"cron": "0 6 * * *", "rrule": "FREQ=DAILY"}, "cron"),
        ({"cron": "0 6 * * *", "time_zone": "Mars/Phobos"}, "time_zone"),
        ({"cron": "0 6 * * *", "start": "2030-01-01"}, "start"),
        ({"cron": "0 6 * * *", "overlap": "maybe"}, "overlap"),
        ({"cron": "0 6 * * *", "name": "a b"}, "name"),
        ({"cron": "0 6 * * *", "input": {}}, "input"),
        ({"cron": "0 6 * * *", "due_at": "2030-01-01T00:00:00Z"}, "due_at"),
    ],
)
def test_a_wrong_schedule_is_refused_by_the_name_of_the_field(
    http: httpx.Client, wrong: dict[str, Any], field: str
) -> None:
    answer = http.post("/v1/schedules", json={"name": "s", "workflow": "orders", **ORDER, **wrong})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
