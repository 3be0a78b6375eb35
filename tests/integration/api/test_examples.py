"""Every operation of the OpenAPI document has an example, and every example is answered as the document says.

``RECORD_EXAMPLES=1`` writes down what is answered, with ids and times in place of ours.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from tests.fixtures.database import new_database
from tests.integration.api.flows import approvals, orders
from tests.integration.api.walking import Walk
from tests.support.api_server import asking
from tests.support.recording import WORKER
from workflow_engine import Engine, Settings
from workflow_engine.api import examples
from workflow_engine.api.app import openapi_document
from workflow_engine.api.wiring import api_of
from workflow_engine.model.workers import WorkerFacts

RUN: Final = "019b0c1e-0c00-7000-8000-000000000001"
"""The run of the examples."""
_NOON: Final = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIME: Final = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_ITEMS: Final = 3
"""Of a page, how many an example shows."""
ENDLESS: Final = {"stream_events", "stream_events_of_run"}
DOCUMENT: Final = openapi_document()
OPERATIONS: Final = {
    operation["operationId"]: (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
_TOLD: Final = f"""id: 4711
event: run.submitted
data: {{"position":4711,"name":"run.submitted","run_id":"{RUN}","data":{{"workflow":"orders"}}}}

"""
_recorded: Final[dict[str, Any]] = {}


class Stage:
    """An API of its own, and what the examples are about."""

    def __init__(self, http: httpx.Client, engine: Engine) -> None:
        self.http = http
        self._walk = Walk(engine)

    def new_run(self, workflow: str = "orders", **more: Any) -> str:
        body = {"input": {"order_id": 17}, "tags": ["web"], "metadata": {"customer": {"id": 7}}, **more}
        made: str = self.http.post(f"/v1/workflows/{workflow}/runs", json=body).json()["id"]
        return made

    def failed_run(self) -> str:
        run = self.new_run()
        self._walk.fail(run, "charge")
        return run

    def finished_run(self) -> str:
        run = self.new_run()
        self._walk.finish(run, "charge", "pack", "ship")
        return run

    def half_done_run(self) -> str:
        run = self.new_run()
        self._walk.finish(run, "charge")
        return run

    def paused_run(self) -> str:
        run = self.new_run()
        self.http.post(f"/v1/runs/{run}/pause")
        return run

    def waiting_run(self) -> str:
        return self.new_run("approvals", input=None)

    def schedule(self) -> None:
        terms = {"name": "nightly", "workflow": "orders", "cron": "30 6 * * 1-5", "input": {"order_id": 17}}
        self.http.post("/v1/schedules", json=terms)


PREPARE: Final[dict[str, Callable[[Stage], str | None]]] = {
    "delete_run": Stage.finished_run,
    "delete_runs": Stage.finished_run,
    "show_run": Stage.finished_run,
    "rerun_run": Stage.finished_run,
    "resume_run": Stage.paused_run,
    "resume_runs": Stage.paused_run,
    "list_steps": Stage.half_done_run,
    "show_timeline": Stage.half_done_run,
    "show_graph": Stage.half_done_run,
    "signal_run": Stage.waiting_run,
    **dict.fromkeys(["retry_run", "retry_runs", "resolve_step", "requeue_step", "discard_step"], Stage.failed_run),
    **dict.fromkeys(["requeue_many", "discard_many", "show_dead_letter", "list_history"], Stage.failed_run),
    "list_dead_letters": Stage.failed_run,
    **{name: Stage.schedule for name, (_, path, _) in OPERATIONS.items() if "/schedules" in path},
    "create_schedule": lambda stage: stage.http.delete("/v1/schedules/nightly") and None,
}
"""What must be there before; else a run that has just begun."""


@pytest.fixture(scope="module")
def stage(postgres_url: str, template_database: str, broker_url: str) -> Iterator[Stage]:
    with new_database(postgres_url, template=template_database) as database:
        settings = Settings(database_url=database, broker_url=broker_url, queue="nobody-takes-these", api_auth="off")
        engine = Engine(settings, workflows=[orders, approvals], exposes_metrics=True)
        with engine.store.single() as tx:
            tx.workers.beat(WORKER, "w1@host", 17, WorkerFacts(queues=["celery"], pool="prefork", concurrency=2))
        with asking(api_of(engine)) as http:
            yield Stage(http, engine)
        engine.close()
    if os.environ.get("RECORD_EXAMPLES") == "1":
        known = {name: dict(example) for name, example in examples.read_examples().items()}
        for name in ENDLESS:
            known[name].update(code=200, response=_TOLD)
        for name, answer in _recorded.items():
            known[name].update(answer)
        text = json.dumps(known, indent=1, ensure_ascii=False) + "\n"
        Path(examples.__file__).with_name(examples.FILE).write_text(text, encoding="utf-8")


def test_every_operation_has_an_example() -> None:
    assert examples.read_examples().keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ENDLESS])
def test_an_example_is_answered_as_the_document_says(stage: Stage, name: str) -> None:
    method, path, operation = OPERATIONS[name]
    run = PREPARE.get(name, Stage.new_run)(stage)

    answer = stage.http.request(method, **_asked(path, operation, run or RUN))

    if os.environ.get("RECORD_EXAMPLES") == "1":
        _recorded[name] = {"code": answer.status_code, **_normalised(answer, run or "")}
        return
    content = operation["responses"][str(answer.status_code)].get("content", {})
    shown = [each["example"] for each in content.values()]
    assert answer.status_code < 300, answer.text
    if answer.content and answer.headers["content-type"].startswith("application/json"):
        assert shape(answer.json(), shown[0]) == []


def _asked(path: str, operation: dict[str, Any], run: str) -> dict[str, Any]:
    """Return a request as the document's examples have it, about a run that is there."""
    given: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "header": {}}
    for parameter in operation.get("parameters", ()):
        if "example" in parameter:
            given[parameter["in"]][parameter["name"]] = parameter["example"]
    url = re.sub(r"\{(\w+)\}", lambda found: quote(given["path"][found[1]], safe=""), path).replace(RUN, run)
    asked: dict[str, Any] = {"url": url, "params": given["query"], "headers": given["header"]}
    for content in operation.get("requestBody", {}).get("content", {}).values():
        asked["json"] = json.loads(json.dumps(content["example"]).replace(RUN, run))
    return asked


