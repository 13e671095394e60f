"""A shop with a backup and newer data, for tests of restores by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from ops import tasks
from ops.backup.manifest import Manifest
from tests.support.backups import Shop, shop
from tests.support.commands import Answer, Command
from tests.support.postgres import Postgres

FILL = """
CREATE TABLE orders (id integer PRIMARY KEY, item text); CREATE INDEX ON orders (item);
INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, 100) n; SELECT lo_from_bytea(0, '\\x00');
"""


@dataclass
class Site:
    """A shop with a backup of 100 orders, and 101 orders now.

    Args:
        shop: The application.
        backup: The backup.
        command: Runs tasks in this process.
    """

    shop: Shop
    backup: Manifest
    command: Command

    def __call__(self, *words: str) -> Answer:
        return self.command(*words, tasks=tasks.collection())

    def restore(self, *words: str) -> Answer:
        return self("backup.restore", "--id", self.backup.id, *words)

    @property
    def end(self) -> str:
        return self.backup.id.rpartition("-")[2]

    def name(self, what: str) -> str:
        return f"{self.shop.database}_{what}_{self.end}"

    def orders(self, database: str = "") -> int:
        ((count,),) = self.shop.ask("SELECT count(*) FROM orders", database)
        return int(count)


@contextmanager
def site(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Site]:
    """Give a shop whose folder and variables are those of this process."""
    with shop(server) as made:
        for name, value in made.variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(made.folder)
        made.ask(FILL)
        backup = made.take()
        made.ask("INSERT INTO orders VALUES (101, 'later')")
        yield Site(made, backup, Command(capsys))


def assert_nothing_changed(site: Site) -> None:
    assert list(site.shop.databases()) == [site.shop.database]
    assert site.orders() == 101


def assert_one_line(answer: Answer, code: int, said: str) -> None:
    errors = [line for line in answer.err.splitlines() if line.startswith("error: ")]
    assert (answer.code, len(errors)) == (code, 1), answer.err
    assert said in errors[0], errors
    assert "Traceback" not in answer.err
