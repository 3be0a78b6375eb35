"""Orders: one that goes through, one after retries, those that fail, and steps that run twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from examples.order_fulfilment import charge_card, notify, orders, reserve_stock, ship
from examples.orders.gateway import BUSY_CALLS, Card, GatewayBusy, PaymentGateway
from examples.orders.ledger import HOLD, OPENING_STOCK, Ledger, OutOfStock, hold_goods, take_goods
from workflow_engine import InvalidInput, NonRetryable, Step, StepContext
from workflow_engine.testing.inline import run_inline

NOW = datetime(2025, 11, 3, 12, 0, tzinfo=UTC)


def order(folder: Path, **other: Any) -> dict[str, Any]:
    return {"order_id": 17, "folder": str(folder), **other}


def context(step: Step, folder: Path, *, attempt: int = 1, card: str = "good") -> StepContext:
    """Return the context of an attempt whose parents have finished."""
    hold = {"hold": "run-1:reserve_stock", "held": {"book": 1}}
    return StepContext(
        run_id="run-1",
        workflow=orders.name,
        version=orders.version,
        namespace=orders.namespace,
        step=step.name,
        attempt=attempt,
        input=orders.parse_input(order(folder, card=card)),
        results={
            "validate": {"goods": {"book": 1}, "cents": 2_400},
            "reserve_stock": hold,
            "charge_card": {"payment": "pay-1"},
            "ship": {"parcel": "parcel-17"},
        },
        correlation_id="run-1",
    )


def kinds(folder: Path) -> list[str]:
    return sorted(entry.get("kind", "hold") for entry in Ledger(folder).entries().values())


def test_a_good_card_buys_the_goods(tmp_path: Path) -> None:
    run = run_inline(orders, order(tmp_path))

    assert run.state == "succeeded"
    assert run.attempts == dict.fromkeys(orders.steps, 1)
    assert run.result["notify"]["text"] == "Order 17 is on its way as parcel-17."
    assert kinds(tmp_path) == ["charge", "hold", "mail", "parcel"]
    assert Ledger(tmp_path).on_hand("teapot") == OPENING_STOCK["teapot"] - 2


def test_a_flaky_card_succeeds_at_the_third_attempt_and_is_charged_once(tmp_path: Path) -> None:
    run = run_inline(orders, order(tmp_path, card="flaky"))

    assert run.state == "succeeded"
    assert run.attempts["charge_card"] == BUSY_CALLS + 1
    assert kinds(tmp_path).count("charge") == 1


def test_a_declined_card_fails_the_run_at_once_and_nothing_is_shipped(tmp_path: Path) -> None:
    run = run_inline(orders, order(tmp_path, card="declined"))

    assert run.state == "failed"
    assert run.attempts["charge_card"] == 1
    assert run.states["ship"] == "cancelled"
    assert str(run.errors["charge_card"]) == "card declined: insufficient funds"
    assert Ledger(tmp_path).on_hand("book") == OPENING_STOCK["book"]


def test_an_article_that_is_not_sold_here_fails_the_run(tmp_path: Path) -> None:
    run = run_inline(orders, order(tmp_path, items=[{"sku": "boat"}, {"sku": "book"}]))

    assert str(run.errors["validate"]) == "not sold here: boat"


def test_more_than_is_in_stock_fails_the_run_and_holds_nothing(tmp_path: Path) -> None:
    run = run_inline(orders, order(tmp_path, items=[{"sku": "book"}, {"sku": "piano", "quantity": 2}]))

    assert isinstance(run.errors["reserve_stock"], NonRetryable)
    assert "hold" not in kinds(tmp_path)


def test_lines_of_one_article_are_added_up(tmp_path: Path) -> None:
    run = run_inline(orders, order(tmp_path, items=[{"sku": "book", "quantity": 2}, {"sku": "book", "quantity": 3}]))

    assert run.results["validate"] == {"goods": {"book": 5}, "cents": 12_000}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"order_id": 0}, "order_id"),
        ({"items": []}, "items"),
        ({"items": [{"sku": "book", "quantity": 0}]}, r"items\.0\.quantity"),
        ({"card": "stolen"}, "card"),
        ({"cart": 1}, "cart"),
    ],
)
def test_a_wrong_order_is_refused_by_field(tmp_path: Path, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=f"{field}: "):
        orders.parse_input(order(tmp_path, **wrong))


@pytest.mark.parametrize("step", [reserve_stock, charge_card, ship, notify], ids=lambda step: step.name)
def test_a_step_that_runs_twice_happens_once(tmp_path: Path, step: Step) -> None:
    first = step(context(step, tmp_path))
    before = (Ledger(tmp_path).entries(), Ledger(tmp_path).on_hand("book"))

    second = step(context(step, tmp_path, attempt=2))

    assert second == first
    assert (Ledger(tmp_path).entries(), Ledger(tmp_path).on_hand("book")) == before


def test_attempts_at_the_same_moment_happen_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: ship(context(ship, tmp_path)), range(16)))

    assert all(result == results[0] for result in results)
    assert Ledger(tmp_path).on_hand("book") == OPENING_STOCK["book"] - 1


def test_work_that_fails_leaves_no_entry_and_may_be_done_later(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)

    with pytest.raises(OutOfStock):
        ledger.once("key", lambda db: hold_goods(db, "key", {"book": 1, "piano": 2}, NOW))

    assert ledger.entries() == {}
    assert ledger.once("key", lambda db: hold_goods(db, "key", {"book": 1}, NOW))["held"] == {"book": 1}


def test_held_goods_are_not_for_others_until_the_hold_lapses(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.once("first", lambda db: hold_goods(db, "first", {"piano": 1}, NOW))

    with pytest.raises(OutOfStock, match="1 of 'piano' wanted, 0 left"):
        ledger.once("second", lambda db: hold_goods(db, "second", {"piano": 1}, NOW + HOLD - timedelta(seconds=1)))

    later = NOW + HOLD + timedelta(seconds=1)
    assert ledger.once("second", lambda db: hold_goods(db, "second", {"piano": 1}, later))


def test_shipped_goods_are_off_the_shelf_and_no_longer_held(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.once("hold", lambda db: hold_goods(db, "hold", {"book": 400}, NOW))

    ledger.once("ship", lambda db: take_goods(db, "hold", {"book": 400}) or {})

    assert ledger.on_hand("book") == 600
    assert ledger.once("next", lambda db: hold_goods(db, "next", {"book": 600}, NOW))


def test_what_others_took_after_a_hold_lapsed_cannot_be_shipped(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.once("other", lambda db: take_goods(db, "other-hold", {"piano": 1}) or {})

    with pytest.raises(OutOfStock):
        ledger.once("ship", lambda db: take_goods(db, "hold", {"piano": 1}) or {})


def test_the_gateway_is_busy_per_key_and_not_for_everybody(tmp_path: Path) -> None:
    gateway = PaymentGateway(Ledger(tmp_path))

    for key in ("one", "two"):
        for _ in range(BUSY_CALLS):
            with pytest.raises(GatewayBusy):
                gateway.charge(Card.FLAKY, 100, idempotency_key=key)
        assert gateway.charge(Card.FLAKY, 100, idempotency_key=key)["cents"] == 100
