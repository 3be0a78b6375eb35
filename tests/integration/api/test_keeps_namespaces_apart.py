"""Nobody sees or changes what is another namespace's, nor acts in another's name, in whatever way they ask."""

from collections.abc import Mapping
from typing import Final

import httpx
import pytest

from tests.integration.api.every_route import NO_ID, WITH_BODY, Asked
from tests.support.tokens import bearer

THEIRS: Final = bearer(sub="eve", namespaces=["elsewhere"])
OURS: Final = bearer(sub="ada")
TAG: Final = "both-have-it"


@pytest.fixture(scope="module")
def runs(guarded: httpx.Client) -> Mapping[str, list[str]]:
    """Three runs in each of two namespaces, that look the same from outside."""

    def submit(number: int, headers: dict[str, str]) -> str:
        body = {"input": {"order_id": number}, "tags": [TAG], "metadata": {"n": number}, "title": "Order"}
        answer = guarded.post("/v1/workflows/orders/runs", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        found: str = answer.json()["id"]
        return found

    return {name: [submit(n, who) for n in range(3)] for name, who in (("ours", OURS), ("theirs", THEIRS))}


@pytest.mark.parametrize(
    "query",
    [
        {"tag": TAG},
        {"tag": TAG, "workflow": "orders"},
        {"tag": TAG, "metadata": '{"n": 1}'},
        {"tag": TAG, "title": "order"},
        {"tag": TAG, "initiator": "eve"},
        {"tag": TAG, "order": "oldest"},
        {"tag": "' OR namespace = 'elsewhere' --"},
    ],
    ids=str,
)
def test_a_list_has_only_what_is_ours(
    guarded: httpx.Client, runs: Mapping[str, list[str]], query: dict[str, str]
) -> None:
    found = guarded.get("/v1/runs", params={**query, "limit": 1000}, headers=OURS).json()

    assert {each["id"] for each in found["items"]} <= set(runs["ours"])
    assert {each["namespace"] for each in found["items"]} <= {"default"}


def test_a_cursor_of_anothers_list_does_not_lead_there(guarded: httpx.Client, runs: Mapping[str, list[str]]) -> None:
    theirs = guarded.get("/v1/runs", params={"tag": TAG, "limit": 1}, headers=THEIRS).json()
    assert theirs["items"][0]["id"] in runs["theirs"]

    answer = guarded.get("/v1/runs", params={"tag": TAG, "cursor": theirs["next"]}, headers=OURS)

    assert answer.status_code in {200, 400, 422}
    assert not {each["id"] for each in answer.json().get("items", [])}.intersection(runs["theirs"])


def test_a_key_in_a_batch_is_free_whatever_others_use(guarded: httpx.Client) -> None:
    body = {"runs": [{"workflow": "orders", "input": {"order_id": 1}, "idempotency_key": "of-a-batch"}]}

    theirs = guarded.post("/v1/runs/batch", json=body, headers=THEIRS).json()["items"]
    ours = guarded.post("/v1/runs/batch", json=body, headers=OURS).json()["items"]

    assert ours[0]["created"]
    assert ours[0]["id"] != theirs[0]["id"]


def test_a_schedule_of_another_namespace_is_not_there(guarded: httpx.Client) -> None:
    body = {"name": "theirs-alone", "workflow": "orders", "cron": "0 6 * * *"}
    assert guarded.post("/v1/schedules", json=body, headers=THEIRS).status_code == 201

    assert "theirs-alone" not in guarded.get("/v1/schedules", headers=OURS).text
    for path in ("", "/next", "/occurrences"):
        there = guarded.get(f"/v1/schedules/theirs-alone{path}", headers=OURS)
        nowhere = guarded.get(f"/v1/schedules/no-such-alone{path}", headers=OURS)
        assert (there.status_code, there.text.replace("theirs-", "no-such-")) == (404, nowhere.text)
    assert guarded.delete("/v1/schedules/theirs-alone", headers=OURS).status_code == 404
    assert guarded.get("/v1/schedules/theirs-alone", headers=THEIRS).status_code == 200


def test_a_workflow_of_another_namespace_shows_ours_of_that_name(guarded: httpx.Client) -> None:
    ours = guarded.get("/v1/workflows/orders", headers=OURS).json()
    theirs = guarded.get("/v1/workflows/orders", headers=THEIRS).json()

    assert (ours["namespace"], theirs["namespace"]) == ("default", "elsewhere")
    assert [step["name"] for step in theirs["steps"]] == ["only"]
    tag = guarded.get("/v1/workflows/orders", headers=THEIRS).headers["etag"]
    assert guarded.get("/v1/workflows/orders", headers=OURS | {"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("route", WITH_BODY, ids=str)
@pytest.mark.parametrize("field", ["actor", "initiator"])
def test_only_an_admin_acts_in_the_name_of_somebody_else(
    guarded: httpx.Client, runs: Mapping[str, list[str]], route: Asked, field: str
) -> None:
    if field not in route.body_fields:
        return
    headers = bearer(scopes=["runs:read", "runs:write"])
    body = (route.good_body or {}) | {field: "bob"}

    url = route.url.replace(NO_ID, runs["ours"][0])
    answer = guarded.request(route.method, url, json=body, headers=headers)

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, field)


def test_nobody_names_another_initiator_in_a_batch(guarded: httpx.Client) -> None:
    body = {"runs": [{"workflow": "orders", "input": {"order_id": 1}}, {"workflow": "orders", "initiator": "bob"}]}

    answer = guarded.post("/v1/runs/batch", json=body, headers=bearer(scopes=["runs:write"]))

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (403, "runs[1].initiator")


def test_a_dead_letter_is_not_handled_from_elsewhere(guarded: httpx.Client) -> None:
    everything = {"dry_run": True}
    for action in ("requeue", "discard"):
        found = guarded.post(f"/v1/dead-letters/bulk/{action}", json=everything, headers=THEIRS).json()
        assert found["matched"] == 0
        answer = guarded.post(f"/v1/dead-letters/{NO_ID}/only/{action}", json={}, headers=THEIRS)
        assert answer.status_code == 404


def test_what_is_done_to_all_that_fit_is_done_to_ours_alone(
    guarded: httpx.Client, runs: Mapping[str, list[str]]
) -> None:
    for name, who in (("ours", OURS), ("theirs", THEIRS)):
        body = {"filter": {"tags": [TAG]}, "dry_run": True}
        found = guarded.post("/v1/runs/bulk/cancel", json=body, headers=who).json()
        assert set(found["done"]) == set(runs[name])

    body = {"filter": {"tags": [TAG], "metadata": {"n": 2}}}
    done = guarded.post("/v1/runs/bulk/cancel", json=body, headers=OURS).json()

    assert done["done"] == [runs["ours"][2]]
    theirs = guarded.get(f"/v1/runs/{runs['theirs'][2]}", headers=THEIRS).json()
    assert theirs["state"] == "pending"


def test_what_a_worker_runs_is_told_only_to_who_sees_every_namespace(
    guarded: httpx.Client, beating_worker: str
) -> None:
    seen = {
        name: guarded.get("/v1/workers", headers=bearer(namespaces=[name])).json()["items"] for name in ("default", "*")
    }

    assert {each["steps_held"] for each in seen["default"]} == {None}
    assert all(isinstance(each["steps_held"], int) for each in seen["*"])
    assert beating_worker in {each["id"] for each in seen["default"]} == {each["id"] for each in seen["*"]}
