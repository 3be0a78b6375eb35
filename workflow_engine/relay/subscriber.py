"""Subscriber: the base of everything that wants to hear what happened."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from workflow_engine.errors import SubscriberError
from workflow_engine.model.records import EventRecord
from workflow_engine.relay import declarations

Delivery = Literal["durable", "inline"]
Start = Literal["now", "beginning"]


class Subscriber:
    """Hears of events: name it, say to what it subscribes, and write a method for each of these events.

    ::

        class SlackOnFailure(Subscriber):
            name = "slack"
            subscribe_to = ["run.failed", "step.*"]

            def on_run_failed(self, event: EventRecord) -> None: ...

            def on_event(self, event: EventRecord) -> None: ...  # every event that has no method of its own

    A subscriber is for collateral effects (a message, a metric, an audit row) and never writes the engine's state:
    what must succeed for a run to go on is a step, not a subscriber.

    ``delivery = "durable"``: a relay calls it, one call at a time, in commit order within a run, at least once. An
    event may therefore come again: ``event.id`` is the same then. An exception is a failed try; after ``tries`` of
    them the event is a dead letter, and the next one's turn comes. ``NonRetryable`` makes it one at once.
    ``delivery = "inline"``: the process that publishes calls it right after the commit, maybe from several threads;
    it must be quick. An exception is logged, and the event is not delivered again.

    ``subscribe_to`` has names or globs, or maps them to methods: ``{"step.failed": "on_bad_step"}``. ``"*"`` is every
    event but those about delivery, which only ``"subscriber.*"`` matches. A class that lacks a name, names an unknown
    event or misses a method is refused when it is made (SubscriberError). ``class Base(Subscriber, abstract=True)``
    is not checked and never registered: it is for others to inherit from.
    """

    name: ClassVar[str]
    """The cursor's name: a letter a-z, then up to 62 letters a-z, digits and underscores."""
    subscribe_to: ClassVar[Sequence[str] | Mapping[str, str]]
    delivery: ClassVar[Delivery] = "durable"
    batch_size: ClassVar[int] = 100
    """Durable: how many events are handed over at most at a time."""
    max_wait: ClassVar[float] = 0.0
    """Durable: how many seconds to wait for a fuller batch."""
    timeout: ClassVar[float] = 30.0
    """Durable: how many seconds a call may take before it counts as failed."""
    tries: ClassVar[int] = 3
    """Durable: how often an event is tried before it is a dead letter."""
    namespaces: ClassVar[frozenset[str] | None] = None
    """Only events of these namespaces; None for all. The subscribers file may narrow it further."""
    start: ClassVar[Start] = "now"
    """Durable: where in the event log a new subscriber begins."""

    is_abstract: ClassVar[bool] = True
    routes: ClassVar[Mapping[str, str | None]] = MappingProxyType({})
    """By event: the method that takes it; None where the class overrides ``handle`` or ``on_batch``."""

    # Of the class, so that a constructor which does not call ours leaves them as they should be.
    _options: Mapping[str, Any] = MappingProxyType({})
    _workflow_options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})

    def __init__(self, **options: Any) -> None:
        """Take the options of the subscribers file. Override it to name them: what it does not take is refused."""
        self._options = options

    def __init_subclass__(cls, *, abstract: bool = False, **arguments: Any) -> None:
        """Check the class.

        Raises:
            SubscriberError: it cannot work as written.
        """
        super().__init_subclass__(**arguments)
        cls.is_abstract = abstract
        if not abstract:
            declarations.check_attributes(cls)
            cls.routes = declarations.routes_of(cls, by_itself=_overrides(cls, "handle") or _overrides(cls, "on_batch"))

    @property
    def takes_batches(self) -> bool:
        """Whether events are handed to ``on_batch``, because the class overrides it."""
        return _overrides(type(self), "on_batch")

    def configure(self, options: Mapping[str, Any], workflow_options: Mapping[str, Mapping[str, Any]]) -> None:
        """Take the options for ``options_for``: those for every workflow, and some workflows' own.

        Called once, before any event, whatever the constructor does.
        """
        self._options = {**self._options, **options}
        self._workflow_options = workflow_options

    def options_for(self, workflow: str | None) -> Mapping[str, Any]:
        """Return the options for events of a workflow: its own over the general ones."""
        own = None if workflow is None else self._workflow_options.get(workflow, self._workflow_options.get("*"))
        return {**self._options, **own} if own else self._options

    def opened(self) -> None:
        """Get ready, in the process that delivers, before the first event: connect, start threads."""

    def closed(self) -> None:
        """Let go of what ``opened`` took, after the last event."""

    def handle(self, event: EventRecord) -> None:
        """Give an event to its method: the mapped one, else ``on_<entity>_<action>``, else ``on_event``.

        Raises:
            SubscriberError: the class does not subscribe to the event, or takes batches only.
        """
        method = self.routes.get(event.name)
        if method is None:
            reason = "takes batches: call on_batch" if event.name in self.routes else "does not subscribe to it"
            raise SubscriberError(f"subscriber {self.name!r} cannot handle {event.name!r}: it {reason}")
        getattr(self, method)(event)

    def on_batch(self, events: Sequence[EventRecord]) -> None:
        """Take events, oldest first. Override it to take whole batches; by default each goes to ``handle``."""
        for event in events:
            self.handle(event)


def _overrides(cls: type[Subscriber], method: str) -> bool:
    return getattr(cls, method) is not getattr(Subscriber, method)
