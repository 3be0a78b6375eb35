"""Celery tasks that are no steps, in the app of these tests' workers."""

from typing import Any

from celery import Celery, chord


def register(app: Celery) -> None:
    """Add the tasks to an app."""
    app.task(name="plain.double", shared=False)(_double)
    app.task(name="plain.total", shared=False)(_total)


def chord_of(app: Celery, numbers: list[int]) -> Any:
    """Return the sum of the doubled numbers, as Celery's own chord."""
    return chord([app.signature("plain.double", (number,)) for number in numbers], app.signature("plain.total"))


def _double(number: int) -> int:
    return 2 * number


def _total(numbers: list[int]) -> int:
    return sum(numbers)
