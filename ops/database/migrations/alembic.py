"""Migrations of an Alembic project: asked from and applied by Alembic itself, with the application's interpreter."""

from __future__ import annotations

import importlib.resources
import json
import re
from typing import Any, Final

from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_random_exponential

from ops.database import mysql, mysql_url, sql
from ops.database.migrations import lock, session
from ops.database.migrations.model import Entry, Migration, Source
from ops.hosts import runner
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, OpsError, StepFailed, TimeLimitReached

# What psycopg 3 and 2, asyncpg and pg8000 say; the server's own words depend on its language.
_LOCK_TIMED_OUT: Final = re.compile(r"LockNotAvailable|55P03|due to lock timeout")


def entries(context: Context, source: Source, url: SecretStr) -> list[Entry]:
    """Ask Alembic for its revisions, the oldest first, and for what the database has.

    Raises:
        ConfigurationError: There are several heads, which Alembic cannot upgrade.
        ConnectionFailed: The database does not answer.
        StepFailed: Alembic does not start.
    """
    _reach(url)
    said = _said(context, source, url)
    heads = sorted(said["heads"])
    found = [_entry(each) for each in said["revisions"]]
    missing = [Entry(each, "", "missing") for each in said["missing"]]
    if len(heads) > 1:
        raise ConfigurationError(
            f"the migrations have {len(heads)} heads: {', '.join(heads)}",
            hint=f"alembic merge -m 'merge heads' {' '.join(heads)}",
        )
    return [*found, *missing]


def revisions(context: Context, source: Source) -> list[Migration]:
    """Return every revision, the oldest first, without asking a database.

    Raises:
        StepFailed: Alembic does not start.
    """
    said = _said(context, source, SecretStr(""), "files")
    found = [_entry(each).migration for each in said["revisions"]]
    return [each for each in found if each is not None]


def apply(context: Context, source: Source, url: SecretStr, to: str, *, again: bool) -> None:
    """Upgrade to a revision.

    Args:
        context: Surroundings.
        source: The project.
        url: The database.
        to: The revision.
        again: Whether it may be tried again after a lock time-out: all of it is taken back by a failure.

    Raises:
        StepFailed: It failed.
    """

    def upgrade() -> None:
        _run(context, source, url, ["-m", "alembic", *_config(source), "upgrade", to], reads=False)

    def timed_out(error: BaseException) -> bool:
        return again and bool(_LOCK_TIMED_OUT.search(str(error)))

    def used_up(state: RetryCallState) -> bool:
        pause = state.next_action.sleep if state.next_action else 0
        return context.deadline.remaining() <= pause + 1

    Retrying(
        retry=retry_if_exception(timed_out),
        wait=wait_random_exponential(multiplier=1, max=10),
        stop=used_up,
        reraise=True,
    )(upgrade)


def statements(context: Context, source: Source, url: SecretStr) -> tuple[str, str]:
    """Return the SQL of all revisions by Alembic's offline mode, or why it cannot say.

    Args:
        context: Surroundings.
        source: The project.
        url: The database; it is not asked.
    """
    argv = ["-m", "alembic", *_config(source), "upgrade", "base:heads", "--sql"]
    try:
        return _run(context, source, url, argv, reads=True), ""
    except OpsError as error:
        last = (error.why or error.what).strip().splitlines()[-1]
        return "", f"alembic upgrade --sql does not work here: {last}"


def _reach(url: SecretStr) -> None:
    """Connect once ourselves: a refusal is one line then, Alembic's is a traceback."""
    opened = (
        mysql.connect(url, read_only=True)
        if mysql_url.is_mysql(url)
        else sql.connect(url, read_only=True)
    )
    with opened:
        pass


def _config(source: Source) -> list[str]:
    return ["-c", source.path.name]


def _said(context: Context, source: Source, url: SecretStr, *words: str) -> dict[str, Any]:
    probe = (importlib.resources.files("ops.database") / "alembic_probe.py").read_text()
    try:
        answer = _run(context, source, url, ["-c", probe, source.path.name, *words], reads=True)
    except TimeLimitReached:
        raise
    except StepFailed as error:  # without the whole probe in its text
        last = (error.why.strip().splitlines() or [error.what])[-1]
        raise StepFailed(f"Alembic cannot read {source.path}", why=last) from error
    try:
        said: dict[str, Any] = json.loads(answer.strip().splitlines()[-1])
        _ = said["heads"], said["revisions"], said["missing"]
    except (ValueError, IndexError, TypeError, KeyError) as error:
        raise StepFailed("cannot read the state of the migrations", why=answer[-500:]) from error
    return said


def _entry(said: dict[str, Any]) -> Entry:
    applied = said.pop("applied")
    migration = Migration(**said)
    return Entry(migration.id, migration.title, "applied" if applied else "pending", migration)


def _run(
    context: Context, source: Source, url: SecretStr, arguments: list[str], *, reads: bool
) -> str:
    environment = {
        **source.environment,
        source.variable: url.get_secret_value(),
        "PGOPTIONS": f"-c lock_timeout={session.LOCK_TIMEOUT}",
        "PGAPPNAME": lock.worker(context),
        "PYTHONDONTWRITEBYTECODE": "1",  # looking may leave nothing behind
    }
    return runner.run(
        context,
        [str(source.python), *arguments],
        reads=reads,
        cwd=source.path.parent,
        environment=environment,
        account=source.account,
    ).stdout
