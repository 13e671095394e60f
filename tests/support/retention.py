"""A project with retention rules on a database with a table of events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import SecretStr

from ops.database import cleanup_batches, cleanup_look, cleanup_rules
from ops.database.cleanup_rules import Subject
from ops.database.sql import Connection
from ops.kernel.settings.data import Cleanup
from tests.support.commands import Answer
from tests.support.roles import Site

RULE = """
[cleanup.{rule}]
table = "{table}"
column = "{column}"
keep = "{keep}"
batch = {batch}
pause = 0.001
{more}
"""


@dataclass
class Retention:
    """A site with rules.

    Args:
        site: The project and its database.
    """

    site: Site

    def begin(self) -> None:
        """Make the table of events; only database_url is given."""
        self.site.write()
        self.site.rows("create table events (id bigserial primary key, at timestamptz, note text)")
        self.site.rows("create index on events (at)")

    def rule(
        self,
        rule: str = "events",
        table: str = "events",
        column: str = "at",
        keep: str = "30d",
        batch: int = 10,
        more: str = "",
    ) -> None:
        """Add a rule; `more` are lines of its own."""
        text = RULE.format(rule=rule, table=table, column=column, keep=keep, batch=batch, more=more)
        with (self.site.folder / "ops.toml").open("a") as toml:
            toml.write(text)

    def run(self, *words: str) -> Answer:
        """Clean up, confirmed."""
        return self.site("maintenance.cleanup", "--yes", *words)

    def count(self, table: str = "events") -> int:
        """Return how many rows a table has."""
        return int(str(self.site.rows(f"select count(*) from {table}")[0][0]))

    def fill(self, old: int, young: int, table: str = "events") -> None:
        """Add rows that are 40 to 50 days old, and rows of today."""
        self.site.rows(
            f"insert into {table} (at) select now() - interval '40 days' - random() * interval '10 days'"
            f" from generate_series(1, {old})"
        )
        self.site.rows(f"insert into {table} (at) select now() from generate_series(1, {young})")
        self.site.rows(f"analyze {table}")

    @contextmanager
    def subject(self, table: str = "events") -> Iterator[tuple[Connection, Subject]]:
        """Give a connection and a rule's subject without a command."""
        url = SecretStr(self.site.server.url(self.site.name))
        rule = Cleanup.model_validate({"table": table, "column": "at", "keep": "30d"})
        with cleanup_look.connect(url, timeout="30s", change=True) as connection:
            yield connection, cleanup_rules.resolve(connection, "test", rule, ("public",))

    def delete(
        self, limit: datetime, *, table: str = "events", indexed: bool, size: int = 3
    ) -> int:
        """Delete what is older than a moment; return how many rows that were."""
        with self.subject(table) as (connection, subject):
            leaves = [replace(each, indexed=indexed) for each in subject.leaves]
            return sum(
                gone
                for leaf in leaves
                for gone in cleanup_batches.delete(
                    connection, subject, leaf, limit.isoformat(), lambda: size
                )
            )
