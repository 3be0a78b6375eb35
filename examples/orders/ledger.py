"""The shop's books: one SQLite file that several workers may write, each entry once."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

OPENING_STOCK = {"book": 1_000, "lamp": 1_000, "teapot": 1_000, "piano": 1}

HOLD = timedelta(minutes=15)
"""How long goods are kept for an order that is not paid yet; then others may have them."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, on_hand INTEGER NOT NULL CHECK (on_hand >= 0))",
    "CREATE TABLE IF NOT EXISTS holds (key TEXT, sku TEXT, quantity INTEGER, until TEXT, PRIMARY KEY (key, sku))",
    "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, entry TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, count INTEGER NOT NULL)",
)

Entry = dict[str, Any]


class OutOfStock(Exception):
    """Less is left than was ordered."""

    def __init__(self, sku: str, wanted: int, left: int) -> None:
        super().__init__(f"{wanted} of {sku!r} wanted, {left} left")
        self.sku = sku


class Ledger:
    """Stock, holds and entries below one folder; it is made, with its opening stock, by whoever comes first."""

    def __init__(self, folder: Path) -> None:
        """Open the books."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "ledger.sqlite"
        with self._transaction() as db:
            for statement in _SCHEMA:
                db.execute(statement)
            for sku, quantity in OPENING_STOCK.items():
                db.execute("INSERT INTO stock VALUES (?, ?) ON CONFLICT DO NOTHING", (sku, quantity))

    def once(self, key: str, work: Callable[[sqlite3.Connection], Entry]) -> Entry:
        """Do ``work`` and keep its entry under ``key``; if ``key`` has an entry, return that and do nothing.

        Work and entry are one transaction. That is what makes a step that runs twice happen once.
        """
        with self._transaction() as db:
            for known in db.execute("SELECT entry FROM entries WHERE key = ?", (key,)):
                return _entry(known["entry"])
            entry = work(db)
            db.execute("INSERT INTO entries VALUES (?, ?)", (key, json.dumps(entry)))
            return entry

    def count_call(self, key: str) -> int:
        """Count a call under ``key``, whatever comes of it, and return how many there have been."""
        with self._transaction() as db:
            counted = db.execute(
                "INSERT INTO calls VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET count = count + 1 RETURNING count",
                (key,),
            )
            return int(counted.fetchone()["count"])

    def entries(self) -> dict[str, Entry]:
        """Return every entry by its key."""
        with self._transaction() as db:
            return {row["key"]: _entry(row["entry"]) for row in db.execute("SELECT key, entry FROM entries")}

    def on_hand(self, sku: str) -> int:
        """Return how many are on the shelf, held ones included."""
        with self._transaction() as db:
            return _on_hand(db, sku)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside a transaction that has the write lock from its start: no upgrade, no deadlock."""
        db = sqlite3.connect(self._path, timeout=20, isolation_level=None)
        db.row_factory = sqlite3.Row
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.execute("COMMIT")
        finally:
            db.close()  # rolls back what was not committed


def hold_goods(db: sqlite3.Connection, key: str, goods: Mapping[str, int], now: datetime) -> Entry:
    """Keep ``goods`` for an order until ``HOLD`` is over.

    Raises:
        OutOfStock: too few are left beside those held for others; nothing is held.
    """
    until = (now + HOLD).isoformat(timespec="microseconds")
    for sku, quantity in goods.items():
        left = _on_hand(db, sku) - _held(db, sku, now)
        if left < quantity:
            raise OutOfStock(sku, quantity, left)
        db.execute("INSERT INTO holds VALUES (?, ?, ?, ?)", (key, sku, quantity, until))
    return {"held": dict(goods), "until": until}


def take_goods(db: sqlite3.Connection, hold_key: str, goods: Mapping[str, int]) -> None:
    """Take ``goods`` off the shelf and end their hold.

    Raises:
        OutOfStock: the hold lapsed and others took them; nothing is taken.
    """
    for sku, quantity in goods.items():
        left = _on_hand(db, sku)
        if left < quantity:
            raise OutOfStock(sku, quantity, left)
        db.execute("UPDATE stock SET on_hand = on_hand - ? WHERE sku = ?", (quantity, sku))
    db.execute("DELETE FROM holds WHERE key = ?", (hold_key,))


def _on_hand(db: sqlite3.Connection, sku: str) -> int:
    row = db.execute("SELECT on_hand FROM stock WHERE sku = ?", (sku,)).fetchone()
    return int(row["on_hand"]) if row else 0


def _held(db: sqlite3.Connection, sku: str, now: datetime) -> int:
    held = db.execute(
        "SELECT coalesce(sum(quantity), 0) AS held FROM holds WHERE sku = ? AND until > ?",
        (sku, now.isoformat(timespec="microseconds")),
    )
    return int(held.fetchone()["held"])


def _entry(text: str) -> Entry:
    entry: Entry = json.loads(text)
    return entry
