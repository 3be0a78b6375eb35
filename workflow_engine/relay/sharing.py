"""How relays share subscribers. Pure."""

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from math import ceil


def fair_share(relays: Mapping[str, int]) -> int:
    """Return how many cursors a relay may hold, by how many relays could deliver to each of its subscribers.

    A subscriber that only this relay knows counts fully, one that three of them know a third; so the shares of relays
    that know different subscribers suffice for all.
    """
    return ceil(sum(Fraction(1, max(number, 1)) for number in relays.values()))


def by_preference(relays: Mapping[str, int]) -> list[str]:
    """Return subscribers, those that few others could deliver to first."""
    return sorted(relays, key=lambda name: (relays[name], name))


def surplus(held: Collection[str], relays: Mapping[str, int]) -> Sequence[str]:
    """Return which of the held cursors to give back: those that most others could take."""
    ordered = [name for name in by_preference(relays) if name in held]
    return ordered[fair_share(relays) :]
