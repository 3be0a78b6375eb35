"""A payment gateway that behaves like a real one: busy at times, final when it declines, and once per key."""

from enum import StrEnum
from hashlib import sha256

from examples.orders.ledger import Entry, Ledger

BUSY_CALLS = 2
"""How often the gateway is busy before it takes a ``FLAKY`` card."""


class Card(StrEnum):
    """Test cards, as payment services give them out."""

    GOOD = "good"
    FLAKY = "flaky"
    """Taken at the third call; the first two find the gateway busy."""
    DECLINED = "declined"


class GatewayBusy(Exception):
    """Try again later: nothing was charged."""


class CardDeclined(Exception):
    """The bank said no, and will say no again."""


class PaymentGateway:
    """Charges cards; its own records are in the shop's ledger to keep the example in one file."""

    def __init__(self, ledger: Ledger) -> None:
        """Keep records in ``ledger``."""
        self._ledger = ledger

    def charge(self, card: Card, cents: int, *, idempotency_key: str) -> Entry:
        """Charge ``card``; a key that was charged gets the first answer again, and no second charge.

        Raises:
            GatewayBusy: temporary.
            CardDeclined: for good.
        """
        call = self._ledger.count_call(idempotency_key)
        if card is Card.FLAKY and call <= BUSY_CALLS:
            raise GatewayBusy(f"gateway busy (call {call})")
        if card is Card.DECLINED:
            raise CardDeclined("card declined: insufficient funds")
        payment = f"pay-{sha256(idempotency_key.encode()).hexdigest()[:12]}"
        return self._ledger.once(idempotency_key, lambda _: {"kind": "charge", "cents": cents, "payment": payment})
