"""A database like those of applications: events with jsonb under a GIN index, accounts in numbers, long and short text.

Text is words of very different frequency plus random ids, so that it compresses like text. `megabytes` is about what
tables and indexes need; 1,600 is the data set that the design was measured with.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any

import psycopg

_PER_MEGABYTE = {"customers": 190, "accounts": 1900, "documents": 70, "events": 560}
_TABLES = """
CREATE TABLE customers (id int, name text, email text, address text, created timestamptz);
CREATE TABLE accounts (id int, branch int, balance numeric(12, 2), filler char(84));
CREATE TABLE documents (id int, title text, body text);
CREATE TABLE events (id int, customer int, amount numeric(10, 2), at timestamptz, payload jsonb);
"""
_INDEXES = """
ALTER TABLE customers ADD PRIMARY KEY (id);
ALTER TABLE accounts ADD PRIMARY KEY (id), ADD CHECK (balance >= 0);
ALTER TABLE documents ADD PRIMARY KEY (id);
ALTER TABLE events ADD PRIMARY KEY (id);
CREATE INDEX ON customers (email);
CREATE INDEX ON events (customer);
CREATE INDEX ON events USING gin (payload);
"""
Row = tuple[Any, ...]


class _Source:
    """Draws values, the same ones each time."""

    def __init__(self) -> None:
        self.random = random.Random(42)
        letters = "etaoinshrdlucmfwypvbgkqjxz"
        self._words = [
            "".join(self.random.choices(letters, k=2 + number % 9)) for number in range(5000)
        ]
        # Zipf: a word's frequency is the inverse of its rank.
        self._weights = list(accumulate(1 / (rank + 3) for rank in range(5000)))

    def words(self, count: int) -> list[str]:
        return self.random.choices(self._words, cum_weights=self._weights, k=count)

    def text(self, count: int) -> str:
        return " ".join(self.words(count))

    def moment(self) -> str:
        day = self.random.randrange(365)
        return f"2026-{1 + day % 12:02}-{1 + day % 28:02} 12:{day % 60:02}:{day % 59:02}+00"

    def id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128)))

    def customer(self, number: int) -> Row:
        email = f"{self.random.getrandbits(64):x}@example.org"
        return number, self.text(2), email, self.text(32), self.moment()

    def account(self, number: int) -> Row:
        return number, number % 100, f"{self.random.random() * 1e7:.2f}", ""

    def document(self, number: int) -> Row:
        return number, self.text(6), self.text(420)

    def event(self, number: int) -> Row:
        kind, path, *rest = self.words(34)
        payload = {
            "id": self.id(),
            "kind": kind,
            "tags": rest[:10],
            "text": " ".join(rest[10:]),
            "page": {"path": f"/{path}", "ms": self.random.randrange(900)},
        }
        amount = f"{self.random.random() * 1000:.2f}"
        return number, self.random.randrange(300_000), amount, self.moment(), json.dumps(payload)


def fill(url: str, megabytes: int) -> int:
    """Fill an empty database and return its size in bytes.

    Args:
        url: For a role that may create tables in it.
        megabytes: About how large it gets.
    """
    source = _Source()
    rows = {
        "customers": source.customer,
        "accounts": source.account,
        "documents": source.document,
        "events": source.event,
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES)
        for name, make in rows.items():
            _copy(connection, name, _made(make, _PER_MEGABYTE[name] * megabytes))
        connection.execute(_INDEXES)
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    assert row is not None
    return int(row[0])


def _made(make: Callable[[int], Row], count: int) -> Iterator[Row]:
    return (make(number) for number in range(1, count + 1))


def _copy(connection: psycopg.Connection[Any], name: str, rows: Iterator[Row]) -> None:
    with connection.cursor().copy(f"COPY {name} FROM STDIN".encode()) as copy:
        for row in rows:
            copy.write_row(row)
