"""The subscribers in force: built in, from import paths, and narrowed and configured by the subscribers file."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from workflow_engine.errors import ConfigurationError, SubscriberError
from workflow_engine.model.records import EventRecord
from workflow_engine.relay.loading import check_options, classes_at, configure, make, title
from workflow_engine.relay.patterns import events_of, suggestion
from workflow_engine.relay.subscriber import Delivery, Subscriber
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


Wanted = dict[str | None, frozenset[str]]
"""The events wanted of each workflow: ``*`` is every one not named, and None is none at all."""


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
    """Every enabled subscriber of a process; those of a kind are made when they are first asked for."""

    def __init__(
        self,
        built_in: Iterable[Subscriber] = (),
        *,
        paths: Iterable[str] = (),
        file: Path | None = None,
        reserved: Collection[str] = (),
    ) -> None:
        """Take those given, those at the import paths and those of the file; all as the file wants them.

        Args:
            built_in: subscribers of this library that this process wants.
            paths: import paths of subscribers, ``module`` or ``module:Class``.
            file: the subscribers file.
            reserved: names of this library's other subscribers: nobody else may have them, and what the file says
                about them is for processes that want them.

        Raises:
            ConfigurationError: one cannot be imported, or the file is wrong; the message says where.
            SubscriberError: one cannot work, or two have one name.
        """
        self._file = file
        self._found: dict[str, Found] = {}
        self._reserved = frozenset(reserved)
        for subscriber in built_in:
            self._add(subscriber)
        for path in paths:
            for cls in classes_at(path, source=_PATHS_SETTING):
                self._add(cls)
        self._rules = {} if file is None else read_subscribers_file(file)
        for name, rule in self._rules.items():
            self._look_for(name, rule)
        self._wanted = {name: self._checked(found) for name, found in self._found.items()}

    def __iter__(self) -> Iterator[Subscription]:
        return iter([*self.durable, *self.inline])

    def __len__(self) -> int:
        return sum(self._rule(name).enabled for name in self._found)

    @cached_property
    def durable(self) -> list[Subscription]:
        """Those the relay delivers to.

        Raises:
            ConfigurationError: one cannot be made with its options.
        """
        return self._of_kind("durable")

    @cached_property
    def inline(self) -> list[Subscription]:
        """Those that are called where events are published.

        Raises:
            ConfigurationError: one cannot be made with its options.
        """
        return self._of_kind("inline")

    def _rule(self, name: str) -> SubscriberRule:
        return self._rules.get(name, _AS_IT_COMES)

    def _add(self, found: Found) -> None:
        if isinstance(found, type) and found.name in self._reserved:
            raise SubscriberError(
                f"{title(found)}: a subscriber of this library is named {found.name!r}: choose another"
            )
        before = self._found.setdefault(found.name, found)
        if before is not found and _class_of(before) is not found:  # one class may be named in both settings
            raise SubscriberError(
                f"two subscribers are named {found.name!r}: {title(_class_of(before))} and {title(_class_of(found))}"
            )

    def _look_for(self, name: str, rule: SubscriberRule) -> None:
        """Find the subscriber that a rule is about, where it says, or among those known."""
        if rule.import_path is None:
            if name not in self._found and name not in self._reserved:
                known = f"known are {', '.join(self._found) or 'none'}; `class: module:Class` adds one"
                raise self._mistake([name], f"unknown subscriber, {suggestion(name, self._found, otherwise=known)}")
            return
        source = self._place(name, "class")
        classes = {cls.name: cls for cls in classes_at(rule.import_path, source=source)}
        if name not in classes:
            there = ", ".join(repr(each) for each in classes)
            raise self._mistake([name, "class"], f"{rule.import_path} is named {there}: name it so here, too")
        self._add(classes[name])

    def _checked(self, found: Found) -> Wanted:
        """Return what a subscriber wants; its rule must be right even if that disables it."""
        rule = self._rule(found.name)
        wanted = self._wanted_of(_class_of(found), rule)
        if isinstance(found, type):
            for workflow, each in rule.workflow_rules.items():
                check_options(found, each.options, source=self._place(found.name, "workflows", workflow, "options"))
            check_options(found, rule.options, source=self._place(found.name, "options"))
        return wanted

    def _wanted_of(self, cls: type[Subscriber], rule: SubscriberRule) -> Wanted:
        general = self._narrowed(cls, rule.subscribe_to, [cls.name]) or frozenset(cls.routes)
        if rule.only_workflows is not None:
            return {OTHER_WORKFLOWS: _NOTHING, None: general, **dict.fromkeys(rule.only_workflows, general)}
        own: Wanted = {}
        for workflow, each in rule.workflow_rules.items():
            narrowed = self._narrowed(cls, each.subscribe_to, [cls.name, "workflows", workflow])
            own[workflow] = (narrowed or general) if each.enabled else _NOTHING
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

    def _of_kind(self, delivery: Delivery) -> list[Subscription]:
        return [
            self._subscription(found)
            for name, found in self._found.items()
            if found.delivery == delivery and self._rule(name).enabled
        ]

    def _subscription(self, found: Found) -> Subscription:
        rule, wanted, place = self._rule(found.name), self._wanted[found.name], self._place(found.name)
        subscriber = make(found, rule.options, source=place) if isinstance(found, type) else found
        workflow_options = {workflow: each.options for workflow, each in rule.workflow_rules.items()}
        configure(subscriber, rule.options, workflow_options, source=place)
        return Subscription(
            subscriber=subscriber,
            names=_NOTHING.union(*wanted.values()),
            namespaces=_both(subscriber.namespaces, rule.namespaces),
            workflows={workflow: names for workflow, names in wanted.items() if workflow != OTHER_WORKFLOWS},
            elsewhere=wanted[OTHER_WORKFLOWS],
        )

    def _place(self, *keys: str) -> str:
        if self._file is None:
            return f"subscriber {keys[0]!r} (its options are given in the file of {SETTING})"
        return f"{self._file}: {'.'.join(['subscribers', *keys])}"

    def _mistake(self, keys: Sequence[str], reason: str) -> ConfigurationError:
        return ConfigurationError(f"{self._place(*keys)}: {reason}")


def _both(own: frozenset[str] | None, ruled: Sequence[str] | None) -> frozenset[str] | None:
    """Return the namespaces that a subscriber and its rule agree on; None for all."""
    if own is None or ruled is None:
        return own if ruled is None else frozenset(ruled)
    return own.intersection(ruled)


def _class_of(found: Found) -> type[Subscriber]:
    return found if isinstance(found, type) else type(found)
