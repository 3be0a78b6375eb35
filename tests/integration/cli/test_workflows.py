"""`wfe workflows` without any server: the graphs are in the code."""

import json
from pathlib import Path

import pytest

from tests.integration.cli.running import CONTROL, wfe, wfe_process

pytestmark = pytest.mark.usefixtures("nowhere")

SHOP = {"WFE_WORKFLOWS": "shop"}


def test_the_list_has_each_workflow() -> None:
    rows = [line.split() for line in wfe("workflows", "list", **SHOP).out.splitlines()]

    assert rows == [
        ["WORKFLOW", "VERSION", "STEPS", "LOADED", "HERE", "REGISTERED"],
        ["elsewhere", "2", "1", "yes"],
        ["orders", "1", "4", "yes"],
    ]


def test_the_list_is_json_for_programs() -> None:
    found = wfe("workflows", "list", "--json", **SHOP).json

    assert [(each["workflow"], each["version"], each["steps"], each["loaded"]) for each in found] == [
        ("elsewhere", "2", 1, True),
        ("orders", "1", 4, True),
    ]


def test_a_workflow_is_drawn() -> None:
    ended = wfe("workflows", "show", "orders", **SHOP)

    assert ended.out.splitlines() == [
        "orders 1  4 steps, on failure: fail_fast",
        "Charge and ship",
        "",
        "validate ─┬─ charge ──┬─ ship",
        "          └─ reserve ─┘",
    ]
    assert not CONTROL.search(ended.out)


def test_a_workflow_as_mermaid() -> None:
    assert "s0 --> s1" in wfe("workflows", "show", "orders", "--mermaid", **SHOP).out


def test_a_workflow_as_celery_canvas() -> None:
    assert wfe("workflows", "show", "orders", "--canvas", **SHOP).out.splitlines() == [
        "chain(",
        "    validate,",
        "    chord(",
        "        group(",
        "            charge,",
        "            reserve,",
        "        ),",
        "        ship,",
        "    ),",
        ")",
    ]


def test_a_workflow_as_json() -> None:
    shown = json.loads(wfe("workflows", "show", "orders", "--json", **SHOP).out)

    assert (shown["workflow"], shown["version"], shown["namespace"]) == ("orders", "1", "default")
    assert {step["name"]: step["after"] for step in shown["steps"]} == {
        "validate": [],
        "charge": ["validate"],
        "reserve": ["validate"],
        "ship": ["charge", "reserve"],
    }


@pytest.mark.parametrize("arguments", [["ordrs"], ["orders", "--version", "7"]])
def test_an_unknown_workflow_is_wrong_usage(arguments: list[str]) -> None:
    ended = wfe("workflows", "show", *arguments, **SHOP)

    assert ended.code == 2
    assert "is not known" in ended.err
    assert "did you mean 'orders'?" in ended.err


def test_letters_the_terminal_does_not_have_become_ascii(nowhere: Path) -> None:
    ended = wfe_process("workflows", "show", "orders", cwd=nowhere, PYTHONIOENCODING="ascii", **SHOP)

    assert "validate -+- charge --+- ship" in ended.out
