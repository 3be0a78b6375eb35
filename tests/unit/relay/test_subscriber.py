"""A subscriber gives each event to its method; a class that cannot work is refused when it is made."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from workflow_engine import EventRecord, Subscriber
from workflow_engine.errors import DefinitionError, SubscriberError
from workflow_engine.model.events import CATALOGUE
from workflow_engine.testing import an_event


class Hears(Subscriber, abstract=True):
    """Keeps what it hears."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.heard: list[tuple[str, str]] = []

    def hear(self, method: str, event: EventRecord) -> None:
        self.heard.append((method, event.name))


class Routed(Hears):
    """Methods by event, and one for the rest."""

    name = "routed"
    subscribe_to = ("run.*", "step.failed")

    def on_run_failed(self, event: EventRecord) -> None:
        self.hear("on_run_failed", event)

    def on_event(self, event: EventRecord) -> None:
        self.hear("on_event", event)


class Mapped(Hears):
    """Methods as the mapping says."""

    name = "mapped"
    subscribe_to: Mapping[str, str] = {"step.*": "some_step", "step.failed": "bad_step"}

    def some_step(self, event: EventRecord) -> None:
        self.hear("some_step", event)

    def bad_step(self, event: EventRecord) -> None:
        self.hear("bad_step", event)


def made(**attributes: Any) -> type[Subscriber]:
    """Make a class as a ``class`` statement would."""
    right: dict[str, Any] = {"name": "x", "subscribe_to": ["run.failed"], "on_event": lambda self, event: None}
    return type(
        "Made", (Subscriber,), {key: value for key, value in {**right, **attributes}.items() if value != "drop"}
    )


def test_an_event_goes_to_its_own_method_and_every_other_to_on_event() -> None:
    subscriber = Routed()

    for name in ("run.failed", "run.started", "step.failed"):
        subscriber.handle(an_event(name))

    assert subscriber.heard == [
        ("on_run_failed", "run.failed"),
        ("on_event", "run.started"),
        ("on_event", "step.failed"),
    ]


def test_an_event_goes_to_the_mapped_method_and_its_own_name_wins_over_a_glob() -> None:
    subscriber = Mapped()

    for name in ("step.failed", "step.completed"):
        subscriber.handle(an_event(name))

    assert subscriber.heard == [("bad_step", "step.failed"), ("some_step", "step.completed")]


def test_a_batch_goes_event_by_event_unless_the_class_takes_batches() -> None:
    class Batches(Subscriber):
        name = "batches"
        subscribe_to = ("step.*",)

        def on_batch(self, events: Sequence[EventRecord]) -> None:
            taken.append(len(events))

    taken: list[int] = []
    events = [an_event("step.started"), an_event("step.failed")]
    single = Mapped()

    single.on_batch(events)
    Batches().on_batch(events)

    assert [name for _, name in single.heard] == ["step.started", "step.failed"]
    assert taken == [2]
    assert (single.takes_batches, Batches().takes_batches) == (False, True)


def test_an_event_nobody_subscribed_to_is_refused() -> None:
    with pytest.raises(SubscriberError, match=r"'routed' cannot handle 'step.lost': it does not subscribe to it"):
        Routed().handle(an_event("step.lost"))


def test_one_that_takes_batches_says_so_when_it_is_given_a_single_event() -> None:
    batches = made(on_event="drop", on_batch=lambda self, events: None)

    with pytest.raises(SubscriberError, match="takes batches: call on_batch"):
        batches().handle(an_event("run.failed"))


def test_one_that_overrides_handle_needs_no_other_method() -> None:
    assert made(on_event="drop", handle=lambda self, event: None).routes == {"run.failed": None}


def test_a_star_means_every_event_but_those_about_delivery() -> None:
    about_delivery = {name for name in CATALOGUE if name.startswith("subscriber.")}

    assert about_delivery
    assert set(made(subscribe_to=["*"]).routes) == set(CATALOGUE) - about_delivery
    assert set(made(subscribe_to=["*.*", "*e*"]).routes).isdisjoint(about_delivery)
    assert set(made(subscribe_to=["subscriber.*"]).routes) == about_delivery


def test_a_workflows_options_go_over_the_general_ones() -> None:
    subscriber = Routed(channel="ops", colour="red")
    subscriber.configure({"channel": "ops", "colour": "red"}, {"orders": {"channel": "shop"}, "*": {"colour": "blue"}})

    assert subscriber.options_for("orders") == {"channel": "shop", "colour": "red"}
    assert subscriber.options_for("other") == {"channel": "ops", "colour": "blue"}
    assert subscriber.options_for(None) == {"channel": "ops", "colour": "red"}