def shape(found: Any, shown: Any, where: str = "") -> list[str]:
    """Return where an answer is of another form than an example; null stands for anything."""
    if found is None or shown is None:
        return []
    if isinstance(found, dict) and isinstance(shown, dict):
        if where.endswith(("data", "states", "example", "metadata", "schema", "input_schema", "reasons", "options")):
            return []
        missing = [f"{where}.{name}" for name in found.keys() ^ shown.keys()]
        return missing + [
            each for name in found.keys() & shown.keys() for each in shape(found[name], shown[name], f"{where}.{name}")
        ]
    if isinstance(found, list) and isinstance(shown, list):
        return [each for one, other in zip(found, shown, strict=False) for each in shape(one, other, f"{where}[]")]
    numbers = isinstance(found, int | float) and isinstance(shown, int | float)
    return [] if numbers or type(found) is type(shown) else [f"{where}: {found!r}, not like {shown!r}"]


def _normalised(answer: httpx.Response, run: str) -> dict[str, Any]:
    if not answer.content:
        return {}
    if not answer.headers["content-type"].startswith("application/json"):
        about = [line for line in answer.text.splitlines() if "wfe_api_requests_total" in line]
        return {"response": "\n".join(about[:3]) + "\n"}
    text = answer.text
    ids = list(filter(None, dict.fromkeys([run, *_UUID.findall(text)])))
    for number, each in enumerate(ids):
        text = text.replace(each, f"{RUN[:-2]}{number + 1:02x}")
    moments = [datetime.fromisoformat(each) for each in _TIME.findall(text)]
    first = min(moments) if moments else _NOON

    def moved(found: re.Match[str]) -> str:
        moment = _NOON + (datetime.fromisoformat(found[0]) - first)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"

    told = json.loads(_TIME.sub(moved, text))
    if len(told.get("items", ())) > _ITEMS:
        told["items"] = told["items"][: 1 if "schema" in told["items"][0] else _ITEMS]
    return {"response": told}
