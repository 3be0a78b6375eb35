"""What a subscriber's class says about itself: checked when the class is made, and turned into its routes."""

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any, Final, NoReturn

from workflow_engine.errors import SubscriberError
from workflow_engine.model.events import CATALOGUE
from workflow_engine.relay.patterns import ENTITIES, events_of, is_glob, suggestion

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_CHOICES: Final = {"delivery": ("durable", "inline"), "start": ("now", "beginning")}
_BATCH_LIMIT: Final = 10_000
_TRIES_LIMIT: Final = 100
_LONGEST_SECONDS: Final = 3_600.0
_SPECIFIC: Final = re.compile(rf"on_({'|'.join(ENTITIES)})_\w+")
"""Methods that are meant for one event."""


def check_attributes(cls: type) -> None:
    """Check everything but the routes.

    Raises:
        SubscriberError: the name is missing or malformed, or an attribute is out of range.
    """
    name = getattr(cls, "name", None)
    if name is None:
        _refuse(cls, 'it has no name: give it one, `name = "…"`, or declare it `abstract=True`')
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        _refuse(cls, f"its name cannot be {name!r}: a letter a-z, then at most 62 letters a-z, digits and underscores")
    for attribute, choices in _CHOICES.items():
        value = getattr(cls, attribute)
        if value not in choices:
            _refuse(cls, f"{attribute} must be {' or '.join(map(repr, choices))}, not {value!r}")
    namespaces = getattr(cls, "namespaces", None)
    if namespaces is not None and not _is_set_of_text(namespaces):
        _refuse(cls, f'namespaces must be a set of names, as in frozenset({{"shop"}}), not {namespaces!r}')
    _check_number(cls, "batch_size", int, least=1, most=_BATCH_LIMIT)
    _check_number(cls, "tries", int, least=1, most=_TRIES_LIMIT)
    _check_number(cls, "max_wait", float, least=0, most=_LONGEST_SECONDS)
    _check_number(cls, "timeout", float, least=0.001, most=_LONGEST_SECONDS)


def routes_of(cls: type, *, by_itself: bool) -> Mapping[str, str | None]:
    """Return the method of each event the class subscribes to; none where the class routes ``by_itself``.

    Raises:
        SubscriberError: an event is unknown or has no method, or a method no event.
    """
    declared = getattr(cls, "subscribe_to", None)
    if isinstance(declared, Mapping):
        routes: dict[str, str | None] = {**_mapped_routes(cls, declared)}
    else:
        routes = {event: _method_for(cls, event) for event in _listed_events(cls, declared)}
        if by_itself and all(method is None for method in routes.values()):
            return routes
    if not by_itself:
        _check_for_idle_methods(cls, routes)
    missing = [event for event, method in routes.items() if method is None]
    if missing and not by_itself:
        _refuse(cls, f"there is no method for {', '.join(missing)}: write {_own_method(missing[0])} or on_event")
    for method in sorted({method for method in routes.values() if method is not None}):
        _check_method(cls, method)
    return routes


def _is_set_of_text(value: object) -> bool:
    return isinstance(value, Set) and bool(value) and all(isinstance(each, str) for each in value)


def _listed_events(cls: type, declared: object) -> Iterator[str]:
    if isinstance(declared, str) or not isinstance(declared, Sequence) or not declared:
        _refuse(cls, f'subscribe_to must list events, as in ["run.failed", "step.*"], not {declared!r}')
    for pattern in declared:
        yield from _events_of(cls, pattern)


def _mapped_routes(cls: type, declared: Mapping[Any, Any]) -> dict[str, str]:
    """An event's own name wins over globs; two globs that disagree about an event are refused."""
    if not declared:
        _refuse(cls, "subscribe_to is empty")
    routes: dict[str, str] = {}
    origin: dict[str, str] = {}
    for pattern, method in sorted(declared.items(), key=lambda item: not is_glob(str(item[0]))):
        if not isinstance(method, str):
            _refuse(cls, f"subscribe_to must map events to names of methods, not {pattern!r} to {method!r}")
        for event in _events_of(cls, pattern):
            before = routes.get(event, method)
            if before != method and is_glob(pattern):
                _refuse(cls, f"subscribe_to maps {event} twice: {origin[event]!r} to {before}, {pattern!r} to {method}")
            routes[event], origin[event] = method, pattern
    return routes


def _events_of(cls: type, pattern: object) -> Sequence[str]:
    if not isinstance(pattern, str):
        _refuse(cls, f"subscribe_to must have names of events, not {pattern!r}")
    try:
        return events_of(pattern)
    except SubscriberError as error:
        raise SubscriberError(f"{_title(cls)}: {error}") from None


def _method_for(cls: type, event: str) -> str | None:
    return next((each for each in (_own_method(event), "on_event") if hasattr(cls, each)), None)


def _own_method(event: str) -> str:
    return "on_" + event.replace(".", "_")


def _check_method(cls: type, method: str) -> None:
    found = getattr(cls, method, None)
    if not callable(found):
        meant = suggestion(method, _methods(cls), otherwise="the class has no such method")
        _refuse(cls, f"subscribe_to names the method {method!r}: {meant}")
    if inspect.iscoroutinefunction(found):
        _refuse(cls, f"{method} is `async`: delivery is synchronous, and nobody would await it")
    if inspect.isfunction(inspect.getattr_static(cls, method)) and not _takes_an_event(found):
        _refuse(cls, f"{method} must take one argument, the event: `def {method}(self, event)`")


def _takes_an_event(method: Any) -> bool:
    try:
        inspect.signature(method).bind("self", "event")
    except TypeError:
        return False
    return True


def _check_for_idle_methods(cls: type, routes: Mapping[str, str | None]) -> None:
    """A misspelt handler would never be called, and nobody would know."""
    called = set(routes.values())
    for method in vars(cls):
        if _SPECIFIC.fullmatch(method) and method not in called:
            known = {_own_method(event): event for event in CATALOGUE}
            if method in known:
                _refuse(cls, f"{method} is never called: subscribe_to does not lead {known[method]} to it")
            _refuse(cls, f"{method} is the method of no event: {suggestion(method, known, otherwise='check its name')}")


def _check_number(cls: type, attribute: str, kind: type, *, least: float, most: float) -> None:
    value = getattr(cls, attribute)
    is_number = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not is_number or not least <= value <= most:  # NaN is not, either
        what = "a whole number" if kind is int else "a number of seconds"
        _refuse(cls, f"{attribute} must be {what} from {least:g} to {most:g}, not {value!r}")


def _methods(cls: type) -> Iterable[str]:
    return (name for name in dir(cls) if not name.startswith("__") and callable(getattr(cls, name)))


def _title(cls: type) -> str:
    return f"subscriber {cls.__module__}:{cls.__qualname__}"


def _refuse(cls: type, reason: str) -> NoReturn:
    raise SubscriberError(f"{_title(cls)}: {reason}")
