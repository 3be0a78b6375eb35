"""Finding the example workflows, which a checkout has and an installed package has not."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from workflow_engine.errors import ConfigurationError

MODULES: Final = ("examples.source_census", "examples.order_fulfilment")


def load_examples() -> str:
    """Make the examples importable, import them, and return the ``PYTHONPATH`` that does so elsewhere.

    Raises:
        ConfigurationError: they are not here.
    """
    checkouts = [place for place in (Path(__file__).resolve().parents[2], Path.cwd()) if _has_examples(place)]
    if not checkouts:
        raise ConfigurationError(
            "the examples are not here: they come with a checkout of the project, not with the installed package; "
            "run `wfe demo` inside one"
        )
    sys.path.insert(0, str(checkouts[0]))
    if (wrong := _shadow(checkouts[0])) is not None:
        raise ConfigurationError(f"another package named 'examples' is in the way: {wrong}")
    for module in MODULES:
        import_module(module)
    return os.pathsep.join(path for path in (str(checkouts[0]), os.environ.get("PYTHONPATH")) if path)


def _has_examples(folder: Path) -> bool:
    return (folder / "examples" / "source_census.py").is_file()


def _shadow(checkout: Path) -> str | None:
    """Return where another package of that name was imported from, if one was."""
    spec = find_spec("examples")
    origin = None if spec is None else spec.origin
    return None if origin is None or Path(origin).is_relative_to(checkout) else origin
