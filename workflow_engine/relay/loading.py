"""Find subscribers by import path, and make one with its options. What cannot be done is told by where it was asked."""

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from inspect import Parameter
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from workflow_engine.errors import ConfigurationError, WorkflowEngineError
from workflow_engine.relay.patterns import suggestion
from workflow_engine.relay.subscriber import Subscriber

_NAMED: Final = frozenset({Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY})


def title(cls: type[Subscriber]) -> str:
    """Return a class as an import path."""
    return f"{cls.__module__}:{cls.__qualname__}"


def classes_at(path: str, *, source: str) -> list[type[Subscriber]]:
    """Return the subscriber ``module:Class`` names, or all that are defined in ``module`` (not those it imports).

    Raises:
        ConfigurationError: it cannot be imported or is no subscriber; the message starts with ``source``.
        SubscriberError: a subscriber in it cannot work.
    """
    module_name, colon, attribute = path.partition(":")
    if not all(part.isidentifier() for part in module_name.split(".")) or (colon and not attribute):
        raise ConfigurationError(f"{source}: {path!r} is not an import path: module or module:Class")
    module = _import(module_name, source=source)
    return [_class_of(module, attribute, source=source)] if attribute else _classes_in(module, source=source)


def make(cls: type[Subscriber], options: Mapping[str, Any], *, source: str) -> Subscriber:
    """Return a subscriber made with its options.

    Raises:
        ConfigurationError: it lacks an option, or refuses one. Those it does not take are for ``check_options``.
    """
    missing = [each.name for each in _parameters(cls) if each.default is Parameter.empty and each.name not in options]
    if missing:
        raise ConfigurationError(f"{source}: {title(cls)} needs options: {', '.join(missing)}")
    try:
        return cls(**options)
    except Exception as error:
        raise ConfigurationError(f"{source}: {title(cls)} cannot be made: {_reason(error)}") from error


def configure(
    subscriber: Subscriber,
    options: Mapping[str, Any],
    workflow_options: Mapping[str, Mapping[str, Any]],
    *,
    source: str,
) -> None:
    """Give a subscriber the options of the subscribers file.

    Raises:
        ConfigurationError: it refuses one.
    """
    try:
        subscriber.configure(options, workflow_options)
    except Exception as error:
        raise ConfigurationError(
            f"{source}: {title(type(subscriber))} refuses its options: {_reason(error)}"
        ) from error


def check_options(cls: type[Subscriber], options: Mapping[str, Any], *, source: str) -> None:
    """Check that the constructor of a class takes these options.

    Raises:
        ConfigurationError: it does not take one.
    """
    if any(each.kind is Parameter.VAR_KEYWORD for each in inspect.signature(cls).parameters.values()):
        return
    known = [each.name for each in _parameters(cls)]
    for option in options:
        if option not in known:
            meant = suggestion(option, known, otherwise=f"options are {', '.join(known)}" if known else "it has none")
            raise ConfigurationError(f"{source}.{option}: unknown option of {title(cls)}, {meant}")


def _parameters(cls: type[Subscriber]) -> Sequence[Parameter]:
    return [each for each in inspect.signature(cls).parameters.values() if each.kind in _NAMED]


def _import(name: str, *, source: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:  # console scripts do not look in the current folder; `python -m` does
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except WorkflowEngineError:
        raise
    except Exception as error:  # whatever a module does when it is imported
        raise ConfigurationError(f"{source}: cannot import {name!r}: {_reason(error)}") from error


def _class_of(module: ModuleType, attribute: str, *, source: str) -> type[Subscriber]:
    found = getattr(module, attribute, None)
    path = f"{module.__name__}:{attribute}"
    if found is None:
        known = [name for name, value in vars(module).items() if _is_subscriber(value)]
        meant = suggestion(attribute, known, otherwise=f"it has {', '.join(known) or 'no subscriber'}")
        raise ConfigurationError(f"{source}: {module.__name__!r} has no {attribute!r}: {meant}")
    if not isinstance(found, type) or not issubclass(found, Subscriber):
        raise ConfigurationError(f"{source}: {path!r} is not a subclass of workflow_engine.Subscriber")
    if found.is_abstract:
        raise ConfigurationError(f"{source}: {path!r} is abstract: name a class that inherits from it")
    return found


def _classes_in(module: ModuleType, *, source: str) -> list[type[Subscriber]]:
    here = [each for each in vars(module).values() if _is_subscriber(each) and each.__module__ == module.__name__]
    if not here:
        imported = sorted(title(each) for each in vars(module).values() if _is_subscriber(each))
        hint = f"; those it imports are not meant unless named: {', '.join(imported)}" if imported else ""
        raise ConfigurationError(f"{source}: {module.__name__!r} holds no subscriber{hint}")
    return list(dict.fromkeys(here))


def _is_subscriber(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Subscriber) and not value.is_abstract


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, ImportError | WorkflowEngineError) else f"{type(error).__name__}: {text}"
