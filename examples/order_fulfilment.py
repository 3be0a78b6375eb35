"""Fulfil an order: reserve its goods and charge the card at the same time, then ship and notify.

::

    validate ─┬─ reserve_stock ─┬─ ship ── notify
              └─ charge_card ───┘

Three cards show what a run can meet: ``good`` succeeds at once; ``flaky`` finds the gateway busy twice, so
``charge_card`` is retried after a growing delay and then succeeds; ``declined`` fails for good, so the run fails and
nothing is shipped. The goods of a failed order were only held, and the hold lapses by itself.

A step may run twice: a worker can die after its work and before its result is stored. So whatever changes the world
does so under ``ctx.idempotency_key``, which is the same for every attempt.
"""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from examples.orders.gateway import Card, CardDeclined, PaymentGateway
from examples.orders.ledger import Entry, Ledger, OutOfStock, hold_goods, take_goods
from workflow_engine import NonRetryable, Retry, StepContext, Workflow

PRICES = {"book": 2_400, "lamp": 4_990, "teapot": 3_150, "piano": 480_000}
"""Cents."""


class Item(BaseModel):
    """One line of an order."""

    model_config = ConfigDict(extra="forbid")

    sku: str = Field(min_length=1, max_length=40)
    quantity: int = Field(default=1, ge=1, le=100)


class Order(BaseModel):
    """What the customer ordered, and where the shop keeps its books."""

    model_config = ConfigDict(extra="forbid")

    order_id: int = Field(ge=1)
    customer: str = Field(default="ada@example.com", min_length=3, max_length=200)
    items: list[Item] = Field(default=[Item(sku="book"), Item(sku="teapot", quantity=2)], min_length=1, max_length=50)
    card: Card = Card.GOOD
    folder: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        default_factory=lambda: Path("order-ledger"), validate_default=True
    )
    """Made if absent. Absolute, because workers run elsewhere."""

    def goods(self) -> Counter[str]:
        """Return how many of each article are ordered, over all lines."""
        goods: Counter[str] = Counter()
        for item in self.items:
            goods[item.sku] += item.quantity
        return goods


orders = Workflow(
    "order_fulfilment",
    version="1",
    input=Order,
    description="Reserve, charge, ship and notify, with retries and a card that is declined",
)


@orders.step
def validate(ctx: StepContext) -> dict[str, Any]:
    """Price the order; refuse articles that are not sold here."""
    goods = ctx.input.goods()
    unknown = sorted(goods.keys() - PRICES.keys())
    if unknown:
        raise NonRetryable(f"not sold here: {', '.join(unknown)}")
    return {"goods": goods, "cents": sum(PRICES[sku] * quantity for sku, quantity in goods.items())}


@orders.step(after=[validate], timeout=30)
def reserve_stock(ctx: StepContext) -> Entry:
    """Hold the goods for a while."""
    goods, now = ctx.results["validate"]["goods"], datetime.now(UTC)
    key = ctx.idempotency_key
    try:
        held = Ledger(ctx.input.folder).once(key, lambda db: hold_goods(db, key, goods, now))
    except OutOfStock as error:
        raise NonRetryable(str(error)) from error
    return {"hold": key, **held}


@orders.step(after=[validate], retry=Retry(max_attempts=5, base_delay=1.0, factor=2.0, max_delay=30), timeout=30)
def charge_card(ctx: StepContext) -> Entry:
    """Charge the card; a busy gateway is tried again, a declined card is not."""
    gateway = PaymentGateway(Ledger(ctx.input.folder))
    try:
        return gateway.charge(ctx.input.card, ctx.results["validate"]["cents"], idempotency_key=ctx.idempotency_key)
    except CardDeclined as error:
        raise NonRetryable(str(error)) from error


@orders.step(after=[reserve_stock, charge_card], retry=Retry(max_attempts=3), timeout=30)
def ship(ctx: StepContext) -> Entry:
    """Take the goods off the shelf and hand them to the carrier.

    Where a hold has lapsed and others took the goods, trying again may find them back in stock.
    """
    reserved, paid = ctx.results["reserve_stock"], ctx.results["charge_card"]
    parcel = f"parcel-{ctx.input.order_id}"

    def send(db: Any) -> Entry:
        take_goods(db, reserved["hold"], reserved["held"])
        return {"kind": "parcel", "parcel": parcel, "payment": paid["payment"]}

    return Ledger(ctx.input.folder).once(ctx.idempotency_key, send)


@orders.step(after=[ship], retry=Retry(max_attempts=3), timeout=30)
def notify(ctx: StepContext) -> Entry:
    """Tell the customer, once."""
    text = f"Order {ctx.input.order_id} is on its way as {ctx.results['ship']['parcel']}."
    return Ledger(ctx.input.folder).once(
        ctx.idempotency_key, lambda _: {"kind": "mail", "to": ctx.input.customer, "text": text}
    )
