"""Tables as HTML: every value escaped, every column sortable."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Generic, TypeVar

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column: its heading, and what it says of a row."""

    heading: str
    value: Callable[[Row], str | float]
    below: Callable[[Row], str] | None = None
    """A second, smaller line."""
    name: bool = False
    """What the row is about."""
    bar: bool = False
    """Drawn as a bar, the longest for the highest value."""
    badge: bool = False
    mono: bool = False
    minor: bool = False
    """Left out where the screen is narrow."""
    digits: int = 0

    def cell(self, row: Row, highest: float) -> str:
        """Return the cell of a row; ``highest`` is the column's highest value."""
        value = self.value(row)
        return f'<td{_classes(self, value)} data-value="{escape(str(value))}">{self._inside(row, value, highest)}</td>'

    def _inside(self, row: Row, value: str | float, highest: float) -> str:
        if self.bar and not isinstance(value, str):
            return f'<i style="width:{100 * value / (highest or 1):.1f}%"></i>'
        text = escape(value) if isinstance(value, str) else f"{value:,.{self.digits}f}"
        if self.badge:
            text = f'<span class="badge {text}">{text}</span>'
        below = f'<span class="sub mono">{escape(self.below(row))}</span>' if self.below else ""
        return text + below


Columns = Sequence[Column[Row]]


def table(columns: Columns[Row], rows: Sequence[Row]) -> str:
    """Return a table that scrolls sideways where it must."""
    if not rows:
        return '<p class="empty">None.</p>'
    headings = "".join(_heading(column, column.value(rows[0])) for column in columns)
    highest = [_highest(column, rows) for column in columns]
    body = "".join(
        "<tr>" + "".join(column.cell(row, top) for column, top in zip(columns, highest, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{headings}</tr></thead><tbody>{body}</tbody></table></div>'


def _heading(column: Column[Row], value: str | float) -> str:
    text = escape(column.heading)
    inside = f'<button type="button">{text}</button>' if text else ""
    return f'<th scope="col"{_classes(column, value)}>{inside}</th>'


def _highest(column: Column[Row], rows: Sequence[Row]) -> float:
    values = [column.value(row) for row in rows]
    return max((value for value in values if not isinstance(value, str)), default=0)


def _classes(column: Column[Row], value: str | float) -> str:
    kinds = {
        "number": not isinstance(value, str),
        "bar": column.bar,
        "name": column.name,
        "mono": column.mono,
        "minor": column.minor,
    }
    named = " ".join(kind for kind, holds in kinds.items() if holds)
    return f' class="{named}"' if named else ""
