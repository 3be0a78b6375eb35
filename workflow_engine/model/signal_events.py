"""Payloads of the events about signals; part of the catalogue in ``events``."""

from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import Actor, Payload, Public


class SignalReceived(Payload):
    """A signal for a run was stored; a step that waits for it, now or later, gets it."""

    event = "signal.received"
    fired_by = "DeliverSignal"
    frequency = "once a signal, however often it is delivered with the same key"
    example: ClassVar = {"signal": "approved", "actor": "ada@host-1"}

    signal: Annotated[str, Public, Field(description="the signal's name")]
    actor: Actor
