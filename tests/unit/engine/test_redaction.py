"""Redaction: which fields a hook sees, and what is stored when it fails."""

import json
import logging

import pytest

from workflow_engine import ConfigurationError
from workflow_engine.engine.redaction import Redaction, load_redaction
from workflow_engine.model.events import MESSAGE_LIMIT
from workflow_engine.model.run_events import RunCancelling

CANCELLING = RunCancelling(reason="Ann asked", actor="ann@shop.test", running_steps=2)


def shout(event: str, field: str, value: str) -> str:
    """Be a hook."""
    return f"{event} {field} {value.upper()}"


def test_the_hook_rewrites_personal_fields_and_no_other() -> None:
    stored = json.loads(Redaction(shout)(CANCELLING))

    assert stored == {
        **json.loads(CANCELLING.model_dump_json()),
        "reason": "run.cancelling reason ANN ASKED",
        "actor": "run.cancelling actor ANN@SHOP.TEST",
    }


def test_fields_without_a_text_stay_without() -> None:
    nobody = RunCancelling(reason=None, actor=None, running_steps=2)

    assert Redaction(shout)(nobody) == nobody.model_dump_json()


def test_a_longer_text_is_cut_to_what_the_field_may_have() -> None:
    stored = json.loads(Redaction(lambda *_: "x" * 100_000)(CANCELLING))

    assert len(stored["reason"]) == MESSAGE_LIMIT


def test_what_postgresql_cannot_store_is_replaced() -> None:
    stored = json.loads(Redaction(lambda *_: "a\x00\ud800b")(CANCELLING))

    assert stored["reason"] == "a\N{REPLACEMENT CHARACTER}?b"


def test_a_hook_that_raises_hides_the_field_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_event: str, _field: str, value: str) -> str:
        raise ValueError(value)

    redaction = Redaction(broken)
    with caplog.at_level(logging.ERROR):
        stored = [json.loads(redaction(CANCELLING)) for _ in range(2)]

    assert [(each["reason"], each["actor"]) for each in stored] == [("[redacted]", "[redacted]")] * 2
    assert len(caplog.records) == 1
    assert "Ann" not in caplog.text


def test_a_hook_that_returns_no_text_hides_the_field() -> None:
    assert json.loads(Redaction(lambda *_: None)(CANCELLING))["actor"] == "[redacted]"  # type: ignore[arg-type,return-value]


def test_a_hook_is_found_by_its_import_path() -> None:
    redaction = load_redaction(f"{__name__}:shout")

    assert redaction is not None
    assert "ANN ASKED" in redaction(CANCELLING)
    assert load_redaction(None) is None


@pytest.mark.parametrize(
    "path", ["json", "json:", "no such:x", "no_such_module_here:x", "json:no_such", "json:__name__"]
)
def test_a_wrong_import_path_is_a_wrong_setting(path: str) -> None:
    with pytest.raises(ConfigurationError, match="WFE_REDACT"):
        load_redaction(path)
