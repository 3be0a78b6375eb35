"""Workflows that are only submitted: no worker is there."""

from pydantic import BaseModel

from workflow_engine import StepContext, Workflow


class Order(BaseModel):
    """What a run of ``orders`` gets."""

    order_id: int
    express: bool = False


orders = Workflow("orders", input=Order, description="Charges and ships an order.")


@orders.step
def charge(ctx: StepContext) -> None:
    """Take the money."""


@orders.step(after=[charge])
def pack(ctx: StepContext) -> None:
    """Put it into a box."""


@orders.step(after=[pack])
def ship(ctx: StepContext) -> None:
    """Send it."""


other = Workflow("orders", namespace="elsewhere")
other.step(name="only")(lambda ctx: None)

approvals = Workflow("approvals")
approvals.wait_for_signal("approved")

untouched = Workflow("untouched")
untouched.step(name="only")(lambda ctx: None)
