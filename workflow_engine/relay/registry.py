"""The subscribers in force: built in, from import paths, and narrowed and configured by the subscribers file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from workflow_engine.errors import ConfigurationError, SubscriberError
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.loading import check_options, classes_at, configure, make, title
from workflow_engine.relay.patterns import events_of, suggestion
from workflow_engine.relay.subscriber import Subscriber
from workflow_engine.relay.subscriptions_file import (
    OTHER_WORKFLOWS,
    SETTING,
    SubscriberRule,
    read_subscribers_file,
)

_PATHS_SETTING: Final = "WFE_SUBSCRIBERS"
_NOTHING: Final = frozenset[str]()
_AS_IT_COMES: Final = SubscriberRule()

Found = Subscriber | type[Subscriber]
"""A built-in subscriber, which is made already, or the class of one that is made with its options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscriber, and what it wants of all that happens."""

    subscriber: Subscriber
    names: frozenset[str]
    """Every event it may want, of whatever workflow."""
    namespaces: frozenset[str] | None = None
    """None for all."""
    workflows: Mapping[str | None, frozenset[str]] = field(default_factory=dict)
    """The events it wants of some workflows, and (by None) of those that are about no workflow."""
    elsewhere: frozenset[str] | None = None
    """The events it wants of every other workflow; None for all of ``names``."""

    @property
    def name(self) -> str:
        """The subscriber's name, which is its cursor's."""
        return self.subscriber.name

    def wants(self, event: EventRecord) -> bool:
        """Whether the subscriber is to get the event."""
        if event.name not in self.names:
            return False
        if self.namespaces is not None and event.namespace not in self.namespaces:
            return False
        names = self.workflows.get(event.workflow, self.elsewhere)
        return names is None or event.name in names


class Subscribers:
    """Every enabled subscriber of a process."""

    def __init__(
        self, built_in: Iterable[Subscriber] = (), *, paths: Iterable[str] = (), file: Path | None = None
    ) -> None:
        """Take those given, those at the import paths and those of the file; all as the file wants them.

        Raises:
            ConfigurationError: one cannot be imported or made, or the file is wrong; the message says where.
            SubscriberError: one cannot work, or two have one name.
        """
        self._file = file
        self._found: dict[str, Found] = {}
        for subscriber in built_in:
            self._add(subscriber)
        for path in paths:
            for cls in classes_at(path, source=_PATHS_SETTING):
                self._add(cls)
        rules = {} if file is None else read_subscribers_file(file)
        for name, rule in rules.items():
            self._look_for(name, rule)
        made = (self._subscription(found, rules.get(name, _AS_IT_COMES)) for name, found in self._found.items())
        self._subscriptions = [subscription for subscription in made if subscription is not None]

    def __iter__(self) -> Iterator[Subscription]:
        return iter(self._subscriptions)

    def __len__(self) -> int:
        return len(self._subscriptions)

    @property
    def durable(self) -> list[Subscription]:
        """Those the relay delivers to."""
        return [each for each in self._subscriptions if each.subscriber.delivery == "durable"]

    @property
    def inline(self) -> list[Subscription]:
        """Those that are called where events are published."""
        return [each for each in self._subscriptions if each.subscriber.delivery == "inline"]

    def _add(self, found: Found) -> None:
        before = self._found.setdefault(found.name, found)
        if before is not found and _class_of(before) is not found:  # one class may be named in both settings
            raise SubscriberError(
                f"two subscribers are named {found.name!r}: {title(_class_of(before))} and {title(_class_of(found))}"
            )

    def _look_for(self, name: str, rule: SubscriberRule) -> None:
        """Find the subscriber that a rule is about, where it says, or among those known."""
        if rule.import_path is None:
            if name not in self._found:
                known = f"known are {', '.join(self._found) or 'none'}; `class: module:Class` adds one"
                raise self._mistake([name], f"unknown subscriber, {suggestion(name, self._found, otherwise=known)}")
            return
        source = self._place(name, "class")
        classes = {cls.name: cls for cls in classes_at(rule.import_path, source=source)}
        if name not in classes:
            there = ", ".join(repr(each) for each in classes)
            raise self._mistake([name, "class"], f"{rule.import_path} is named {there}: name it so here, too")
        self._add(classes[name])

    def _subscription(self, found: Found, rule: SubscriberRule) -> Subscription | None:
        """Return the subscription as the rule has it; None if it is disabled, though its rule must be right even so."""
        wanted = self._wanted(found, rule)
        workflow_options = {workflow: each.options for workflow, each in rule.workflow_rules.items()}
        if isinstance(found, type):
            for workflow, options in workflow_options.items():
                check_options(found, options, source=self._place(found.name, "workflows", workflow, "options"))
        if not rule.enabled:
            return None
        place = self._place(found.name)
        subscriber = make(found, rule.options, source=place) if isinstance(found, type) else found
        configure(subscriber, rule.options, workflow_options, source=place)
        return Subscription(
            subscriber=subscriber,
            names=_NOTHING.union(*wanted.values()),
            namespaces=None if rule.namespaces is None else frozenset(rule.namespaces),
            workflows={workflow: names for workflow, names in wanted.items() if workflow != OTHER_WORKFLOWS},
            elsewhere=wanted[OTHER_WORKFLOWS],
        )

    def _wanted(self, found: Found, rule: SubscriberRule) -> dict[str | None, frozenset[str]]:
        """Return the events wanted of each workflow: None is no workflow, and ``*`` every one not named."""
        cls, place = _class_of(found), [found.name]
        general = self._narrowed(cls, rule.subscribe_to, place) or frozenset(cls.routes)
        if rule.only_workflows is not None:
            return {OTHER_WORKFLOWS: _NOTHING, None: general, **dict.fromkeys(rule.only_workflows, general)}
        own: dict[str | None, frozenset[str]] = {
            workflow: (self._narrowed(cls, each.subscribe_to, [*place, "workflows", workflow]) or general)
            if each.enabled
            else _NOTHING
            for workflow, each in rule.workflow_rules.items()
        }
        return {OTHER_WORKFLOWS: general, None: general, **own}

    def _narrowed(
        self, cls: type[Subscriber], patterns: Sequence[str] | None, place: Sequence[str]
    ) -> frozenset[str] | None:
        """Return the events of a class that the patterns mean; None without patterns."""
        if patterns is None:
            return None
        narrowed = set[str]()
        for number, pattern in enumerate(patterns):
            here = [*place, "subscribe_to", str(number)]
            try:
                meant = cls.routes.keys() & events_of(pattern)
            except SubscriberError as error:
                raise self._mistake(here, str(error)) from None
            if not meant:
                closest = suggestion(pattern, cls.routes, otherwise=f"it subscribes to {', '.join(cls.routes)}")
                raise self._mistake(here, f"{title(cls)} does not subscribe to {pattern!r}: {closest}")
            narrowed |= meant
        return frozenset(narrowed)

    def _place(self, *keys: str) -> str:
        if self._file is None:
            return f"subscriber {keys[0]!r} (its options are given in the file of {SETTING})"
        return f"{self._file}: {'.'.join(['subscribers', *keys])}"

    def _mistake(self, keys: Sequence[str], reason: str) -> ConfigurationError:
        return ConfigurationError(f"{self._place(*keys)}: {reason}")


def _class_of(found: Found) -> type[Subscriber]:
    return found if isinstance(found, type) else type(found)
