"""How the report words names and numbers."""

from collections.abc import Sequence


def counted(number: int, one: str, many: str = "") -> str:
    """Return ``1 file`` or ``2 files``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def some(names: Sequence[str], most: int) -> str:
    """Return the first names, and an ellipsis where there are more than ``most``."""
    return ", ".join(names[:most]) + (" …" if len(names) > most else "")


def shortened(name: str, most: int) -> str:
    """Return a name that takes no more than ``most`` characters."""
    return name if len(name) <= most else name[: most - 1] + "…"