def test_options_are_there_although_a_constructor_does_not_call_ours() -> None:
    subscriber = made(__init__=lambda self: None)()
    assert subscriber.options_for("orders") == {}

    subscriber.configure({"a": 1}, {})

    assert subscriber.options_for("orders") == {"a": 1}
    assert made()().options_for("orders") == {}


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"name": "drop"}, "it has no name"),
        ({"name": "Slack"}, "its name cannot be 'Slack'"),
        ({"name": "a" * 64}, "at most 62 letters"),
        ({"name": 7}, "its name cannot be 7"),
        ({"subscribe_to": "drop"}, "subscribe_to must list events"),
        ({"subscribe_to": "run.failed"}, r"subscribe_to must list events, .*, not 'run.failed'"),
        ({"subscribe_to": []}, "subscribe_to must list events"),
        ({"subscribe_to": {}}, "subscribe_to is empty"),
        ({"subscribe_to": [7]}, "names of events, not 7"),
        ({"subscribe_to": ["step.complete"]}, r"unknown event 'step.complete': did you mean 'step.completed'\?"),
        (
            {"subscribe_to": ["nothing"]},
            r"unknown event 'nothing': events are run.\*, step.\*, signal.\*, schedule.\*, subscriber.\*",
        ),
        ({"subscribe_to": ["stepp.*"]}, r"no event matches 'stepp.\*': did you mean 'step.\*'\?"),
        ({"subscribe_to": {"run.faild": "on_event"}}, r"did you mean 'run.failed'\?"),
        ({"subscribe_to": {"run.failed": "on_evnt"}}, r"names the method 'on_evnt': did you mean 'on_event'\?"),
        ({"subscribe_to": {"run.failed": None}}, "must map events to names of methods, not 'run.failed' to None"),
        (
            {"subscribe_to": {"run.*": "one", "*.failed": "two"}, "one": print, "two": print},
            r"maps run.failed twice: 'run.\*' to one, '\*.failed' to two",
        ),
        ({"on_event": "drop"}, "there is no method for run.failed: write on_run_failed or on_event"),
        ({"on_run_faild": print}, r"on_run_faild is the method of no event: did you mean 'on_run_failed'\?"),
        ({"on_step_failed": print}, "on_step_failed is never called: subscribe_to does not lead step.failed to it"),
        ({"on_event": lambda self: None}, r"on_event must take one argument, the event: `def on_event\(self, event\)`"),
        ({"delivery": "inlin"}, "delivery must be 'durable' or 'inline', not 'inlin'"),
        ({"start": "then"}, "start must be 'now' or 'beginning', not 'then'"),
        ({"batch_size": 0}, "batch_size must be a whole number from 1 to 10000, not 0"),
        ({"batch_size": 1.5}, "batch_size must be a whole number"),
        ({"namespaces": "shop"}, "namespaces must be a set of names"),
        ({"namespaces": frozenset()}, "namespaces must be a set of names"),
        ({"tries": True}, "tries must be a whole number from 1 to 100, not True"),
        ({"timeout": 0}, "timeout must be a number of seconds"),
        ({"timeout": float("nan")}, "timeout must be a number of seconds"),
        ({"max_wait": -1}, "max_wait must be a number of seconds from 0"),
        ({"max_wait": "1"}, "max_wait must be a number of seconds"),
    ],
)
def test_a_class_that_cannot_work_is_refused_by_its_name(attributes: dict[str, Any], said: str) -> None:
    with pytest.raises(SubscriberError, match=said) as refused:
        made(**attributes)

    assert f"{__name__}:Made" in str(refused.value)
    assert isinstance(refused.value, DefinitionError)


def test_a_method_nobody_would_await_is_refused() -> None:
    async def on_event(self: Subscriber, event: EventRecord) -> None: ...

    with pytest.raises(SubscriberError, match="on_event is `async`: delivery is synchronous"):
        made(on_event=on_event)


def test_a_class_to_inherit_from_is_not_checked() -> None:
    class Base(Subscriber, abstract=True):
        def on_event(self, event: EventRecord) -> None: ...

    class Heir(Base):
        name = "heir"
        subscribe_to = ("run.failed",)

    assert (Base.is_abstract, Heir.is_abstract) == (True, False)
    assert Heir.routes == {"run.failed": "on_event"}
