"""The workflows that the API of a benchmark knows."""

from benchmarks.workflows import UNSERVED, diamond

unserved = diamond(UNSERVED)
