"""The workflows that the commands are tried on."""

from pathlib import Path
from threading import Event
from time import monotonic

from pydantic import BaseModel

from workflow_engine import NonRetryable, Retry, StepContext, Workflow


class Order(BaseModel):
    amount: int = 1
    attempts: int = 1
    gate: Path | None = None
    """``charge`` waits until there is such a file."""


orders = Workflow("orders", version="1", input=Order, description="Charge and ship")


@orders.step
def validate(ctx: StepContext) -> int:
    if ctx.input.amount <= 0:
        raise NonRetryable("the amount must be positive")
    return ctx.input.amount


@orders.step(after=[validate], retry=Retry(max_attempts=5, base_delay=0.05, jitter=False))
def charge(ctx: StepContext) -> str:
    until = monotonic() + 30
    while ctx.input.gate is not None and not ctx.input.gate.exists() and monotonic() < until:
        Event().wait(0.02)
        ctx.heartbeat()
    if ctx.attempt < ctx.input.attempts:
        raise RuntimeError("the gateway is busy")
    return f"charged {ctx.results['validate']}"


@orders.step(after=[validate])
def reserve(ctx: StepContext) -> str:
    return "reserved"


@orders.step(after=[charge, reserve])
def ship(ctx: StepContext) -> list[str]:
    return sorted(ctx.results.values())


elsewhere = Workflow("elsewhere", version="2")


@elsewhere.step(queue="special")
def answer(ctx: StepContext) -> object:
    return ctx.input
