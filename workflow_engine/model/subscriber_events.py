"""Payloads of the events about subscribers; part of the catalogue in ``events``."""

from typing import Annotated, ClassVar

from pydantic import Field

from workflow_engine.model.payload_fields import (
    Actor,
    ErrorClass,
    ErrorMessage,
    Payload,
    Public,
    SubscriberName,
)


class SubscriberDeadLettered(Payload):
    """A durable subscriber failed on an event as often as it may; the delivery waits for a person."""

    event = "subscriber.dead_lettered"
    fired_by = "Relay"
    frequency = "once a delivery that is given up; not for deliveries of subscriber.* events themselves"
    example: ClassVar = {
        "subscriber": "slack",
        "event_id": "019b0c1e-0c00-7000-8000-00000000002a",
        "event_name": "run.failed",
        "tries": 3,
        "error_class": "ConnectTimeout",
        "message": "hooks.example.com did not answer",
    }

    subscriber: SubscriberName
    event_id: Annotated[str, Public, Field(description="the event that was not delivered")]
    event_name: Annotated[str, Public, Field(description="its name")]
    tries: Annotated[int, Public, Field(description="how often delivery was tried")]
    error_class: ErrorClass
    message: ErrorMessage


class SubscriberRequeued(Payload):
    """Somebody asked for dead letters of a subscriber to be delivered again."""

    event = "subscriber.requeued"
    fired_by = "RequeueDeliveries"
    frequency = "when somebody asks"
    example: ClassVar = {"subscriber": "slack", "deliveries": 12, "actor": "ada@host-1"}

    subscriber: SubscriberName
    deliveries: Annotated[int, Public, Field(description="how many")]
    actor: Actor


class SubscriberDiscarded(Payload):
    """Somebody gave up dead letters of a subscriber for good."""

    event = "subscriber.discarded"
    fired_by = "DiscardDeliveries, ForgetSubscriber"
    frequency = "when somebody asks"
    example: ClassVar = {"subscriber": "slack", "deliveries": 12, "actor": "ada@host-1"}

    subscriber: SubscriberName
    deliveries: Annotated[int, Public, Field(description="how many")]
    actor: Actor


class SubscriberReplayed(Payload):
    """Somebody set a subscriber's cursor; it gets the events after it, again."""

    event = "subscriber.replayed"
    fired_by = "ReplaySubscriber"
    frequency = "when somebody asks"
    example: ClassVar = {"subscriber": "slack", "from_position": 4711, "actor": "ada@host-1"}

    subscriber: SubscriberName
    from_position: Annotated[int, Public, Field(description="the cursor's new position in the event log")]
    actor: Actor
