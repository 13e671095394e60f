"""Which locks each statement of a migration takes, what it writes anew and what it reads whole: seen, not guessed.

The migrations that are applied already are replayed on a scratch server; then each pending one runs as its runner would
run it, and the server is asked after each statement. The idea is that of `eugene trace` (Rust, MIT).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from psycopg import sql as texts

from ops.database import scratch, sql, statements
from ops.database.lint import allowed, effects, supabase
from ops.database.lint.model import Finding, LockedTable, Script, Trace
from ops.database.lint.seen import Look, look
from ops.database.statements import Statement
from ops.kernel.context import Context
from ops.kernel.errors import OpsError

_CONTROL: Final = {"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release"}
_NO_TRANSACTION: Final = "25001"
_ROLES: Final = 20  # more than a statement names
_NO_ROLE: Final = re.compile(r'role "(.+)" does not exist')
# Rows that the scratch server lacks: values and constraints fail for that, and what PL/pgSQL raises.
_DATA: Final = ("22", "23", "P0")


def trace(
    context: Context, applied: Sequence[Script], pending: Sequence[Script], server_major: int
) -> Trace:
    """See `ops.database.lint.trace`."""
    every = [*applied, *pending]
    with (
        scratch.server(context, major=server_major) as server,
        sql.connect(server.make("trace"), read_only=False, autocommit=True) as connection,
    ):
        # DISCARD ALL would take the driver's own statements away.
        connection.prepare_threshold = None
        supabase.prepare(context, connection)
        replay = _Replay(context, connection)
        for number, script in enumerate(every):
            context.progress(f"trace {script.path}", number, len(every))
            replay.run(script, looks=number >= len(applied))
    stay, _ = allowed.apart(pending, replay.findings)
    return Trace(replay.locks, stay, frozenset(replay.ran))


_Failure = tuple[Statement, OpsError]


class _Replay:
    """Runs migrations on the scratch server and gathers what it sees.

    Args:
        context: Gives the deadline.
        connection: To the scratch server, in autocommit mode.
    """

    def __init__(self, context: Context, connection: sql.Connection) -> None:
        self.locks: list[LockedTable] = []
        self.findings: list[Finding] = []
        self.ran: set[str] = set()
        self._context = context
        self._connection = connection
        self._complete = True

    def run(self, script: Script, *, looks: bool) -> None:
        """Run one migration; a statement that fails is left out."""
        found = [
            each for each in statements.split(script.text) if each.tokens[0].word not in _CONTROL
        ]
        failed: list[_Failure] = []
        for group in [found] if script.in_transaction else [[each] for each in found]:
            failed += self._transaction(script, group, looks)
        self._connection.execute("discard all")  # settings and temporary tables of this migration
        if not failed:
            self.ran.add(script.path)
        elif looks or self._complete:
            # The first is enough: the others may have failed because of it.
            self.findings.append(_finding(script, *failed[0], looks and self._complete))
        self._complete = self._complete and not failed

    def _transaction(
        self, script: Script, group: Sequence[Statement], looks: bool
    ) -> list[_Failure]:
        failed: list[_Failure] = []
        self._connection.execute("begin")
        first = before = look(self._connection) if looks else Look({}, {})
        for each in group:
            self._context.deadline.check(f"tracing {script.path}")
            error = self._try(each)
            if error is not None and _state(error) == _NO_TRANSACTION and not script.in_transaction:
                error = self._alone(script, each, before, looks)
            elif error is None and looks:
                after = look(self._connection, before)
                self._keep(effects.of(script, each, first, before, after))
                before = after
            if error is not None:
                failed.append((each, error))
        error = self._execute("commit")  # constraints may be checked only now
        return failed + ([(group[-1], error)] if error else [])

    def _try(self, statement: Statement) -> OpsError | None:
        """Run a statement so that its failure does not end the transaction; roles that it names are made."""
        for _ in range(_ROLES):
            self._connection.execute("savepoint one")
            error = self._execute(statement.text)
            if error is None:
                self._connection.execute("release one")
                return None
            self._connection.execute("rollback to one")
            missing = _NO_ROLE.search(error.why)
            if missing is None:
                return error
            role = texts.Identifier(missing[1])
            self._connection.execute(texts.SQL("create role {}").format(role))
        return error

    def _alone(
        self, script: Script, statement: Statement, before: Look, looks: bool
    ) -> OpsError | None:
        """Run what refuses a transaction; its locks are gone when it ends, so they are those of the manual."""
        self._connection.execute("rollback")
        error = self._execute(statement.text)
        if error is None and looks:
            self._keep(effects.documented(script, statement, before, look(self._connection)))
        return error

    def _execute(self, text: str) -> OpsError | None:
        try:
            with sql.translated("the statement fails"):
                self._connection.execute(text.encode())
        except OpsError as error:
            return error
        return None

    def _keep(self, seen: tuple[list[LockedTable], list[Finding]]) -> None:
        self.locks += seen[0]
        self.findings += seen[1]


def _state(error: OpsError) -> str:
    return str(getattr(error.__cause__, "sqlstate", None) or "")


def _finding(script: Script, statement: Statement, error: OpsError, certain: bool) -> Finding:
    """Return what a failure means: certain when all before it ran, so that only rows are missing here."""
    extension = [each.word for each in statement.tokens[:2]] == ["create", "extension"]
    if certain and not extension and not _state(error).startswith(_DATA):
        message = f"fails on PostgreSQL: {error.why}"
        return Finding(script.path, statement.line, "fails", "error", message, "correct it")
    message = f"cannot be traced from here on: {error.why}"
    hint = "its locks, and those of what builds on it, are not known"
    return Finding(script.path, statement.line, "not-traced", "warning", message, hint)
