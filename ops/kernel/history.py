"""What happened to databases and services, beside the journal of our own steps."""

from __future__ import annotations

from typing import NamedTuple

from ops.kernel import guard, records
from ops.kernel.store import State, history_sql


class LastMigration(NamedTuple):
    """The last record of a migration.

    Args:
        result: `done`, `failed` or `running`; the last also when its run was killed.
        run_id: Run that did it, empty outside of one.
        finished: When it ended, seconds since the epoch; None while it runs, or for a record of an older version.
    """

    result: str
    run_id: str
    finished: float | None


class History:
    """The tables `migration_history` and `health_check_results` of the state database."""

    def __init__(self, state: State) -> None:
        self._state = state

    def migration_begun(
        self,
        *,
        run_id: str | None,
        environment: str,
        target: str,
        actor: str,
        version: str,
        name: str,
        checksum: str,
        commit: str,
    ) -> str:
        """Record that a migration of an application's schema begins; it shows as `running` until it has ended.

        Args:
            run_id: Run that applies it, None outside of one.
            environment: Its name.
            target: The database, without credentials.
            actor: Who.
            version: Of the migration.
            name: Of the migration.
            checksum: SHA-256 of its file, empty when unknown.
            commit: Commit that the file comes from, empty when unknown.

        Returns:
            Identifier for `migration_ended`.
        """
        return self._add(
            history_sql.MIGRATION,
            run_id,
            0.0,
            environment=environment,
            target=target,
            actor=actor,
            version=version,
            name=name,
            checksum=checksum,
            commit_id=commit,
            result="running",
        )

    def migration_ended(self, record: str, result: str) -> None:
        """Record how a migration ended.

        Args:
            record: What `migration_begun` returned.
            result: `done` or `failed`.
        """
        guard.effect("write the history")
        self._state.change(history_sql.MIGRATION_ENDED, {"record": record, "how": result})

    def migrations(self, environment: str, target: str) -> dict[str, LastMigration]:
        """Return the last record of each migration of a database, by version.

        Args:
            environment: Its name.
            target: The database, without credentials.
        """
        values = {"environment": environment, "target": records.plain(target)}
        rows = self._state.rows(history_sql.MIGRATIONS, values)
        return {
            row.version: LastMigration(row.result, row.run_id or "", row.finished) for row in rows
        }

    def health(
        self,
        *,
        run_id: str | None,
        environment: str,
        target: str,
        name: str,
        result: str,
        detail: str,
        seconds: float,
    ) -> None:
        """Record a health check.

        Args:
            run_id: Run that asked, None outside of one.
            environment: Its name.
            target: What was asked, e.g. a URL without credentials.
            name: Of the service.
            result: `healthy` or `unhealthy`.
            detail: What it answered, redacted.
            seconds: How long the answer took.
        """
        self._add(
            history_sql.HEALTH,
            run_id,
            seconds,
            environment=environment,
            target=target,
            name=name,
            result=result,
            detail=detail,
        )

    def _add(
        self, statement: history_sql.Insert, run_id: str | None, seconds: float, **texts: str
    ) -> str:
        guard.effect("write the history")
        values = {name: records.plain(text) for name, text in texts.items()}
        record = records.new_id()
        self._state.change(statement, values | {"id": record, "run_id": run_id, "seconds": seconds})
        return record
