"""db.init, db.status, db.migrate, db.lint, db.extensions, db.schema: arguments only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.kernel.task import ADMIN, READ, WRITE, task

if TYPE_CHECKING:
    from ops.kernel.invocation import Invocation
    from ops.kernel.report import Report


@task(level=ADMIN, kind="setup")
def init(call: Invocation) -> Report:
    """Make roles, database, schemas and grants by least privilege; repair what has drifted, drop nothing.

    The owner (migration_url) owns and migrates, the application (database_url) reads and writes rows, the reader
    (reader_url) reads them; admin_url makes them. A dry run shows the SQL.
    """
    from ops.database import init as initial
    from ops.hosts import envlock

    return initial.with_sql(call.operate(initial.plan, lock=envlock.of))


@task(level=WRITE, kind="setup")
def extensions(call: Invocation) -> Report:
    """Deploy the extensions that ops.toml lists, at version and in schema; check a Supabase project.

    What is installed and not listed stays. With SUPABASE_URL the project's URL, keys and endpoints are checked too;
    one that is wrong ends with exit code 1.
    """
    from ops.database import extensions as listed
    from ops.database import init as initial
    from ops.database import supabase
    from ops.hosts import envlock

    report = initial.with_sql(call.operate(listed.plan, lock=envlock.of))
    return supabase.announce(report, call.context())


@task(level=READ, kind="verification")
def status(call: Invocation) -> Report:
    """Show every migration of the working tree with its state in the environment's database."""
    from ops.setup import migrate

    state = call.state()
    if state is None:
        return migrate.show(call.context(), None)
    with state:
        return migrate.show(call.context(), state)


@task(level=WRITE, kind="migration", help={"to": "Last version to apply; default: all."})
def migrate(call: Invocation, to: str = "") -> Report:
    """Apply the working tree's pending migrations; a dry run shows their SQL, what the lint says, and their locks."""
    from ops.hosts import envlock
    from ops.setup import migrate as operation

    report = call.operate(operation.plan, lock=envlock.of, to=to)
    return operation.announce(report, call.context(), to)


@task(level=READ, kind="verification")
def schema(call: Invocation) -> Report:
    """Say whether models, migrations and the live database agree; every difference by object, exit 1 on one.

    The migrations that the database has applied are replayed on a scratch server; pending ones are listed. Models
    are compared with all migrations, in what SQLAlchemy metadata can say: tables, columns, keys, indexes, types.
    """
    from ops.setup import schema as comparison

    return comparison.compare(call.context())


@task(
    level=READ,
    kind="migration",
    help={"all": "Applied migrations as well.", "strict": "Warnings fail too."},
)
def lint(call: Invocation, all: bool = False, strict: bool = False) -> Report:
    """Name the unsafe statements of pending migrations by file and line, with the locks they take; exit 1 on an error.

    They run on a scratch server, never on the database. `-- invops: allow RULE REASON` before a statement silences a
    rule, and so does squawk's own comment. Without an answer of the database all migrations are looked at.
    """
    from ops.setup import lint as looking

    return looking.report(call.context(), every=all, strict=strict)
