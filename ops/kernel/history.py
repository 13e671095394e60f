"""What happened to databases and services, beside the journal of our own steps."""

from __future__ import annotations

from ops.kernel import guard, records
from ops.kernel.store import State, history_sql


class History:
    """The tables `migration_history` and `health_check_results` of the state database."""

    def __init__(self, state: State) -> None:
        self._state = state

    def migration(
        self,
        *,
        run_id: str | None,
        environment: str,
        target: str,
        actor: str,
        version: str,
        name: str,
        checksum: str,
        result: str,
        seconds: float,
    ) -> None:
        """Record a migration of an application's schema.

        Args:
            run_id: Run that applied it, None outside of one.
            environment: Its name.
            target: The database, without credentials.
            actor: Who.
            version: Of the migration.
            name: Of the migration.
            checksum: SHA-256 of its file, empty when unknown.
            result: `done` or `failed`.
            seconds: How long it took.
        """
        self._add(
            history_sql.MIGRATION,
            run_id,
            seconds,
            environment=environment,
            target=target,
            actor=actor,
            version=version,
            name=name,
            checksum=checksum,
            result=result,
        )

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
    ) -> None:
        guard.effect("write the history")
        values = {name: records.plain(text) for name, text in texts.items()}
        self._state.change(
            statement, values | {"id": records.new_id(), "run_id": run_id, "seconds": seconds}
        )
